package collector

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/qlik-exporter/qlik_exporter/qlik"
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

type certificates struct {
	site Site
}

var _ Collector = (*certificates)(nil)

func newCertificates(site Site, _ Config) (Collector, error) { return &certificates{site: site}, nil }

// Describe implements Collector.
func (c *certificates) Describe(ch chan<- *prometheus.Desc) {
	ch <- clientCertificateExpiry
	ch <- rootCertificateExpiry
	ch <- serverCertificateExpiry
}

// Update implements Collector.
func (c *certificates) Update(_ context.Context, snapshot *qlik.Snapshot, ch chan<- prometheus.Metric) error {
	status := c.site.Status()
	ch <- timestamp(clientCertificateExpiry, status.Certificates.ClientExpiry)
	ch <- timestamp(rootCertificateExpiry, status.Certificates.RootExpiry)

	// A node's services share one certificate, so that of its repository speaks
	// for a node without a proxy.
	nodes := make(map[string]time.Time)
	note := func(node string, expiry time.Time) {
		if known, ok := nodes[node]; !expiry.IsZero() && (!ok || expiry.Before(known)) {
			nodes[node] = expiry
		}
	}
	for _, repository := range status.Repositories {
		note(repository.Node, repository.CertificateExpiry)
	}
	for i := range snapshot.Links {
		note(snapshot.Links[i].Node, snapshot.Links[i].CertificateExpiry)
	}
	for _, node := range slices.Sorted(maps.Keys(nodes)) {
		ch <- timestamp(serverCertificateExpiry, nodes[node], node)
	}
	return nil
}
