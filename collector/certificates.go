package collector

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	clientCertificateExpiry = prometheus.NewDesc(
		prometheus.BuildFQName(namespace, "client_certificate", "expiry_timestamp_seconds"),
		"End of validity of the client certificate in use (client.pem).",
		nil, nil)
	rootCertificateExpiry = prometheus.NewDesc(
		prometheus.BuildFQName(namespace, "root_certificate", "expiry_timestamp_seconds"),
		"End of validity of the site's authority in use (root.pem); of several, the one that ends first.",
		nil, nil)
	serverCertificateExpiry = prometheus.NewDesc(
		prometheus.BuildFQName(namespace, "server_certificate", "expiry_timestamp_seconds"),
		"End of validity of the certificate that the node showed when it was last asked; absent if it showed none.",
		[]string{"node"}, nil)
)

type certificates struct{}

var _ Collector = certificates{}

func newCertificates(_ Config, _ *userSelection) Collector { return certificates{} }

// Describe implements Collector.
func (certificates) Describe(ch chan<- *prometheus.Desc) {
	ch <- clientCertificateExpiry
	ch <- rootCertificateExpiry
	ch <- serverCertificateExpiry
}

// Update implements Collector.
func (certificates) Update(_ context.Context, v *view, ch chan<- prometheus.Metric) error {
	ch <- timestamp(clientCertificateExpiry, v.status.Certificates.ClientExpiry)
	ch <- timestamp(rootCertificateExpiry, v.status.Certificates.RootExpiry)

	// A node's services share one certificate, so that of its repository speaks
	// for a node without a proxy.
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
	for _, node := range slices.Sorted(maps.Keys(nodes)) {
		ch <- timestamp(serverCertificateExpiry, nodes[node], node)
	}
	return nil
}
