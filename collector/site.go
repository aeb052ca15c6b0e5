package collector

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

var (
	up = prometheus.NewDesc(
		prometheus.BuildFQName(namespace, "", "up"),
		"1 if at least one virtual proxy of the site answered this scrape; 0: nothing is known and all counts are absent.",
		nil, nil)
	sessionsComplete = prometheus.NewDesc(
		prometheus.BuildFQName(namespace, "", "sessions_complete"),
		"1 if every expected virtual proxy on every node answered this scrape; 0: counts are lower bounds and headroom is an upper bound.",
		nil, nil)
	requests = prometheus.NewDesc(
		prometheus.BuildFQName(namespace, "", "requests_total"),
		"Requests sent to Qlik since the start, to the proxies (qps) and the repositories (qrs).",
		[]string{"api"}, nil)
	requestErrors = prometheus.NewDesc(
		prometheus.BuildFQName(namespace, "", "request_errors_total"),
		"Requests to Qlik that failed since the start, by what went wrong.",
		[]string{"api", "kind"}, nil)
	repositoryUp = prometheus.NewDesc(
		prometheus.BuildFQName(namespace, "", "repository_up"),
		"1 if the last request to that repository was answered as it should be. It is not asked in every scrape; a host not tried yet is absent.",
		[]string{"node"}, nil)
	lastRefresh = prometheus.NewDesc(
		prometheus.BuildFQName(namespace, "", "last_refresh_timestamp_seconds"),
		"When what is not read in every scrape was last read with success, by source; a source never read is absent.",
		[]string{"source"}, nil)
	sharedSnapshots = prometheus.NewDesc(
		prometheus.BuildFQName(namespace, "exporter", "shared_snapshots_total"),
		"Scrapes that took part in the questions of a scrape under way instead of asking Qlik again.",
		nil, nil)
)

// siteCollector says how the site and its interfaces are doing. It cannot be
// switched off, because without it no other number can be trusted.
type siteCollector struct{}

// Describe sends the descriptors of all metrics that update may send.
func (siteCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- up
	ch <- sessionsComplete
	ch <- requests
	ch <- requestErrors
	ch <- repositoryUp
	ch <- lastRefresh
	ch <- sharedSnapshots
}

func (siteCollector) update(v *view, ch chan<- prometheus.Metric) {
	ch <- gauge(up, boolean(v.snapshot.Up()))
	ch <- gauge(sessionsComplete, boolean(v.snapshot.Complete()))
	for _, api := range qlik.APIs() {
		ch <- counter(requests, float64(v.status.Requests.Requests[api]), string(api))
		for _, kind := range qlik.Kinds() {
			ch <- counter(requestErrors, float64(v.status.Requests.Errors[api][kind]), string(api), string(kind))
		}
	}
	for _, repository := range v.status.Repositories {
		ch <- gauge(repositoryUp, boolean(repository.Up), repository.Node)
	}
	for source, at := range v.status.Refreshed {
		ch <- timestamp(lastRefresh, at, source)
	}
	ch <- counter(sharedSnapshots, float64(v.status.SharedSnapshots))
}
