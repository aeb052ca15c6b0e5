package collector_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"go.uber.org/goleak"

	"github.com/qlik-exporter/qlik_exporter/collector"
	running "github.com/qlik-exporter/qlik_exporter/internal/site"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/auditlog"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "write the files in testdata anew")

// site is a site with fixed responses.
type site struct {
	snapshot *headroom.Snapshot
	status   collector.Status
}

const limit = 5

// auditLog is an audit log with a fixed status.
type auditLog auditlog.Status

func (l auditLog) Status() auditlog.Status { return auditlog.Status(l) }

func (s *site) Snapshot(context.Context) *headroom.Snapshot { return s.snapshot }
func (s *site) Status() collector.Status                    { return s.status }

// count counts the users again and adds data that tracking and the repository would
// provide.
func (s *site) count() {
	robot := qlik.NewUser("APPS", "robot")
	counted, _ := headroom.New(headroom.Config{Limit: limit, Unlimited: []qlik.User{robot}}).Observe(headroom.Round{Links: s.snapshot.Links})
	s.snapshot.Links, s.snapshot.Users = counted.Links, counted.Users
	for i := range s.snapshot.Users {
		user := &s.snapshot.Users[i]
		user.FirstSeen = day("2026-03-01")
		user.License = qlik.LicenseProfessional
		if user.Limited {
			user.LicensedSessions = min(user.Sessions, limit)
			user.EffectiveHeadroom = limit - user.LicensedSessions
		}
	}
}

func day(s string) time.Time {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return t
}

// list adds n sessions of a user to a link and to the snapshot.
func (s *site) list(link int, directory, id string, n int) {
	l := &s.snapshot.Links[link]
	for range n {
		session := qlik.Session{
			ID:   qlik.SessionID(strconv.Itoa(len(s.snapshot.Sessions))),
			User: qlik.NewUser(directory, id).Counted(),
			Link: &l.Link,
		}
		l.Sessions = append(l.Sessions, session)
		s.snapshot.Sessions = append(s.snapshot.Sessions, session)
	}
}

