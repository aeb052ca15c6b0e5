package desk

import "github.com/prometheus/client_golang/prometheus"

// metrics are the metrics of the desk.
type metrics struct {
	ended   *prometheus.CounterVec
	refused *prometheus.CounterVec
}

func newMetrics() *metrics {
	m := &metrics{
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "qlik_desk_ended_sessions_total",
			Help: "Sessions that operators of the desk have ended, by role.",
		}, []string{"role"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "qlik_desk_refused_total",
			Help: "Requests that the desk has refused, by reason.",
		}, []string{"reason"}),
	}
	for _, r := range []role{helpdesk, admin} {
		m.ended.WithLabelValues(r.String())
	}
	for _, reason := range reasons {
		m.refused.WithLabelValues(string(reason))
	}
	return m
}

// Describe implements prometheus.Collector.
func (d *Desk) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(d, ch) }

// Collect implements prometheus.Collector.
func (d *Desk) Collect(ch chan<- prometheus.Metric) {
	d.metrics.ended.Collect(ch)
	d.metrics.refused.Collect(ch)
}
