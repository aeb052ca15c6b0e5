package headroom

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

var (
	morning = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	errDown = errors.New("down")
)

// scenario is a site that a test describes, with the state and the last snapshot of it.
type scenario struct {
	t        *testing.T
	now      time.Time
	links    []*LinkResult
	usage    *Usage
	licenses *qlik.Licenses
	services *Services
	refusals qlik.Refusals

	state    *State
	snapshot *Snapshot
	lives    []time.Duration // lifetimes of ended sessions with a known start
}

// newScenario returns a site with links, each written as node/prefix. The limit
// does not apply to LAB\robot.
func newScenario(t *testing.T, links ...string) *scenario {
	t.Helper()
	s := &scenario{t: t, now: morning}
	s.state = New(Config{Limit: DefaultLimit, CoolingTime: DefaultCoolingTime, Unlimited: []qlik.User{lab("robot")}})
	for _, name := range links {
		s.links = append(s.links, newLink(name))
	}
	return s
}

func newLink(name string) *LinkResult {
	node, prefix, _ := strings.Cut(name, "/")
	return &LinkResult{Link: qlik.Link{Node: node, Address: node + ":4243", VirtualProxy: "/" + prefix}}
}

func lab(id string) qlik.User { return qlik.NewUser("LAB", id) }

// session returns a session as the client does: all anonymous users are one user.
func session(id, directory, user string, link *qlik.Link) qlik.Session {
	return qlik.Session{ID: qlik.SessionID(id), User: qlik.NewUser(directory, user).Counted(), Link: link}
}

// row returns a usage row that names its user.
func row(id, user, license string, activity time.Time) qlik.UsageRow {
	return qlik.UsageRow{Session: qlik.SessionID(id).Key(), User: lab(user), License: license, LastActivity: activity}
}

// link returns the link with a name.
func (s *scenario) link(name string) *LinkResult {
	s.t.Helper()
	i := slices.IndexFunc(s.links, func(l *LinkResult) bool { return l.Node+l.VirtualProxy == name })
	if i < 0 {
		s.t.Fatalf("the scenario has no link %s", name)
	}
	return s.links[i]
}

// login adds sessions to a link. The session "anna1" belongs to LAB\anna.
func (s *scenario) login(link string, ids ...string) {
	s.t.Helper()
	l := s.link(link)
	for _, id := range ids {
		l.Sessions = append(slices.Clip(l.Sessions), session(id, "LAB", strings.TrimRight(id, "0123456789"), &l.Link))
	}
}

// logout removes sessions from a link.
func (s *scenario) logout(link string, ids ...string) {
	s.t.Helper()
	l := s.link(link)
	l.Sessions = slices.DeleteFunc(slices.Clone(l.Sessions), func(session qlik.Session) bool { return slices.Contains(ids, string(session.ID)) })
}

// analyzers sets the users that hold analyzer licenses. All other users certainly have no
// license.
func (s *scenario) analyzers(users ...string) {
	s.licenses = &qlik.Licenses{ReadAt: s.now, Certain: true, Holders: make(map[qlik.User]qlik.LicenseSet)}
	for _, user := range users {
		s.licenses.Holders[lab(user)] = qlik.NewLicenseSet(qlik.LicenseAnalyzer)
	}
}

// rows sets the usage rows of the repository: one for each session.
func (s *scenario) rows(ids ...string) {
	rows := make([]qlik.UsageRow, 0, len(ids))
	for _, id := range ids {
		rows = append(rows, row(id, strings.TrimRight(id, "0123456789"), qlik.LicenseAnalyzer, s.now))
	}
	s.usage = NewUsage(rows, s.now, s.now)
}

// report sets the state that the repository reports for the proxy of a node.
func (s *scenario) report(host, state string) {
	s.services = NewServices([]qlik.ServiceState{{Host: host, Service: qlik.ServiceProxy, State: state}}, s.now, s.services)
}

// round returns the current responses of the site.
func (s *scenario) round() Round {
	round := Round{Asked: s.now, Heard: s.now, Usage: s.usage, Licenses: s.licenses, Services: s.services, Refusals: s.refusals}
	for _, link := range s.links {
		result := *link
		if result.Err != nil {
			result.Sessions = nil
		}
		round.Links = append(round.Links, result)
	}
	return round
}

