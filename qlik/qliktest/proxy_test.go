package qliktest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func proxySite(t *testing.T, config Config) (*Site, *http.Client) {
	t.Helper()
	config.Nodes = []Node{{Name: "a"}, {Name: "b", RESTListenPort: 5243}}
	config.VirtualProxies = []VirtualProxy{
		{},
		{Prefix: "sales"},
		{Prefix: "hr/reports", Nodes: []string{"a"}},
		{Prefix: "hdr", Nodes: []string{"a"}},
		{Prefix: "hdr", Nodes: []string{"b"}},
	}
	config.Users = testUsers
	site := start(t, config)
	return site, clientOf(t, site)
}

func TestSessionLists(t *testing.T) {
	for _, inMemory := range []bool{false, true} {
		t.Run(fmt.Sprint("InMemory ", inMemory), func(t *testing.T) {
			site, client := proxySite(t, Config{InMemory: inMemory})
			first := login(t, site, "goran", "laptop", "", "a")
			second := login(t, site, "Ida", "laptop", "", "a")
			login(t, site, "goran", "laptop", "", "b")
			sales := login(t, site, "goran", "laptop", "sales", "b")
			slash := login(t, site, "goran", "laptop", "hr/reports", "a")
			hdr := login(t, site, "goran", "laptop", "hdr", "b")
			for path, want := range map[string][]string{
				"a:4243/qps/session":             {first.ID, second.ID},
				"a:4243/qps//session":            {first.ID, second.ID},
				"a:4243/QPS/sales/session":       {},
				"b:5243/qps/sales/session":       {sales.ID},
				"a:4243/qps/hr/reports/session":  {slash.ID},
				"a:4243/qps//hr/reports/session": {slash.ID},
				"a:4243/qps/hdr/session":         {},
				"b:5243/qps/hdr/session":         {hdr.ID},
			} {
				var sessions []map[string]any
				get(t, client, "https://"+path, &sessions)
				got := []string{}
				for _, s := range sessions {
					got = append(got, fmt.Sprint(s["SessionId"]))
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s lists %v, want %v", path, got, want)
				}
			}
			for _, path := range []string{
				"a:4243/qps/nosuch/session", "b:5243/qps/hr/reports/session", "a:4243/qps/hr%2Freports/session", "a:4243/qps",
				"a:4243/qps/nothing", "a:4243/session",
			} {
				if status, _, err := ask(t, client, http.MethodGet, "https://"+path); status != http.StatusNotFound || err != nil {
					t.Errorf("%s: status %d, error %v", path, status, err)
				}
			}
			if status, _, _ := ask(t, client, http.MethodDelete, "https://a:4243/qps/session"); status != http.StatusMethodNotAllowed {
				t.Errorf("DELETE of a list: status %d", status)
			}
			r := site.Requests()
			if r.SessionLists != 11 || r.OtherProxy != 4 || r.ProxyConnections != 2 || r.RepositoryConnections != 0 {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestShapeOfASession(t *testing.T) {
	site, client := proxySite(t, Config{})
	names, attributes := map[string]bool{}, map[string]bool{}
	for i := range 60 {
		id := fmt.Sprint("User", i)
		site.mu.Lock()
		site.newAccount(User{Directory: "LAB", ID: id, Name: "Müller, A."})
		site.mu.Unlock()
		login(t, site, id, "laptop", "", "a")
	}
	var sessions []map[string]json.RawMessage
	get(t, client, "https://a:4243/qps/session", &sessions)
	for _, s := range sessions {
		names[string(s["UserName"])] = true
		attributes[string(s["Attributes"])] = true
		if string(s["UserDirectory"]) != `"LAB"` || !strings.HasPrefix(string(s["UserId"]), `"User`) || len(s["SessionId"]) != 38 {
			t.Fatalf("%s", s)
		}
	}
	if len(sessions) != 60 || !names[""] || !names["null"] || !names[`"Müller, A."`] {
		t.Errorf("names %v", names)
	}
	if !attributes["[]"] || !attributes[`[{"group":"Sales"},{"group":"EMEA"},{"costcenter":""}]`] {
		t.Errorf("attributes %v", attributes)
	}
}

func TestOtherProxyEndpoints(t *testing.T) {
	site, client := proxySite(t, Config{})
	one, two := login(t, site, "goran", "laptop", "sales", "a"), login(t, site, "goran", "phone", "sales", "a")
	elsewhere, ida := login(t, site, "goran", "laptop", "", "a"), login(t, site, "ida", "laptop", "sales", "a")
	const base = "https://a:4243/qps/"

	var alive map[string]bool
	get(t, client, base+"alive", &alive)
	if !alive["value"] {
		t.Errorf("alive: %v", alive)
	}
	var endpoints []string
	get(t, client, base+"about/description", &endpoints)
	if len(endpoints) == 0 {
		t.Error("no endpoints")
	}
	var session sessionData
	get(t, client, base+"sales/session/"+one.ID, &session)
	if session.SessionID != one.ID {
		t.Errorf("%+v", session)
	}
	for _, path := range []string{"session/" + one.ID, "sales/session/nosuch", "nosuch/session/" + one.ID, "nosuch/user/LAB/goran"} {
		for _, method := range []string{http.MethodGet, http.MethodDelete} {
			if status, _, err := ask(t, client, method, base+path); status != http.StatusNotFound || err != nil {
				t.Errorf("%s %s: status %d, error %v", method, path, status, err)
			}
		}
	}
	var sessions []sessionData
	get(t, client, base+"sales/user/lab/GORAN", &sessions)
	if len(sessions) != 2 || sessions[0].SessionID != one.ID || sessions[1].SessionID != two.ID {
		t.Errorf("%+v", sessions)
	}
	get(t, client, base+"sales/user/LAB/nobody%2F", &sessions)
	if len(sessions) != 0 {
		t.Errorf("%+v", sessions)
	}
	status, body, err := ask(t, client, http.MethodDelete, base+"sales/session/"+one.ID)
	if status != http.StatusOK || err != nil || !bytes.Contains(body, []byte(one.ID)) || site.Touch(one.ID) {
		t.Errorf("DELETE session: status %d, error %v, %s", status, err, body)
	}
	status, body, err = ask(t, client, http.MethodDelete, base+"sales/user/LAB/goran")
	if status != http.StatusOK || err != nil || !bytes.Contains(body, []byte(two.ID)) || site.Touch(two.ID) {
		t.Errorf("DELETE user: status %d, error %v, %s", status, err, body)
	}
	if !site.Touch(elsewhere.ID) || !site.Touch(ida.ID) {
		t.Error("sessions of another virtual proxy or user ended")
	}
}

// behaving returns a configuration with the behavior of a site.
func behaving(t *testing.T, facts map[string]string) Config {
	t.Helper()
	config, cannot, err := Config{}.Behave(facts)
	if err != nil || len(cannot) > 0 {
		t.Fatalf("cannot %v, %v", cannot, err)
	}
	return config
}

func TestUnknownPrefixAsEmptyList(t *testing.T) {
	_, client := proxySite(t, behaving(t, map[string]string{"unknown_prefix": "empty_list"}))
	var sessions []sessionData
	get(t, client, "https://a:4243/qps/nosuch/session", &sessions)
	if sessions == nil || len(sessions) != 0 {
		t.Errorf("%v", sessions)
	}
	if status, _, _ := ask(t, client, http.MethodGet, "https://a:4243/qps/nosuch/session/1"); status != http.StatusNotFound {
		t.Errorf("status %d", status)
	}
}

func TestSetRepositoryAnswer(t *testing.T) {
	site, client := proxySite(t, Config{})
	raw := []byte("[7]")
	for _, path := range []string{"/qrs/license", "/qrs/proxyservice/full", "/qrs/not/there"} {
		url := "https://a:4242" + path
		site.SetRepositoryAnswer(strings.ToUpper(path), raw)
		if status, body, err := ask(t, client, http.MethodGet, url); status != 200 || err != nil || !bytes.Equal(body, raw) {
			t.Errorf("%s: %d %v %q", path, status, err, body)
		}
		site.SetRepositoryAnswer(path, nil)
		if _, body, _ := ask(t, client, http.MethodGet, url); bytes.Equal(body, raw) {
			t.Errorf("%s: not back to normal", path)
		}
	}
}

func TestSetAnswer(t *testing.T) {
	site, client := proxySite(t, Config{})
	raw := []byte("[{\"UserId\":\"\xff\"}]")
	for _, prefix := range []string{"", "sales", "not/there"} {
		url := "https://a:4243/qps/" + prefix + "/session"
		site.SetAnswer("a", prefix, raw)
		if status, body, err := ask(t, client, http.MethodGet, url); status != 200 || err != nil || !bytes.Equal(body, raw) {
			t.Errorf("%q: %d %v %q", prefix, status, err, body)
		}
		site.SetAnswer("a", prefix, nil)
		if _, body, _ := ask(t, client, http.MethodGet, url); bytes.Equal(body, raw) {
			t.Errorf("%q: not back to normal", prefix)
		}
	}
}

func TestXrfkey(t *testing.T) {
	_, client := proxySite(t, Config{})
	for _, test := range []struct {
		query, header string
		status        int
	}{
		{"?Xrfkey=" + testKey, testKey, 200},
		{"?xrfkey=" + testKey, testKey, 200},
		{"?a=b&XRFKEY=" + testKey, testKey, 200},
		{"", testKey, 403},
		{"?Xrfkey=" + testKey, "", 403},
		{"?Xrfkey=" + testKey, "0123456789abcdeF", 403},
		{"?Xrfkey=0123456789abcde", "0123456789abcde", 403},
		{"?Xrfkey=0123456789abcde-", "0123456789abcde-", 403},
	} {
		for _, url := range []string{"https://a:4243/qps/session", "https://a:4242/qrs/about"} {
			request, _ := http.NewRequest(http.MethodGet, url+test.query, nil)
			if test.header != "" {
				request.Header.Set("X-Qlik-Xrfkey", test.header)
			}
			response, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(response.Body)
			response.Body.Close()
			if response.StatusCode != test.status || (test.status == 403) != (string(body) == xsrfText) {
				t.Errorf("%s%s with header %q: %d %s", url, test.query, test.header, response.StatusCode, body)
			}
		}
	}
}

func TestWithoutClientCertificate(t *testing.T) {
	for _, required := range []bool{false, true} {
		_, client := proxySite(t, Config{RequireClientCertificate: required})
		transportOf(t, client).TLSClientConfig.Certificates = nil
		status, body, err := ask(t, client, http.MethodGet, "https://a:4243/qps/session")
		if required {
			if err == nil || !strings.Contains(err.Error(), "certificate required") {
				t.Errorf("required: status %d, error %v", status, err)
			}
		} else if status != http.StatusForbidden || err != nil || string(body) == xsrfText {
			t.Errorf("not required: status %d, error %v, %s", status, err, body)
		}
	}
}

func TestClientOfAnotherSite(t *testing.T) {
	site, own := proxySite(t, Config{})
	other, _ := proxySite(t, Config{})
	client := clientOf(t, site)
	transportOf(t, client).TLSClientConfig.Certificates = other.TLSConfig().Certificates
	const url = "https://a:4243/qps/session"
	if status, _, err := ask(t, own, http.MethodGet, url); status != http.StatusOK || err != nil {
		t.Errorf("its own client: status %d, error %v", status, err)
	}
	// A reset may arrive before the reason.
	status, _, err := ask(t, client, http.MethodGet, url)
	if err == nil || !strings.Contains(err.Error(), "unknown certificate authority") && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		t.Errorf("the client of another site: status %d, error %v", status, err)
	}
}

func transportOf(t *testing.T, client *http.Client) *http.Transport {
	t.Helper()
	transport, ok := client.Transport.(*http.Transport)
	if !ok {
		t.Fatalf("transport %T", client.Transport)
	}
	return transport
}

func TestGzip(t *testing.T) {
	site, client := proxySite(t, Config{Gzip: true})
	login(t, site, "goran", "laptop", "", "a")
	transportOf(t, client).DisableCompression = true
	request, _ := http.NewRequest(http.MethodGet, "https://a:4243/qps/session?xrfkey="+testKey, nil)
	request.Header.Set("X-Qlik-Xrfkey", testKey)
	request.Header.Set("Accept-Encoding", "gzip")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	z, err := gzip.NewReader(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var sessions []sessionData
	if err := json.NewDecoder(z).Decode(&sessions); err != nil || len(sessions) != 1 {
		t.Error(err, sessions)
	}
}

func TestDialContext(t *testing.T) {
	for _, inMemory := range []bool{false, true} {
		site, _ := proxySite(t, Config{InMemory: inMemory})
		var dns *net.DNSError
		if _, err := site.DialContext(t.Context(), "tcp", "c:4243"); !errors.As(err, &dns) || !dns.IsNotFound {
			t.Errorf("unknown name: %v", err)
		}
		var op *net.OpError
		for _, address := range []string{"a:5243", "b:4243", "a:443"} {
			if _, err := site.DialContext(t.Context(), "tcp", address); !errors.As(err, &op) || !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("%s: %v", address, err)
			}
		}
		if _, err := site.DialContext(t.Context(), "tcp", "nonsense"); err == nil {
			t.Error("an address without port")
		}
		for _, address := range []string{"A:4242", "b:5243", site.ProxyAddress("a"), site.RepositoryAddress("b")} {
			c, err := site.DialContext(t.Context(), "tcp", address)
			if err != nil {
				t.Errorf("%s: %v", address, err)
				continue
			}
			_ = c.Close()
		}
		if inMemory && (site.ProxyAddress("b") != "b:5243" || site.RepositoryAddress("b") != "b:4242") {
			t.Error(site.ProxyAddress("b"), site.RepositoryAddress("b"))
		}
	}
}