// company is a site with data for every metric.
func company() *site {
	s := &site{
		snapshot: &headroom.Snapshot{Time: day("2026-03-01"), Limit: limit, UsageKnown: true, UsagePlausible: true, Links: []headroom.LinkResult{
			{
				Link:     qlik.Link{Node: "qlik1", VirtualProxy: "/", Description: "Central Proxy (Default)", AuthenticationMethod: "Ticket", InactivityTimeout: 30 * time.Minute},
				Duration: 120 * time.Millisecond, CertificateExpiry: day("2031-01-01"),
			},
			{
				Link:     qlik.Link{Node: "qlik1", VirtualProxy: "/sales", Description: `Sales "hub"`, AuthenticationMethod: "SAML", InactivityTimeout: 20 * time.Minute},
				Duration: 250 * time.Millisecond, CertificateExpiry: day("2031-01-01"),
			},
			{
				Link:     qlik.Link{Node: "qlik2", VirtualProxy: "/", Description: "Central Proxy (Default)", AuthenticationMethod: "Ticket", InactivityTimeout: 30 * time.Minute},
				Duration: 80 * time.Millisecond, CertificateExpiry: day("2032-01-01"),
			},
			{
				Link:     qlik.Link{Node: "qlik3:14243", VirtualProxy: "/"},
				Duration: 5 * time.Second, Err: &qlik.Error{Op: "GET", Target: "https://qlik3:14243/qps/session", Kind: qlik.KindTimeout, Err: errors.New("no whole answer in time")},
			},
		}},
		status: collector.Status{
			Repositories: []collector.RepositoryStatus{
				{Node: "qlik0"},
				{Node: "qlik1", Up: true, CertificateExpiry: day("2030-12-31")},
			},
			Refreshed: map[string]time.Time{"topology": day("2026-01-01"), "services": day("2026-01-02")},
			Requests: qlik.RequestCounts{
				Requests: map[qlik.API]uint64{qlik.APIProxy: 4, qlik.APIRepository: 6},
				Errors:   map[qlik.API]map[qlik.Kind]uint64{qlik.APIProxy: {qlik.KindTimeout: 1}, qlik.APIRepository: {qlik.KindRefused: 3}},
			},
			Skipped:         map[string]uint64{"topology": 1, "licenses": 0, "services": 0, "usage": 2, "users": 0, "data_connections": 1, "engines": 3},
			SharedSnapshots: 2,
			Certificates:    qlik.Certificates{ClientExpiry: day("2033-01-01"), RootExpiry: day("2034-01-01")},
			Candidates: []collector.Candidate{
				{User: qlik.NewUser("APPS", "robot"), Source: collector.CandidateServices}, // configured as a service account
				{User: qlik.NewUser("LAB", "svc"), Source: collector.CandidateServices},
				{User: qlik.NewUser("LAB", "bert"), Source: collector.CandidateDataConnections},
				{User: qlik.NewUser("LAB", "svc"), Source: collector.CandidateDataConnections},
			},
		},
	}
	s.snapshot.Tracking = headroom.Tracking{Since: day("2026-01-01"), Totals: headroom.Totals{
		Started: map[string]uint64{"/": 20, "/sales": 3}, Ended: map[string]uint64{"/": 10, "/sales": 0}, Restarts: map[string]uint64{"qlik1": 1, "qlik2": 0},
		Refused: map[string]uint64{"session_limit": 4, "no_license": 0}, RefusedCauses: map[headroom.Cause]uint64{headroom.CauseCooling: 3, headroom.CauseUnknown: 1},
	}, ReachedIdle: headroom.ReachedIdle{Count: 3, Last: []time.Duration{20 * time.Minute, 15*time.Minute + time.Second, 0}}}
	s.snapshot.Services = []qlik.ServiceState{
		{Node: "qlik1", Service: "Proxy", State: "Running"},
		{Host: "qlik1", Node: "qlik1", Service: "Repository", State: "Running"},
		{Host: "qlik2", Node: "qlik2", Service: "Repository", State: "Running"},
		{Node: "qlik2", Service: "Proxy", State: "Rebooting"},
	}
	s.snapshot.Engines = []headroom.EngineResult{
		{Engine: qlik.Engine{Node: "qlik1"}, Health: health(), Duration: 20 * time.Millisecond, CertificateExpiry: day("2030-12-31")},
		{Engine: qlik.Engine{Node: "qlik2"}, Health: &qlik.EngineHealth{Sessions: new(0.0), ActiveSessions: new(0.0)}, Duration: 10 * time.Millisecond},
		{Engine: qlik.Engine{Node: "qlik9"}, Duration: 5 * time.Second, CertificateExpiry: day("2029-12-31"), Err: qlik.EngineNotInTime(&qlik.Engine{Node: "qlik9"})},
	}
	s.snapshot.Licenses = &qlik.Licenses{
		Seats: map[string]qlik.Seats{
			"professional": {Total: new(10.0), Allocated: new(8.0), Used: new(7.0), Available: new(2.0), Excess: new(0.0), Quarantined: new(0.0)},
			"analyzer":     {Total: new(20.0), Allocated: new(21.0), Used: new(20.0), Available: new(0.0), Excess: new(1.0), Quarantined: new(3.0)},
		},
		Active:   map[string]map[string]int{"professional": {"1d": 1, "7d": 2, "30d": 3, "90d": 4}},
		Capacity: &qlik.Capacity{Allocated: new(10 * time.Hour), Used: new(time.Hour), Unavailable: new(6 * time.Minute)},
		Tokens:   &qlik.Tokens{Total: new(50.0), UserAccess: new(20.0), LoginAccess: new(2.0), Available: new(28.0)},
		Valid:    new(true),
		Expiry:   day("2027-05-15"),
		Holders:  map[qlik.User]qlik.LicenseSet{qlik.NewUser("LAB", "svc"): qlik.NewLicenseSet("professional")},
	}
	s.list(0, "LAB", "anna", 2)
	s.list(1, "lab", "Anna", 1)
	s.list(2, "LAB", "ANNA", 2)
	s.list(0, "LAB", "bert", 1)
	s.list(1, "LAB", "carla", 6)
	s.list(2, "NONE", "anonymous0815", 1)
	s.list(2, "NONE", "anonymous4711", 1)
	s.list(0, "APPS", "robot", 8)
	s.count()
	anna := slices.IndexFunc(s.snapshot.Users, func(u headroom.UserStatus) bool { return u.User.ID == "anna" })
	s.snapshot.Users[anna].NextSlot = day("2026-03-02")
	s.snapshot.LeftoverRows = new(1)
	s.snapshot.ActivityInterval = 90 * time.Second
	s.snapshot.ReclaimableSlots = map[string]int{"/": 2, "/sales": 0}
	s.snapshot.SlotsAtLimit = map[string]int{"/": 5, "/sales": 0}
	s.snapshot.Users[anna].LimitReached, s.snapshot.Users[anna].LastLimitReached = 3, day("2026-03-01")
	s.snapshot.Users = append(s.snapshot.Users,
		// A user with only a cooling slot, a user who left, and a user with a leftover row.
		headroom.UserStatus{User: qlik.NewUser("LAB", "zoe"), Limited: true, Headroom: 5, CoolingSlots: 1, EffectiveHeadroom: 4, License: qlik.LicenseAnalyzer, LicensedSessions: 1},
		headroom.UserStatus{User: qlik.NewUser("LAB", "zora"), Limited: true, Headroom: 5, EffectiveHeadroom: 5, License: qlik.LicenseAnalyzer, LimitReached: 1, LastLimitReached: day("2026-02-28")},
		headroom.UserStatus{User: qlik.NewUser("LAB", "zyx"), Limited: true, Headroom: 5, EffectiveHeadroom: 4, License: qlik.LicenseUnknown, LicensedSessions: 1},
	)
	s.snapshot.RefusedLogins = refusedLogins(qlik.Refusals{
		qlik.NewUser("LAB", "carla"): {
			{At: day("2026-03-01").Add(-time.Hour), Reason: qlik.RefusedSessionLimit},
			{At: day("2026-02-28").Add(time.Hour), Reason: qlik.RefusedNoLicense},
		},
		qlik.NewUser("LAB", "dora"):     {{At: day("2026-02-28").Add(time.Hour), Reason: qlik.RefusedNoLicense}},
		qlik.NewUser("LAB", "long ago"): {{At: day("2026-02-28"), Reason: qlik.RefusedNoLicense}},
	})
	return s
}

