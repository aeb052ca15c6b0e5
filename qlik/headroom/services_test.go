package headroom

import (
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

const noCommunication = "NoCommunication"

func TestNewServicesAddsUpTime(t *testing.T) {
	var services *Services
	now := morning
	report := func(state string) {
		services = NewServices([]qlik.ServiceState{
			{Host: "qlik1", Service: "Engine", State: noCommunication},
			{Host: "qlik1", Service: qlik.ServiceProxy, State: state},
			{Host: "qlik1", Service: "Scheduler", State: qlik.StateRunning},
		}, now, services)
	}
	report(qlik.StateRunning)
	for i, step := range []struct {
		elapsed time.Duration
		state   string
		want    bool
	}{
		{30 * time.Second, noCommunication, false}, // it may have run until just now
		{4 * time.Minute, noCommunication, false},
		{50 * time.Second, "Unknown", false},
		{10 * time.Second, noCommunication, true},
		{30 * time.Second, qlik.StateRunning, false},
		{10 * time.Minute, noCommunication, false}, // it may have run until just now
		{5*time.Minute - 1, noCommunication, false},
		{1, noCommunication, true},
	} {
		now = now.Add(step.elapsed)
		report(step.state)
		if got := services.stopped("QLIK1", morning, now); got != step.want {
			t.Errorf("step %d: stopped %t", i, got)
		}
	}
	if services.stopped("elsewhere", morning, now) {
		t.Error("a proxy that is not reported has stopped")
	}
	services = NewServices(nil, now.Add(time.Second), services)
	now = now.Add(time.Hour)
	report(noCommunication)
	if services.stopped("qlik1", morning, now) {
		t.Error("time counts during which a proxy was not reported")
	}
}

func TestStopped(t *testing.T) {
	first := NewServices([]qlik.ServiceState{{Host: "QLIK1", Service: qlik.ServiceProxy, State: noCommunication}}, morning, nil)
	services := NewServices(first.States, morning.Add(stoppedAfter), first)
	for _, test := range []struct {
		name     string
		services *Services
		answered time.Time
		age      time.Duration // of the report
		want     bool
	}{
		{"nothing is reported", nil, time.Time{}, 0, false},
		{"it has stopped", services, morning, 0, true},
		{"it never answered", services, time.Time{}, 0, true},
		{"it answered a moment before the report", services, services.ReadAt.Add(-1), 0, true},
		{"it answered at the report", services, services.ReadAt, 0, false},
		{"it answered after the report", services, services.ReadAt.Add(time.Second), time.Second, false},
		{"a report that missed a turn", services, morning, time.Minute - 1, true},
		{"a report that is too old", services, morning, time.Minute, false},
		{"a report from an hour ago", services, morning, time.Hour, false},
		{"too short", first, time.Time{}, 0, false},
	} {
		now := morning.Add(stoppedAfter + test.age)
		if test.services == first {
			now = morning
		}
		if got := test.services.stopped("qlik1", test.answered, now); got != test.want {
			t.Errorf("%s: stopped %t", test.name, got)
		}
	}
}

func TestServicesNamed(t *testing.T) {
	links := []qlik.Link{{Node: "qlik1:4244", Address: "QLIK1:4244"}}
	report := NewServices([]qlik.ServiceState{{Host: "qlik1", Service: qlik.ServiceProxy, State: noCommunication}, {Host: "qlik2"}}, morning, nil)
	named := report.Named(links)
	compare(t, "nodes", []string{named.States[0].Node, named.States[1].Node}, []string{"qlik1:4244", "qlik2"})
	compare(t, "the report itself", report.States[0].Node, "")
	later := NewServices(report.States, morning.Add(stoppedAfter), named)
	compare(t, "a report that follows on the named one: stopped", later.stopped("qlik1", morning, later.ReadAt), true)
	if (*Services)(nil).Named(links) != nil {
		t.Error("no report has names")
	}
}

func TestStoppedProxyLosesItsSessions(t *testing.T) {
	s := newScenario(t, "n1/", "n2/")
	s.login("n1/", "anna1", "anna2", "anna3", "anna4", "anna5")
	s.scrape(0)
	s.report("n1", noCommunication)
	s.link("n1/").Err = errDown
	s.now = s.now.Add(4 * time.Minute)
	s.report("n1", noCommunication)
	s.observe()
	s.expect("not yet", s.counted(), "0 started, 0 ended, 0 restarts")
	s.expect("complete", s.snapshot.Complete(), false)
	s.now = s.now.Add(2 * time.Minute)
	s.report("n1", noCommunication)
	s.observe()
	s.expect("gone", s.counted(), "0 started, 5 ended, 1 restarts")
	s.expect("complete", s.snapshot.Complete(), true)
	s.expect("states of services", s.snapshot.Services, s.services.States)
	s.expect("they have cooled meanwhile", s.user("anna").CoolingSlots, 0)
	s.link("n1/").Err, s.link("n1/").Sessions = nil, nil
	s.login("n1/", "anna6")
	s.scrape(2 * time.Minute)
	s.expect("back", s.counted(), "1 started, 5 ended, 1 restarts")
	s.expect("has stopped", s.snapshot.Links[0].Stopped, false)
}

// TestLifeOnAStoppedProxy checks that sessions of a stopped proxy count as ended five
// minutes ago, which is how long the proxy must be reported as stopped.
func TestLifeOnAStoppedProxy(t *testing.T) {
	s := newScenario(t, "n1/", "n2/")
	s.scrape(0)
	s.login("n1/", "anna1")
	s.scrape(time.Minute)
	s.report("n1", noCommunication)
	s.link("n1/").Err = errDown
	s.now = s.now.Add(20 * time.Minute)
	s.report("n1", noCommunication)
	s.observe()
	s.expect("lives", s.lives, []time.Duration{15 * time.Minute})

	s = newScenario(t, "n1/", "n2/")
	s.report("n1", noCommunication)
	s.scrape(2 * time.Minute)
	s.login("n1/", "anna1")
	s.scrape(2 * time.Minute)
	s.link("n1/").Err = errDown
	s.now = s.now.Add(2 * time.Minute)
	s.report("n1", noCommunication) // reported for six minutes, although the proxy responded
	s.observe()
	s.expect("lives", s.lives, []time.Duration{0})
}

// TestReportsCease checks that an old report proves nothing: the links of a stopped proxy
// become unknown again.
func TestReportsCease(t *testing.T) {
	s := newScenario(t, "n1/", "n2/")
	s.link("n1/").Err = errDown
	s.report("n1", noCommunication)
	for range 20 {
		s.now = s.now.Add(30 * time.Second)
		s.report("n1", noCommunication)
		s.observe()
	}
	stopped := func(what string, want bool) {
		t.Helper()
		s.expect(what+": stopped", s.snapshot.Links[0].Stopped, want)
		s.expect(what+": complete", s.snapshot.Complete(), want)
	}
	stopped("reported for ten minutes", true)
	s.scrape(reportValidity - 1)
	stopped("a report was missed", true)
	s.scrape(1)
	stopped("two are missing", false)
	s.scrape(time.Hour)
	stopped("an hour later", false)
	s.report("n1", noCommunication)
	s.observe()
	stopped("reported again", true)
}

// TestNodeThatAnswersHasNotStopped checks that a response of any link of a node takes
// precedence over a report.
func TestNodeThatAnswersHasNotStopped(t *testing.T) {
	s := newScenario(t, "n1/", "n1/sales")
	s.login("n1/sales", "anna1")
	s.scrape(0)
	s.report("n1", noCommunication)
	s.link("n1/sales").Err = errDown
	s.now = s.now.Add(10 * time.Minute)
	s.report("n1", noCommunication)
	s.observe()
	s.expect("the other link answers: stopped", s.snapshot.Links[1].Stopped, false)
	s.expect("sessions kept", len(s.state.sessions), 1)
	s.link("n1/").Err = errDown
	s.scrape(29 * time.Second)
	s.scrape(time.Second)
	s.expect("it answered after the report: stopped", s.snapshot.Links[1].Stopped, false)
	s.report("n1", noCommunication)
	s.scrape(time.Second)
	s.expect("the report is newer: stopped", s.snapshot.Links[1].Stopped, true)
	s.expect("sessions kept", len(s.state.sessions), 0)
}
