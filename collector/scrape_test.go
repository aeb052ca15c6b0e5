package collector

import (
	"context"
	"io"
	"slices"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// answering is a site whose next snapshot is set by the test.
type answering struct{ next *headroom.Snapshot }

func (a *answering) Snapshot(context.Context) *headroom.Snapshot { return a.next }
func (*answering) Status() Status                                { return Status{} }

// TestScrapesThatWaitShareSnapshots checks that scrapes that wait use the newest
// snapshot instead of keeping their own, unless it is worse, and that nothing is kept
// after the last one.
func TestScrapesThatWaitShareSnapshots(t *testing.T) {
	site := new(answering)
	e, err := NewExporter(site, Config{Enabled: map[string]bool{"denials": false, "services": false, "licenses": false}})
	if err != nil {
		t.Fatal(err)
	}
	noon := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	scrape := func(seconds, answered int) *Scrape {
		site.next = &headroom.Snapshot{Heard: noon.Add(time.Duration(seconds) * time.Second), Links: make([]headroom.LinkResult, 3)}
		for i := answered; i < 3; i++ {
			site.next.Links[i].Err = io.EOF
		}
		return e.Scrape(t.Context())
	}
	held := func() int {
		distinct := make(map[*headroom.Snapshot]bool)
		for _, h := range e.waiting.held {
			distinct[h.snapshot] = true
		}
		return len(distinct)
	}
	var scrapes []*Scrape
	for i := range 100 {
		scrapes = append(scrapes, scrape(i, 3), scrape(i, 0), scrape(i, 2))
	}
	if n := held(); n > 3 {
		t.Errorf("%d snapshots are held", n)
	}
	// A good snapshot is not replaced by a worse one, and never by an older one.
	for i, s := range scrapes {
		answered, heard := 0, noon.Add(time.Duration(i/3)*time.Second)
		snapshot := e.waiting.best(s.held)
		for _, link := range snapshot.Links {
			if link.Err == nil {
				answered++
			}
		}
		if answered < []int{3, 0, 2}[i%3] || snapshot.Heard.Before(heard) {
			t.Errorf("scrape %d got a snapshot of %s in which %d links answered", i, snapshot.Heard, answered)
		}
	}
	for _, s := range scrapes {
		if _, err := s.Gather(); err != nil {
			t.Log(err) // the links of the test have no names
		}
	}
	if n := len(e.waiting.held); n != 0 {
		t.Errorf("%d snapshots are held at the end", n)
	}
	left := scrape(1000, 3)
	left.Close()
	left.Close()
	if n := len(e.waiting.held); n != 0 {
		t.Errorf("%d snapshots are held of a client that left", n)
	}
}

// TestScrapeOnly checks that a scrape runs the wanted collectors, and always that of the
// site.
func TestScrapeOnly(t *testing.T) {
	e, err := NewExporter(&answering{&headroom.Snapshot{}}, Config{Enabled: map[string]bool{"denials": false, "services": false}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := e.Collectors(), []string{"sessions", "licenses", "certificates"}; !slices.Equal(got, want) {
		t.Errorf("enabled are %v, want %v", got, want)
	}
	families, err := e.ScrapeOnly(t.Context(), func(name string) bool { return name == "certificates" }).Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		switch family.GetName() {
		case "qlik_session_limit", "qlik_licenses":
			t.Errorf("%s is of a collector that is not wanted", family.GetName())
		case "qlik_scrape_collector_success":
			if metric := family.GetMetric(); len(metric) != 1 || metric[0].GetLabel()[0].GetValue() != "certificates" {
				t.Errorf("ran: %v", metric)
			}
		}
	}
	for _, name := range []string{"qlik_up", "qlik_client_certificate_expiry_timestamp_seconds"} {
		if !slices.ContainsFunc(families, func(f *dto.MetricFamily) bool { return f.GetName() == name }) {
			t.Errorf("no %s", name)
		}
	}
}
