package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"html"
	"math"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	neturl "net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	prometheusv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

// A report in JSON, as docs/report.md describes it.
type (
	report struct {
		From, To time.Time
		Weeks    int
		Sites    []reportSite
		Warnings []string
		Queries  []reportQuery
	}
	reportQuery struct {
		Name, Query, Step string
		First, Last       time.Time
	}
	reportSite struct {
		Job, Site, Title string
		Began            *time.Time
		RecordingRules   bool `json:"recording_rules"`
		Known            float64
		Incomplete       float64
		Gaps             []struct {
			From, To       time.Time
			MissingSeconds float64 `json:"missing_seconds"`
		}
		Weeks []struct {
			From, To        time.Time
			Known           float64
			Refused, People *float64
			NoLicense       *float64 `json:"refused_no_license"`
		}
		Refused, People compared
		NoLicense       compared `json:"refused_no_license"`
		PeopleHidden    bool     `json:"people_hidden"`
		Causes          []struct {
			Cause   string
			Refused compared
		}
		VirtualProxies []struct {
			VirtualProxy string   `json:"virtual_proxy"`
			SlotHours    compared `json:"slot_hours_at_limit"`
			IdleHours    compared `json:"idle_slot_hours_near_limit"`
			Timeout      *float64 `json:"inactivity_timeout_minutes"`
			Share        *float64 `json:"share_of_slot_hours_at_limit"`
		} `json:"virtual_proxies"`
		Timeouts       []shorterTimeout `json:"shorter_timeouts"`
		LongestTimeout *float64         `json:"longest_timeout_minutes"`
		Guard          *struct {
			On            bool
			Ended         *float64 `json:"ended_sessions"`
			PreventedLow  *float64 `json:"prevented_low"`
			PreventedHigh *float64 `json:"prevented_high"`
			Returned      *float64 `json:"returned_sessions"`
		}
		Licenses     []reportLicense
		LicenseValid *bool      `json:"license_valid"`
		LicenseEnds  *time.Time `json:"license_ends"`
		Nodes        []struct {
			Node string   `json:"qlik_node"`
			Peak compared `json:"peak_sessions"`
		}
		PeakUsers    compared `json:"peak_users"`
		PeakSessions compared `json:"peak_sessions"`
		Persons      []struct {
			Directory string `json:"user_directory"`
			ID        string `json:"user_id"`
			Days      int
			Last      time.Time
		}
	}
	shorterTimeout struct {
		Minutes   int
		Prevented float64
	}
	reportLicense struct {
		License                string
		Bought, Assigned, Free *float64
		Active                 *float64 `json:"active_90d"`
		Unused                 *float64 `json:"unused_90d"`
		RunsOut                struct {
			State                string
			At, Earliest, Latest *time.Time
			Band                 bool `json:"band_known"`
		} `json:"runs_out"`
	}
	compared struct {
		Value   *float64
		AtLeast bool       `json:"at_least"`
		Before  *float64   `json:"weekly_average_before"`
		Weeks   int        `json:"weeks_before"`
		Hour    *time.Time // of a peak
	}
)

// is reports whether a number is right: the same integer, and half a percent off at most.
func is(got *float64, want float64) bool {
	return got != nil && math.Round(*got) == math.Round(want) && closeTo(*got, want)
}

func closeTo(got, want float64) bool { return math.Abs(got-want) <= 0.005*math.Abs(want)+0.005 }

// isAt reports whether the first hour with the peak is right.
func (c *compared) isAt(hour time.Time) bool { return c.Hour != nil && c.Hour.Equal(hour) }

// numeral shows a number that may be null.
func numeral(value *float64) string {
	if value == nil {
		return "null"
	}
	return fmt.Sprintf("%.6g", *value)
}

// runReport runs the command, which must succeed and write nothing to standard error.
func runReport(t *testing.T, url string, arguments ...string) string {
	t.Helper()
	p := start(t, exec.Command(exporter, append([]string{"report", "--prometheus.url=" + url}, arguments...)...))
	code := p.wait(t)
	if code != 0 || p.stderr.String() != "" {
		t.Fatalf("%q: exit code %d, standard error %q", arguments, code, p.stderr.String())
	}
	return p.stdout.String()
}

// readReport runs the command for the reported week, and reads its JSON.
func readReport(t *testing.T, url string, arguments ...string) report {
	t.Helper()
	var r report
	if !slices.ContainsFunc(arguments, func(argument string) bool { return strings.HasPrefix(argument, "--until=") }) {
		arguments = append(arguments, "--until="+reportEnd.Format(time.RFC3339))
	}
	text := runReport(t, url, append(arguments, "--output=json")...)
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return r
}

func (r *report) site(t *testing.T, past *pastSite) *reportSite {
	t.Helper()
	for i := range r.Sites {
		if r.Sites[i].Job == past.job && r.Sites[i].Site == past.site {
			return &r.Sites[i]
		}
	}
	t.Fatalf("the report has no site %q", past.site)
	return nil
}