// health returns the health of an engine of a new release.
func health() *qlik.EngineHealth {
	return &qlik.EngineHealth{
		Version: "12.2310.0", Started: day("2026-02-01"), Saturated: new(true),
		Sessions: new(8.0), ActiveSessions: new(3.0), Users: new(5.0), ActiveUsers: new(2.0),
		ActiveApps: new(1.0), LoadedApps: new(4.0), AppsInMemory: new(6.0), Calls: new(900.0), Selections: new(40.0),
		CacheHits: new(30.0), CacheLookups: new(41.0), CacheAdded: new(11.0), CacheReplaced: new(1.0), CacheAddedBytes: new(5000.0), CPU: new(0.12),
		MemoryCommitted: new(1e9), MemoryAllocated: new(2e9), MemoryFree: new(3e9), MemoryPhysical: new(4e9),
	}
}

// refusedLogins returns the refused logins that a site counts, given those in audit logs.
func refusedLogins(refusals qlik.Refusals) headroom.RefusedLogins {
	first := day("2026-02-27")
	_, state := headroom.New(headroom.Config{Limit: limit}).Observe(headroom.Round{Asked: first, Heard: first})
	snapshot, _ := state.Observe(headroom.Round{Asked: first.Add(time.Minute), Heard: first.Add(time.Minute), Refusals: refusals})
	return snapshot.RefusedLogins
}

