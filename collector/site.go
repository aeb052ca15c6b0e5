package collector

import (
	"github.com/qlik-exporter/qlik_exporter/qlik"
)

var (
	upDesc = gaugeDesc("qlik_up",
		"1 if at least one virtual proxy of the site responded in this scrape. If 0, nothing is known and all counts are absent.")
	sessionsCompleteDesc = gaugeDesc("qlik_sessions_complete",
		"1 if every expected virtual proxy on every node responded in this scrape. If 0, counts are lower bounds and headroom is an upper bound.")
	requestsDesc = counterDesc("qlik_requests_total",
		"Requests sent to Qlik since the exporter started, by API: proxies (qps), repositories (qrs), or engines (qes).",
		"api")
	requestErrorsDesc = counterDesc("qlik_request_errors_total",
		"Requests to Qlik that failed since the exporter started, by API and kind of error.",
		"api", "kind")
	repositoryUpDesc = gaugeDesc("qlik_repository_up",
		"1 if the last request to the node's repository succeeded, 0 if it failed. Not refreshed in every scrape; absent before the first request.",
		"qlik_node")
	lastRefreshDesc = gaugeDesc("qlik_last_refresh_timestamp_seconds",
		"Unix time of the last successful refresh of a source that is not read in every scrape. Absent before the first success.",
		"source")
	skippedElementsDesc = counterDesc("qlik_skipped_elements_total",
		"List elements and fields in the responses of repositories and engines that could not be read and were skipped, by source.",
		"source")
	sharedSnapshotsDesc = counterDesc("qlik_exporter_shared_snapshots_total",
		"Scrapes that shared the requests of a scrape already in progress instead of sending their own to Qlik.")
)

// siteCollector writes the state of the site and its APIs. It cannot be disabled,
// because no other metric can be trusted without it.
type siteCollector struct{}

// Update implements Collector.
func (siteCollector) Update(v *view, w *writer) error {
	w.write(upDesc, boolean(v.snapshot.Up()))
	w.write(sessionsCompleteDesc, boolean(v.snapshot.Complete()))
	for _, api := range qlik.APIs() {
		w.write(requestsDesc, float64(v.status.Requests.Requests[api]), string(api))
		for _, kind := range qlik.Kinds() {
			w.write(requestErrorsDesc, float64(v.status.Requests.Errors[api][kind]), string(api), string(kind))
		}
	}
	for _, repository := range v.status.Repositories {
		w.write(repositoryUpDesc, boolean(repository.Up), repository.Node)
	}
	for source, at := range v.status.Refreshed {
		if read := v.snapshot.UsageReadAt(); source == qlik.SourceUsage && !read.IsZero() {
			at = read // of the rows in this snapshot; newer ones may have been read since
		}
		w.write(lastRefreshDesc, seconds(at), source)
	}
	for _, source := range qlik.Sources() {
		w.write(skippedElementsDesc, float64(v.status.Skipped[source]), source)
	}
	w.write(sharedSnapshotsDesc, float64(v.status.SharedSnapshots))
	return nil
}
