package e2e

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"html"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"golang.org/x/crypto/bcrypt"

	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

const (
	// freedWithin is the time from the link of an alert until the page says what happened.
	freedWithin = 15 * time.Second
	maxTaps     = 4
	// deskPassword is the password of all operators.
	deskPassword = "fakepassword"
)

// counter is a site whose exporter has a desk.
type counter struct {
	*site
	clock   *qliktest.Clock // of the site
	address string          // of the desk
	journal string          // path
	client  *http.Client    // trusts its certificate
}

// startDesk starts a site with a desk for the operators kim (helpdesk), ada (admin) and vic
// (viewer).
func startDesk(t *testing.T) *counter {
	t.Helper()
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	c := &counter{clock: qliktest.NewClock(time.Now()), address: "127.0.0.1:" + freePort(t), journal: path("journal.jsonl")}
	certificate, key := selfSigned(t)
	hash, err := bcrypt.GenerateFromPassword([]byte(deskPassword), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	web := "tls_server_config:\n  cert_file: desk.crt\n  key_file: desk.key\nbasic_auth_users:\n"
	for _, operator := range []string{"kim", "ada", "vic"} {
		web += fmt.Sprintf("  %s: %s\n", operator, hash)
	}
	for name, content := range map[string]string{
		"desk.crt": string(certificate), "desk.key": string(key), "web.yml": web,
		"roles.yml": "viewer: [\"user:vic\"]\nhelpdesk: [\"user:kim\"]\nadmin: [\"user:ada\"]\n",
	} {
		if err := os.WriteFile(path(name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(certificate)
	c.client = &http.Client{Timeout: httpClient.Timeout, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}}}
	t.Cleanup(c.client.CloseIdleConnections)
	var users []string
	for i := range crew {
		users = append(users, crewMember(i))
	}
	c.site = startSite(t, "desk", qliktest.Config{
		Users: people(append(users, "anna", "ben", "carl", "dora", "emil", "fred", "gina")...), VirtualProxies: []qliktest.VirtualProxy{{}, {Prefix: "sales"}, {Prefix: "portal"}},
		CoolingTime: 5 * time.Minute, Now: c.clock.Now,
	}, "--desk.listen-address="+c.address, "--desk.web.config.file="+path("web.yml"), "--desk.roles-file="+path("roles.yml"), "--desk.journal-file="+c.journal)
	return c
}

// selfSigned returns a certificate for the loopback address with its key, both in PEM.
func selfSigned(t *testing.T) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})
}

// window is where a session of a user was last used, and how long ago.
type window struct {
	prefix string
	idle   time.Duration
}

// open opens windows of a user, the longest idle one first.
func (c *counter) open(t *testing.T, id string, windows ...window) (opened []qliktest.Session) {
	t.Helper()
	now := time.Now()
	for i, w := range windows {
		c.clock.Set(now.Add(-w.idle))
		session, err := c.Login(directory, id, fmt.Sprint("browser ", i), w.prefix, "")
		if err != nil {
			t.Fatal(err)
		}
		opened = append(opened, session)
	}
	c.clock.Follow()
	return opened
}

// crew is the number of users whose activity tells how soon Qlik records activity.
const crew = 10

func crewMember(i int) string { return fmt.Sprintf("crew%02d", i) }

// measure makes the exporter see activity until it knows how soon activity is recorded.
func (c *counter) measure(t *testing.T) {
	t.Helper()
	var used []qliktest.Session
	for i := range crew {
		used = append(used, c.login(t, crewMember(i), 1))
	}
	const known = "qlik_usage_activity_interval_seconds"
	c.waitFor(t, known, readyWithin, func() bool {
		for i := range used {
			c.Touch(used[i].ID)
		}
		c.plan(t, "kim", crewMember(0)) // reads the usage rows at once
		time.Sleep(1100 * time.Millisecond)
		return c.scrape(t).value(known) != ""
	})
	t.Logf("%s is %s", known, c.scrape(t).value(known))
}