func config(change func(*collector.UsersConfig)) collector.Config {
	c := collector.Config{
		Users:           collector.UsersConfig{MinSessions: 1, MaxUsers: 1000},
		Enabled:         map[string]bool{"engine": true},
		ServiceAccounts: []qlik.User{qlik.NewUser("APPS", "robot")},
		Lifetimes:       collector.NewSessionDuration(),
		Guard: func() collector.GuardCounts {
			return collector.GuardCounts{
				Mode: "dry-run", Ended: 7, HeldBack: map[string]uint64{"in_use": 3, "incomplete": 0},
				DryRun: &collector.DryRunCounts{Returned: 1, Prevented: map[string]uint64{"at_limit": 5, "always": 4}},
			}
		},
		Denials: collector.NewDenials(map[string]collector.AuditLog{
			"QLIK1": auditLog{Up: true, LastRead: day("2026-03-01")}, "elsewhere": auditLog{},
		}),
	}
	for _, denial := range []auditlog.Denial{
		{Time: day("2026-03-01"), User: qlik.NewUser("LAB", "carla"), Reason: auditlog.SessionLimit},
		{Time: day("2026-02-28").Add(time.Hour), User: qlik.NewUser("LAB", "Carla"), Reason: auditlog.SessionLimit},
		{Time: day("2026-02-28").Add(time.Hour), User: qlik.NewUser("LAB", "dora"), Reason: auditlog.NoLicense},
		{Time: day("2026-01-01"), User: qlik.NewUser("LAB", "old"), Reason: auditlog.NoLicense},
		{Time: day("2026-03-01"), Reason: auditlog.NoLicense},
	} {
		c.Denials.Denied(denial, qlik.LicenseUnknown)
	}
	if change != nil {
		change(&c.Users)
	}
	return c
}

// scrape returns one scrape of a site, gathered with all available checks.
func scrape(t *testing.T, s collector.Site, c collector.Config) prometheus.Gatherer {
	t.Helper()
	exporter, err := collector.NewExporter(s, c)
	if err != nil {
		t.Fatal(err)
	}
	families, err := prometheus.Gatherers{exporter.Scrape(t.Context())}.Gather()
	return prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return families, err })
}

// TestExposition compares the complete response, so that both an additional and a
// missing metric fail. No time passes in the synctest bubble, so all durations are 0.
func TestExposition(t *testing.T) {
	empty := &site{snapshot: &headroom.Snapshot{Limit: limit}, status: collector.Status{Certificates: company().status.Certificates}}
	down := company()
	down.snapshot.Sessions, down.snapshot.Users = nil, down.snapshot.Users[len(down.snapshot.Users)-2:len(down.snapshot.Users)-1]
	for i := range down.snapshot.Links {
		down.snapshot.Links[i].Sessions, down.snapshot.Links[i].Err = nil, errors.New("down")
	}
	for name, test := range map[string]struct {
		site   *site
		config collector.Config
	}{
		"company": {company(), config(nil)},
		"hashed": {company(), config(func(c *collector.UsersConfig) {
			c.Labels = collector.UserLabels{Mode: collector.UserLabelsHashed, Key: []byte("0123456789abcdef"), Plain: []qlik.User{qlik.NewUser("apps", "robot")}}
		})},
		"none":    {company(), config(func(c *collector.UsersConfig) { c.Labels.Mode = collector.UserLabelsNone })},
		"unknown": {empty, config(nil)},
		"down":    {down, config(nil)},
		"off": {company(), collector.Config{Users: config(nil).Users, Enabled: map[string]bool{
			"sessions": false, "licenses": false, "services": false, "denials": false, "certificates": false,
		}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				registry := scrape(t, test.site, test.config)
				golden := filepath.Join("testdata", name+".prom")
				if *update {
					if err := os.WriteFile(golden, exposition(t, registry, expfmt.NewFormat(expfmt.TypeTextPlain)), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(golden)
				if err != nil {
					t.Fatal(err)
				}
				if err := testutil.GatherAndCompare(registry, bytes.NewReader(want)); err != nil {
					t.Error(err)
				}
				problems, err := testutil.GatherAndLint(registry)
				if err != nil || len(problems) > 0 {
					t.Errorf("lint: %v, %v", problems, err)
				}
			})
		})
	}
}

