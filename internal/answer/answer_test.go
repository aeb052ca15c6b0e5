package answer

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// checkSentence checks that a text consists of whole sentences.
func checkSentence(t *testing.T, what, sentence string) {
	t.Helper()
	first, _ := utf8.DecodeRuneInString(sentence)
	if sentence == "" || !unicode.IsUpper(first) && !unicode.IsDigit(first) || !strings.HasSuffix(sentence, ".") && !strings.HasSuffix(sentence, "?") ||
		strings.Contains(sentence, "%!") || strings.Contains(sentence, "  ") {
		t.Errorf("%s: %q", what, sentence)
	}
}

// TestWordsOfCauses checks that each cause has its sentences in all languages, and that
// only where ending sessions helps a command is offered.
func TestWordsOfCauses(t *testing.T) {
	helps := map[headroom.Cause]bool{
		headroom.CauseLeftoverRows: true, headroom.CauseProgram: true, headroom.CauseRunaway: true, headroom.CauseEmbeddedPage: true,
		headroom.CauseForgottenWindows: true, headroom.CauseSeveralVirtualProxies: true, headroom.CauseNotSticky: true,
		headroom.CauseSeveralWindows: true, headroom.CauseUnknown: true,
	}
	for _, cause := range headroom.Causes() {
		for _, next := range []time.Time{{}, noon.Add(4 * time.Minute)} {
			what := fmt.Sprintf("%s, next slot at %s", cause, next)
			q := &Question{User: qlik.NewUser("LAB", "anna"), Now: noon}
			facts := &headroom.Facts{Limit: 5, Slots: []headroom.Slot{{State: headroom.SlotIdle}, {State: headroom.SlotIdle}, {State: headroom.SlotLeftover}}}
			w := q.because(&Answer{Cause: cause, Sessions: 5}, facts, &sessions.Row{UserStatus: headroom.UserStatus{NextSlot: next}}, false)
			checkSentence(t, what, w.why)
			checkSentence(t, what, w.advice)
			for _, language := range []string{English, French, German} {
				checkSentence(t, what+" "+language, w.tell[language])
			}
			if w.canEnd != helps[cause] {
				t.Errorf("%s: ending helps %t", what, w.canEnd)
			}
			if waits := strings.Contains(w.advice, "12:04:00 UTC (in 4 min)"); waits && next.IsZero() {
				t.Errorf("%s: %s", what, w.advice)
			}
		}
	}
}

// TestIdleWords checks that idle sessions are idle for certain only where activity is
// recorded often enough.
func TestIdleWords(t *testing.T) {
	for _, test := range []struct {
		interval time.Duration
		why, say string
	}{
		{0, "2 sessions have no recorded activity in the last ten minutes. How soon this site records activity is not known yet, so a session may be in use although it looks idle.", "seem not to be in use"},
		{10 * time.Minute, "2 sessions have no recorded activity in the last ten minutes. On this site, 10 min can pass before activity is recorded, so a session may be in use although it looks idle.", "seem not to be in use"},
		{5 * time.Minute, "2 sessions have not been used for ten minutes or more.", "are not in use"},
	} {
		q := &Question{User: qlik.NewUser("LAB", "anna"), Now: noon}
		facts := &headroom.Facts{Limit: 5, ActivityInterval: test.interval, Slots: []headroom.Slot{{State: headroom.SlotIdle}, {State: headroom.SlotIdle}, {State: headroom.SlotActive}}}
		for _, waiting := range []bool{false, true} {
			w := q.because(&Answer{Cause: headroom.CauseForgottenWindows, Sessions: 3}, facts, &sessions.Row{UserStatus: headroom.UserStatus{NextSlot: noon.Add(time.Minute)}}, waiting)
			if w.why != test.why || !waiting && !strings.Contains(w.tell[English], test.say) {
				t.Errorf("%s: %s %s", test.interval, w.why, w.tell[English])
			}
			checkSentence(t, "advice", w.advice)
			for language, sentence := range w.tell {
				checkSentence(t, language, sentence)
			}
		}
	}
}

// TestUsedLater checks that the recorded activity of a session that was used later is not
// shown as its last one.
func TestUsedLater(t *testing.T) {
	facts := &headroom.Facts{Limit: 5, Slots: []headroom.Slot{
		{State: headroom.SlotActive, LastActive: noon.Add(-time.Hour), UsedLater: true}, {State: headroom.SlotIdle, LastActive: noon.Add(-20 * time.Minute)},
	}}
	a := new(Answer)
	a.describe(facts, new(headroom.UserStatus))
	if a.Slots[0].LastActive != nil || a.Slots[0].State != headroom.SlotActive || a.Slots[1].LastActive == nil {
		t.Errorf("%+v", a.Slots)
	}
}

