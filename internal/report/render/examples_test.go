package render_test

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/report"
)

var berlin = time.FixedZone("CET", 3600)

const day = 24 * time.Hour

// end is Monday morning.
var end = time.Date(2026, 11, 23, 0, 0, 0, 0, berlin)

func compared(value, before float64) report.Compared {
	return report.Compared{Value: &value, Before: &before, BeforeWeeks: report.WeeksBefore}
}

// fullReport has a bit of everything: a week without data, a week that is partly known, and
// refused logins of both reasons.
func fullReport() *report.Report {
	return &report.Report{
		Created: end.Add(6 * time.Hour), From: end.Add(-7 * day), To: end, Weeks: 1, WeeksBefore: report.WeeksBefore,
		Prometheus: "http://prometheus.example.com:9090", Sites: []report.Site{fullSite("production")},
		Queries: []report.Query{{Name: "refused", Query: `max by (job, site, reason) (increase(qlik_logins_refused_total{}[1d]))`, First: end.Add(-90 * day), Last: end, Step: "1d"}},
	}
}

func fullSite(name string) report.Site {
	s := report.Site{
		Job: "qlik", Site: name, Title: name, Rules: true, Known: 0.9985, Incomplete: 0.004,
		Refused: compared(41, 29.25), NoLicense: compared(3, 0.5), People: compared(23, 17.4),
		Causes: []report.Cause{
			{Cause: "forgotten_windows", Refused: compared(24, 15)},
			{Cause: "embedded_page", Refused: compared(9, 10.2)},
			{Cause: "several_virtual_proxies", Refused: compared(6, 3)},
			{Cause: "no_license", Refused: compared(3, 0.5)},
			{Cause: "unknown", Refused: compared(2, 1.1)},
		},
		VirtualProxies: []report.VirtualProxy{
			{VirtualProxy: "/sales", SlotHours: compared(62.4, 41), IdleHours: compared(130.5, 98), Timeout: new(30.0), Share: new(0.62)},
			{VirtualProxy: "/", SlotHours: compared(30, 22), IdleHours: compared(44, 51), Timeout: new(30.0), Share: new(0.3)},
			{VirtualProxy: "/mobile", SlotHours: compared(8, 7), IdleHours: compared(3.2, 2), Timeout: new(20.0), Share: new(0.08)},
		},
		Timeouts:       []report.Timeout{{Minutes: 25, Prevented: 4.6}, {Minutes: 20, Prevented: 11.7}, {Minutes: 15, Prevented: 16.2}, {Minutes: 10, Prevented: 20.8}},
		LongestTimeout: new(30.0),
		Guard:          &report.Guard{Ended: new(37.0), PreventedLow: new(12.0), PreventedHigh: new(18.0), Returned: new(3.0)},
		Licenses: []report.License{
			{
				License: "professional", Bought: new(50.0), Assigned: new(42.0), Free: new(8.0), Active: new(30.0), Unused: new(12.0),
				RunsOut: report.RunsOut{State: report.RunsOutAt, At: at(2027, 1, 12), Earliest: at(2026, 12, 20), Latest: at(2027, 3, 2), Band: true},
			},
			{
				License: "analyzer", Bought: new(1200.0), Assigned: new(910.0), Free: new(290.0), Active: new(850.0), Unused: new(60.0),
				RunsOut: report.RunsOut{State: report.RunsOutNotSoon, Band: true},
			},
			{
				License: report.Capacity, Bought: new(10000.0), Assigned: new(6200.0), Free: new(3800.0),
				RunsOut: report.RunsOut{State: report.RunsOutUnknown},
			},
		},
		LicenseValid: new(true), LicenseEnds: at(2027, 6, 30),
		Nodes: []report.Node{
			{Node: "qlik-node1", Peak: report.Peak{Compared: compared(212, 190.5), Hour: report.Time{Time: end.Add(-3 * day).Add(-14 * time.Hour)}}},
			{Node: "qlik-node2", Peak: report.Peak{Compared: compared(180, 171), Hour: report.Time{Time: end.Add(-4 * day).Add(-13 * time.Hour)}}},
		},
		PeakUsers: report.Peak{Compared: compared(164, 150)}, PeakSessions: report.Peak{Compared: compared(391, 360), Hour: report.Time{Time: end.Add(-3 * day).Add(-14 * time.Hour)}},
		Persons: []report.Person{
			{Directory: "ACME", ID: "lena.urban", Days: 4, Last: end.Add(-2*day + 9*time.Hour)},
			{Directory: "ACME", ID: "tom.reed", Days: 1, Last: end.Add(-5*day + 10*time.Hour)},
		},
		Gaps: []report.Gap{{From: end.Add(-6*day + 2*time.Hour), To: end.Add(-6*day + 4*time.Hour), MissingSeconds: 900}},
	}
	s.Weeks = weeks(1)
	return s
}