// TestWhatTheRepositoryDoesNotSay checks that an unknown number is absent, not 0.
func TestWhatTheRepositoryDoesNotSay(t *testing.T) {
	s := company()
	s.snapshot.Engines = []headroom.EngineResult{
		{Engine: qlik.Engine{Node: "qlik1"}, Health: health(), Duration: 20 * time.Millisecond, CertificateExpiry: day("2030-12-31")},
		{Engine: qlik.Engine{Node: "qlik2"}, Health: &qlik.EngineHealth{Sessions: new(0.0), ActiveSessions: new(0.0)}, Duration: 10 * time.Millisecond},
		{Engine: qlik.Engine{Node: "qlik9"}, Duration: 5 * time.Second, CertificateExpiry: day("2029-12-31"), Err: qlik.EngineNotInTime(&qlik.Engine{Node: "qlik9"})},
	}
	s.snapshot.Licenses = &qlik.Licenses{
		Seats:    map[string]qlik.Seats{"professional": {Total: new(10.0), Excess: new(0.0)}, "analyzer": {}},
		Capacity: &qlik.Capacity{Used: new(time.Duration(0))},
		Tokens:   &qlik.Tokens{Available: new(0.0)},
		Valid:    new(false),
	}
	families, err := scrape(t, s, config(nil)).Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, family := range families {
		name := family.GetName()
		if !strings.HasPrefix(name, "qlik_license_") || name == "qlik_license_usage_plausible" {
			continue
		}
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				name += " " + label.GetValue()
			}
			got = append(got, fmt.Sprint(name, " ", metric.GetGauge().GetValue()))
		}
	}
	want := []string{"qlik_license_capacity_seconds used 0", "qlik_license_seats professional 10", "qlik_license_seats_excess professional 0", "qlik_license_tokens available 0", "qlik_license_valid 0"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func exposition(t *testing.T, gatherer prometheus.Gatherer, format expfmt.Format) []byte {
	t.Helper()
	families, err := gatherer.Gather()
	if err != nil {
		t.Error(err)
	}
	var out bytes.Buffer
	encoder := expfmt.NewEncoder(&out, format)
	for _, family := range families {
		if err := encoder.Encode(family); err != nil {
			t.Error(err)
		}
	}
	return out.Bytes()
}

// TestOpenMetrics checks that the OpenMetrics format keeps the names.
func TestOpenMetrics(t *testing.T) {
	text := exposition(t, scrape(t, company(), config(nil)), expfmt.NewFormat(expfmt.TypeOpenMetrics))
	for _, line := range []string{
		`qlik_user_sessions{user_directory="LAB",user_id="anna",virtual_proxy="/"} 4.0`,
		`qlik_request_errors_total{api="qps",kind="timeout"} 1.0`,
		`# TYPE qlik_request_errors counter`,
	} {
		if !strings.Contains(string(text), line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
}

// series returns the value of every series of a metric, by its label values joined
// with spaces.
func series(t *testing.T, gatherer prometheus.Gatherer, name string) map[string]float64 {
	t.Helper()
	families, err := gatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]float64)
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, metric := range family.GetMetric() {
			labels := make([]string, 0, len(metric.GetLabel()))
			for _, label := range metric.GetLabel() {
				labels = append(labels, label.GetValue())
			}
			values[strings.Join(labels, " ")] = metric.GetGauge().GetValue() + metric.GetCounter().GetValue()
		}
	}
	return values
}

// TestAgeOfUsageRows checks that the age belongs to the rows of the snapshot, even if newer
// rows have been read since.
func TestAgeOfUsageRows(t *testing.T) {
	s := company()
	usage := headroom.NewUsage(nil, day("2026-01-03"), day("2026-01-03"))
	s.snapshot, _ = headroom.New(headroom.Config{Limit: limit}).Observe(headroom.Round{
		Asked: day("2026-01-03"), Heard: day("2026-01-03"), Links: s.snapshot.Links, Usage: usage,
	})
	s.status.Refreshed["usage"] = day("2026-01-04")
	got := series(t, scrape(t, s, config(nil)), "qlik_last_refresh_timestamp_seconds")
	if want := float64(day("2026-01-03").Unix()); got["usage"] != want {
		t.Errorf("got %v, want %v for usage", got, want)
	}
}

