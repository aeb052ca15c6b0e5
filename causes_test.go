package main

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// minute is a minute of the simulated time since its start.
type minute float64

// diary is what happens on a site, by time.
type diary map[minute][]func()

func (d diary) at(at minute, do func()) { d[at] = append(d[at], do) }

func (d diary) every(interval, from, to minute, do func(i int)) {
	for i := 0; from <= to; i, from = i+1, from+interval {
		d.at(from, func() { do(i) })
	}
}

// run lets everything happen until a time. It takes a snapshot at each interval from the
// first one on.
func (d diary) run(o *observed, first, until minute) {
	times := slices.Sorted(maps.Keys(d))
	time.Sleep(time.Second) // nothing happens just while the licenses are read
	for now := minute(0); now <= until; now += minute(scrapeInterval.Minutes()) {
		for len(times) > 0 && times[0] <= now {
			for _, do := range d[times[0]] {
				do()
			}
			times = times[1:]
		}
		if now >= first {
			time.Sleep(scrapeInterval / 2) // the audit logs are read meanwhile
			o.scrape()
			time.Sleep(scrapeInterval / 2)
		} else {
			time.Sleep(scrapeInterval)
		}
	}
}

// TestEveryCauseAtOnce checks on a site on which all causes exist at once that the answer
// about every user at or near the limit names the right one, that none is guessed, and
// that exactly those can log in of whom the answer says so.
func TestEveryCauseAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testEveryCauseAtOnce)
}