// servePastSites imports the made-up sites and what the rules record of them, and serves
// them. Of some sites, it keeps only the one or the other.
func servePastSites(t *testing.T, sites []*pastSite) *server {
	t.Helper()
	began := time.Now()
	dir := t.TempDir()
	data, samples := filepath.Join(dir, "data"), filepath.Join(dir, "sites.om")
	writePastSites(t, samples, sites)
	importBlocks(t, samples, data)
	p := serveHistory(t, data)
	first := slices.MinFunc(sites, func(a, b *pastSite) int { return a.began.Compare(b.began) }).began
	recorded := writeReportRules(t, p, first)
	p.stop(t)
	importBlocks(t, recorded, data)
	t.Logf("%d sites are ready after %s", len(sites), since(began))
	p = serveHistory(t, data, "--web.enable-admin-api")
	p.forget(t, `{site="norules",__name__=~".+:.+"}`)
	p.forget(t, `{site="old",__name__!~".+:.+"}`)
	return p
}

func writePastSites(t *testing.T, path string, sites []*pastSite) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriterSize(file, 1<<20)
	for _, s := range sites {
		s.write(w)
	}
	_, _ = w.WriteString("# EOF\n")
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}

// forget deletes series from a Prometheus.
func (p *server) forget(t *testing.T, selector string) {
	t.Helper()
	response, err := httpClient.PostForm("http://"+p.address+"/api/v1/admin/tsdb/delete_series", map[string][]string{"match[]": {selector}})
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusNoContent {
		t.Fatal(response.Status)
	}
}

// TestReport imports sites whose weeks are known exactly into a real Prometheus, and
// compares reports with what is known, with the queries in the reports, and with queries of
// its own.
func TestReport(t *testing.T) {
	sites := pastSites()
	p := servePastSites(t, sites)
	url := "http://" + p.address
	r := checkPastSites(t, p, sites)
	t.Run("queries of others", func(t *testing.T) { checkReportQueries(t, p, r.site(t, sites[0])) })
	t.Run("other times", func(t *testing.T) { checkOtherTimes(t, url, sites[0]) })
	plain := readReport(t, url, "--site=plain")
	expect(t, len(plain.Sites) == 1 && plain.Sites[0].Title == "plain", "one site", len(plain.Sites))
	t.Run("only some sites", func(t *testing.T) {
		one := readReport(t, url, "--job=qlik-test")
		expect(t, len(one.Sites) == 1 && one.Sites[0].Title == "qlik-test", "one site, which has the name of its job", len(one.Sites))
	})
	t.Run("pages and texts", func(t *testing.T) { checkWritten(t, url, sites) })
	t.Run("below a path of another server", func(t *testing.T) {
		at, err := neturl.Parse(url)
		if err != nil {
			t.Fatal(err)
		}
		behind := httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(at) }}
		web := httptest.NewServer(http.StripPrefix("/prometheus", &behind))
		defer web.Close()
		for _, slash := range []string{"", "/"} {
			r := readReport(t, web.URL+"/prometheus"+slash, "--site=plain")
			difference := sameNumbers(&r, &plain)
			expect(t, difference == "", "the same numbers", difference)
		}
	})
	t.Run("a server with low limits", func(t *testing.T) {
		p.stop(t)
		p = serveHistory(t, p.data, "--query.max-samples=5000", "--query.timeout=1s")
		limited := readReport(t, "http://"+p.address, "--site=plain")
		difference := sameNumbers(&limited, &plain)
		expect(t, difference == "", "the same numbers", difference)
	})
}

// checkPastSites compares the report of a server with what is known of the sites, and with
// the queries in the report.
func checkPastSites(t *testing.T, p *server, sites []*pastSite) report {
	t.Helper()
	began := time.Now()
	r := readReport(t, "http://"+p.address, "--names")
	expect(t, since(began) < 10*time.Second, "the report is ready within ten seconds", since(began))
	expect(t, r.From.Equal(on(0, 0, 0)) && r.To.Equal(reportEnd) && r.Weeks == 1, "the reported week", []any{r.From, r.To, r.Weeks})
	expect(t, len(r.Sites) == len(sites), fmt.Sprintf("%d sites", len(sites)), len(r.Sites))
	expect(t, len(r.Warnings) == 0, "no warnings", r.Warnings)
	asked := ask(t, p, r.Queries)
	for _, past := range sites {
		t.Run("site "+past.site, func(t *testing.T) {
			s := r.site(t, past)
			s.checkRefusals(t, past)
			s.checkPersons(t, past)
			asked.check(t, s)
			if check := checksOfSites[past.site]; check != nil {
				check(t, s)
			} else {
				s.checkComplete(t)
			}
		})
	}
	return r
}

// truth are the refused logins of a site from one time to another, and the people who were
// refused because of the session limit.
type truth struct {
	refused, noLicense float64
	causes             map[string]float64
	people             map[string]bool
}