// scrape moves the clock forward and observes the site.
func (s *scenario) scrape(after time.Duration) {
	s.now = s.now.Add(after)
	s.observe()
}

func (s *scenario) observe() {
	s.snapshot, s.state = s.state.Observe(s.round())
	s.lives = append(s.lives, s.snapshot.Ended...)
	checkRefused(s.t, s.snapshot)
}

// user returns the status of LAB\id in the snapshot. If there is none, it returns a status
// with only the name.
func (s *scenario) user(id string) UserStatus {
	i := slices.IndexFunc(s.snapshot.Users, func(u UserStatus) bool { return u.User == lab(id) })
	if i < 0 {
		return UserStatus{User: lab(id)}
	}
	return s.snapshot.Users[i]
}

// counted returns the counters of the virtual proxy / and the node n1 as text.
func (s *scenario) counted() string {
	totals := s.snapshot.Tracking.Totals
	return fmt.Sprint(totals.Started["/"], " started, ", totals.Ended["/"], " ended, ", totals.Restarts["n1"], " restarts")
}

func (s *scenario) expect(what string, got, want any) {
	s.t.Helper()
	compare(s.t, s.now.Format(time.TimeOnly)+": "+what, got, want)
}

// compare fails the test if two values differ, and shows where.
func compare(t *testing.T, what string, got, want any) {
	t.Helper()
	got, want = withoutObservation(got), withoutObservation(want)
	if reflect.DeepEqual(got, want) {
		return
	}
	differences := differ("", reflect.ValueOf(got), reflect.ValueOf(want))
	if len(differences) == 0 {
		differences = []string{"the two are not deeply equal"}
	}
	const most = 10
	if n := len(differences); n > most {
		differences = append(differences[:most], fmt.Sprintf("and %d more differences", n-most))
	}
	t.Errorf("%s: %s", what, strings.Join(differences, "\n\t"))
}

// withoutObservation returns a snapshot without its observation, in which users have their
// numbers in any order.
func withoutObservation(value any) any {
	if snapshot, is := value.(*Snapshot); is && snapshot != nil {
		shown := *snapshot
		shown.observed = nil
		return &shown
	}
	return value
}

// differ returns the places in which two values differ.
func differ(path string, got, want reflect.Value) []string {
	if !got.IsValid() || !want.IsValid() || got.Type() != want.Type() {
		return differentLeaf(path, got, want)
	}
	if got.Type() == reflect.TypeFor[time.Time]() {
		return differentLeaf(path, got, want)
	}
	var all []string
	switch got.Kind() {
	case reflect.Pointer, reflect.Interface:
		if got.IsNil() || want.IsNil() {
			return differentLeaf(path, got, want)
		}
		return differ(path, got.Elem(), want.Elem())
	case reflect.Struct:
		for i := range got.NumField() {
			all = append(all, differ(path+"."+got.Type().Field(i).Name, got.Field(i), want.Field(i))...)
		}
	case reflect.Slice:
		if got.Len() != want.Len() {
			return []string{fmt.Sprintf("%s has %d elements, want %d: got %v, want %v", path, got.Len(), want.Len(), got, want)}
		}
		for i := range got.Len() {
			all = append(all, differ(fmt.Sprintf("%s[%d]", path, i), got.Index(i), want.Index(i))...)
		}
	case reflect.Map:
		for _, key := range got.MapKeys() {
			all = append(all, differ(fmt.Sprintf("%s[%v]", path, key), got.MapIndex(key), want.MapIndex(key))...)
		}
		for _, key := range want.MapKeys() {
			if !got.MapIndex(key).IsValid() {
				all = append(all, differ(fmt.Sprintf("%s[%v]", path, key), reflect.Value{}, want.MapIndex(key))...)
			}
		}
	default:
		return differentLeaf(path, got, want)
	}
	return all
}

func differentLeaf(path string, got, want reflect.Value) []string {
	text := func(v reflect.Value) string {
		if v.IsValid() && v.Kind() == reflect.String {
			return v.String() // fmt does not show session ids
		}
		return fmt.Sprint(v)
	}
	if text(got) == text(want) {
		return nil
	}
	return []string{strings.TrimSpace(fmt.Sprintf("%s got %s, want %s", path, text(got), text(want)))}
}
