// Package qliktest simulates a Qlik Sense Enterprise on Windows site, similar to net/http/httptest.
//
// A simulated site has nodes. Each node runs a proxy (QPS), a repository (QRS) and an engine. All use real TLS with the site's own
// certificate authority and respond like the real services. The site simulates everything that affects the number of sessions:
// cookies, inactivity timeouts, the session limit, and cooling slots. It also writes the audit security log with refused logins.
// docs/qlik.md describes the facts about the real services and their certainty. Comments in this package refer to its headings.
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
// Clients that were written for real sites can use it, too: docs/simulated-site.md lists what it answers. Node.Address gives a node the
// ports of a real one.
//
// Config also chooses the license model, and between possible behaviors where the real one is unknown. Methods of Site cause trouble
// while it runs: GiveLicense and TakeLicense, SetLicenseServiceFails, LoseSession, RestartProxy, SetProxyFault. docs/qlik.md, "License
// models", says what is known of each model and what the simulation assumes.
//
// Config.Now is the clock of the site. The site uses no timers. It processes timeouts and releases of slots at the next request or
// method call, in the order of their times. A test can therefore move a Clock by hours, or run in a testing/synctest bubble with
// Config.InMemory.
//
// Company and People simulate a company at work. The demo of the exporter uses them.
// Office simulates people who reach the limit by windows that they forget.
package qliktest