func testEveryCauseAtOnce(t *testing.T) {
	type want struct {
		cause     headroom.Cause
		certainty headroom.Certainty
		canLogIn  string
	}
	unknown := func(can string) want { return want{headroom.CauseUnknown, headroom.Uncertain, can} }
	wants := map[string]want{
		"nolicense":  {headroom.CauseNoLicense, headroom.Certain, "false"},
		"licensed":   {headroom.CauseLicenseService, headroom.Certain, "false"},
		"svc":        {headroom.CauseServiceAccount, headroom.Certain, "true"},
		"monitor":    {headroom.CauseServiceAccount, headroom.Likely, "true"},
		"leftover":   {headroom.CauseLeftoverRows, headroom.Certain, "false"},
		"restarted":  {headroom.CauseProxyRestart, headroom.Certain, "false"},
		"cooling":    {headroom.CauseCooling, headroom.Certain, "false"},
		"program":    {headroom.CauseProgram, headroom.Likely, "true"},
		"loop":       {headroom.CauseRunaway, headroom.Certain, "false"},
		"page":       {headroom.CauseEmbeddedPage, headroom.Likely, "false"},
		"shared":     {headroom.CauseSharedAccount, headroom.Likely, "false"},
		"forgetful":  {headroom.CauseForgottenWindows, headroom.Certain, "false"},
		"everywhere": {headroom.CauseSeveralVirtualProxies, headroom.Likely, "false"},
		"spread0":    {headroom.CauseNotSticky, headroom.Likely, "false"},
		"spread1":    {headroom.CauseNotSticky, headroom.Likely, "false"},
		"spread2":    {headroom.CauseNotSticky, headroom.Likely, "true"},
		"windows":    {headroom.CauseSeveralWindows, headroom.Likely, "false"},
		"patient":    {headroom.CauseSeveralWindows, headroom.Likely, "false"}, // tries again and again, like a program

		"before":    unknown("false"),   // was there before the exporter
		"back":      unknown("true"),    // came back after a restart
		"excess":    unknown("unknown"), // refused for want of a license, and has one, but there are too few
		"recovered": unknown("true"),    // refused for want of a license, and granted since
		"given":     unknown("true"),    // refused for want of a license, and has one since
	}
	config := qliktest.Config{
		Nodes:           []qliktest.Node{{Name: "qlik1", Central: true}, {Name: "qlik2"}, {Name: "qlik3"}},
		VirtualProxies:  []qliktest.VirtualProxy{{}, {Prefix: "sales"}, {Prefix: "portal"}, {Prefix: "mobile"}},
		DataConnections: []qliktest.DataConnection{{Name: "monitor_apps_REST_app", Username: `LAB\monitor`}},
	}
	for _, id := range slices.Sorted(maps.Keys(wants)) {
		user := qliktest.User{Directory: lab, ID: id, License: qliktest.Analyzer}
		switch id {
		case "nolicense", "given":
			user.License = qliktest.Unlicensed
		case "excess":
			user.License = qliktest.Professional
		}
		config.Users = append(config.Users, user)
	}
	config.ProfessionalSeats = 1
	config.Users = append([]qliktest.User{{Directory: lab, ID: "boss", License: qliktest.Professional}}, config.Users...)

	const now = 75
	svc := qlik.NewUser(lab, "svc")
	o := observe(t, config, headroom.Config{ServiceAccounts: []qlik.User{svc}})
	d := make(diary)
	// works opens windows one after the other and uses them until the end.
	works := func(user string, windows int, from minute, open func(i int) (prefix, node string)) {
		d.every(3, from, from+3*minute(windows-1), func(i int) {
			prefix, node := open(i)
			o.open(user, fmt.Sprint(i), prefix, node)
		})
		d.every(4, from+2, now-2, func(int) { o.use(user, windows) })
	}
	here := func(int) (prefix, node string) { return "", "qlik1" }

	d.every(4, 2, now-2, func(int) { o.use("before", 5) })
	for i := range 5 {
		d.at(0, func() { o.open("before", fmt.Sprint(i), "", "qlik1") })
	}
	works("windows", 5, 20, here)
	works("everywhere", 5, 20, func(i int) (prefix, node string) { return []string{"", "sales", "portal"}[i%3], "qlik1" })
	for i := range 3 {
		works(fmt.Sprint("spread", i), []int{5, 5, 4}[i], 20, func(i int) (prefix, node string) {
			return "mobile", []string{"qlik1", "qlik2"}[i%2]
		})
	}
	works("patient", 5, 2, here)
	d.every(10, 30, 70, func(i int) { o.open("patient", fmt.Sprint("phone", i), "", "qlik1") })
	works("cooling", 5, 20, here)
	d.at(73, func() { o.close("cooling", "2") })
	there := func(int) (prefix, node string) { return "", "qlik3" }
	works("restarted", 5, 20, there)
	works("back", 4, 20, there)
	d.at(72, func() { o.RestartProxy("qlik3") })
	d.at(72.5, func() {
		for i := range 4 {
			o.open("back", fmt.Sprint(i), "", "qlik3")
		}
	})
	d.every(3, 50, 62, func(i int) { o.open("forgetful", fmt.Sprint(i), "", "qlik1") })
	d.every(3, 52, 64, func(int) { o.use("forgetful", 5) })
	for i := range 5 {
		d.at(60, func() { o.open("page", fmt.Sprint(i), "portal", "qlik1") })
	}
	d.every(4, 62, now-2, func(int) { o.use("page", 5) })
	d.every(0.25, 73, 74.5, func(i int) { o.open("loop", fmt.Sprint(i), "portal", "qlik1") })
	works("shared", 17, 4, here)
	for _, user := range []string{"program", "svc", "monitor"} {
		d.every(8, 2, now-1, func(i int) { o.open(user, fmt.Sprint(i), "", "qlik1") })
	}
	for range 4 {
		d.at(1, func() { o.AddLeftoverRow(lab, "leftover") })
	}
	works("leftover", 1, 50, here)

	d.at(74, func() { o.open("nolicense", "0", "", "qlik1") })
	d.at(74, func() { o.open("excess", "0", "", "qlik1") })
	d.at(65, func() {
		o.SetLicenseServiceFails(true)
		o.open("recovered", "0", "", "qlik1")
		o.SetLicenseServiceFails(false)
	})
	d.at(66, func() { o.open("recovered", "1", "", "qlik1") })
	d.at(65, func() { o.open("given", "0", "", "qlik1") })
	d.at(66, func() { o.GiveLicense(lab, "given", qliktest.Analyzer) })
	d.at(74.75, func() {
		o.SetLicenseServiceFails(true)
		o.open("licensed", "0", "", "qlik1")
	})
	d.run(o, 0.5, now)

	if !o.snapshot.Complete() || !o.snapshot.UsageKnown || !o.snapshot.UsagePlausible {
		t.Fatal("the snapshot is incomplete, or the usage rows are unknown")
	}
	var near []string
	for i := range o.snapshot.Users {
		if user := &o.snapshot.Users[i]; user.Judgment.Cause != "" {
			near = append(near, user.User.ID)
		}
	}
	if !slices.Equal(near, slices.Sorted(maps.Keys(wants))) {
		t.Errorf("users with a cause: %q", near)
	}
	// The license service fails, so the user that it refused is the first to try.
	if o.granted(qlik.NewUser(lab, "licensed")) {
		t.Error("the license service works")
	}
	o.SetLicenseServiceFails(false)
	for _, id := range slices.Sorted(maps.Keys(wants)) {
		user := qlik.NewUser(lab, id)
		a := o.ask(user, svc)
		if got := (want{a.Cause, a.Certainty, canLogIn(a)}); got != wants[id] {
			t.Errorf("%s: got %v, want %v: %s", id, got, wants[id], a.Verdict)
		}
		if id == "licensed" || a.CanLogIn == nil {
			continue
		}
		if granted := o.granted(user); granted != *a.CanLogIn {
			t.Errorf("%s: a login is granted: %t, but: %s", id, granted, a.Verdict)
		}
	}
}