// site returns the snapshot of a site on which LAB\anna has some sessions.
func site(limited bool, anna int, err error) *headroom.Snapshot {
	config := headroom.Config{Limit: 5, CoolingTime: 5 * time.Minute}
	if !limited {
		config.Unlimited = []qlik.User{qlik.NewUser("LAB", "anna")}
	}
	link := qlik.Link{Node: "qlik1", VirtualProxy: "/"}
	result := headroom.LinkResult{Link: link}
	for i := range anna {
		result.Sessions = append(result.Sessions, qlik.Session{ID: qlik.SessionID(fmt.Sprint(i)), User: qlik.NewUser("LAB", "anna"), Link: &link})
	}
	snapshot, _ := headroom.New(config).Observe(headroom.Round{
		Asked: noon, Heard: noon, Links: []headroom.LinkResult{result, {Link: qlik.Link{Node: "qlik2", VirtualProxy: "/"}, Err: err}},
	})
	return snapshot
}

// checkAnswer checks the verdict of an answer, whether the user can log in, and that what it
// says are sentences.
func checkAnswer(t *testing.T, name string, a *Answer, verdict, can string) {
	t.Helper()
	got := "null"
	if a.CanLogIn != nil {
		got = fmt.Sprint(*a.CanLogIn)
	}
	if a.Verdict != verdict || got != can {
		t.Errorf("%s: %s %q", name, got, a.Verdict)
	}
	checkSentence(t, name, a.Advice)
	for language, sentence := range a.Say {
		checkSentence(t, name+" "+language, sentence)
	}
}

// TestVerdict checks the sentence for users with and without free slots, and for those
// about whom it cannot be known.
func TestVerdict(t *testing.T) {
	down := &qlik.Error{Kind: qlik.KindTimeout, Err: fmt.Errorf("no answer")}
	for _, test := range []struct {
		name     string
		snapshot *headroom.Snapshot
		user     qlik.User
		want     string
		can      string
	}{
		{"nobody", site(true, 2, nil), qlik.NewUser("LAB", "bert"), `LAB\bert has no sessions, so no limit is in the way.`, "true"},
		{"two", site(true, 2, nil), qlik.NewUser("LAB", "anna"), `LAB\anna can log in: 3 slots are free.`, "true"},
		{"four", site(true, 4, nil), qlik.NewUser("LAB", "anna"), `LAB\anna can log in once more: 1 of 5 slots is free.`, "true"},
		{"five", site(true, 5, nil), qlik.NewUser("LAB", "anna"), `LAB\anna cannot log in: all 5 slots are taken. It is unknown when one becomes free by itself.`, "false"},
		{"five, incomplete", site(true, 5, down), qlik.NewUser("LAB", "anna"), `LAB\anna cannot log in: all 5 slots are taken. It is unknown when one becomes free by itself.`, "false"},
		{"two, incomplete", site(true, 2, down), qlik.NewUser("LAB", "anna"), `LAB\anna: at most 3 slots are free, but a node does not answer, so there may be more sessions.`, "null"},
		{"nobody, incomplete", site(true, 2, down), qlik.NewUser("LAB", "bert"), `LAB\bert has no session on the nodes that answer. The other nodes may have some.`, "null"},
		{"unlimited", site(false, 9, nil), qlik.NewUser("LAB", "anna"), `LAB\anna can log in: no session limit applies to this user.`, "true"},
		{"anonymous", site(true, 1, nil), qlik.AnonymousUser, "Anonymous users have no session limit.", "null"},
	} {
		a := New(&Question{Snapshot: test.snapshot, User: test.user, Program: "qlik_exporter", Now: noon})
		checkAnswer(t, test.name, a, test.want, test.can)
		if a.SlotsTaken+a.EffectiveHeadroom != a.Limit {
			t.Errorf("%s: %d taken, %d free of %d", test.name, a.SlotsTaken, a.EffectiveHeadroom, a.Limit)
		}
	}
}

