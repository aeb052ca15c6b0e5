package collector

import (
	"github.com/qlik-exporter/qlik_exporter/qlik"
)

var (
	upDesc = gaugeDesc("qlik_up",
		"1 if at least one virtual proxy of the site answered this scrape; 0: nothing is known and all counts are absent.")
	sessionsCompleteDesc = gaugeDesc("qlik_sessions_complete",
		"1 if every expected virtual proxy on every node answered this scrape; 0: counts are lower bounds and headroom is an upper bound.")
	requestsDesc = counterDesc("qlik_requests_total",
		"Requests sent to Qlik since the start, to the proxies (qps) and the repositories (qrs).",
		"api")
	requestErrorsDesc = counterDesc("qlik_request_errors_total",
		"Requests to Qlik that failed since the start, by what went wrong.",
		"api", "kind")
	repositoryUpDesc = gaugeDesc("qlik_repository_up",
		"1 if the last request to that repository was answered as it should be. It is not asked in every scrape; a host not tried yet is absent.",
		"node")
	lastRefreshDesc = gaugeDesc("qlik_last_refresh_timestamp_seconds",
		"When what is not read in every scrape was last read with success, by source; a source never read is absent.",
		"source")
	skippedElementsDesc = counterDesc("qlik_skipped_elements_total",
		"Elements of the repository's lists, and fields of them, that could not be read and were left out, by source.",
		"source")
	sharedSnapshotsDesc = counterDesc("qlik_exporter_shared_snapshots_total",
		"Scrapes that took part in the questions of a scrape under way instead of asking Qlik again.")
)

// siteCollector says how the site and its interfaces are doing. It cannot be
// switched off, because without it no other number can be trusted.
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
		w.write(lastRefreshDesc, seconds(at), source)
	}
	for _, source := range qlik.Sources() {
		w.write(skippedElementsDesc, float64(v.status.Skipped[source]), source)
	}
	w.write(sharedSnapshotsDesc, float64(v.status.SharedSnapshots))
	return nil
}