func at(year, month, day int) report.Time {
	return report.Time{Time: time.Date(year, time.Month(month), day, 8, 0, 0, 0, berlin)}
}

// weeks returns the weeks before and the reported weeks. The second has no data and the sixth
// some.
func weeks(reported int) []report.Week {
	var all []report.Week
	n := report.WeeksBefore + reported
	for i := range n {
		from := end.Add(time.Duration(i-n) * 7 * day)
		w := report.Week{From: from, To: from.Add(7 * day), Known: 1}
		refused := math.Round(30 + 9*math.Sin(float64(i)))
		w.Refused, w.People, w.NoLicense = new(refused), new(math.Round(refused*0.6)), new(float64(i%3/2))
		switch i {
		case 1:
			w = report.Week{From: w.From, To: w.To}
		case 5:
			w.Known, w.AtLeast = 0.4, true
			*w.Refused = 11
		case n - 1:
			*w.Refused, *w.People, *w.NoLicense = 41, 23, 3
		}
		all = append(all, w)
	}
	return all
}

// manySites has 20 sites of all kinds.
func manySites() *report.Report {
	r := fullReport()
	r.Sites = nil
	for i := range 20 {
		s := fullSite(fmt.Sprintf("plant-%02d", i+1))
		value, before := float64(i*i%37), float64(i*2)
		s.Refused = compared(value, before)
		s.Refused.AtLeast = i%4 == 0
		switch i {
		case 3:
			s = unknownSite()
			s.Title = "plant-04"
		case 5:
			s = quietSite()
			s.Title = "plant-06"
		}
		r.Sites = append(r.Sites, s)
	}
	return r
}

// unknownSite has no data of the reported time.
func unknownSite() report.Site {
	s := report.Site{Job: "qlik", Title: "qlik"}
	for _, w := range weeks(1) {
		s.Weeks = append(s.Weeks, report.Week{From: w.From, To: w.To})
	}
	return s
}

// quietSite refused nobody.
func quietSite() report.Site {
	s := fullSite("quiet")
	s.Refused, s.NoLicense, s.People = compared(0, 0), compared(0, 0), compared(0, 0)
	s.Known, s.Incomplete = 1, 0
	s.Causes, s.VirtualProxies, s.Timeouts, s.Persons, s.Gaps, s.Guard = nil, nil, nil, nil, nil, nil
	for i := range s.Weeks {
		w := &s.Weeks[i]
		w.Known, w.Refused, w.NoLicense, w.People = 1, new(0.0), new(0.0), new(0.0)
	}
	return s
}

// hostile are names that somebody may put into a label.
var hostile = []string{
	`<script>alert(1)</script>`, `"><img src=https://evil.example/x onerror=alert(1)>`, "</style><svg onload=alert(1)>", "\x1b[31mred\x1b[0m",
	"\u202egnol", "a\nb", "\xff\xfe", strings.Repeat("long-", 400), "%s%d%!", "{{.}}", "", "' style='x", "😀 你好 שלום",
}

// hostileReport has these names everywhere.
func hostileReport(name string) *report.Report {
	r := fullReport()
	r.Prometheus, r.Warnings = name, []string{name}
	r.Queries[0].Query, r.Queries[0].Name = name, name
	s := &r.Sites[0]
	s.Job, s.Site, s.Title = name, name, name
	s.Nodes[0].Node, s.Causes[0].Cause, s.Licenses[0].License = name, name, name
	s.Persons[0].Directory, s.Persons[0].ID = name, name
	for i := range 200 {
		s.VirtualProxies = append(s.VirtualProxies, report.VirtualProxy{VirtualProxy: fmt.Sprint(name, i), SlotHours: compared(1, 1)})
	}
	s.VirtualProxies[0].VirtualProxy = name
	return r
}

// longReport has 52 weeks.
func longReport() *report.Report {
	r := fullReport()
	r.Weeks, r.From = 52, end.Add(-52*7*day)
	r.Sites[0].Weeks = weeks(52)
	r.Sites[0].Refused = compared(1634, 29.25)
	r.Sites[0].People = compared(310, 17.4)
	return r
}
