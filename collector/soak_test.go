package collector_test

import (
	"flag"
	"runtime"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/qlik-exporter/qlik_exporter/collector"
	running "github.com/qlik-exporter/qlik_exporter/internal/site"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

var soak = flag.Duration("soak", 30*time.Minute, "simulated time of TestSoak")

// TestSoak scrapes a company of a thousand users every 15 seconds for the time of
// -soak. It checks that the memory of the exporter does not grow after the first
// quarter, and that its counters are consistent with the sessions.
func TestSoak(t *testing.T) {
	const users, interval = 1000, 15 * time.Second
	clock := qliktest.NewClock(time.Date(2026, 3, 2, 6, 0, 0, 0, time.UTC))
	company := qliktest.Company(users)
	company.InMemory, company.Now, company.Seed = true, clock.Now, 1
	server, err := qliktest.Start(company)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	people := qliktest.NewPeople(server, 1)
	dir := t.TempDir()
	if err := server.WriteCertificates(dir); err != nil {
		t.Fatal(err)
	}
	lifetimes := collector.NewSessionDuration()
	site, err := running.New(running.Config{
		Client:   qlik.Config{Hosts: []string{company.Nodes[0].Name}, CertDir: dir, DialContext: server.DialContext, Now: clock.Now},
		Licenses: true, SessionEnded: lifetimes.Ended,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer site.Close()
	settings := config(nil)
	settings.Lifetimes = lifetimes
	exporter, err := collector.NewExporter(site, settings)
	if err != nil {
		t.Fatal(err)
	}

	var before, after usage
	var first float64
	start := clock.Now()
	scrapes, series := 0, 0
	for clock.Now().Sub(start) < *soak {
		if scrapes%2 == 0 {
			site.Refresh()
		}
		families, err := exporter.Scrape(t.Context()).Gather()
		if err != nil {
			t.Fatal(err)
		}
		sums := make(map[string]float64)
		series = 0
		for _, family := range families {
			series += len(family.GetMetric())
			sums[family.GetName()] = sumOf(family)
		}
		if scrapes == 0 {
			first = sums["qlik_sessions"]
		}
		if sums["qlik_sessions_complete"] != 1 {
			t.Fatalf("scrape %d is not complete", scrapes)
		}
		if grown := sums["qlik_sessions_started_total"] - sums["qlik_sessions_ended_total"]; grown != sums["qlik_sessions"]-first {
			t.Fatalf("scrape %d: %v sessions, %v at first, but %v more started than ended", scrapes, sums["qlik_sessions"], first, grown)
		}
		if scrapes++; scrapes == int(*soak/interval)/4 {
			before = measure(len(server.Sessions()))
		}
		people.WarmUp(clock, clock.Now().Add(interval))
	}
	after = measure(len(server.Sessions()))
	t.Logf("%d scrapes in %s of the site; %d series in the last", scrapes, *soak, series)
	t.Logf("after a quarter: %+v", before)
	t.Logf("at the end:      %+v", after)
	// The simulated site runs in the same process, and sessions start and end.
	if after.heap > before.heap*5/4+8<<20 {
		t.Errorf("memory has grown from %d to %d bytes", before.heap, after.heap)
	}
	if after.goroutines > before.goroutines+5 {
		t.Errorf("goroutines have become more: %d, then %d", before.goroutines, after.goroutines)
	}
}

// usage is the resource usage at one time.
type usage struct {
	heap                 uint64 // bytes in use
	goroutines, sessions int
}

func measure(sessions int) usage {
	runtime.GC()
	runtime.GC()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	return usage{memory.HeapInuse, runtime.NumGoroutine(), sessions}
}

func sumOf(family *dto.MetricFamily) float64 {
	sum := 0.0
	for _, metric := range family.GetMetric() {
		sum += metric.GetGauge().GetValue() + metric.GetCounter().GetValue()
	}
	return sum
}
