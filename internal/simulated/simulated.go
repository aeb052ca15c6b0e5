// Package simulated observes a simulated site without requests, so that weeks take
// seconds. Only tests use it.
package simulated

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// Monday is when the clock of a site starts, unless its configuration has a clock.
var Monday = time.Date(2026, time.March, 2, 0, 0, 0, 0, time.UTC)

// Site is a simulated site and what an exporter knows of it. It is safe for concurrent use.
type Site struct {
	Site  *qliktest.Site
	Clock *qliktest.Clock

	nodes    []qliktest.Node
	licenses *qlik.Licenses

	mu    sync.Mutex // guards the fields below
	state *headroom.State
	usage *headroom.Usage
}

// Start starts a site. It ends with the test.
func Start(tb testing.TB, config qliktest.Config, rules headroom.Config) *Site {
	tb.Helper()
	if rules.Limit == 0 {
		rules.Limit = headroom.DefaultLimit
	}
	if rules.CoolingTime == 0 {
		rules.CoolingTime = headroom.DefaultCoolingTime
	}
	s := &Site{Clock: qliktest.NewClock(Monday), nodes: config.Nodes, state: headroom.New(rules)}
	if config.Now != nil {
		s.Clock.Set(config.Now())
	}
	if len(s.nodes) == 0 {
		s.nodes = []qliktest.Node{{Name: "qlik1"}} // as in qliktest.Config
	}
	config.InMemory, config.Now = true, s.Clock.Now
	var err error
	if s.Site, err = qliktest.Start(config); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Site.Close)
	s.licenses = &qlik.Licenses{ReadAt: s.Clock.Now(), Certain: true, Holders: make(map[qlik.User]qlik.LicenseSet)}
	for i := range config.Users {
		if user := &config.Users[i]; user.License != qliktest.Unlicensed {
			s.licenses.Holders[counted(user.Directory, user.ID)] = qlik.NewLicenseSet(licenseNames[user.License], licenseNames[user.Second])
		}
	}
	return s
}

var licenseNames = map[qliktest.License]string{
	qliktest.Professional: qlik.LicenseProfessional, qliktest.Analyzer: qlik.LicenseAnalyzer, qliktest.UserAccess: qlik.LicenseUser,
	qliktest.LoginAccess: qlik.LicenseLogin, qliktest.AnalyzerCapacity: qlik.LicenseAnalyzerCapacity,
}

func counted(directory, id string) qlik.User {
	return qlik.NewUser(directory, id).Counted()
}

// Snapshot observes the site now. Usage rows are read if the last ones are too old.
func (s *Site) Snapshot() *headroom.Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.usage == nil || s.Clock.Now().Sub(s.usage.AskedAt()) >= headroom.UsageValidity {
		s.readUsage()
	}
	return s.observe()
}

// ReadNow observes the site now, with usage rows that are read now.
func (s *Site) ReadNow(context.Context) *headroom.Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readUsage()
	return s.observe()
}

// EndSession ends a session. It returns false if the session no longer exists.
func (s *Site) EndSession(_ context.Context, _ *headroom.Snapshot, id qlik.SessionID) (ended bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.usage = nil
	return s.Site.Logout(string(id)), nil
}

// Watch simulates the people of an office and observes the site at every interval until a
// time. At night, when nothing can change, it leaves intervals out. The function gets each
// snapshot. It may be nil.
func (s *Site) Watch(office *qliktest.Office, until time.Time, every time.Duration, look func(*headroom.Snapshot)) {
	for at := s.Clock.Now(); !at.After(until); at = at.Add(every) {
		office.Advance(s.Clock, at)
		snapshot := s.Snapshot()
		if look != nil {
			look(snapshot)
		}
		next, comes := office.Next()
		if !comes {
			next = until
		}
		if quiet := min(next.Sub(at), until.Sub(at)) - every; quiet > every && len(snapshot.Sessions) == 0 && len(s.Site.AllUsageRows()) == 0 {
			at = at.Add(quiet.Truncate(every))
		}
	}
	office.Advance(s.Clock, until)
}

func (s *Site) readUsage() {
	all := s.Site.AllUsageRows()
	rows := make([]qlik.UsageRow, len(all))
	for i := range all {
		row := &all[i]
		rows[i] = qlik.UsageRow{
			Session: qlik.SessionID(row.SessionID).Key(), User: counted(row.Directory, row.UserID), License: licenseNames[row.License],
			LastActivity: row.LatestActivity, Started: row.Started,
		}
	}
	now := s.Clock.Now()
	s.usage = headroom.NewUsage(rows, now, now)
}

func (s *Site) observe() *headroom.Snapshot {
	now := s.Clock.Now()
	round := headroom.Round{Asked: now, Heard: now, Links: s.links(), Usage: s.usage, Licenses: s.licenses}
	index := make(map[qlik.LinkKey]*headroom.LinkResult, len(round.Links))
	for i := range round.Links {
		index[round.Links[i].Key()] = &round.Links[i]
	}
	all := s.Site.Sessions()
	for i := range all {
		session := &all[i]
		link := index[qlik.LinkKey{Node: session.Node, VirtualProxy: "/" + session.VirtualProxy}]
		link.Sessions = append(link.Sessions, qlik.Session{
			ID: qlik.SessionID(session.ID), User: counted(session.Directory, session.UserID), Link: &link.Link,
		})
	}
	snapshot, state := s.state.Observe(round)
	s.state = state
	return snapshot
}

// links returns the links in the order of nodes and virtual proxies. All of them answer.
func (s *Site) links() []headroom.LinkResult {
	var links []headroom.LinkResult
	virtualProxies := s.Site.VirtualProxies()
	for i := range s.nodes {
		node := s.nodes[i].Name
		for _, v := range virtualProxies {
			if v.Nodes != nil && !slices.Contains(v.Nodes, node) {
				continue
			}
			links = append(links, headroom.LinkResult{Link: qlik.Link{
				Node: node, Address: node + ":4243", VirtualProxy: "/" + v.Prefix, InactivityTimeout: v.InactivityTimeout,
			}})
		}
	}
	return links
}