func (s *pastSite) truth(from, to time.Time) truth {
	known := truth{causes: make(map[string]float64), people: make(map[string]bool)}
	for i := range s.refusals {
		r := &s.refusals[i]
		if r.lost || r.at.Before(from) || !r.at.Before(to) {
			continue
		}
		known.causes[r.cause] += r.count
		if r.reason == noLicense {
			known.noLicense += r.count
			continue
		}
		known.refused += r.count
		known.people[r.directory+`\`+r.id] = true
	}
	return known
}

// checkRefusals compares refused logins and people with what is known.
func (s *reportSite) checkRefusals(t *testing.T, past *pastSite) {
	t.Helper()
	want := past.truth(on(0, 0, 0), reportEnd)
	expect(t, is(s.Refused.Value, want.refused), fmt.Sprintf("%g refused logins", want.refused), numeral(s.Refused.Value))
	expect(t, is(s.NoLicense.Value, want.noLicense), fmt.Sprintf("%g refused because of a missing license", want.noLicense), numeral(s.NoLicense.Value))
	hidden := past.site == "hidden" || past.site == "norules"
	switch {
	case hidden:
		expect(t, s.People.Value == nil, "unknown people", numeral(s.People.Value))
	case past.site != "upgraded":
		expect(t, is(s.People.Value, float64(len(want.people))), fmt.Sprintf("%d people", len(want.people)), numeral(s.People.Value))
	}
	expect(t, s.PeopleHidden == (past.site == "hidden"), "whether people are hidden", s.PeopleHidden)
	if past.site == "upgraded" {
		return // checksOfSites
	}
	for _, cause := range s.Causes {
		if cause.Refused.Value == nil || math.Round(*cause.Refused.Value) == 0 {
			expect(t, want.causes[cause.Cause] == 0, "no refused logins now because of "+cause.Cause, want.causes[cause.Cause])
			continue
		}
		expect(t, is(cause.Refused.Value, want.causes[cause.Cause]), fmt.Sprintf("%g because of %s", want.causes[cause.Cause], cause.Cause), numeral(cause.Refused.Value))
		delete(want.causes, cause.Cause)
	}
	expect(t, len(want.causes) == 0, "no other causes", want.causes)

	// The weeks before.
	var sum, people float64
	counted := 0
	expect(t, len(s.Weeks) == weeksBefore+1, "weeks", len(s.Weeks))
	for i, week := range s.Weeks {
		from := reportEnd.Add(time.Duration(i-weeksBefore-1) * oneWeek)
		expect(t, week.From.Equal(from) && week.To.Equal(from.Add(oneWeek)), "the time of the week", week.From)
		known := past.truth(from, from.Add(oneWeek))
		if !past.began.Before(from.Add(oneWeek)) {
			expect(t, week.Known == 0 && week.Refused == nil && week.NoLicense == nil && week.People == nil, "nothing is known of the week", week)
			continue
		}
		if past.began.After(from) {
			share := from.Add(oneWeek).Sub(past.began).Hours() / oneWeek.Hours()
			expect(t, week.Known <= share+0.001, fmt.Sprintf("%.3f of the week is known", share), week.Known)
			continue
		}
		expect(t, is(week.Refused, known.refused) && is(week.NoLicense, known.noLicense), fmt.Sprintf("%g and %g refused logins in the week from %s", known.refused, known.noLicense, from.Format(time.DateOnly)),
			numeral(week.Refused)+" and "+numeral(week.NoLicense))
		if !hidden && known.refused == 0 || past.upgraded.Before(from) && !hidden {
			expect(t, is(week.People, float64(len(known.people))), fmt.Sprintf("%d people", len(known.people)), numeral(week.People))
		}
		if i < weeksBefore {
			counted++
			sum += known.refused
			people += float64(len(known.people))
		}
	}
	if counted == 0 {
		expect(t, s.Refused.Before == nil && s.Refused.Weeks == 0 && s.People.Before == nil, "no week to compare with", numeral(s.Refused.Before))
		return
	}
	expect(t, s.Refused.Weeks == counted && is(s.Refused.Before, sum/float64(counted)), fmt.Sprintf("before, %.3g refused logins in each of %d weeks", sum/float64(counted), counted),
		fmt.Sprint(numeral(s.Refused.Before), " in each of ", s.Refused.Weeks))
	if hidden && sum > 0 {
		expect(t, s.People.Before == nil, "unknown people before", numeral(s.People.Before))
		return
	}
	expect(t, s.People.Weeks == counted && is(s.People.Before, people/float64(counted)), fmt.Sprintf("%.3g people in each", people/float64(counted)), numeral(s.People.Before))
}

// checkPersons compares the names with those who were refused.
func (s *reportSite) checkPersons(t *testing.T, past *pastSite) {
	t.Helper()
	switch past.site {
	case "hidden", "norules":
		expect(t, len(s.Persons) == 0, "no names", len(s.Persons))
		return
	case "upgraded":
		return // checksOfSites
	}
	want := past.truth(on(0, 0, 0), reportEnd).people
	expect(t, len(s.Persons) == len(want), fmt.Sprintf("%d names", len(want)), len(s.Persons))
	for _, person := range s.Persons {
		days := make(map[int]bool)
		var last time.Time
		for i := range past.refusals {
			r := &past.refusals[i]
			if r.directory == person.Directory && r.id == person.ID && r.reason == sessionLimit && !r.lost && !r.at.Before(on(0, 0, 0)) {
				days[int(r.at.Sub(on(0, 0, 0))/oneDay)] = true
				if r.at.After(last) {
					last = r.at
				}
			}
		}
		expect(t, person.Days == len(days) && person.Last.Equal(last), fmt.Sprintf("%s\\%s was refused on %d days, the last time at %s", person.Directory, person.ID, len(days), last.Format(time.DateTime)),
			fmt.Sprint(person.Days, " days, ", person.Last.Format(time.DateTime)))
	}
}

// checkComplete checks that everything is known of a site.
func (s *reportSite) checkComplete(t *testing.T) {
	t.Helper()
	expect(t, s.Known == 1 && s.Incomplete == 0 && len(s.Gaps) == 0, "no gaps", []any{s.Known, s.Incomplete, s.Gaps})
	expect(t, !s.Refused.AtLeast && !s.People.AtLeast, "no lower bounds", []bool{s.Refused.AtLeast, s.People.AtLeast})
	expect(t, s.RecordingRules, "there are rules", s.RecordingRules)
}

// checkGap checks that a single gap is told, to the hour.
func (s *reportSite) checkGap(t *testing.T, from, to time.Time) {
	t.Helper()
	if len(s.Gaps) != 1 {
		t.Fatalf("not one gap: %v", s.Gaps)
	}
	gap := s.Gaps[0]
	// A query finds a sample that is less than five minutes old.
	missing, length := time.Duration(gap.MissingSeconds*float64(time.Second)), to.Sub(from)
	expect(t, gap.From.Equal(from) && gap.To.Equal(to), fmt.Sprintf("a gap from %s to %s", from.Format(time.DateTime), to.Format(time.DateTime)), gap)
	expect(t, missing <= length && missing >= length-10*time.Minute, fmt.Sprintf("%s are missing", length), missing)
	known := 1 - length.Hours()/oneWeek.Hours()
	expect(t, math.Abs(s.Known-known) < 0.002, fmt.Sprintf("%.3f is known", known), s.Known)
	expect(t, s.Refused.AtLeast && s.People.AtLeast && s.PeakSessions.AtLeast, "lower bounds", []bool{s.Refused.AtLeast, s.People.AtLeast, s.PeakSessions.AtLeast})
}

// checksOfSites check what only some sites have.
var checksOfSites = map[string]func(t *testing.T, s *reportSite){
	"plain": func(t *testing.T, s *reportSite) {
		t.Helper()
		s.checkComplete(t)
		expect(t, s.Began == nil, "began before everything that was read", s.Began)
		expect(t, is(s.PeakSessions.Value, 57) && is(s.PeakSessions.Before, 20) && s.PeakSessions.Weeks == weeksBefore, "at most 57 sessions, before 20", numeral(s.PeakSessions.Value)+", "+numeral(s.PeakSessions.Before))
		expect(t, is(s.PeakUsers.Value, 33) && is(s.PeakUsers.Before, 14), "at most 33 users, before 14", numeral(s.PeakUsers.Value)+", "+numeral(s.PeakUsers.Before))
		expect(t, s.PeakSessions.isAt(on(2, 10, 0)) && s.PeakUsers.isAt(on(2, 10, 0)), "on Wednesday after ten", s.PeakSessions.Hour)
		if len(s.VirtualProxies) != 2 {
			t.Fatalf("not two virtual proxies: %v", s.VirtualProxies)
		}
		sales, root := s.VirtualProxies[0], s.VirtualProxies[1]
		expect(t, sales.VirtualProxy == "/sales" && is(sales.SlotHours.Value, 30) && is(sales.IdleHours.Value, 8) && is(sales.Timeout, 60) && is(sales.SlotHours.Before, 0),
			"/sales: 30 slot hours, 8 idle, 60 minutes", []any{sales.VirtualProxy, numeral(sales.SlotHours.Value), numeral(sales.IdleHours.Value), numeral(sales.Timeout)})
		expect(t, root.VirtualProxy == "/" && is(root.SlotHours.Value, 10) && is(root.IdleHours.Value, 0) && is(root.Timeout, 30),
			"/: 10 slot hours, none idle, 30 minutes", []any{root.VirtualProxy, numeral(root.SlotHours.Value), numeral(root.IdleHours.Value), numeral(root.Timeout)})
		expect(t, sales.Share != nil && closeTo(*sales.Share, 0.75), "/sales has three quarters", numeral(sales.Share))
		expect(t, is(s.LongestTimeout, 60), "longest timeout of 60 minutes", numeral(s.LongestTimeout))
		// 0.9 times the share of the ten times at the limit with a session that had been idle
		// for longer.
		for i, want := range []float64{0.9 * 12 * 2 / 10, 0.9 * 12 * 4 / 10, 0.9 * 12 * 6 / 10, 0.9 * 12 * 8 / 10} {
			minutes := 25 - 5*i
			found := slices.IndexFunc(s.Timeouts, func(timeout shorterTimeout) bool { return timeout.Minutes == minutes })
			expect(t, found >= 0 && closeTo(s.Timeouts[found].Prevented, want), fmt.Sprintf("%d minutes prevent %.3g", minutes, want), s.Timeouts)
		}
		expect(t, s.Guard == nil && len(s.Licenses) == 0 && len(s.Nodes) == 0 && s.LicenseValid == nil && s.LicenseEnds == nil, "nothing that the site does not have", s.Guard)
	},
	"pair": func(t *testing.T, s *reportSite) {
		t.Helper()
		s.checkComplete(t)
		expect(t, len(s.VirtualProxies) == 1 && is(s.VirtualProxies[0].SlotHours.Value, 10), "10 slot hours", s.VirtualProxies)
	},
	"gap": func(t *testing.T, s *reportSite) {
		t.Helper()
		s.checkGap(t, on(2, 10, 0), on(5, 22, 0))
		expect(t, is(s.PeakSessions.Value, 33), "at most 33 sessions", numeral(s.PeakSessions.Value))
		expect(t, len(s.VirtualProxies) == 1 && s.VirtualProxies[0].SlotHours.Value != nil && math.Abs(*s.VirtualProxies[0].SlotHours.Value-10) < 0.5, "10 slot hours", numeral(s.VirtualProxies[0].SlotHours.Value))
	},
	"down": func(t *testing.T, s *reportSite) {
		t.Helper()
		s.checkGap(t, on(3, 0, 0), on(4, 0, 0))
	},
	"partly": func(t *testing.T, s *reportSite) {
		t.Helper()
		expect(t, s.Known == 1 && len(s.Gaps) == 0, "no gaps", s.Gaps)
		expect(t, math.Abs(s.Incomplete-12.0/168) < 0.002, "12 of 168 hours are incomplete", s.Incomplete*168)
		expect(t, s.Refused.AtLeast && s.PeakSessions.AtLeast, "lower bounds", s.Refused.AtLeast)
	},
	"wednesday": func(t *testing.T, s *reportSite) {
		t.Helper()
		s.checkComplete(t)
		expect(t, s.Began != nil && s.Began.Sub(on(2, 8, 0)).Abs() <= 5*time.Minute, "began on Wednesday at eight", s.Began)
	},
	"upgraded": func(t *testing.T, s *reportSite) {
		t.Helper()
		expect(t, s.Known == 1 && !s.Refused.AtLeast && s.Weeks[weeksBefore].People == nil, "all refused logins are known, but not the people of the week", s.Refused)
		expect(t, is(s.People.Value, 1) && s.People.AtLeast && !s.PeopleHidden, "at least one person", []any{numeral(s.People.Value), s.People.AtLeast})
		expect(t, len(s.Causes) == 1 && is(s.Causes[0].Refused.Value, 3) && s.Causes[0].Refused.AtLeast, "at least three because of several windows", s.Causes)
		expect(t, len(s.Persons) == 1 && s.Persons[0].ID == "zz-ben", "one name", s.Persons)
	},
	"norules": func(t *testing.T, s *reportSite) {
		t.Helper()
		expect(t, !s.RecordingRules && s.Known == 1, "no rules, but data", []any{s.RecordingRules, s.Known})
	},
	"guard": func(t *testing.T, s *reportSite) {
		t.Helper()
		s.checkComplete(t)
		if s.Guard == nil {
			t.Fatal("no guard")
		}
		expect(t, !s.Guard.On && is(s.Guard.Ended, 6) && is(s.Guard.Returned, 1) && is(s.Guard.PreventedLow, 2) && is(s.Guard.PreventedHigh, 5), "6 sessions, 1 returned, 2 to 5 logins",
			[]string{numeral(s.Guard.Ended), numeral(s.Guard.Returned), numeral(s.Guard.PreventedLow), numeral(s.Guard.PreventedHigh)})
	},
	"guarded": func(t *testing.T, s *reportSite) {
		t.Helper()
		s.checkComplete(t)
		expect(t, s.Guard != nil && s.Guard.On && is(s.Guard.Ended, 8) && s.Guard.PreventedLow == nil && s.Guard.PreventedHigh == nil && s.Guard.Returned == nil, "8 sessions, and nothing that nobody knows", s.Guard)
	},
	"seats": func(t *testing.T, s *reportSite) {
		t.Helper()
		s.checkComplete(t)
		expect(t, s.LicenseValid != nil && *s.LicenseValid && isTime(s.LicenseEnds, 100), "valid for 100 days", s.LicenseEnds)
		for name, want := range map[string]struct {
			numbers              [5]float64
			state                string
			band                 bool
			at, earliest, latest int
		}{
			"professional": {numbers: [5]float64{100, 90, 8, 70, 20}, state: "date", band: true, at: 60, earliest: 40},
			"analyzer":     {numbers: [5]float64{50, 50, 0, 50, 0}, state: "out"},
			"capacity":     {numbers: [5]float64{6000, 1500, 4500, -1, -1}, state: "date", band: true, at: 10, earliest: 5}, // the month ends after 17 days
		} {
			at := s.checkLicense(t, name, want.numbers, want.state).RunsOut
			expect(t, at.Band == want.band && isTime(at.At, want.at) && isTime(at.Earliest, want.earliest) && isTime(at.Latest, want.latest), fmt.Sprintf("%s: %+v", name, want), at)
		}
	},
	"tokens": func(t *testing.T, s *reportSite) {
		t.Helper()
		s.checkComplete(t)
		expect(t, s.LicenseValid != nil && !*s.LicenseValid, "an invalid license", s.LicenseValid)
		s.checkLicense(t, "tokens", [5]float64{40, 26, 14, -1, -1}, "not_soon")
	},
	"nodes": func(t *testing.T, s *reportSite) {
		t.Helper()
		s.checkComplete(t)
		if len(s.Nodes) != 2 {
			t.Fatalf("not two nodes: %v", s.Nodes)
		}
		for i, want := range []struct {
			node string
			peak float64
			hour time.Time
		}{{"qlik2", 60, on(4, 15, 0)}, {"qlik1", 45, on(1, 11, 0)}} {
			node := s.Nodes[i]
			expect(t, node.Node == want.node && is(node.Peak.Value, want.peak) && node.Peak.isAt(want.hour), fmt.Sprint(want), []any{node.Node, numeral(node.Peak.Value), node.Peak.Hour})
		}
		expect(t, is(s.Nodes[0].Peak.Before, 60) && is(s.Nodes[1].Peak.Before, 30), "before, 60 and 30", numeral(s.Nodes[0].Peak.Before)+" and "+numeral(s.Nodes[1].Peak.Before))
	},
}

// isTime reports whether a time is some days after the reported week. 0 means null.
func isTime(got *time.Time, days int) bool {
	if got == nil || days == 0 {
		return got == nil && days == 0
	}
	return got.Equal(reportEnd.AddDate(0, 0, days))
}

// checkLicense checks how many there are: bought, assigned, free, active and unused, or -1 for
// null.
func (s *reportSite) checkLicense(t *testing.T, name string, want [5]float64, state string) *reportLicense {
	t.Helper()
	i := slices.IndexFunc(s.Licenses, func(l reportLicense) bool { return l.License == name })
	if i < 0 {
		t.Fatalf("no license %s: %v", name, s.Licenses)
	}
	l := &s.Licenses[i]
	for j, got := range []*float64{l.Bought, l.Assigned, l.Free, l.Active, l.Unused} {
		expect(t, want[j] < 0 && got == nil || is(got, want[j]), fmt.Sprintf("%s: %v", name, want), numeral(got))
	}
	expect(t, l.RunsOut.State == state, name+": "+state, l.RunsOut.State)
	return l
}

// answers are the answers of a server to the queries in a report, by their names.
type answers map[string]model.Matrix

// ask runs the queries of a report.
func ask(t *testing.T, p *server, queries []reportQuery) answers {
	t.Helper()
	all := make(answers)
	for _, q := range queries {
		step, err := model.ParseDuration(q.Step)
		if err != nil {
			t.Fatal(err)
		}
		value, _, _, err := p.api.QueryRange(t.Context(), q.Query, prometheusv1.Range{Start: q.First, End: q.Last, Step: time.Duration(step)})
		matrix, ok := value.(model.Matrix)
		if err != nil || !ok {
			t.Fatalf("%s: %v: %s", q.Name, err, q.Query)
		}
		all[q.Name] = matrix
	}
	return all
}

// of returns the values of a site in the reported time, from the series with a label.
func (all answers) of(t *testing.T, name string, s *reportSite, label model.LabelName, value string) (values []float64) {
	t.Helper()
	matrix, asked := all[name]
	if !asked {
		t.Fatalf("the report has no query %q", name)
	}
	for _, series := range matrix {
		if string(series.Metric["job"]) != s.Job || string(series.Metric["site"]) != s.Site || string(series.Metric[label]) != value {
			continue
		}
		for _, sample := range series.Values {
			if sample.Timestamp.Time().After(on(0, 0, 0)) {
				values = append(values, float64(sample.Value))
			}
		}
	}
	return values
}

func sum(values []float64) (sum float64) {
	for _, value := range values {
		sum += value
	}
	return sum
}

// check compares the numbers of a site with the answers.
func (all answers) check(t *testing.T, s *reportSite) {
	t.Helper()
	agree := func(what string, got *float64, want []float64, fold func([]float64) float64) {
		t.Helper()
		if got == nil {
			expect(t, len(want) == 0, what+" is unknown", want)
			return
		}
		expect(t, len(want) > 0 && math.Abs(*got-fold(want)) < 1e-6, what+" follows from the query", fmt.Sprint(numeral(got), want))
	}
	last := func(values []float64) float64 { return values[len(values)-1] }

	agree("refused", s.Refused.Value, all.of(t, "refused", s, "reason", sessionLimit), sum)
	agree("refused_no_license", s.NoLicense.Value, all.of(t, "refused", s, "reason", noLicense), sum)
	for _, cause := range s.Causes {
		agree("causes", cause.Refused.Value, all.of(t, "causes", s, "cause", cause.Cause), sum)
	}
	people := make(map[string]bool)
	for _, series := range all["people"] {
		if string(series.Metric["job"]) != s.Job || string(series.Metric["site"]) != s.Site {
			continue
		}
		for _, sample := range series.Values {
			if at := time.Unix(int64(sample.Value), 0); !at.Before(on(0, 0, 0)) && at.Before(reportEnd) {
				people[string(series.Metric["user_directory"]+`\`+series.Metric["user_id"])] = true
			}
		}
	}
	if s.People.Value != nil {
		agree("people", s.People.Value, []float64{float64(len(people))}, sum)
	}
	agree("peak_sessions", s.PeakSessions.Value, all.of(t, "peak_sessions", s, "", ""), slices.Max[[]float64])
	agree("peak_users", s.PeakUsers.Value, all.of(t, "peak_users", s, "", ""), slices.Max[[]float64])
	for _, node := range s.Nodes {
		agree("nodes", node.Peak.Value, all.of(t, "nodes", s, "qlik_node", node.Node), slices.Max[[]float64])
	}
	for _, v := range s.VirtualProxies {
		if s.Known == 1 { // else the time with data counts
			agree("slot hours", v.SlotHours.Value, all.of(t, "virtual_proxies.slot_hours_at_limit", s, "virtual_proxy", v.VirtualProxy), sum)
			agree("idle hours", v.IdleHours.Value, all.of(t, "virtual_proxies.idle_slot_hours_near_limit", s, "virtual_proxy", v.VirtualProxy), sum)
		}
	}
	for _, l := range s.Licenses {
		if l.License == "tokens" || l.License == "capacity" {
			agree(l.License, l.Bought, all.of(t, "licenses."+l.License, s, "", ""), last)
			continue
		}
		agree("bought", l.Bought, all.of(t, "licenses.bought", s, "license", l.License), last)
		agree("assigned", l.Assigned, all.of(t, "licenses.assigned", s, "license", l.License), last)
		agree("free", l.Free, all.of(t, "licenses.free", s, "license", l.License), last)
		agree("active", l.Active, all.of(t, "licenses.active_90d", s, "license", l.License), last)
	}
	slots := all.of(t, "gaps", s, "", "")
	expect(t, math.Abs(sum(slots)/(7*24*12)-s.Known) < 0.01 || s.Began != nil, "what is known follows from the query", sum(slots)/(7*24*12))
}

// checkReportQueries compares a report with queries that follow from the metrics, and with
// panels of the dashboard.
func checkReportQueries(t *testing.T, p *server, s *reportSite) {
	t.Helper()
	l := &look{prometheus: p, dashboard: "qlik-capacity", begin: on(0, 0, 0), end: reportEnd, variables: map[string]string{"job": "qlik", "site": s.Site}}
	panel := func(title string) string { return l.fill(t, panelQuery(t, l.dashboard, title)) }
	for query, got := range map[string]*float64{
		`increase(qlik_logins_refused_total{site="plain",reason="session_limit"}[7d])`: s.Refused.Value,
		`increase(qlik_logins_refused_total{site="plain",reason="no_license"}[7d])`:    s.NoLicense.Value,
		panel("Refused in 7 days"): s.Refused.Value,
		`increase(qlik_refusal_causes_total{site="plain",cause="several_windows"}[7d])`: s.Causes[slices.IndexFunc(s.Causes, func(cause struct {
			Cause   string
			Refused compared
		},
		) bool {
			return cause.Cause == severalWindows
		})].Refused.Value,
		fmt.Sprintf(`count(max by (user_directory, user_id) (max_over_time(qlik_user_last_login_refused_timestamp_seconds{site="plain",reason="session_limit"}[7d])) >= %d)`, on(0, 0, 0).Unix()): s.People.Value,
		`max_over_time(qlik_sessions{site="plain"}[7d])`:                                                               s.PeakSessions.Value,
		`max_over_time(sum(qlik_users{site="plain"})[7d:1m])`:                                                          s.PeakUsers.Value,
		`sum_over_time(qlik_slots_at_limit{site="plain",virtual_proxy="/sales"}[7d])/60`:                               s.VirtualProxies[0].SlotHours.Value,
		`sum_over_time(qlik_reclaimable_slots{site="plain",virtual_proxy="/sales"}[7d])/60`:                            s.VirtualProxies[0].IdleHours.Value,
		strings.Replace(panel("Slot hours at the limit by virtual proxy"), `qlik"`, `qlik",virtual_proxy="/sales"`, 1): s.VirtualProxies[0].SlotHours.Value,
		`count_over_time(qlik_sessions{site="plain"}[6d23h59m59s:5m]) / 2016`:                                          &s.Known,
	} {
		want := number(t, p, query, reportEnd)
		expect(t, is(got, want), query, fmt.Sprint(numeral(got), " and ", want))
	}
}

// checkOtherTimes reports other times than a week that ends at midnight.
func checkOtherTimes(t *testing.T, url string, past *pastSite) {
	t.Helper()
	for _, test := range []struct {
		arguments []string
		from, to  time.Time
	}{
		{[]string{"--until=2026-09-13T06:30:00Z"}, on(-1, 6, 30), on(6, 6, 30)},
		{[]string{"--until=2026-09-13T08:30:00+02:00"}, on(-1, 6, 30), on(6, 6, 30)},
		{[]string{"--since=14d"}, on(-7, 0, 0), reportEnd},
		{[]string{"--since=28d"}, on(-21, 0, 0), reportEnd},
	} {
		r := readReport(t, url, append([]string{"--site=plain"}, test.arguments...)...)
		s, want := r.site(t, past), past.truth(test.from, test.to)
		expect(t, r.From.Equal(test.from) && r.To.Equal(test.to), strings.Join(test.arguments, " "), []time.Time{r.From, r.To})
		expect(t, is(s.Refused.Value, want.refused) && is(s.NoLicense.Value, want.noLicense) && is(s.People.Value, float64(len(want.people))), fmt.Sprint(want),
			[]string{numeral(s.Refused.Value), numeral(s.NoLicense.Value), numeral(s.People.Value)})
	}
}

// checkWritten looks at what people read.
func checkWritten(t *testing.T, url string, sites []*pastSite) {
	t.Helper()
	until := "--until=" + reportEnd.Format(time.RFC3339)
	for _, test := range []struct {
		language, output string
		names            bool
	}{
		{"en", "html", false},
		{"fr", "html", false},
		{"de", "html", false},
		{"en", "text", false},
		{"fr", "text", false},
		{"de", "text", false},
		{"fr", "html", true},
		{"de", "text", true},
	} {
		arguments := []string{"--output=" + test.output, "--language=" + test.language, until}
		if test.names {
			arguments = append(arguments, "--names")
		}
		began := time.Now()
		written := runReport(t, url, arguments...)
		t.Logf("%q: %d bytes in %s", arguments, len(written), since(began))
		checkReadable(t, test.output, written, sites, test.names)
	}
	file := filepath.Join(t.TempDir(), "report.html")
	said := runReport(t, url, until, "--site=plain", "--file="+file)
	page := string(readFile(t, file))
	expect(t, said == "" && strings.Contains(page, "<html") && strings.Contains(page, "plain"), "a page in the file, and nothing else", len(page))
}

// tags are the tags of a page.
var tags = regexp.MustCompile(`(?s)<(style|script|title).*?</(style|script|title)>|<[^>]*>`)

func checkReadable(t *testing.T, output, written string, sites []*pastSite, names bool) {
	t.Helper()
	text := written
	if output == "html" {
		expect(t, strings.HasPrefix(strings.ToLower(written), "<!doctype html>"), "a page", written[:min(len(written), 60)])
		for _, foreign := range []string{`src="http`, `href="http`, "@import", "<script", "url(h", "url('", `url("`} {
			expect(t, !strings.Contains(written, foreign), "a page without "+foreign, strings.Contains(written, foreign))
		}
		expect(t, !strings.Contains(written, "<b>&") && !strings.Contains(written, `"<i>`), "names are escaped", "")
		text = html.UnescapeString(tags.ReplaceAllString(written, " "))
	}
	for _, past := range sites {
		title := past.site
		if title == "" {
			title = past.job
		}
		expect(t, strings.Contains(text, title), "the site "+title, "")
		for i := range past.refusals {
			r := &past.refusals[i]
			known := names && past.users && past.site != "norules" && !r.at.Before(past.upgraded) && r.reason == sessionLimit && !r.lost && !r.at.Before(on(0, 0, 0))
			if known && !strings.Contains(text, r.id) {
				t.Errorf("%s: %s is missing", past.site, r.id)
			}
			if !names && (strings.Contains(text, r.id) || strings.Contains(written, html.EscapeString(r.id))) {
				t.Errorf("%s: %s is named", past.site, r.id)
			}
		}
	}
	total := 0.0
	for _, past := range sites {
		total += past.truth(on(0, 0, 0), reportEnd).refused
	}
	headline := regexp.MustCompile(fmt.Sprintf(`\b%.0f\b`, total))
	expect(t, headline.MatchString(text), fmt.Sprintf("the headline of %.0f refused logins", total), "")
	wrong := regexp.MustCompile(`NaN|[^]]Inf\b|<nil>|%!|\bnull\b`).FindString(text) // queries contain [+]Inf
	expect(t, wrong == "", "no number that is none", wrong)
}

// sameNumbers returns the first difference between the sites of two reports, or "".
func sameNumbers(a, b *report) string {
	var texts [2][]string
	for i, r := range []*report{a, b} {
		for j := range r.Sites {
			content, err := json.MarshalIndent(r.Sites[j], "", " ")
			if err != nil {
				return err.Error()
			}
			texts[i] = append(texts[i], strings.Split(string(content), "\n")...)
		}
	}
	for i := range min(len(texts[0]), len(texts[1])) {
		if texts[0][i] != texts[1][i] {
			return texts[0][i] + " is not " + texts[1][i]
		}
	}
	if len(texts[0]) != len(texts[1]) {
		return fmt.Sprintf("%d lines are not %d", len(texts[0]), len(texts[1]))
	}
	return ""
}
