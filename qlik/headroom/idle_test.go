package headroom

import (
	"fmt"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// idleSite is a site on which it is known how often activity is recorded: each minute, as
// the sessions of twelve users of /other have shown. Each session of anna and bert has been
// idle for a time.
type idleSite struct {
	*scenario

	idle map[string]time.Duration
}

func newIdleSite(t *testing.T) *idleSite {
	t.Helper()
	s := &idleSite{newScenario(t, "n1/", "n1/sales", "n1/other"), make(map[string]time.Duration)}
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
	for range 4 {
		s.look(time.Minute)
	}
	if !s.snapshot.IdleKnown(IdleTime) {
		t.Fatalf("activity is recorded every %s", s.snapshot.ActivityInterval)
	}
	return s
}

// open opens sessions that have been idle for a time.
func (s *idleSite) open(link string, idle time.Duration, ids ...string) {
	s.t.Helper()
	s.login(link, ids...)
	for _, id := range ids {
		s.idle[id] = idle
	}
}

// look observes the site. Idle times stay as they are.
func (s *idleSite) look(after time.Duration) {
	s.now = s.now.Add(after)
	var rows []qlik.UsageRow
	for _, link := range s.links {
		for _, each := range link.Sessions {
			rows = append(rows, qlik.UsageRow{
				Session: each.ID.Key(), User: each.User, License: qlik.LicenseAnalyzer, LastActivity: s.now.Add(-s.idle[string(each.ID)]),
			})
		}
	}
	s.usage = NewUsage(rows, s.now, s.now)
	s.state.usage = nil // so that nothing tells that activity was recorded late, as these rows look
	s.observe()
}

func (s *idleSite) reached() ReachedIdle { return s.snapshot.Tracking.ReachedIdle }

func TestReachedIdle(t *testing.T) {
	t.Parallel()
	s := newIdleSite(t)
	s.open("n1/", 20*time.Minute, "anna1", "anna2")
	s.open("n1/sales", 25*time.Minute, "anna3")
	s.open("n1/", 0, "anna4", "bert1", "bert2", "bert3", "bert4")
	s.look(time.Minute)
	s.expect("nobody has reached the limit", s.reached(), ReachedIdle{})

	s.open("n1/", 0, "anna5")
	preview := s.state.Preview(s.round())
	s.expect("before a preview", preview.Tracking.ReachedIdle, ReachedIdle{})
	s.look(time.Minute)
	s.expect("anna has reached it", s.reached(), ReachedIdle{1, []time.Duration{25 * time.Minute}})
	s.look(time.Minute)
	s.expect("anna is still there", s.reached().Count, uint64(1))

	s.logout("n1/", "anna5")
	s.look(time.Minute)
	s.open("n1/sales", 0, "anna6", "bert5")
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
	s.open("n1/", 0, "anna1", "anna2", "anna3", "anna4")
	s.look(time.Minute)
	for i := range maxReachedIdle + 10 {
		s.idle["anna1"] = time.Duration(i%50) * time.Minute
		s.open("n1/", 0, "anna5")
		s.look(10 * time.Minute) // the slot does not cool any more
		s.logout("n1/", "anna5")
		s.look(time.Minute)
	}
	got := s.reached()
	s.expect("count", got.Count, uint64(maxReachedIdle+10))
	s.expect("kept", len(got.Last), maxReachedIdle)
	s.expect("first and last", [2]time.Duration{got.Last[0], got.Last[maxReachedIdle-1]}, [2]time.Duration{10 * time.Minute, 9 * time.Minute})
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
			s.open("n1/", 20*time.Minute, "anna1", "anna2", "anna3", "anna4", "anna5")
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
	s.open("n1/", IdleTime, "anna1")
	s.open("n1/sales", 20*time.Minute, "anna2")
	s.open("n1/", IdleTime-time.Second, "anna3")
	s.look(time.Minute)
	s.expect("anna has two slots left", s.snapshot.ReclaimableSlots, none)
	s.open("n1/", 0, "anna4")
	s.look(time.Minute)
	s.expect("anna has one slot left", s.snapshot.ReclaimableSlots, map[string]int{"/": 1, "/sales": 1, "/other": 0})
	s.refusals = qlik.Refusals{lab("bert"): {{At: s.now, Reason: qlik.RefusedSessionLimit}}}
	s.open("n1/", time.Hour/2, "bert1")
	s.logout("n1/", "anna1", "anna3", "anna4")
	s.look(10 * time.Minute)
	s.expect("bert was refused, but has slots left", s.snapshot.ReclaimableSlots, none)
	s.open("n1/other", 15*time.Minute, "robot1", "robot2", "robot3", "robot4", "robot5")
	s.look(time.Minute)
	s.expect("the limit does not apply to robot", s.snapshot.ReclaimableSlots, none)
}
