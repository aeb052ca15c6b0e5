package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/qlik-exporter/qlik_exporter/collector"
	"github.com/qlik-exporter/qlik_exporter/internal/page"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// hour is a site whose sessions began within the last hour of a simulated clock, so that
// all states of slots can be shown at once.
type hour struct {
	mu       sync.Mutex // guards snapshot and now
	snapshot *headroom.Snapshot
	now      time.Time

	state    *headroom.State
	links    [2]qlik.Link
	sessions map[string]qlik.Session
	rows     map[string]qlik.UsageRow
	refused  qlik.Refusals
	licenses *qlik.Licenses
	down     error // of the second node
}

func (h *hour) Snapshot(context.Context) *headroom.Snapshot {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.snapshot
}

func (*hour) Status() collector.Status { return collector.Status{} }

// clock is the clock of the page.
func (h *hour) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

// pass observes the site and moves the clock.
func (h *hour) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for end := h.now.Add(d); h.now.Before(end); {
		h.now = h.now.Add(10 * time.Second)
		round := headroom.Round{Asked: h.now, Heard: h.now, Refusals: h.refused, Licenses: h.licenses}
		for i := range h.links {
			result := headroom.LinkResult{Link: h.links[i]}
			if i == 1 && h.down != nil {
				result.Err = h.down
			}
			for _, session := range h.sessions {
				if result.Err == nil && *session.Link == h.links[i] {
					result.Sessions = append(result.Sessions, session)
				}
			}
			round.Links = append(round.Links, result)
		}
		var rows []qlik.UsageRow
		for _, row := range h.rows {
			rows = append(rows, row)
		}
		round.Usage = headroom.NewUsage(rows, h.now, h.now)
		h.snapshot, h.state = h.state.Observe(round)
	}
}

// login starts a session with or without a slot.
func (h *hour) login(id, device string, link int, slot bool) {
	user, name := qlik.NewUser(directory, id), id+device
	session := qlik.Session{ID: qlik.SessionID(name), User: user, Link: &h.links[link]}
	h.sessions[name] = session
	if slot {
		h.rows[name] = qlik.UsageRow{Session: session.ID.Key(), User: user, License: qlik.LicenseProfessional}
		h.use(id, device)
	}
}

func (h *hour) use(id, device string) {
	row := h.rows[id+device]
	row.LastActivity = h.now
	h.rows[id+device] = row
}

// refuse adds a refused login.
func (h *hour) refuse(id string, reason qlik.RefusalReason) {
	user := qlik.NewUser(directory, id)
	h.refused[user] = append([]qlik.Refusal{{At: h.now, Reason: reason, License: h.licenses.Of(user)}}, h.refused[user]...)
}

func newHour() *hour {
	h := &hour{
		state: headroom.New(headroom.Config{Limit: 5, CoolingTime: 5 * time.Minute}), now: time.Now().Add(-time.Hour).Truncate(time.Second),
		sessions: make(map[string]qlik.Session), rows: make(map[string]qlik.UsageRow), refused: make(qlik.Refusals),
		licenses: &qlik.Licenses{Certain: true, Holders: map[qlik.User]qlik.LicenseSet{}},
	}
	for i := range h.links {
		h.links[i] = qlik.Link{Node: fmt.Sprintf("qlik%d.example.com", i+1), VirtualProxy: []string{"/", "/sales"}[i], InactivityTimeout: 30 * time.Minute}
	}
	for _, id := range []string{"anna", "ben", "carl", "dora"} {
		h.licenses.Holders[qlik.NewUser(directory, id)] = qlik.NewLicenseSet(qlik.LicenseProfessional)
	}
	h.pass(time.Minute)
	// Anna has a slot in each state, Ben has one left, Carl has several, Dora waits.
	h.login("anna", "left over", 0, true)
	h.login("ben", "desk", 0, true)
	h.pass(5 * time.Minute)
	delete(h.sessions, "annaleft over")
	h.login("anna", "idle", 1, true)
	h.pass(24 * time.Minute)
	h.login("anna", "desk", 0, true)
	for _, device := range []string{"desk", "phone", "tablet", "laptop", "home"} {
		h.login("dora", device, 0, true)
	}
	h.pass(15 * time.Minute)
	h.login("anna", "phone", 1, true)
	h.use("anna", "desk")
	h.use("anna", "idle")
	for _, device := range []string{"phone", "tablet", "laptop"} {
		h.login("ben", device, 1, true)
	}
	h.login("carl", "desk", 1, true)
	h.login("anna", "tablet", 0, true)
	h.pass(time.Minute)
	h.refuse("emil", qlik.RefusedNoLicense)
	h.pass(9 * time.Minute)
	delete(h.sessions, "annatablet")
	delete(h.sessions, "doraphone")
	delete(h.sessions, "doradesk")
	h.use("anna", "desk")
	h.use("anna", "phone")
	h.pass(2 * time.Minute)
	h.login("anna", "sixth", 0, false)
	h.refuse("anna", qlik.RefusedSessionLimit)
	h.pass(time.Minute)
	h.use("anna", "phone")
	return h
}