// TestVerdictOfTheRefused checks the sentence for a user who was refused for want of a
// license four minutes ago and has one session, by what is known of licenses.
func TestVerdictOfTheRefused(t *testing.T) {
	anna := qlik.NewUser("LAB", "anna")
	holds := func(licenses ...string) *qlik.Licenses {
		l := &qlik.Licenses{Certain: true, Holders: make(map[qlik.User]qlik.LicenseSet)}
		if len(licenses) > 0 {
			l.Holders[anna] = qlik.NewLicenseSet(licenses...)
		}
		return l
	}
	for _, test := range []struct {
		name     string
		then     string // license in the list before the refusal
		licenses *qlik.Licenses
		want     string
		can      string
	}{
		{"none", qlik.LicenseNone, holds(), `LAB\anna cannot log in: the user holds no license.`, "false"},
		{"licensed", qlik.LicenseAnalyzer, holds(qlik.LicenseAnalyzer), `LAB\anna cannot log in: Qlik refuses the user for want of a license, although one is assigned.`, "false"},
		{"licensed since", qlik.LicenseNone, holds(qlik.LicenseAnalyzer), `LAB\anna can log in: 4 slots are free.`, "true"},
		{"not known", qlik.LicenseUnknown, nil, `LAB\anna: it is unknown whether the user can log in. Qlik refused the user for want of a license at 11:56:00 UTC (4 min ago).`, "null"},
	} {
		link := qlik.Link{Node: "qlik1", VirtualProxy: "/"}
		snapshot, _ := headroom.New(headroom.Config{Limit: 5, CoolingTime: 5 * time.Minute}).Observe(headroom.Round{
			Asked: noon, Heard: noon, Licenses: test.licenses,
			Links:    []headroom.LinkResult{{Link: link, Sessions: []qlik.Session{{ID: "1", User: anna, Link: &link}}}},
			Refusals: qlik.Refusals{anna: {{At: noon.Add(-4 * time.Minute), Reason: qlik.RefusedNoLicense, License: test.then}}},
		})
		a := New(&Question{Snapshot: snapshot, User: anna, Program: "qlik_exporter", Now: noon})
		can := "null"
		if a.CanLogIn != nil {
			can = fmt.Sprint(*a.CanLogIn)
		}
		if a.Verdict != test.want || can != test.can || a.Command != "" && test.can != "true" {
			t.Errorf("%s: %s %q, command %q", test.name, can, a.Verdict, a.Command)
		}
		checkSentence(t, test.name, a.Advice)
	}
}

// TestAdministratorWithoutLicense checks that the session limit is not held against
// administrators who need no license.
func TestAdministratorWithoutLicense(t *testing.T) {
	anna, link := qlik.NewUser("LAB", "anna"), qlik.Link{Node: "qlik1", VirtualProxy: "/"}
	for administrator, want := range map[bool]string{
		true:  `LAB\anna can log in: the session limit does not apply to administrators without a license.`,
		false: `LAB\anna holds no license, so apps cannot be opened. The session limit does not apply.`,
	} {
		snapshot, _ := headroom.New(headroom.Config{Limit: 5, CoolingTime: 5 * time.Minute}).Observe(headroom.Round{
			Asked: noon, Heard: noon,
			Links:          []headroom.LinkResult{{Link: link, Sessions: []qlik.Session{{ID: "1", User: anna, Link: &link}}}},
			Licenses:       &qlik.Licenses{Certain: true, ReadAt: noon},
			Administrators: map[qlik.User]bool{anna: administrator},
		})
		if a := New(&Question{Snapshot: snapshot, User: anna, Now: noon}); a.Verdict != want {
			t.Errorf("administrator %t: %q", administrator, a.Verdict)
		}
	}
}

// TestLicenseServiceWorksAgain checks that a refusal by the license service says nothing of
// now if Qlik has let others in since.
func TestLicenseServiceWorksAgain(t *testing.T) {
	for since, want := range map[time.Duration]string{-time.Minute: "false", time.Minute: "unknown"} {
		facts := &headroom.Facts{
			Now: noon, Limit: 5, Complete: true, License: qlik.LicenseAnalyzer, EffectiveHeadroom: 5,
			Refusals:    []qlik.Refusal{{At: noon.Add(-4 * time.Minute), Reason: qlik.RefusedNoLicense, License: qlik.LicenseAnalyzer}},
			LastGranted: noon.Add(-4*time.Minute + since),
		}
		q := &Question{Snapshot: site(true, 1, nil), User: qlik.NewUser("LAB", "anna"), Now: noon}
		a := &Answer{Cause: headroom.CauseLicenseService}
		w := q.judge(a, facts, &sessions.Row{UserStatus: headroom.UserStatus{Limited: true, EffectiveHeadroom: 5}})
		can := "unknown"
		if a.CanLogIn != nil {
			can = fmt.Sprint(*a.CanLogIn)
		}
		if can != want || strings.Contains(w.verdict, "unknown") != (want == "unknown") {
			t.Errorf("granted %s after the refusal: %s, %s", since, can, w.verdict)
		}
		for _, sentence := range []string{w.why, w.advice, w.tell[English], w.tell[French], w.tell[German]} {
			checkSentence(t, w.verdict, sentence)
		}
	}
}