func TestWhoGetsSeries(t *testing.T) {
	everybody := map[string]float64{"LAB anna": 0, "LAB bert": 4, "LAB carla": -1, "LAB zoe": 5}
	byHeadroom := map[string]float64{"0": 1, "1": 0, "2": 0, "3": 0, "4": 1, "over": 1}
	for _, test := range []struct {
		name     string
		change   func(*collector.UsersConfig)
		headroom map[string]float64
		dropped  float64
	}{
		{"everybody", nil, everybody, 0},
		{"from two sessions on", func(c *collector.UsersConfig) { c.MinSessions = 2 }, map[string]float64{"LAB anna": 0, "LAB carla": -1}, 0},
		{"from six sessions on", func(c *collector.UsersConfig) { c.MinSessions = 6 }, map[string]float64{"LAB carla": -1}, 0},
		// The robot has the most sessions and comes first. It has no headroom.
		{"the two with most sessions", func(c *collector.UsersConfig) { c.MaxUsers = 2 }, map[string]float64{"LAB carla": -1}, 6},
		{"without some", func(c *collector.UsersConfig) { c.ExcludeUsers = []string{`lab\\[abz].*`} }, map[string]float64{"LAB carla": -1}, 0},
		{"with a slash", func(c *collector.UsersConfig) { c.ExcludeUsers = []string{`lab/[abz].*`} }, map[string]float64{"LAB carla": -1}, 0},
		{"expressions are anchored", func(c *collector.UsersConfig) { c.ExcludeUsers = []string{"anna", "LAB"} }, everybody, 0},
		{"several expressions", func(c *collector.UsersConfig) { c.ExcludeUsers = []string{`.*anna|.*bert`, `.*carla`, `.*z.*`} }, map[string]float64{}, 0},
	} {
		registry := scrape(t, company(), config(test.change))
		if got := series(t, registry, "qlik_session_limit_headroom"); !maps.Equal(got, test.headroom) {
			t.Errorf("%s: got %v, want %v", test.name, got, test.headroom)
		}
		if got := series(t, registry, "qlik_users_dropped")[""]; got != test.dropped {
			t.Errorf("%s: %v dropped, want %v", test.name, got, test.dropped)
		}
		if got := series(t, registry, "qlik_users"); !maps.Equal(got, byHeadroom) {
			t.Errorf("%s: bounded counts must include everybody, got %v", test.name, got)
		}
	}
}

// TestWhoseRefusedLoginsHaveSeries checks that users who were refused have series without
// sessions, unless they are excluded.
func TestWhoseRefusedLoginsHaveSeries(t *testing.T) {
	carla, dora := []string{"no_license LAB carla", "session_limit LAB carla"}, "no_license LAB dora"
	for _, test := range []struct {
		name   string
		change func(*collector.UsersConfig)
		want   []string
	}{
		{"everybody", nil, append([]string{dora}, carla...)},
		{"users have few sessions", func(c *collector.UsersConfig) { c.MinSessions, c.MaxUsers = 8, 1 }, append([]string{dora}, carla...)},
		{"without dora", func(c *collector.UsersConfig) { c.ExcludeUsers = []string{"lab/dora"} }, carla},
		{"without users", func(c *collector.UsersConfig) { c.Labels.Mode = collector.UserLabelsNone }, nil},
	} {
		registry := scrape(t, company(), config(test.change))
		got := slices.Sorted(maps.Keys(series(t, registry, "qlik_user_last_login_refused_timestamp_seconds")))
		if slices.Sort(test.want); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
		causes := 0.0
		for _, n := range series(t, registry, "qlik_refusal_causes_total") {
			causes += n
		}
		if causes != 4 {
			t.Errorf("%s: bounded counts must include everybody, got %g", test.name, causes)
		}
	}
}

