package server

import (
	"context"
	"fmt"
	stdlog "log"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// scrapeTimeoutHeader is how Prometheus says how long it will wait.
const scrapeTimeoutHeader = "X-Prometheus-Scrape-Timeout-Seconds"

// metrics answers scrapes. Each has a registry of its own, because the collectors
// of a site are bound to the deadline of one request.
type metrics struct {
	process *prometheus.Registry // what is not about a site
	sites   Sites
	offset  time.Duration
	options promhttp.HandlerOpts

	mu      sync.Mutex
	ownWork map[string]time.Duration // by site, what its last scrape took beside Qlik's answers
}

func newMetrics(process *prometheus.Registry, sites Sites, offset time.Duration, errorLog *stdlog.Logger) *metrics {
	options := promhttp.HandlerOpts{
		ErrorLog: errorLog,
		// A surprise, such as the same series twice, costs that series and is
		// counted in promhttp_metric_handler_errors_total; the rest stays.
		ErrorHandling:     promhttp.ContinueOnError,
		Registry:          process,
		EnableOpenMetrics: true,
	}
	promhttp.HandlerFor(process, options) // registers that counter, once for all scrapes
	return &metrics{process: process, sites: sites, offset: offset, options: options, ownWork: make(map[string]time.Duration)}
}

// own answers with the metrics of the exporter itself, and of its site where it
// has but one.
func (m *metrics) own(w http.ResponseWriter, r *http.Request) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(m.process)
	if site, done, found := m.sites.Use(""); found {
		defer done()
		m.scrape(w, r, "", site, registry)
		return
	}
	promhttp.HandlerFor(registry, m.options).ServeHTTP(w, r)
}

// probe answers with the metrics of one of several sites.
func (m *metrics) probe(w http.ResponseWriter, r *http.Request) {
	targets := r.URL.Query()["target"]
	if len(targets) != 1 || targets[0] == "" {
		http.Error(w, "give one site as /probe?target=SITE; /sd lists them", http.StatusBadRequest)
		return
	}
	site, done, found := m.sites.Use(targets[0])
	if !found {
		http.Error(w, fmt.Sprintf("site %q is not configured; /sd lists those that are", targets[0]), http.StatusNotFound)
		return
	}
	defer done()
	m.scrape(w, r, targets[0], site, prometheus.NewRegistry())
}

// scrape answers with the metrics of a site, and with what is in the registry.
func (m *metrics) scrape(w http.ResponseWriter, r *http.Request, name string, site func(context.Context) Scrape, registry *prometheus.Registry) {
	begin := time.Now()
	m.mu.Lock()
	ownWork := m.ownWork[name]
	m.mu.Unlock()
	// Where tens of thousands of users make the answer large, writing it takes
	// longer than the configured offset.
	timeout, err := scrapeTimeout(r.Header, max(m.offset, 3*ownWork/2))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	ctx := r.Context()
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	scrape := site(ctx)
	registry.MustRegister(scrape)
	promhttp.HandlerFor(registry, m.options).ServeHTTP(w, r)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ownWork[name] = time.Since(begin) - scrape.Asked()
}

// scrapeTimeout returns how long a scrape may take: what Prometheus grants less
// an offset, because the answer must still be written and read. It returns 0
// where the header is missing.
func scrapeTimeout(header http.Header, offset time.Duration) (time.Duration, error) {
	value := header.Get(scrapeTimeoutHeader)
	if value == "" {
		return 0, nil
	}
	seconds, err := strconv.ParseFloat(value, 64)
	if err != nil || math.IsNaN(seconds) || seconds <= 0 || seconds > math.MaxInt32 {
		return 0, &headerError{value}
	}
	timeout := time.Duration(seconds * float64(time.Second))
	// A timeout shorter than the offset still leaves half of it to ask Qlik.
	return max(timeout-offset, timeout/2), nil
}

type headerError struct{ value string }

func (e *headerError) Error() string {
	return "header " + scrapeTimeoutHeader + " is " + strconv.Quote(e.value) + ", not a positive number of seconds"
}
