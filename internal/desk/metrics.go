package desk

import "github.com/prometheus/client_golang/prometheus"

// metrics are the metrics of the desk.
type metrics struct {
	ended   *prometheus.CounterVec
	refused *prometheus.CounterVec
	entries prometheus.GaugeFunc
}

func newMetrics(journal Journal) *metrics {
	m := &metrics{
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "qlik_desk_ended_sessions_total",
			Help: "Sessions that operators of the desk have ended, by role.",
		}, []string{"role"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "qlik_desk_refused_total",
			Help: "Requests that the desk has refused, by reason.",
		}, []string{"reason"}),
		entries: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "qlik_desk_journal_entries",
			Help: "Lines of the desk's journal, including those of earlier files. It never decreases, so a decrease shows that lines are missing.",
		}, func() float64 { return float64(journal.Entries()) }),
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
	d.metrics.entries.Collect(ch)
}
