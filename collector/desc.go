package collector

import (
	"cmp"
	"slices"

	dto "github.com/prometheus/client_model/go"
)

// desc describes a metric. Each one is a package variable next to the collector
// that writes it. A test checks all of them.
type desc struct {
	name, help string
	kind       dto.MetricType
	labels     []string // in the order in which write gets their values

	index  int   // in descs
	byName []int // indexes of labels, sorted by name as Prometheus requires
}

// descs holds the descriptors of all metrics. It does not change after package
// initialization.
var descs []*desc

func gaugeDesc(name, help string, labels ...string) *desc {
	return newDesc(dto.MetricType_GAUGE, name, help, labels)
}

func counterDesc(name, help string, labels ...string) *desc {
	return newDesc(dto.MetricType_COUNTER, name, help, labels)
}

func histogramDesc(name, help string) *desc {
	return newDesc(dto.MetricType_HISTOGRAM, name, help, nil)
}

func newDesc(kind dto.MetricType, name, help string, labels []string) *desc {
	d := &desc{name: name, help: help, kind: kind, labels: labels, index: len(descs)}
	for i := range labels {
		d.byName = append(d.byName, i)
	}
	slices.SortFunc(d.byName, func(i, j int) int { return cmp.Compare(labels[i], labels[j]) })
	descs = append(descs, d)
	return d
}
