package headroom

import (
	"fmt"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// idleSite is a site on which it is known how often activity is recorded: each minute, as
// the sessions of twelve users of /other have shown. All sessions are used at each look but
// those that somebody has left.
type idleSite struct {
	*scenario

	left map[string]time.Time // last activity
}

func newIdleSite(t *testing.T) *idleSite {
	t.Helper()
	s := &idleSite{newScenario(t, "n1/", "n1/sales", "n1/other"), make(map[string]time.Time)}
	for _, link := range s.links {
		link.InactivityTimeout = time.Hour
	}
	users := []string{"anna", "bert"}
	for i := range 12 {
		id := fmt.Sprintf("user%c", 'a'+rune(i))
		users = append(users, id)
		s.login("n1/other", id+"1")
	}
	s.analyzers(users...)
	s.pass(4 * time.Minute)
	if !s.snapshot.IdleKnown(IdleTime) {
		t.Fatalf("activity is recorded every %s", s.snapshot.ActivityInterval)
	}
	return s
}

// look observes the site.
func (s *idleSite) look(after time.Duration) {
	s.now = s.now.Add(after)
	var rows []qlik.UsageRow
	for _, link := range s.links {
		for _, each := range link.Sessions {
			last, left := s.left[string(each.ID)]
			if !left {
				last = s.now
			}
			rows = append(rows, qlik.UsageRow{Session: each.ID.Key(), User: each.User, License: qlik.LicenseAnalyzer, LastActivity: last})
		}
	}
	s.usage = NewUsage(rows, s.now, s.now)
	s.observe()
}

// pass observes the site each minute.
func (s *idleSite) pass(d time.Duration) {
	for range d / time.Minute {
		s.look(time.Minute)
	}
}

// leave opens sessions that are used once, and lets time pass.
func (s *idleSite) leave(link string, idle time.Duration, ids ...string) {
	s.t.Helper()
	s.login(link, ids...)
	s.look(time.Minute)
	for _, id := range ids {
		s.left[id] = s.now
	}
	s.pass(idle)
}

func (s *idleSite) reached() ReachedIdle { return s.snapshot.Tracking.ReachedIdle }

func TestReachedIdle(t *testing.T) {
	t.Parallel()
	s := newIdleSite(t)
	s.leave("n1/sales", 5*time.Minute, "anna1")
	s.leave("n1/", 18*time.Minute, "anna2", "anna3")
	s.login("n1/", "anna4", "bert1", "bert2", "bert3", "bert4")
	s.look(time.Minute)
	s.expect("nobody has reached the limit", s.reached(), ReachedIdle{})

	s.login("n1/", "anna5")
	preview := s.state.Preview(s.round())
	s.expect("before a preview", preview.Tracking.ReachedIdle, ReachedIdle{})
	s.look(time.Minute)
	s.expect("anna has reached it", s.reached(), ReachedIdle{1, []time.Duration{26 * time.Minute}})
	s.look(time.Minute)
	s.expect("anna is still there", s.reached().Count, uint64(1))

	s.logout("n1/", "anna5")
	s.look(time.Minute)
	s.login("n1/sales", "anna6", "bert5")
	s.look(time.Minute)
	s.expect("anna and bert have reached it", s.reached().Count, uint64(3))
	for _, user := range []string{"anna", "bert"} {
		s.expect("the limit counts for "+user, s.user(user).LimitReached > 0, true)
	}
}

// TestReachedIdleIsKept checks that idle times wait for the one who counts them, but not too
// many.
func TestReachedIdleIsKept(t *testing.T) {
	t.Parallel()
	s := newIdleSite(t)
	s.login("n1/", "anna2", "anna3", "anna4")
	s.leave("n1/", 0, "anna1")
	for i := range maxReachedIdle + 10 {
		s.login("n1/", "anna5")
		s.look(time.Minute)
		s.logout("n1/", "anna5")
		if i%4 == 3 {
			s.left["anna1"] = s.now.Add(10 * time.Minute) // used once
		}
		s.look(10 * time.Minute) // the slot does not cool any more
	}
	got := s.reached()
	s.expect("count", got.Count, uint64(maxReachedIdle+10))
	s.expect("kept", len(got.Last), maxReachedIdle)
	s.expect("first and last", [2]time.Duration{got.Last[0], got.Last[maxReachedIdle-1]}, [2]time.Duration{23 * time.Minute, 12 * time.Minute})
}

func TestReachedIdleIsUnknown(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(s *idleSite){
		"no rows":                     func(s *idleSite) { s.usage = nil; s.observe() },
		"old rows":                    func(s *idleSite) { s.now = s.now.Add(time.Minute); s.observe() },
		"activity is recorded rarely": func(s *idleSite) { s.state.activity.late = []lateness{{s.now, time.Hour}}; s.look(time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newIdleSite(t)
			s.leave("n1/", 20*time.Minute, "anna1", "anna2", "anna3", "anna4")
			s.login("n1/", "anna5")
			change(s)
			s.expect("idle times", s.reached(), ReachedIdle{})
			if s.snapshot.ReclaimableSlots != nil {
				t.Errorf("reclaimable: %v", s.snapshot.ReclaimableSlots)
			}
		})
	}
}

func TestReclaimableSlots(t *testing.T) {
	t.Parallel()
	s := newIdleSite(t)
	none := map[string]int{"/": 0, "/sales": 0, "/other": 0}
	s.leave("n1/sales", 9*time.Minute, "anna2")
	s.leave("n1/", 4*time.Minute, "anna1")
	s.leave("n1/", 3*time.Minute, "anna3")
	s.look(time.Minute)
	s.expect("anna has two slots left", s.snapshot.ReclaimableSlots, none)
	s.login("n1/", "anna4")
	s.look(time.Minute)
	s.expect("anna has one slot left", s.snapshot.ReclaimableSlots, map[string]int{"/": 1, "/sales": 1, "/other": 0})
	s.leave("n1/", IdleTime, "bert1")
	s.refusals = qlik.Refusals{lab("bert"): {{At: s.now, Reason: qlik.RefusedSessionLimit}}}
	s.logout("n1/", "anna1", "anna3", "anna4")
	s.look(10 * time.Minute)
	s.expect("bert was refused, but has slots left", s.snapshot.ReclaimableSlots, none)
	s.leave("n1/other", IdleTime, "robot1", "robot2", "robot3", "robot4", "robot5")
	s.expect("the limit does not apply to robot", s.snapshot.ReclaimableSlots, none)
}