// TestSlotsThatMayCool checks that nobody is told to end sessions while slots may cool.
func TestSlotsThatMayCool(t *testing.T) {
	q := &Question{User: qlik.NewUser("LAB", "anna"), Now: noon}
	next := noon.Add(4 * time.Minute)
	facts := &headroom.Facts{Limit: 5, Slots: []headroom.Slot{{State: headroom.SlotActive}, {State: headroom.SlotEnded, FreesAt: next}}}
	row := &sessions.Row{UserStatus: headroom.UserStatus{NextSlot: next}}
	w := q.because(&Answer{Cause: headroom.CauseUnknown, Sessions: 4}, facts, row, false)
	if w.canEnd || !strings.HasPrefix(w.advice, "Wait until 12:04:00 UTC (in 4 min).") || !strings.Contains(w.tell[English], "12:04") {
		t.Errorf("%t, %s, %s", w.canEnd, w.advice, w.tell)
	}
	facts.Slots[1].FreesAt = time.Time{}
	if w := q.because(&Answer{Cause: headroom.CauseUnknown, Sessions: 4}, facts, row, false); !w.canEnd {
		t.Errorf("left over: %s", w.advice)
	}
}

// TestVerdictOfCapacity checks the sentence for a user who works on analyzer capacity.
func TestVerdictOfCapacity(t *testing.T) {
	anna := qlik.NewUser("LAB", "anna")
	hour := time.Hour
	for _, test := range []struct {
		name     string
		license  string
		sessions int
		used     time.Duration
		refused  []qlik.Refusal
		want     string
		can      string
	}{
		{"two sessions", qlik.LicenseAnalyzerCapacity, 2, 0, nil, `LAB\anna can log in: 3 slots are free.`, "true"},
		{"at the limit", qlik.LicenseAnalyzerCapacity, 5, 0, nil, `LAB\anna: all 5 slots are taken, but it is unknown whether the session limit applies to users of analyzer capacity.`, "null"},
		{
			"at the limit, and refused for it", qlik.LicenseAnalyzerCapacity, 5, 0,
			[]qlik.Refusal{{At: noon.Add(-time.Minute), Reason: qlik.RefusedSessionLimit}},
			`LAB\anna cannot log in: all 5 slots are taken. It is unknown when one becomes free by itself.`, "false",
		},
		{"no minutes", qlik.LicenseAnalyzerCapacity, 2, hour, nil, `LAB\anna cannot log in: the minutes of analyzer capacity are used up, and the user has no other access.`, "false"},
		{"unknown license, two sessions", qlik.LicenseUnknown, 2, 0, nil, `LAB\anna can log in: 3 slots are free.`, "true"},
		{"unknown license, at the limit", qlik.LicenseUnknown, 5, 0, nil, `LAB\anna: all 5 slots are taken, but it is unknown whether the session limit applies to users of analyzer capacity.`, "null"},
		{"unknown license, no minutes", qlik.LicenseUnknown, 2, hour, nil, `LAB\anna: it is unknown whether the user can log in. The minutes of analyzer capacity are used up, and no other access of the user is known.`, "null"},
		{"unknown license, no sessions, no minutes", qlik.LicenseUnknown, 0, hour, nil, `LAB\anna: it is unknown whether the user can log in. The minutes of analyzer capacity are used up, and no other access of the user is known.`, "null"},
		{"analyzer, no minutes", qlik.LicenseAnalyzer, 5, hour, nil, `LAB\anna cannot log in: all 5 slots are taken. It is unknown when one becomes free by itself.`, "false"},
	} {
		link := qlik.Link{Node: "qlik1", VirtualProxy: "/"}
		var listed []qlik.Session
		for i := range test.sessions {
			listed = append(listed, qlik.Session{ID: qlik.SessionID(fmt.Sprint(i)), User: anna, Link: &link})
		}
		holders := make(map[qlik.User]qlik.LicenseSet)
		if test.license != qlik.LicenseUnknown {
			holders[anna] = qlik.NewLicenseSet(test.license)
		}
		snapshot, _ := headroom.New(headroom.Config{Limit: 5, CoolingTime: 5 * time.Minute}).Observe(headroom.Round{
			Asked: noon, Heard: noon,
			Licenses: &qlik.Licenses{
				Holders:  holders,
				Capacity: &qlik.Capacity{Allocated: &hour, Used: &test.used},
			},
			Links: []headroom.LinkResult{{Link: link, Sessions: listed}}, Refusals: qlik.Refusals{anna: test.refused},
		})
		a := New(&Question{Snapshot: snapshot, User: anna, Program: "qlik_exporter", Now: noon})
		checkAnswer(t, test.name, a, test.want, test.can)
	}
}