// TestUserPage checks the page of a user in its states, in a real browser.
func TestUserPage(t *testing.T) { //nolint:tparallel // its parts follow each other
	t.Parallel()
	axe := axeCore(t)
	h := newHour()
	known := []qlik.KnownUser{
		{User: qlik.NewUser(directory, "anna"), Name: "Anna Berg"}, {User: qlik.NewUser(directory, "annika"), Name: "Annika Berg"}, {User: qlik.NewUser(directory, hostile), Name: hostile},
	}
	recent := page.NewRecent(h)
	server := httptest.NewServer(page.New(page.Config{
		Names: func() []string { return []string{""} },
		Use: func(string) (page.Site, func(), bool) {
			return page.Site{Recent: recent, Find: func(_ context.Context, text string) (found []qlik.KnownUser, err error) {
				for _, user := range known {
					if strings.Contains(strings.ToLower(user.User.ID+"\n"+user.Name), strings.ToLower(text)) {
						found = append(found, user)
					}
				}
				return found, nil
			}}, func() {}, true
		},
		Now: h.clock,
	}))
	t.Cleanup(server.Close)
	b := openBrowser(t)
	const verdict = `document.querySelector(".verdict h2").textContent`
	open := func(user string) {
		t.Helper()
		b.open(t, server.URL+"/sessions/user?user="+strings.ReplaceAll(user, `\`, "%5C"))
	}
	for _, test := range []struct{ name, user, verdict string }{
		{"full", `LAB\anna`, `LAB\anna cannot log in: all 5 slots are taken.`},
		{"near", `LAB\ben`, `LAB\ben can log in once more: 1 of 5 slots is free.`},
		{"free", `LAB\carl`, `LAB\carl can log in: 4 slots are free.`},
		{"cooling", `LAB\dora`, `LAB\dora cannot log in`},
		{"no-license", `LAB\emil`, `LAB\emil cannot log in: the user holds no license.`},
		{"no-sessions", `LAB\annika`, `LAB\annika`},
	} {
		open(test.user)
		said := b.text(t, verdict)
		expect(t, strings.HasPrefix(said, test.verdict), test.name+": the verdict is "+test.verdict, said)
		b.lookEverywhere(t, "user-"+test.name, axe)
	}

	open(`LAB\anna`)
	states := b.text(t, `[...new Set([...document.querySelectorAll("ol.slots li")].map(e => e.className))].sort().join(" ")`)
	expect(t, states == "active cooling idle leftover refused", "each state of a slot is shown", states)
	hidden := b.text(t, `[...document.querySelectorAll("ol.slots svg")].filter(e => !e.getAttribute("aria-label").startsWith("Timeline: ")).length`)
	expect(t, hidden == "0", "each timeline has a text", hidden)

	t.Run("sentence on a phone", func(t *testing.T) {
		b.narrow(t)
		for _, user := range []string{"anna", "ben", "carl", "emil", "annika"} {
			open(`LAB\` + user)
			bottom := b.text(t, `document.querySelector(".tell q[lang=en]").getBoundingClientRect().bottom <= innerHeight`)
			expect(t, bottom == "true", user+": verdict and sentence are on the first screen", bottom)
		}
		b.wide(t)
	})
	t.Run("find", func(t *testing.T) {
		b.open(t, server.URL+"/sessions")
		b.narrow(t)
		inView := b.text(t, `document.querySelector("input[name=q]").getBoundingClientRect().bottom <= innerHeight`)
		expect(t, inView == "true", "the search is on the first screen of a phone", inView)
		b.enter(t, `input[name=q]`, "carl"+kb.Enter)
		b.expect(t, "the verdict", verdict, `LAB\carl can log in: 4 slots are free.`)
		b.enter(t, `input[name=q]`, "berg"+kb.Enter)
		b.expect(t, "who matches", `[...document.querySelectorAll(".found b")].map(e => e.textContent).join(" ")`, `LAB\anna LAB\annika`)
		b.lookEverywhere(t, "find-several", axe)
		b.click(t, `.found a`)
		b.expect(t, "the user", `document.querySelector("h1").textContent`, `LAB\anna`)
		b.enter(t, `input[name=q]`, "nobody"+kb.Enter)
		b.expect(t, "what is said", `document.querySelector(".read-at").textContent`, "Nobody matches. Try a shorter part of the name, or the login name.")
		b.lookEverywhere(t, "find-nobody", axe)
		b.open(t, server.URL+"/sessions/user?q=script")
		b.expect(t, "the user", `document.querySelector("h1").textContent`, `LAB\`+strings.ToLower(hostile))
	})
	t.Run("keyboard", func(t *testing.T) {
		open(`LAB\ben`)
		b.press(t, kb.Tab, kb.Tab, kb.Tab)
		b.expect(t, "what has the focus", focused, "pause")
		b.press(t, kb.Tab, kb.Tab, kb.Tab)
		b.expect(t, "what comes after the search", `document.activeElement.tagName`, "CODE")
		b.press(t, kb.Tab)
		b.allowClipboard(t)
		b.press(t, kb.Enter)
		b.expect(t, "the clipboard", `navigator.clipboard.readText()`, `qlik_exporter sessions end --user "LAB\ben"`)
		b.expect(t, "what the button says", `document.activeElement.textContent`, "Copied")
	})
	t.Run("incomplete", func(t *testing.T) {
		open(`LAB\carl`)
		h.down = &qlik.Error{Kind: qlik.KindTimeout, Err: errors.New("no answer")}
		h.pass(10 * time.Second)
		b.expect(t, "the answer, without loading the page again", `document.querySelector(".verdict .read-at").textContent.split("; ")[1]`, "incomplete, because some nodes do not answer.")
		b.lookEverywhere(t, "user-incomplete", axe)
	})
}

// TestHelpDesk does what a person at a help desk does on a phone, from the name of the
// caller to the sentence, with the demo. With E2E_PICTURES, it writes the pictures of
// docs/why.md.
func TestHelpDesk(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	var caller string // somebody who cannot log in
	for begin := time.Now(); caller == ""; time.Sleep(time.Second) {
		if time.Since(begin) > 2*time.Minute {
			t.Fatal("nobody is at the limit")
		}
		list, _, err := get(d.url("/sessions?slots=0"), http.Header{"Accept": {"application/json"}})
		if err != nil {
			t.Fatal(err)
		}
		var sessions struct {
			Users []struct {
				ID      string `json:"user_id"`
				Refused []any  `json:"refused"`
			} `json:"users"`
		}
		if err := json.Unmarshal([]byte(list), &sessions); err != nil {
			t.Fatal(err)
		}
		for _, user := range sessions.Users {
			if strings.Contains(user.ID, ".") && len(user.Refused) > 0 {
				caller = strings.ReplaceAll(user.ID, ".", " ") // as the caller says it
				break
			}
		}
	}
	b := openBrowser(t)
	b.narrow(t)
	b.do(t, "emulating a phone", command(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: 390, Height: 844, DeviceScaleFactor: 1, Mobile: true}))
	begin := time.Now()
	b.open(t, d.url("/sessions"))
	b.expect(t, "the list", `document.querySelector("h1").textContent`, "Qlik sessions")
	b.screen(t, "help-desk-list")
	b.click(t, `input[name=q]`)
	b.enter(t, `input[name=q]`, caller)
	b.screen(t, "help-desk-name")
	b.press(t, kb.Enter)
	b.expect(t, "the user", `document.querySelector("h1").textContent.toLowerCase()`, `acme\`+strings.ReplaceAll(caller, " ", "."))
	said := b.text(t, `document.querySelector(".tell q[lang=en]").textContent`)
	took := time.Since(begin)
	b.screen(t, "help-desk-answer")
	b.do(t, "scrolling", chromedp.Evaluate[chromedp.Void](`document.querySelector("ol.slots").scrollIntoView(); undefined`))
	b.screen(t, "help-desk-slots")
	expect(t, took < 15*time.Second, fmt.Sprintf("one tap, %d keys and Enter lead to the sentence", len(caller)), fmt.Sprintf("%s, %s", took.Round(time.Millisecond), said))
}

// screen writes a picture of the window to the folder in E2E_PICTURES, if it is set.
func (b *tab) screen(t *testing.T, name string) {
	t.Helper()
	dir := os.Getenv("E2E_PICTURES")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600); err != nil {
		t.Fatal(err)
	}
}
