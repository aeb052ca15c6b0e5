package collector

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// writer builds metric families from the series of one scrape. Tens of thousands
// of series are about users. A registry would spend most of the scrape on them. The
// writer is faster for three reasons:
//   - Most labels have the same value as in the previous series and share its pair.
//   - Most series arrive in order, and only families that do not are sorted.
//   - Memory is allocated for many series at once.
type writer struct {
	families []*family            // by desc.index; nil without series
	labels   map[string]*label    // by name
	sets     map[string]*labelSet // by the joined names

	pairs      pieces[labelPair]
	pairSlices []*dto.LabelPair // divided into the slices of the series
	gauges     pieces[gaugeValue]
	counters   pieces[counterValue]

	failed prometheus.MultiError
}

func newWriter() *writer {
	return &writer{
		families: make([]*family, len(descs)),
		labels:   make(map[string]*label),
		sets:     make(map[string]*labelSet),
	}
}

// write adds a series. The label values are in the order of the descriptor. It
// replaces bytes that are not UTF-8.
func (w *writer) write(d *desc, value float64, labels ...string) {
	f := w.family(d)
	metric := f.add(w.labelPairs(f, labels))
	if d.kind == dto.MetricType_COUNTER {
		metric.Counter = w.counter(value)
	} else {
		metric.Gauge = w.gauge(value)
	}
}

// writeHistogram adds the series of a histogram without labels.
func (w *writer) writeHistogram(d *desc, histogram prometheus.Histogram) {
	var metric dto.Metric
	if err := histogram.Write(&metric); err != nil {
		w.failed.Append(fmt.Errorf("%s: %w", d.name, err))
		return
	}
	w.family(d).add(nil).Histogram = metric.Histogram
}

