package server

import (
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
)

// scrapeTimeoutHeader is the header with the scrape timeout of Prometheus.
const scrapeTimeoutHeader = "X-Prometheus-Scrape-Timeout-Seconds"

// metrics serves scrapes. Concurrent scrapes share the requests to Qlik, but each
// scrape has its own response.
type metrics struct {
	process   *prometheus.Registry // metrics of the exporter itself
	sites     Sites
	offset    time.Duration
	options   promhttp.HandlerOpts
	responses *Responses
	reserve   *reserve
	sizes     sync.Map // bytes of the last response with all collectors, by sizeOf
}

func newMetrics(
	process *prometheus.Registry, sites Sites, offset time.Duration, responses *Responses, errorLog *stdlog.Logger,
) *metrics {
	options := promhttp.HandlerOpts{
		ErrorLog: errorLog,
		// A defect, such as a duplicate series, drops only this series and is counted in
		// promhttp_metric_handler_errors_total.
		ErrorHandling:      promhttp.ContinueOnError,
		Registry:           process,
		EnableOpenMetrics:  true,
		DisableCompression: true, // our compression is faster
	}
	promhttp.HandlerFor(process, options) // registers this counter once for all scrapes
	return &metrics{
		process: process, sites: sites, offset: offset, options: options,
		responses: responses, reserve: newReserve(),
	}
}

// own serves the metrics of the exporter itself, and those of the site if flags
// describe the only one.
func (m *metrics) own(w http.ResponseWriter, r *http.Request) {
	if site, done, found := m.sites.Use(""); found {
		defer done()
		m.scrape(w, r, "", site, m.process)
		return
	}
	if selects(r.URL.Query()) {
		http.Error(w, "collect[] and exclude[] select collectors of a site; use them with /probe?target=SITE", http.StatusBadRequest)
		return
	}
	m.responses.Respond(w, r, promhttp.HandlerFor(m.process, m.options).ServeHTTP)
}

// probe serves the metrics of one of several sites.
func (m *metrics) probe(w http.ResponseWriter, r *http.Request) {
	targets := r.URL.Query()["target"]
	if len(targets) != 1 || targets[0] == "" {
		http.Error(w, "specify one site as /probe?target=SITE; /sd lists the sites", http.StatusBadRequest)
		return
	}
	site, done, found := m.sites.Use(targets[0])
	if !found {
		http.Error(w, fmt.Sprintf("site %q is not configured; /sd lists the configured sites", targets[0]), http.StatusNotFound)
		return
	}
	defer done()
	m.scrape(w, r, targets[0], site)
}

// scrape serves the metrics of a site together with those of other gatherers.
func (m *metrics) scrape(w http.ResponseWriter, r *http.Request, name string, site Site, others ...prometheus.Gatherer) {
	wanted, err := selected(r.URL.Query(), site.Collectors())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	granted := scrapeTimeout(r.Header)
	ctx, begin, who := r.Context(), time.Now(), scraper{name, clientOf(r.RemoteAddr)}
	if granted > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeToAsk(granted, m.reserve.of(who, granted, m.offset)))
		defer cancel()
	}
	scrape := site.Scrape(ctx, wanted)
	waited := scrape.Heard()
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(waited) {
		waited = deadline
	}
	answer := m.make(append(joined{scrape}, others...), r, name)
	scrape.Close() // and no longer used, so that its memory is free while the response is sent
	if answer == nil {
		return // the client is gone
	}
	if granted == 0 { // not Prometheus, but a person, who may read slowly
		m.responses.send(w, r, answer)
		return
	}
	// Do not wait for a client that has stopped waiting.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(min(granted, writeTimeout)))
	m.responses.send(w, r, answer)
	if now := time.Now(); !waited.Before(begin) { // otherwise, the scrape did not wait for Qlik
		m.reserve.record(who, min(now.Sub(waited), granted))
	}
}

// sizeOf tells responses of about the same size. A compressed one is ten times smaller.
type sizeOf struct {
	site       string
	compressed bool
}

// make builds the response to a scrape. It returns nil if the client disconnects
// before its turn.
func (m *metrics) make(gatherer prometheus.Gatherer, r *http.Request, site string) *answer {
	size, all := 0, !selects(r.URL.Query())
	of := sizeOf{site, r.Header.Get("Accept-Encoding") != ""}
	if last, ok := m.sizes.Load(of); ok && all {
		size = last.(int) //nolint:errcheck,forcetypeassert // stored below
	}
	answer := m.responses.build(r, size, promhttp.HandlerFor(gatherer, m.options).ServeHTTP)
	if answer != nil && all {
		m.sizes.Store(of, answer.body.Len()+answer.body.Len()/8)
	}
	return answer
}

// joined are gatherers without common metrics. prometheus.Gatherers would check each
// series for this, which takes longer than everything else.
type joined []prometheus.Gatherer

// Gather implements prometheus.Gatherer.
func (j joined) Gather() ([]*dto.MetricFamily, error) {
	var families []*dto.MetricFamily
	var failed prometheus.MultiError
	for _, gatherer := range j {
		gathered, err := gatherer.Gather()
		failed.Append(err)
		families = append(families, gathered...)
	}
	slices.SortFunc(families, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
	return families, failed.MaybeUnwrap()
}

// scrapeTimeout returns the scrape timeout of Prometheus, or 0 if there is none. A value
// that is no timeout counts as none, so that the scrape has the time that the exporter
// grants by itself.
func scrapeTimeout(header http.Header) time.Duration {
	seconds, err := strconv.ParseFloat(header.Get(scrapeTimeoutHeader), 64)
	if err != nil || math.IsNaN(seconds) || seconds <= 0 || seconds > math.MaxInt32 {
		return 0
	}
	return time.Duration(seconds * float64(time.Second))
}

// selects reports whether a query selects collectors.
func selects(query url.Values) bool { return query.Has("collect[]") || query.Has("exclude[]") }

// selected returns which of the enabled collectors a scrape runs: those that the
// parameter collect[] names, or all except those that exclude[] names, or all.
func selected(query url.Values, enabled []string) (wanted func(collector string) bool, err error) {
	collect, exclude := query["collect[]"], query["exclude[]"]
	if len(collect) > 0 && len(exclude) > 0 {
		return nil, errors.New("the parameters collect[] and exclude[] cannot be combined")
	}
	for _, name := range slices.Concat(collect, exclude) {
		if !slices.Contains(enabled, name) {
			return nil, fmt.Errorf("collector %q does not exist or is disabled; the enabled collectors are %s", name, strings.Join(enabled, ", "))
		}
	}
	return func(collector string) bool {
		if len(collect) > 0 {
			return slices.Contains(collect, collector)
		}
		return !slices.Contains(exclude, collector)
	}, nil
}

// timeToAsk returns how long a scrape may wait for Qlik: the scrape timeout minus
// the reserve, but at least half of the timeout.
func timeToAsk(granted, reserve time.Duration) time.Duration {
	return max(granted-reserve, granted/2)
}
