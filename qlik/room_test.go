package qlik

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// sessionList returns a list of sessions with ids of a length and a number of users.
func sessionList(sessions, users, length int) string {
	var list strings.Builder
	list.WriteString("[")
	for i := range sessions {
		if i > 0 {
			list.WriteString(",")
		}
		fmt.Fprintf(&list, `{"UserDirectory":"LAB","UserId":"user%d","SessionId":"%0*d"}`, i%users, length, i)
	}
	list.WriteString("]")
	return list.String()
}

// TestSessionListsShareTheirRoom checks that the lists of a node together have a maximum
// number of sessions and of bytes, and that the links that exceed it fail.
func TestSessionListsShareTheirRoom(t *testing.T) {
	read := func(room *Room, list string) (int, error) {
		sessions, err := decodeSessions(roomReader{strings.NewReader(list), room}, &Link{}, room, 0)
		return len(sessions), err
	}
	expect := func(name string, room *Room, list, want string) {
		t.Helper()
		_, err := read(room, list)
		if got := fmt.Sprint(err); got != want || err != nil && classify(err) != KindTooLarge {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	const full = "the session lists of the node have more than 150000 sessions, or names of more than 24 MiB"
	half := sessionList(MaxSessions/2, 1000, 36)
	room := NewRoom()
	expect("first half", room, half, "<nil>")
	expect("second half", room, half, "<nil>")
	expect("nothing", room, "[]", "<nil>")
	expect("one more", room, sessionList(1, 1, 36), full)
	expect("after that", room, sessionList(1, 1, 36), full)

	long := sessionList(20_000, 20_000, 500)
	room = NewRoom()
	expect("long names", room, long, "<nil>")
	expect("more long names", room, long, "<nil>")
	expect("too many long names", room, long, full)

	room = NewRoom()
	room.bytes.Store(1000)
	expect("too many bytes", room, sessionList(1000, 1, 36), "the session lists of the node are larger than 256 MiB")
}

// TestGzipBomb checks that the maximum size of a response is that of the decompressed
// one.
func TestGzipBomb(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	if _, err := io.WriteString(z, "["); err != nil {
		t.Fatal(err)
	}
	element := strings.Repeat(`{"UserDirectory":"LAB","UserId":"anna","SessionId":"a","Attributes":"`+strings.Repeat("x", 1000)+`"},`, 1000)
	for range 100 { // 100 MB
		if _, err := io.WriteString(z, element); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if bomb.Len() > 1<<20 {
		t.Fatalf("the bomb has %d bytes", bomb.Len())
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb.Bytes())
	}))
	defer server.Close()
	plain := new(http.Transport)
	defer plain.CloseIdleConnections()
	c := clientOf(roundTrip(func(r *http.Request) (*http.Response, error) {
		r.URL.Scheme, r.URL.Host = "http", server.Listener.Addr().String()
		return plain.RoundTrip(r)
	}))
	c.config.Timeout = time.Hour // the size ends the request, however busy the machine is
	link := newLink("qlik1", proxyPort, "")
	if _, _, err := c.Sessions(t.Context(), &link, nil, nil); KindOf(err) != KindTooLarge {
		t.Errorf("got %v", err)
	}
	if _, err := c.Topology(t.Context()); KindOf(err) != KindTooLarge && KindOf(err) != KindDecode {
		t.Errorf("got %v", err)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestHostileRepository checks that what is kept of the lists of a repository is
// limited, over all lists of a source.
func TestHostileRepository(t *testing.T) {
	if testing.Short() {
		t.Skip("moves gigabytes")
	}
	many := func(n int, format string) string {
		var list strings.Builder
		list.WriteString("[")
		for i := range n {
			if i > 0 {
				list.WriteString(",")
			}
			fmt.Fprintf(&list, format, i)
		}
		list.WriteString("]")
		return list.String()
	}
	client := func(site answers) *Client {
		c := site.client()
		c.config.Timeout = time.Hour // the size ends the request, however busy the machine is
		return c
	}
	long := strings.Repeat("ä", maxName-10)
	user := `{"user":{"userDirectory":"LAB","userId":"` + long + `%[1]d"}}`
	for name, site := range map[string]answers{
		"licenses of one type":    {"/professionalaccesstype": many(20_000, user)},
		"licenses of many users":  {"/professionalaccesstype": many(maxElements+1, `{"user":{"userDirectory":"L","userId":"%d"}}`)},
		"licenses without a user": {"/professionalaccesstype": many(maxElements+1, `{"id":"%d"}`)},
	} {
		if l, err := client(site).Licenses(t.Context()); KindOf(err) != KindTooLarge {
			t.Errorf("%s: %d holders, %v", name, len(l.Holders), err)
		}
	}
	l, err := client(answers{"/professionalaccesstype": many(10_000, user), "/analyzeraccesstype": many(10_000, user)}).Licenses(t.Context())
	if KindOf(err) != KindTooLarge || l == nil || len(l.Holders) != 10_000 || l.Certain {
		t.Errorf("two lists: %d holders, %v", len(l.Holders), err)
	}

	one := &Licenses{inUse: licenseTypes[:1]}
	for name, list := range map[string]string{
		"rows with long names": many(20_000, `{"sessionID":"%[1]d",`+user[1:]),
		"rows":                 many(maxElements+1, `{"sessionID":"%d"}`),
	} {
		if rows, err := client(answers{"/professionalaccessusage": list}).UsageRows(t.Context(), one); KindOf(err) != KindTooLarge {
			t.Errorf("%s: %d rows, %v", name, len(rows), err)
		}
	}

	const virtualProxies = `[{"id":"hub","prefix":""}]`
	for name, site := range map[string]answers{
		"proxies": {
			"/qrs/virtualproxyconfig": virtualProxies,
			"/qrs/proxyservice":       many(maxElements+1, `{"serverNodeConfiguration":{"hostName":"a%d"}}`),
		},
		"links of a proxy": {
			"/qrs/virtualproxyconfig": virtualProxies,
			"/qrs/proxyservice":       many(10, `{"serverNodeConfiguration":{"hostName":"a%d"},"settings":{"virtualProxies":`+many(maxElements/8, `{"id":"%d"}`)+`}}`),
		},
		"virtual proxies": {
			"/qrs/proxyservice":       "[]",
			"/qrs/virtualproxyconfig": many(20_000, `{"id":"%d","prefix":"`+long+`"}`),
		},
	} {
		if links, err := client(site).Topology(t.Context()); KindOf(err) != KindTooLarge {
			t.Errorf("%s: %d links, %v", name, len(links), err)
		}
	}
	services := answers{"/qrs/servicestatus": many(maxServices+1, `{"serverNodeConfiguration":{"hostName":"a%d"},"serviceType":1,"serviceState":2}`)}
	if states, err := client(services).Services(t.Context()); KindOf(err) != KindTooLarge {
		t.Errorf("%d services, %v", len(states), err)
	}
}

// TestLengthsAreForgotten checks that the client keeps nothing of links that no longer
// exist or that fail.
func TestLengthsAreForgotten(t *testing.T) {
	site := answers{
		"/qrs/proxyservice":       `[{"serverNodeConfiguration":{"hostName":"a"},"settings":{"virtualProxies":[{"id":"1"}]}}]`,
		"/qrs/virtualproxyconfig": `[{"id":"1","prefix":"x"}]`,
		"/qps/x/session":          "[]", "/qps/gone/session": "[]",
	}
	c := site.client()
	lengths := func() (n int) {
		c.lengths.Range(func(any, any) bool { n++; return true })
		return n
	}
	for _, prefix := range []string{"x", "gone"} {
		link := newLink("a", proxyPort, prefix)
		if _, _, err := c.Sessions(t.Context(), &link, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	if lengths() != 2 {
		t.Errorf("%d lengths", lengths())
	}
	if _, err := c.Topology(t.Context()); err != nil || lengths() != 1 {
		t.Errorf("%d lengths, %v", lengths(), err)
	}
	site["/qps/x/session"] = "[5]"
	link := newLink("a", proxyPort, "x")
	if _, _, err := c.Sessions(t.Context(), &link, nil, nil); err == nil || lengths() != 0 {
		t.Errorf("%d lengths, %v", lengths(), err)
	}
}