// gather returns the families with series, sorted by name. The error lists what
// is missing in them, such as a series that was written twice.
func (w *writer) gather() ([]*dto.MetricFamily, error) {
	var families []*dto.MetricFamily
	for _, f := range w.families {
		if f == nil {
			continue
		}
		f.Metric = f.series.pointers()
		if f.unordered {
			w.failed.Append(f.sort())
		}
		families = append(families, &f.MetricFamily)
	}
	slices.SortFunc(families, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
	return families, w.failed.MaybeUnwrap()
}

// family holds the series of a metric.
type family struct {
	dto.MetricFamily // without series until gather

	desc      *desc
	set       *labelSet
	series    pieces[dto.Metric]
	last      []*dto.LabelPair // of the last series
	unordered bool             // a series is not greater than the one before it
}

func (w *writer) family(d *desc) *family {
	f := w.families[d.index]
	if f == nil {
		f = &family{desc: d, set: w.labelSet(d)}
		f.Name, f.Help, f.Type = &d.name, &d.help, &d.kind
		w.families[d.index] = f
	}
	return f
}

// add adds a series. The caller sets its value.
func (f *family) add(labels []*dto.LabelPair) *dto.Metric {
	if f.series.n > 0 && compareLabels(f.last, labels) >= 0 {
		f.unordered = true
	}
	metric := f.series.next()
	metric.Label = labels
	f.last = labels
	return metric
}

// sort sorts the series by their label values. If several have the same values, it
// keeps the first one that was written and returns an error.
func (f *family) sort() error {
	// Users arrive in order. If another label comes first, such as the license, the
	// users with the same value of it are in order, so there is little to sort.
	byFirst := make(map[string][]*dto.Metric)
	for _, metric := range f.Metric {
		first := ""
		if len(metric.Label) > 0 {
			first = metric.Label[0].GetValue()
		}
		byFirst[first] = append(byFirst[first], metric)
	}
	sorted := f.Metric[:0]
	for _, first := range slices.Sorted(maps.Keys(byFirst)) {
		slices.SortStableFunc(byFirst[first], compareSeries)
		sorted = append(sorted, byFirst[first]...)
	}
	f.Metric = slices.CompactFunc(sorted, func(a, b *dto.Metric) bool { return compareSeries(a, b) == 0 })
	if again := f.series.n - len(f.Metric); again > 0 {
		return fmt.Errorf("%s: %d series have the same labels as another series", f.desc.name, again)
	}
	return nil
}

func compareSeries(a, b *dto.Metric) int { return compareLabels(a.Label, b.Label) }

// compareLabels compares the values of labels with the same names.
func compareLabels(a, b []*dto.LabelPair) int {
	for i := range a {
		if a[i] == b[i] { // shared
			continue
		}
		if order := strings.Compare(*a[i].Value, *b[i].Value); order != 0 {
			return order
		}
	}
	return 0
}

// labelSet holds the labels that metrics with the same label names share.
type labelSet struct {
	labels []*label         // sorted by name
	last   []*dto.LabelPair // of the last series
}

// label holds the pairs that were written for a label name.
type label struct {
	name  string
	last  *labelPair            // the last one written
	known map[string]*labelPair // by value; at most maxKnown
}

// maxKnown limits the values of a label that are kept for sharing. Most labels have
// few values. Users have many, but their series follow one another.
const maxKnown = 64

// labelPair is a dto.LabelPair together with the value that it points to.
type labelPair struct {
	dto.LabelPair

	written string
}

func (w *writer) labelSet(d *desc) *labelSet {
	names := make([]string, 0, len(d.labels))
	for _, i := range d.byName {
		names = append(names, d.labels[i])
	}
	key := strings.Join(names, " ")
	set := w.sets[key]
	if set == nil {
		set = new(labelSet)
		for _, name := range names {
			if w.labels[name] == nil {
				w.labels[name] = &label{name: name, known: make(map[string]*labelPair)}
			}
			set.labels = append(set.labels, w.labels[name])
		}
		w.sets[key] = set
	}
	return set
}

// labelPairs returns the label pairs of a series, sorted by name. They are shared
// and must not be changed.
func (w *writer) labelPairs(f *family, values []string) []*dto.LabelPair {
	n := len(f.desc.labels)
	if len(values) != n { // a defect of the collector, which fails as a whole
		panic(fmt.Sprintf("%s: got %d label values, want %d", f.desc.name, len(values), n))
	}
	if len(w.pairSlices) < n {
		w.pairSlices = make([]*dto.LabelPair, maxPiece)
	}
	pairs := w.pairSlices[:n:n]
	for i, from := range f.desc.byName {
		pairs[i] = w.labelPair(f.set.labels[i], values[from])
	}
	if slices.Equal(pairs, f.set.last) {
		return f.set.last
	}
	w.pairSlices = w.pairSlices[n:]
	f.set.last = pairs
	return pairs
}

func (w *writer) labelPair(l *label, value string) *dto.LabelPair {
	if l.last != nil && l.last.written == value {
		return &l.last.LabelPair
	}
	pair := l.known[value]
	if pair == nil {
		pair = w.pairs.next()
		pair.written = value
		pair.Name, pair.Value = &l.name, &pair.written
		if !utf8.ValidString(value) {
			pair.Value = new(strings.ToValidUTF8(value, "\uFFFD"))
		}
		if len(l.known) < maxKnown {
			l.known[value] = pair
		}
	}
	l.last = pair
	return &pair.LabelPair
}

// gaugeValue is a dto.Gauge together with the value that it points to.
type gaugeValue struct {
	dto.Gauge

	value float64
}

// sharedGauges are gauges of small whole numbers, which most series have.
var sharedGauges = func() (gauges [64]*dto.Gauge) {
	for i := range gauges {
		gauges[i] = &dto.Gauge{Value: new(float64(i))}
	}
	return gauges
}()

func (w *writer) gauge(value float64) *dto.Gauge {
	if i := int(value); i >= 0 && i < len(sharedGauges) && float64(i) == value {
		return sharedGauges[i]
	}
	made := w.gauges.next()
	made.value = value
	made.Value = &made.value
	return &made.Gauge
}

// counterValue is a dto.Counter together with the value that it points to.
type counterValue struct {
	dto.Counter

	value float64
}

func (w *writer) counter(value float64) *dto.Counter {
	made := w.counters.next()
	made.value = value
	made.Value = &made.value
	return &made.Counter
}

// pieces holds any number of values in blocks of memory that never move, because
// other values point into them.
type pieces[T any] struct {
	all [][]T // only the last one has room
	n   int   // number of values in all of them
}

const maxPiece = 256

// next returns a pointer to a new value.
func (p *pieces[T]) next() *T {
	last := len(p.all) - 1
	if last < 0 || len(p.all[last]) == cap(p.all[last]) {
		p.all = append(p.all, make([]T, 0, min(max(p.n, 1), maxPiece)))
		last++
	}
	piece := p.all[last]
	piece = piece[:len(piece)+1]
	p.all[last] = piece
	p.n++
	return &piece[len(piece)-1]
}

// pointers returns pointers to all values.
func (p *pieces[T]) pointers() []*T {
	pointers := make([]*T, 0, p.n)
	for _, piece := range p.all {
		for i := range piece {
			pointers = append(pointers, &piece[i])
		}
	}
	return pointers
}
