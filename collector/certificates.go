package collector

import (
	"maps"
	"slices"
	"time"
)

var (
	clientCertificateExpiryDesc = gaugeDesc("qlik_client_certificate_expiry_timestamp_seconds",
		"Unix time at which the client certificate in use (client.pem) expires.")
	rootCertificateExpiryDesc = gaugeDesc("qlik_root_certificate_expiry_timestamp_seconds",
		"Unix time at which the site's CA certificate in use (root.pem) expires. With several certificates, the earliest of these times.")
	serverCertificateExpiryDesc = gaugeDesc("qlik_server_certificate_expiry_timestamp_seconds",
		"Unix time at which the node's certificate expires, as presented at the last request. Absent if the node presented none.",
		"qlik_node")
)

type certificatesCollector struct{}

func newCertificatesCollector(Config, *userSelection) Collector { return certificatesCollector{} }

// Update implements Collector.
func (certificatesCollector) Update(v *view, w *writer) error {
	w.write(clientCertificateExpiryDesc, seconds(v.status.Certificates.ClientExpiry))
	w.write(rootCertificateExpiryDesc, seconds(v.status.Certificates.RootExpiry))

	// All services of a node share one certificate, so a node without a proxy is
	// covered by the certificate of its repository.
	nodes := make(map[string]time.Time)
	note := func(node string, expiry time.Time) {
		if known, ok := nodes[node]; !expiry.IsZero() && (!ok || expiry.Before(known)) {
			nodes[node] = expiry
		}
	}
	for _, repository := range v.status.Repositories {
		note(repository.Node, repository.CertificateExpiry)
	}
	for i := range v.snapshot.Links {
		note(v.snapshot.Links[i].Node, v.snapshot.Links[i].CertificateExpiry)
	}
	for i := range v.snapshot.Engines {
		note(v.snapshot.Engines[i].Node, v.snapshot.Engines[i].CertificateExpiry)
	}
	for _, node := range slices.Sorted(maps.Keys(nodes)) {
		w.write(serverCertificateExpiryDesc, seconds(nodes[node]), node)
	}
	return nil
}