func TestImpossibleConfig(t *testing.T) {
	for _, test := range []struct {
		change func(*collector.UsersConfig)
		want   string
	}{
		{func(c *collector.UsersConfig) { c.ExcludeUsers = []string{"ok", "("} }, "ExcludeUsers: "},
		{func(c *collector.UsersConfig) { c.Labels.Mode = collector.UserLabelsHashed }, "Labels.Key: "},
		{func(c *collector.UsersConfig) { c.Labels.Mode = "md5" }, "Labels.Mode: "},
	} {
		_, err := collector.NewExporter(company(), config(test.change))
		if err == nil || !strings.HasPrefix(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v, want one line that starts with %s", err, test.want)
		}
	}
}

// TestRowsComeInLabelOrder checks the order of rows, because unsorted rows make
// gathering several times slower.
func TestRowsComeInLabelOrder(t *testing.T) {
	for _, mode := range []string{collector.UserLabelsPlain, collector.UserLabelsHashed} {
		exporter, err := collector.NewExporter(crowd(1000), config(func(c *collector.UsersConfig) {
			c.Labels = collector.UserLabels{Mode: mode, Key: []byte("0123456789abcdef")}
		}))
		if err != nil {
			t.Fatal(err)
		}
		families, err := exporter.Scrape(t.Context()).Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			var before []string
			for _, metric := range family.GetMetric() {
				var labels []string
				for _, label := range metric.GetLabel() {
					labels = append(labels, label.GetValue())
				}
				if slices.Compare(before, labels) >= 0 && before != nil {
					t.Fatalf("%s: %v after %v", family.GetName(), labels, before)
				}
				before = labels
			}
		}
	}
}

// crowd returns a site of n users with one to six sessions, in no particular order.
func crowd(n int) *site {
	s := company()
	s.snapshot.Sessions = nil
	for i := range s.snapshot.Links {
		s.snapshot.Links[i].Sessions = nil
	}
	directories := []string{"DIR0", "DIR1", "DIR2", "DIR3"}
	for i := range n {
		user := (i*7919 + 13) % n
		s.list(user%3, directories[user%4], fmt.Sprintf("user%05d", user), 1+user%6)
	}
	s.count()
	return s
}