// TestAnswersPredictLogins checks during busy hours that exactly those users near the limit
// can log in of whom the answer says so, and that it says so about most of them. Only a
// change of licenses may surprise it, for as long as nothing tells of it.
func TestAnswersPredictLogins(t *testing.T) {
	t.Parallel()
	for _, seed := range []uint64{1, 2} {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, busyHours(seed))
		})
	}
}

// busyHours returns a test of the answers in busy hours, which differ with the seed.
func busyHours(seed uint64) func(t *testing.T) {
	return func(t *testing.T) {
		random := rand.New(rand.NewPCG(seed, seed))
		config := qliktest.Company(120)
		config.Seed, config.KeepRowsOnRestart, config.LeftoverTime = seed, seed == 2, 40*time.Minute
		o := observe(t, config, headroom.Config{})
		ctx, stop := context.WithCancel(t.Context())
		var people sync.WaitGroup
		people.Go(func() { _ = qliktest.NewPeople(o.Site, seed).Run(ctx) })
		defer people.Wait()
		defer stop()

		someone := func() qliktest.User { return config.Users[random.IntN(120)] }
		changed := make(map[qlik.User]time.Time) // when an administrator last changed a license
		var failing, faulty time.Time            // until when
		fails := false                           // whether the license service fails
		right, unknown := 0, 0
		for range 100 {
			now := time.Now()
			if now.After(failing) {
				o.SetLicenseServiceFails(false)
				fails = false
			}
			if now.After(faulty) {
				o.SetProxyFault("qlik-node2", qliktest.NoFault)
			}
			switch user := someone(); random.IntN(20) {
			case 0:
				o.SetLicenseServiceFails(true)
				fails, failing = true, now.Add(time.Minute)
			case 1:
				o.SetProxyFault("qlik-node2", qliktest.Refused)
				faulty = now.Add(2 * time.Minute)
			case 2:
				o.TakeLicense(user.Directory, user.ID, user.License)
				changed[qlik.NewUser(user.Directory, user.ID)] = now
			case 3:
				o.GiveLicense(user.Directory, user.ID, qliktest.Analyzer)
				changed[qlik.NewUser(user.Directory, user.ID)] = now
			case 4, 5, 6:
				o.AddLeftoverRow(user.Directory, user.ID)
			case 7:
				o.RestartProxy("qlik-node3")
			}
			time.Sleep(29 * time.Second)
			o.scrape()
			for i := range o.snapshot.Users {
				user := &o.snapshot.Users[i]
				if user.Judgment.Cause == "" {
					continue
				}
				a, can := o.ask(user.User), o.CanOpen(user.User.Directory, user.User.ID)
				switch {
				case a.CanLogIn == nil:
					unknown++
				case *a.CanLogIn == can:
					right++
				case time.Since(changed[user.User]) < 11*time.Minute && !changed[user.User].IsZero():
				case *a.CanLogIn && fails: // Qlik has not refused this user yet
				default:
					t.Errorf("%s: a login would be granted: %t, but: %s", time.Now().Format(time.TimeOnly), can, a.Verdict)
				}
			}
		}
		t.Logf("%d answers are right, %d unknown", right, unknown)
		if right < 200 || unknown > right/2 {
			t.Errorf("%d answers are right, %d unknown", right, unknown)
		}
		stop()
		people.Wait()
		o.SetLicenseServiceFails(false)
		if _, err := o.Login(qliktest.CompanyDirectory, qliktest.CompanyServiceAccount, "one that shows that the license service works", "", "qlik-central"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		o.scrape()
		for i := range o.snapshot.Users { // each with a real login
			user := &o.snapshot.Users[i]
			a := o.ask(user.User)
			if a.CanLogIn == nil || user.User.Anonymous() || !changed[user.User].IsZero() {
				continue
			}
			session, err := o.Login(user.User.Directory, user.User.ID, "a new browser", "", "qlik-central")
			if err != nil {
				t.Fatal(err)
			}
			if session.Granted != *a.CanLogIn {
				t.Errorf("a login is granted: %t, but: %s", session.Granted, a.Verdict)
			}
		}
	}
}