// TestUserWithoutSessions checks what is said of users whom the snapshot does not list.
func TestUserWithoutSessions(t *testing.T) {
	anna, bert := qlik.NewUser("LAB", "anna"), qlik.NewUser("LAB", "bert")
	analyzer := map[qlik.User]qlik.LicenseSet{bert: qlik.NewLicenseSet(qlik.LicenseAnalyzer)}
	reloads := map[qlik.User]headroom.ServiceAccount{bert: headroom.ConnectsReloads}
	down := &qlik.Error{Kind: qlik.KindTimeout, Err: fmt.Errorf("no answer")}
	for _, test := range []struct {
		name     string
		holders  map[qlik.User]qlik.LicenseSet
		accounts map[qlik.User]headroom.ServiceAccount
		roles    map[qlik.User]bool
		err      error
		verdict  string
		can      string
		advice   string // a part
	}{
		{"licensed", analyzer, nil, nil, nil, `LAB\bert has no sessions, so no limit is in the way.`, "true", "another cause"},
		{"licensed, incomplete", analyzer, nil, nil, down, `LAB\bert has no session on the nodes that answer. The other nodes may have some.`, "null", "check"},
		{"no license", nil, nil, nil, nil, `LAB\bert holds no license, so apps cannot be opened. The session limit does not apply.`, "null", "An administrator needs no license"},
		{"no license and no administrator", nil, nil, map[qlik.User]bool{bert: false}, nil, `LAB\bert holds no license, so apps cannot be opened. The session limit does not apply.`, "null", "If the user should open apps"},
		{"administrator", nil, nil, map[qlik.User]bool{bert: true}, nil, `LAB\bert can log in: the session limit does not apply to administrators without a license.`, "true", "Nothing to free"},
		{"account of reloads, licensed", analyzer, reloads, nil, nil, `LAB\bert has no sessions, so no limit is in the way.`, "true", "Move the data connections"},
		{"account of reloads, not licensed", nil, reloads, nil, nil, `LAB\bert holds no license, so the session limit does not apply.`, "null", "Leave it like that"},
	} {
		link, other := qlik.Link{Node: "qlik1", VirtualProxy: "/"}, qlik.Link{Node: "qlik2", VirtualProxy: "/"}
		snapshot, _ := headroom.New(headroom.Config{Limit: 5, CoolingTime: 5 * time.Minute}).Observe(headroom.Round{
			Asked: noon, Heard: noon, Licenses: &qlik.Licenses{Certain: true, ReadAt: noon, Holders: test.holders},
			Links:           []headroom.LinkResult{{Link: link, Sessions: []qlik.Session{{ID: "1", User: anna, Link: &link}}}, {Link: other, Err: test.err}},
			ServiceAccounts: test.accounts, Administrators: test.roles,
		})
		a := New(&Question{Snapshot: snapshot, User: bert, Program: "qlik_exporter", Now: noon})
		can := "null"
		if a.CanLogIn != nil {
			can = fmt.Sprint(*a.CanLogIn)
		}
		if a.Verdict != test.verdict || can != test.can || !strings.Contains(a.Advice, test.advice) || a.Command != "" || a.License == "" {
			t.Errorf("%s: %s %q, %q, command %q, license %q", test.name, can, a.Verdict, a.Advice, a.Command, a.License)
		}
	}
}

// TestWaitingIsAsFast checks that nobody is told to end sessions, or to close anything, if a
// slot becomes free by itself as soon.
func TestWaitingIsAsFast(t *testing.T) {
	q := &Question{User: qlik.NewUser("LAB", "anna"), Now: noon}
	row := &sessions.Row{UserStatus: headroom.UserStatus{NextSlot: noon.Add(4 * time.Minute)}}
	for _, cause := range []headroom.Cause{
		headroom.CauseEmbeddedPage, headroom.CauseForgottenWindows, headroom.CauseSeveralVirtualProxies, headroom.CauseNotSticky,
		headroom.CauseSeveralWindows, headroom.CauseUnknown,
	} {
		w := q.because(&Answer{Cause: cause, Sessions: 5}, &headroom.Facts{Limit: 5}, row, true)
		if advice := strings.ToLower(w.advice); !strings.Contains(advice, "wait until 12:04:00 utc (in 4 min): ending sessions would free no slot sooner.") || w.tell[English] != "Please log in again at 12:04. You do not need to close anything." {
			t.Errorf("%s: %s %s", cause, w.advice, w.tell[English])
		}
	}
}