// TestStrangeUsers checks that unusual user names do not affect the numbers or the
// validity of the exposition.
func TestStrangeUsers(t *testing.T) {
	server, err := qliktest.Start(qliktest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	dir := t.TempDir()
	if err := server.WriteCertificates(dir); err != nil {
		t.Fatal(err)
	}
	watched, err := running.New(running.Config{Client: qlik.Config{Hosts: []string{"qlik1"}, CertDir: dir, DialContext: server.DialContext}})
	if err != nil {
		t.Fatal(err)
	}
	defer watched.Close()

	long := strings.Repeat("x", 200)
	body := `[` + strings.Join([]string{
		`{"UserDirectory":"LAB","UserId":"with space","SessionId":"1"}`,
		`{"UserDirectory":"LAB","UserId":"with \"quotes\" and \\","SessionId":"2"}`,
		`{"UserDirectory":"LAB","UserId":"new\nline","SessionId":"3"}`,
		`{"UserDirectory":"LAB","UserId":"🙂","SessionId":"4","Attributes":null}`,
		"{\"UserDirectory\":\"LAB\",\"UserId\":\"bad \xff\xfe\",\"SessionId\":\"5\"}",
		`{"UserDirectory":"LAB","UserId":"` + long + `","SessionId":"6"}`,
		`{"UserDirectory":"LAB","UserId":"Twice","SessionId":"7","UserName":null,"Attributes":[{"group":"a"},{"group":"b"}]}`,
		`{"userDirectory":"lab","userId":"tWICE","sessionId":"8"}`,
		`{"UserDirectory":"NONE","UserId":"anonymous1234","SessionId":"9"}`,
		`{"UserDirectory":"NONE","UserId":"anonymous5678","SessionId":"10"}`,
		`{"UserDirectory":"ÜBER","UserId":"<script>alert(1)</script>","SessionId":"11","Attributes":[]}`,
	}, ",") + `]`
	server.SetAnswer("qlik1", "", []byte(body))

	registry := scrape(t, watched, config(nil))
	want := map[string]float64{
		"LAB with space /": 1, `LAB with "quotes" and \ /`: 1, "LAB new\nline /": 1, "LAB 🙂 /": 1, "LAB bad \uFFFD\uFFFD /": 1,
		"LAB " + long + " /": 1, "LAB twice /": 2, "NONE anonymous /": 2, "ÜBER <script>alert(1)</script> /": 1,
	}
	if got := series(t, registry, "qlik_user_sessions"); !maps.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if got := series(t, registry, "qlik_session_limit_headroom"); len(got) != 8 || got["LAB twice"] != 3 {
		t.Errorf("headroom: %v", got)
	}
	text := exposition(t, registry, expfmt.NewFormat(expfmt.TypeTextPlain))
	parser := expfmt.NewTextParser(1)
	if _, err := parser.TextToMetricFamilies(bytes.NewReader(text)); err != nil {
		t.Errorf("the exposition does not parse: %v", err)
	}
}

// TestPanicCostsOneCollector checks that a panic affects only one collector. This
// collector has no metrics, not even those that it wrote before the panic.
func TestPanicCostsOneCollector(t *testing.T) {
	s := company()
	s.snapshot.Limit = -1 // the sessions collector panics on it
	var failed error
	c := config(nil)
	c.Ran = func(name string, err error) {
		if name == "sessions" {
			failed = err
		}
	}
	gathered := scrape(t, s, c)
	got := series(t, gathered, "qlik_scrape_collector_success")
	if want := (map[string]float64{"sessions": 0, "licenses": 1, "services": 1, "denials": 1, "certificates": 1, "engine": 1}); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if failed == nil || !strings.HasPrefix(failed.Error(), "panic: ") {
		t.Errorf("sessions failed with %v", failed)
	}
	if got := series(t, gathered, "qlik_session_limit"); len(got) > 0 {
		t.Errorf("written before the panic: %v", got)
	}
	for _, name := range []string{"qlik_up", "qlik_user_license_info", "qlik_service_state", "qlik_access_denied_total", "qlik_server_certificate_expiry_timestamp_seconds"} {
		if len(series(t, gathered, name)) == 0 {
			t.Errorf("no %s of another collector", name)
		}
	}
}

// TestGatherTwice checks that the collectors of a scrape run once, and that every call
// of Gather returns the same result.
func TestGatherTwice(t *testing.T) {
	c := config(nil)
	var ran []string
	c.Ran = func(name string, _ error) { ran = append(ran, name) }
	exporter, err := collector.NewExporter(crowd(100), c)
	if err != nil {
		t.Fatal(err)
	}
	scrape := exporter.Scrape(t.Context())
	for _, kind := range []expfmt.FormatType{expfmt.TypeTextPlain, expfmt.TypeOpenMetrics, expfmt.TypeProtoDelim} {
		format := expfmt.NewFormat(kind)
		first, second := exposition(t, scrape, format), exposition(t, scrape, format)
		if len(first) == 0 || !bytes.Equal(first, second) {
			t.Errorf("%s: first\n%s\nthen\n%s", format, first, second)
		}
	}
	if want := []string{"sessions", "licenses", "services", "denials", "certificates", "engine"}; !slices.Equal(ran, want) {
		t.Errorf("%v ran, want %v", ran, want)
	}
}

// BenchmarkScrape measures producing the metrics of 20,000 users.
func BenchmarkScrape(b *testing.B) {
	s := crowd(20_000)
	exporter, err := collector.NewExporter(s, config(func(c *collector.UsersConfig) { c.MaxUsers = 100_000 }))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := exporter.Scrape(b.Context()).Gather(); err != nil {
			b.Fatal(err)
		}
	}
}
