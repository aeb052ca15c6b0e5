package qliktest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestRepositoryTopology(t *testing.T) {
	site, client := proxySite(t, Config{})
	type node struct {
		ID, Name, HostName string
		IsCentral          bool
	}
	type virtualProxy struct {
		ID, Prefix, Description, SessionCookieHeaderName string
		SessionInactivityTimeout, AuthenticationMethod   int
		DefaultVirtualProxy                              bool
	}
	var nodes []node
	get(t, client, "https://b:4242/qrs/ServerNodeConfiguration/Full", &nodes)
	if len(nodes) != 2 || nodes[0].HostName != "a" || !nodes[0].IsCentral || nodes[1].IsCentral || nodes[0].ID == nodes[1].ID {
		t.Errorf("%+v", nodes)
	}
	var virtualProxies []virtualProxy
	get(t, client, "https://a:4242/qrs/virtualproxyconfig/full", &virtualProxies)
	if len(virtualProxies) != 5 || !virtualProxies[0].DefaultVirtualProxy || virtualProxies[1].DefaultVirtualProxy ||
		virtualProxies[0].Description != "Central Proxy (Default)" || virtualProxies[0].SessionCookieHeaderName != "X-Qlik-Session" ||
		virtualProxies[2].SessionInactivityTimeout != 30 || virtualProxies[3].ID == virtualProxies[4].ID {
		t.Errorf("%+v", virtualProxies)
	}
	var proxies []struct {
		ID                      string
		ServerNodeConfiguration node
		Settings                struct {
			RestListenPort int
			VirtualProxies []virtualProxy
		}
	}
	get(t, client, "https://a:4242/qrs/proxyservice/full", &proxies)
	links := []string{}
	for _, p := range proxies {
		for _, v := range p.Settings.VirtualProxies {
			for i, known := range virtualProxies {
				if known == v {
					links = append(links, fmt.Sprintf("%s:%d %d", p.ServerNodeConfiguration.HostName, p.Settings.RestListenPort, i))
				}
			}
		}
	}
	if got, want := strings.Join(links, ", "), "a:4243 0, a:4243 1, a:4243 2, a:4243 3, b:5243 0, b:5243 1, b:5243 4"; got != want {
		t.Errorf("links %s, want %s", got, want)
	}

	type status struct {
		ServerNodeConfiguration   node
		ServiceType, ServiceState int
		Timestamp                 time.Time
	}
	states := func() map[string]int {
		var all []status
		get(t, client, "https://a:4242/qrs/servicestatus/full", &all)
		m := map[string]int{}
		for _, s := range all {
			m[fmt.Sprint(s.ServerNodeConfiguration.HostName, s.ServiceType)] = s.ServiceState
		}
		return m
	}
	if m := states(); len(m) != 10 || m["a1"] != 2 || m["b5"] != 2 {
		t.Errorf("%v", m)
	}
	site.StopProxy("b")
	site.SetServiceState("a", "Engine", 4)
	if m := states(); m["b1"] != 3 || m["a1"] != 2 || m["a3"] != 4 {
		t.Errorf("%v", m)
	}
	site.StartProxy("b")
	if m := states(); m["b1"] != 2 {
		t.Errorf("%v", m)
	}
}

