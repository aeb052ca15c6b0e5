// Package qliktest simulates a Qlik Sense Enterprise on Windows site, in the manner of net/http/httptest.
//
// A simulated site has nodes; each node runs a proxy (QPS) and a repository (QRS), both behind real TLS with the site's own
// certificate authority, answering as the real services do. Behind them is the behavior that matters to somebody who counts
// sessions: cookies, inactivity timeouts, the license limit, the slot that stays taken for a while after a session ended, and the
// audit security log that tells of refused users. What is known about the real services, and how certain it is, stands in
// docs/qlik.md; comments here refer to its headings.
//
//	site, err := qliktest.Start(qliktest.Config{Users: []qliktest.User{
//		{Directory: "LAB", ID: "goran", License: qliktest.Professional},
//	}})
//	if err != nil {
//		...
//	}
//	defer site.Close()
//	site.Login("LAB", "goran", "laptop", "", "")
//	response, err := site.Client().Do(request) // to https://qlik1:4243/qps/session?Xrfkey=...
//
// Time is whatever Config.Now says. Nothing in the site runs on a timer: timeouts and releases are worked out when somebody
// asks, in the order in which they fell due. So a test may move a Clock by hours, or run in a testing/synctest bubble with
// Config.InMemory.
//
// Company and People make a site that looks like a company at work; the demo of the exporter uses them.
package qliktest
