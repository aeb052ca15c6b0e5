package server

import (
	"context"
	stdlog "log"
	"math"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// scrapeTimeoutHeader is how Prometheus says how long it will wait.
const scrapeTimeoutHeader = "X-Prometheus-Scrape-Timeout-Seconds"

// metricsHandler answers scrapes. Each has a registry of its own, because the
// collectors of a site are bound to the deadline of one request.
type metricsHandler struct {
	process *prometheus.Registry // what is not about a site
	site    func(ctx context.Context) Scrape
	offset  time.Duration
	options promhttp.HandlerOpts
	ownWork atomic.Int64 // nanoseconds that the last scrape took beside Qlik's answers
}

func newMetricsHandler(
	process *prometheus.Registry, site func(ctx context.Context) Scrape, offset time.Duration, errorLog *stdlog.Logger,
) *metricsHandler {
	options := promhttp.HandlerOpts{
		ErrorLog: errorLog,
		// A surprise, such as the same series twice, costs that series and is
		// counted in promhttp_metric_handler_errors_total; the rest stays.
		ErrorHandling:     promhttp.ContinueOnError,
		Registry:          process,
		EnableOpenMetrics: true,
	}
	promhttp.HandlerFor(process, options) // registers that counter, once for all scrapes
	return &metricsHandler{process: process, site: site, offset: offset, options: options}
}

// ServeHTTP implements http.Handler.
func (h *metricsHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begin := time.Now()
	// Where tens of thousands of users make the answer large, writing it takes
	// longer than the configured offset.
	timeout, err := scrapeTimeout(r.Header, max(h.offset, 3*time.Duration(h.ownWork.Load())/2))
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
	site := h.site(ctx)
	registry := prometheus.NewRegistry()
	registry.MustRegister(h.process, site)
	promhttp.HandlerFor(registry, h.options).ServeHTTP(w, r)
	h.ownWork.Store(int64(time.Since(begin) - site.Asked()))
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