// plan asks the desk for a plan, as a ticket system does.
func (c *counter) plan(t *testing.T, operator, id string) (status int, said string) {
	t.Helper()
	body, err := json.Marshal(map[string]string{"user": directory + `\` + id})
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+c.address+"/api/plan", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth(operator, deskPassword)
	request.Header.Set("Content-Type", "application/json")
	response, err := c.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct{ Error string }
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, answer.Error
}

// alert serves the message of an alert with a link to a user on the desk.
func (c *counter) alert(t *testing.T, id string) (address string) {
	t.Helper()
	link := "https://" + c.address + "/sessions/user?user=" + url.QueryEscape(directory+`\`+id)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			_, _ = fmt.Fprintf(w, `<!doctype html><link rel="icon" href="data:,"><meta name="viewport" content="width=device-width"><p><a href="%s">All slots of %s are taken</a>`,
				html.EscapeString(link), html.EscapeString(id))
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// operate gives the browser the password of an operator when the desk asks for it.
func (b *tab) operate(t *testing.T, operator string) {
	t.Helper()
	ctx, cancel := context.WithCancel(b.ctx)
	requests, challenges := chromedp.Events(ctx, fetch.RequestPaused), chromedp.Events(ctx, fetch.AuthRequired)
	var answering sync.WaitGroup
	answering.Go(func() {
		for event, err := range requests {
			if err != nil {
				return // the test ends
			}
			_, _ = chromedp.Call(ctx, fetch.ContinueRequest, fetch.ContinueRequestParams{RequestID: event.RequestID})
		}
	})
	answering.Go(func() {
		for event, err := range challenges {
			if err != nil {
				return
			}
			_, _ = chromedp.Call(ctx, fetch.ContinueWithAuth, fetch.ContinueWithAuthParams{
				RequestID: event.RequestID, AuthChallengeResponse: &fetch.AuthChallengeResponse{
					Response: fetch.AuthChallengeResponseResponseProvideCredentials, Username: operator, Password: deskPassword,
				},
			})
		}
	})
	t.Cleanup(func() { cancel(); answering.Wait() })
	b.do(t, "giving a password", command(fetch.Enable, fetch.EnableParams{HandleAuthRequests: new(true), Patterns: []*fetch.RequestPattern{{URLPattern: "https://*"}}}))
}

// JavaScript expressions that read the pages of the desk.
const (
	loaded   = `document.readyState !== "complete" ? "loading" : `
	heading  = loaded + `document.querySelector("main h2").textContent`
	button   = loaded + `document.querySelector("button.main").textContent`
	happened = loaded + `document.querySelector("[role=status] h2").textContent.split(/\d\d:/)[0]`
	english  = `document.querySelector(".tell q[lang=en]").textContent`
	// reachable is how high the main button is, if it is on the first screen.
	reachable = `(r => r.bottom <= innerHeight && scrollY === 0 ? r.height : "out of sight")(document.querySelector("button.main").getBoundingClientRect())`
)

// phoneOf opens a browser as on the phone of an operator.
func (c *counter) phoneOf(t *testing.T, operator string) *tab {
	t.Helper()
	b := openBrowser(t, chromedp.IgnoreCertErrors) // the certificate is not of a known authority
	b.phone(t)
	b.operate(t, operator)
	return b
}

// shows waits until the main button is there, and checks that a finger finds it.
func (b *tab) shows(t *testing.T, label string) {
	t.Helper()
	b.expect(t, "the main button", button, label)
	height, err := strconv.ParseFloat(b.text(t, reachable), 64)
	expect(t, err == nil && height >= 44, label+" is on the first screen, and at least 44 pixels high", b.text(t, reachable))
	sticksOut := b.text(t, overflow)
	expect(t, sticksOut == "0", label+": nothing sticks out", sticksOut)
}

func (b *tab) tap(t *testing.T, selector chromedp.CSS, taps *int) {
	t.Helper()
	b.do(t, fmt.Sprintf("tapping on %s", selector), chromedp.Tap(selector))
	*taps++
}

// freeSlot does what a person does who gets an alert on a phone. It returns what the last
// page says, and what to say on the phone.
func (c *counter) freeSlot(t *testing.T, b *tab, id string) (said, tell string) {
	t.Helper()
	b.open(t, c.alert(t, id))
	taps, begin := 0, time.Now()
	b.tap(t, "a", &taps)
	b.shows(t, "Free a slot")
	b.screen(t, "desk-"+id+"-user")
	b.tap(t, "button.main", &taps)
	b.shows(t, "End 1 session")
	b.screen(t, "desk-"+id+"-plan")
	b.tap(t, "button.main", &taps)
	b.expect(t, "what happened", happened, "1 session ended. A new window works from ")
	said, tell = b.text(t, heading), b.text(t, english)
	took := since(begin)
	b.screen(t, "desk-"+id+"-freed")
	expect(t, taps <= maxTaps, fmt.Sprintf("at most %d taps from the alert to the freed slot", maxTaps), taps)
	expect(t, took < freedWithin, fmt.Sprintf("less than %s from the alert to the freed slot", freedWithin), took)
	return said, tell
}

// sessionsOf returns the sessions of a user that the site has.
func (c *counter) sessionsOf(id string) (ids []string) {
	for _, session := range c.Sessions() {
		if session.UserID == id {
			ids = append(ids, session.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

// expectEnded checks that of the sessions of a user only the first one has ended.
func (c *counter) expectEnded(t *testing.T, id string, before []qliktest.Session) {
	t.Helper()
	var want []string
	for i := range before[1:] {
		want = append(want, before[i+1].ID)
	}
	slices.Sort(want)
	now := c.sessionsOf(id)
	expect(t, slices.Equal(now, want), "only the longest idle session of "+id+" ended", fmt.Sprintf("%d of %d sessions are left", len(now), len(before)))
}

// TestDesk frees slots on a phone, in a real browser, from the link of an alert.
func TestDesk(t *testing.T) { //nolint:tparallel // its parts follow each other
	t.Parallel()
	axe := axeCore(t)
	c := startDesk(t)
	windows := []window{{"sales", 24 * time.Minute}, {"", 18 * time.Minute}, {"portal", 3 * time.Minute}, {"", 2 * time.Minute}, {"sales", 0}}
	sessions := make(map[string][]qliktest.Session)
	for _, id := range []string{"anna", "ben", "carl", "fred", "gina"} {
		sessions[id] = c.open(t, id, windows...)
	}
	sessions["dora"] = c.open(t, "dora", window{}, window{}, window{}, window{"sales", 0}, window{})
	sessions["emil"] = c.open(t, "emil", window{}, window{}, window{}, window{"sales", 0}, window{}, window{"portal", 0})
	c.measure(t)

	var promised time.Time
	t.Run("with JavaScript", func(t *testing.T) {
		b := c.phoneOf(t, "kim")
		said, tell := c.freeSlot(t, b, "anna")
		c.expectEnded(t, "anna", sessions["anna"])
		t.Logf("the page says: %s\nand on the phone: %s", said, tell)
		goesOn := b.text(t, `document.querySelector("[role=status] p").textContent`)
		expect(t, goesOn == "4 windows keep working: /sales, /, /portal", "the page says which windows go on", goesOn)
		promised = clockOf(t, tell)
		expect(t, strings.Contains(said, promised.Format("15:04 MST")), "the page says the same time as the person on the phone", said)
		b.do(t, "loading the page again", chromedp.Reload())
		b.expect(t, "what the second request gets", happened, "1 session ended. A new window works from ")
		c.expectEnded(t, "anna", sessions["anna"])
	})
	t.Run("without JavaScript", func(t *testing.T) {
		b := c.phoneOf(t, "kim")
		b.withoutScripts(t)
		c.freeSlot(t, b, "ben")
		c.expectEnded(t, "ben", sessions["ben"])
	})
	t.Run("looks", func(t *testing.T) {
		b := openBrowser(t, chromedp.IgnoreCertErrors)
		b.operate(t, "ada")
		b.openUser(t, c, "carl")
		b.lookEverywhere(t, "desk-user", axe)
		b.click(t, "button.main")
		b.expect(t, "the button", button, "End 1 session")
		b.lookEverywhere(t, "desk-plan", axe)
		b.enter(t, "input[name=ticket]", "INC 4711")
		b.click(t, "button.main")
		b.expect(t, "what happened", happened, "1 session ended. A new window works from ")
		b.lookEverywhere(t, "desk-freed", axe)
		c.expectEnded(t, "carl", sessions["carl"])

		b.openUser(t, c, "dora")
		b.click(t, "button.main")
		b.expect(t, "what is said", heading, "Nothing was ended")
		b.expect(t, "what a screen reader hears first", `document.activeElement.textContent`, "Nothing was ended")
		b.lookEverywhere(t, "desk-refused", axe)
		b.click(t, "a.next")
		b.expect(t, "where the link leads", `document.querySelector("h1").textContent`, `LAB\dora`)

		// An administrator may end what is in use.
		b.openUser(t, c, "dora")
		b.click(t, "button.main")
		b.expect(t, "the least that may be chosen", loaded+`document.querySelector("select[name=keep]").value`, "4")
		b.click(t, "form.choose button")
		b.expect(t, "the button", button, "End 1 session")
		b.enter(t, "select[name=keep]", "the last active 2")
		b.click(t, "form.choose button")
		b.expect(t, "the button", button, "End 3 sessions")
		b.lookEverywhere(t, "desk-plan-chosen", axe)

		b.openUser(t, c, "emil")
		b.click(t, "button.main")
		b.expect(t, "the button", button, "End 1 refused session")
		b.lookEverywhere(t, "desk-plan-refused", axe)
		b.click(t, "button.main")
		b.expect(t, "what happened", happened, "1 refused session ended. No slot became free. One becomes free by itself by ")
		tell := b.text(t, english)
		expect(t, strings.HasPrefix(tell, "I could not free a slot."), "nobody on the phone hears of a free slot", tell)
		b.lookEverywhere(t, "desk-freed-refused", axe)
		c.expectEnded(t, "emil", slices.Concat(sessions["emil"][5:], sessions["emil"][:5]))
	})
	t.Run("keyboard", func(t *testing.T) {
		b := openBrowser(t, chromedp.IgnoreCertErrors)
		b.operate(t, "kim")
		b.openUser(t, c, "fred")
		b.do(t, "going to the button", chromedp.Focus(chromedp.CSS("button.main")))
		b.press(t, kb.Enter)
		b.expect(t, "the button", button, "End 1 session")
		b.press(t, kb.Tab, kb.Tab, "4711", kb.Tab)
		b.expect(t, "what comes after the way back and the ticket", `document.activeElement.textContent`, "End 1 session")
		b.press(t, kb.Enter)
		b.expect(t, "what happened", happened, "1 session ended. A new window works from ")
		b.expect(t, "what a screen reader hears first", `document.activeElement === document.querySelector("main h2")`, "true")
		c.expectEnded(t, "fred", sessions["fred"])
	})
	t.Run("two taps on one button", func(t *testing.T) {
		b := c.phoneOf(t, "kim")
		b.openUser(t, c, "gina")
		b.click(t, "button.main")
		b.expect(t, "the button", button, "End 1 session")
		c.SetProxyLatency("qlik1", 500*time.Millisecond) // time for the second tap
		b.do(t, "tapping twice", chromedp.Evaluate[chromedp.Void](`for (const after of [0, 200]) setTimeout(() => document.querySelector("button.main").click(), after); undefined`))
		b.expect(t, "what happened", happened, "1 session ended. A new window works from ")
		c.expectEnded(t, "gina", sessions["gina"])
		c.SetProxyLatency("qlik1", 0)
	})
	t.Run("viewer", func(t *testing.T) {
		b := openBrowser(t, chromedp.IgnoreCertErrors)
		b.operate(t, "vic")
		b.open(t, "https://"+c.address+"/sessions/user?user=LAB%5Cdora")
		b.expect(t, "the user", loaded+`document.querySelector("h1").textContent`, `LAB\dora`)
		buttons := b.text(t, `document.querySelectorAll("button.main").length`)
		expect(t, buttons == "0", "who may only look sees no button", buttons)
	})
	t.Run("the time on the phone", func(t *testing.T) { // last, because it moves the clock of the site
		for _, test := range []struct {
			at    time.Time
			works bool
		}{{promised.Add(-2 * time.Minute), false}, {promised, true}} {
			c.clock.Set(test.at)
			session := c.login(t, "anna", 7)
			expect(t, session.Granted == test.works, fmt.Sprintf("a new window works at %s: %t", test.at.Format(time.TimeOnly), test.works), session.Granted)
			c.Logout(session.ID)
		}
		c.clock.Follow()
	})
}

// openUser opens the page of a user on the desk.
func (b *tab) openUser(t *testing.T, c *counter, id string) {
	t.Helper()
	b.open(t, "https://"+c.address+"/sessions/user?user="+url.QueryEscape(directory+`\`+id))
	b.expect(t, "the button", button, "Free a slot")
}

// clockOf returns the time in the sentence for the phone.
func clockOf(t *testing.T, sentence string) time.Time {
	t.Helper()
	clock := regexp.MustCompile(`from (\d\d:\d\d) on`).FindStringSubmatch(sentence)
	if clock == nil {
		t.Fatalf("no time in: %s", sentence)
	}
	now := time.Now()
	at, err := time.ParseInLocation("2006-01-02 15:04", now.Format(time.DateOnly)+" "+clock[1], time.Local)
	if err != nil {
		t.Fatal(err)
	}
	if at.Before(now) {
		at = at.AddDate(0, 0, 1) // after midnight
	}
	return at
}