func TestRepositoryLicenses(t *testing.T) {
	clock := NewClock(testStart)
	site, client := proxySite(t, Config{Now: clock.Now, AnalyzerSeats: 7})
	goran := login(t, site, "GORAN", "laptop", "sales", "b")
	login(t, site, "ida", "laptop", "", "a")
	login(t, site, "root", "laptop", "", "a")
	login(t, site, "stranger", "laptop", "", "a")
	clock.Advance(time.Minute)
	site.Touch(goran.ID)

	type user struct{ UserID, UserDirectory, Name string }
	var access []struct {
		User     user
		LastUsed time.Time
		Excess   *bool
	}
	get(t, client, "https://a:4242/qrs/license/professionalaccesstype/full", &access)
	if len(access) != 1 || access[0].User != (user{"goran", "LAB", "Goran"}) || !access[0].LastUsed.Equal(testStart) || access[0].Excess == nil {
		t.Errorf("%+v", access)
	}
	access = nil
	get(t, client, "https://a:4242/qrs/license/AnalyzerAccessType/full", &access)
	if len(access) != 1 || access[0].User.UserID != "ida" {
		t.Errorf("%+v", access)
	}

	var usage []struct {
		ID, SessionID, ModifiedByUserName, HostName, ServerNodeConfigurationID string
		UseStartTime, LatestActivity                                           time.Time
		ProfessionalAccessType, AnalyzerAccessType                             *struct{ ID string }
	}
	get(t, client, "https://a:4242/qrs/license/professionalaccessusage/full", &usage)
	if len(usage) != 1 || usage[0].SessionID != goran.ID || usage[0].ModifiedByUserName != `LAB\goran` || usage[0].HostName != "b" ||
		usage[0].ServerNodeConfigurationID == "" || !usage[0].UseStartTime.Equal(testStart) ||
		!usage[0].LatestActivity.Equal(testStart.Add(time.Minute)) || usage[0].ProfessionalAccessType == nil {
		t.Errorf("%+v", usage)
	}
	site.AddLeftoverRow("LAB", "ida")
	usage = nil
	get(t, client, "https://a:4242/qrs/license/analyzeraccessusage/full", &usage)
	if len(usage) != 2 || usage[0].AnalyzerAccessType == nil || usage[1].SessionID == "" {
		t.Errorf("%+v", usage)
	}
	for _, kind := range []string{"useraccess", "loginaccess", "analyzertimeaccess"} {
		for _, what := range []string{"type", "usage"} {
			var none []any
			get(t, client, "https://a:4242/qrs/license/"+kind+what+"/full", &none)
			if none == nil || len(none) != 0 {
				t.Errorf("%s%s: %v", kind, what, none)
			}
		}
	}

	type counts struct{ Total, Allocated, Used, Available, Excess, Quarantined int }
	var overview struct{ ProfessionalAccess, AnalyzerAccess counts }
	get(t, client, "https://a:4242/qrs/license/accesstypeoverview", &overview)
	if overview.ProfessionalAccess != (counts{10, 1, 1, 9, 0, 0}) || overview.AnalyzerAccess != (counts{7, 1, 1, 6, 0, 0}) {
		t.Errorf("%+v", overview)
	}
	var license struct {
		KeyDetails string
		IsExpired  bool
	}
	get(t, client, "https://a:4242/qrs/license", &license)
	if license.IsExpired || !strings.Contains(license.KeyDetails, "Valid To: 2027-05-14") {
		t.Errorf("%+v", license)
	}
	var users []struct {
		user
		Roles []string
	}
	get(t, client, "https://a:4242/qrs/user/full", &users)
	if len(users) != 4 || users[2].Roles[0] != "RootAdmin" || users[3].UserID != "stranger" || len(users[3].Roles) != 0 {
		t.Errorf("%+v", users)
	}
	var about struct{ BuildVersion string }
	get(t, client, "https://a:4242/qrs/about", &about)
	if about.BuildVersion == "" {
		t.Error("no version")
	}

	if status, _, _ := ask(t, client, http.MethodGet, "https://a:4242/qrs/nosuch"); status != http.StatusNotFound {
		t.Errorf("unknown path: status %d", status)
	}
	if status, _, _ := ask(t, client, http.MethodDelete, "https://a:4242/qrs/user/full"); status != http.StatusMethodNotAllowed {
		t.Errorf("DELETE: status %d", status)
	}
	requests := site.Requests()
	if requests.Repository["/qrs/license/analyzeraccesstype/full"] != 1 || requests.Repository["/qrs/about"] != 1 || requests.RepositoryConnections != 1 {
		t.Errorf("%+v", requests)
	}
}

func TestRepositoryFilters(t *testing.T) {
	_, client := proxySite(t, Config{})
	for _, test := range []struct{ path, filter, want string }{
		{"user", "", "goran ida root"},
		{"user", "userId eq 'IDA'", "ida"},
		{"user", "userId eq 'id'", ""},
		{"user/full", "userId so 'da' or name so 'GOR'", "goran ida"},
		{"user", "userId so 'o'neill'", "400"},
		{"user", "userId like 'da'", "400"},
		{"license", "userId eq 'ida'", "400"}, // this entity supports no filter
	} {
		address := "https://a:4242/qrs/" + test.path
		if test.filter != "" {
			address += "?filter=" + url.QueryEscape(test.filter)
		}
		status, body, _ := ask(t, client, http.MethodGet, address)
		got := fmt.Sprint(status)
		if status == http.StatusOK {
			var users []struct{ UserID string }
			if err := json.Unmarshal(body, &users); err != nil {
				t.Fatal(err)
			}
			got = ""
			for _, u := range users {
				got = strings.TrimSpace(got + " " + u.UserID)
			}
		}
		if got != test.want {
			t.Errorf("%s %q: got %s, want %s", test.path, test.filter, got, test.want)
		}
	}
}
