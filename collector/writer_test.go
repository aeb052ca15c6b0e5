package collector

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// TestWriterIsLikeARegistry checks that the writer returns series with any labels, in
// any order, exactly like a registry.
func TestWriterIsLikeARegistry(t *testing.T) {
	some := []*desc{
		upDesc, userLicenseInfoDesc, userSessionsDesc, userEffectiveHeadroomDesc, virtualProxyInfoDesc, requestErrorsDesc, userLimitReachedDesc,
	}
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 0))
		values := 1 << (seed % 8) // of a label; beyond maxKnown, too
		w, registry := newWriter(), prometheus.NewRegistry()
		written := make(map[string]bool)
		var series metrics
		for range 1000 {
			d, kind := some[random.IntN(len(some))], prometheus.GaugeValue
			if d.kind == dto.MetricType_COUNTER {
				kind = prometheus.CounterValue
			}
			labels := make([]string, len(d.labels))
			for i := range labels {
				labels[i] = fmt.Sprint(random.IntN(values))
			}
			key := fmt.Sprint(d.name, labels)
			if written[key] {
				continue
			}
			written[key] = true
			value := float64(random.IntN(100)) / float64(1+random.IntN(2))
			w.write(d, value, labels...)
			series = append(series, prometheus.MustNewConstMetric(prometheus.NewDesc(d.name, d.help, d.labels, nil), kind, value, labels...))
		}
		registry.MustRegister(series)
		got, err := w.gather()
		if err != nil {
			t.Fatal(err)
		}
		want, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		if text(got) != text(want) {
			t.Errorf("seed %d: got\n%swant\n%s", seed, text(got), text(want))
		}
	}
}

// metrics is a collector of fixed metrics.
type metrics []prometheus.Metric

func (m metrics) Describe(chan<- *prometheus.Desc) {}
func (m metrics) Collect(ch chan<- prometheus.Metric) {
	for _, metric := range m {
		ch <- metric
	}
}

func text(families []*dto.MetricFamily) string {
	var b strings.Builder
	for _, family := range families {
		fmt.Fprintln(&b, family.GetName(), family.GetType(), family.GetHelp())
		for _, metric := range family.GetMetric() {
			for _, pair := range metric.GetLabel() {
				fmt.Fprintf(&b, "%s=%q ", pair.GetName(), pair.GetValue())
			}
			fmt.Fprintln(&b, metric.GetGauge(), metric.GetCounter())
		}
	}
	return b.String()
}

// values returns the label values and the value of each series of the only family, in
// order.
func values(t *testing.T, families []*dto.MetricFamily) []string {
	t.Helper()
	if len(families) != 1 {
		t.Fatalf("%d families", len(families))
	}
	var values []string
	for _, metric := range families[0].GetMetric() {
		var labels []string
		for _, pair := range metric.GetLabel() {
			labels = append(labels, pair.GetValue())
		}
		values = append(values, fmt.Sprint(strings.Join(labels, " "), " ", metric.GetGauge().GetValue()))
	}
	return values
}

// TestSeriesWrittenTwice checks that the first of two equal series is kept, and all
// other series as well.
func TestSeriesWrittenTwice(t *testing.T) {
	w := newWriter()
	w.write(repositoryUpDesc, 1, "b")
	w.write(repositoryUpDesc, 2, "b")
	w.write(repositoryUpDesc, 3, "c")
	w.write(repositoryUpDesc, 4, "a")
	w.write(repositoryUpDesc, 5, "c")
	families, err := w.gather()
	if got, want := values(t, families), []string{"a 4", "b 1", "c 3"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if err == nil || err.Error() != "qlik_repository_up: 2 series have the same labels as another series" {
		t.Errorf("got %v", err)
	}

	w = newWriter()
	var want []string
	for i := range 100 {
		w.write(virtualProxyUpDesc, float64(i), "qlik1", fmt.Sprintf("/%02d", 24-i%25))
		if i < 25 {
			want = append(want, fmt.Sprintf("qlik1 /%02d %d", i, 24-i))
		}
	}
	if families, err = w.gather(); err == nil || !slices.Equal(values(t, families), want) {
		t.Errorf("got %q, %v, want %q and an error", values(t, families), err, want)
	}

	w = newWriter()
	w.write(upDesc, 1)
	w.write(upDesc, 0)
	families, err = w.gather()
	if got, want := values(t, families), []string{" 1"}; !slices.Equal(got, want) || err == nil {
		t.Errorf("got %q, %v, want %q and an error", got, err, want)
	}
}

// TestInvalidUTF8 checks that invalid UTF-8 in names from Qlik is replaced, and that
// the replaced values determine order and equality.
func TestInvalidUTF8(t *testing.T) {
	w := newWriter()
	w.write(repositoryUpDesc, 1, "a\xff")
	w.write(repositoryUpDesc, 2, "a\xff\xfeb")
	w.write(repositoryUpDesc, 3, "z")
	w.write(repositoryUpDesc, 4, "a\xfe")
	families, err := w.gather()
	if got, want := values(t, families), []string{"a\uFFFD 1", "a\uFFFDb 2", "z 3"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if err == nil {
		t.Error("no error for the series that another one equals now")
	}
}

// TestLabelsAreShared checks that successive series share equal labels, and that a
// series needs almost no memory of its own.
func TestLabelsAreShared(t *testing.T) {
	w := newWriter()
	w.write(userSessionsDesc, 1, "LAB", "anna", "/")
	w.write(sessionLimitHeadroomDesc, 4, "LAB", "anna")
	w.write(userEffectiveHeadroomDesc, 4, "LAB", "anna")
	w.write(userSessionsDesc, 1, "LAB", "bert", "/sales")
	w.write(userSessionsDesc, 1, "LAB", "carla", "/")
	sessions := w.families[userSessionsDesc.index].series.pointers()
	anna, bert, carla := sessions[0].Label, sessions[1].Label, sessions[2].Label
	if anna[0] != bert[0] || anna[0] != carla[0] || anna[2] != carla[2] {
		t.Error("a directory or a virtual proxy is there twice")
	}
	headroom, effective := w.families[sessionLimitHeadroomDesc.index].last, w.families[userEffectiveHeadroomDesc.index].last
	if &headroom[0] != &effective[0] || headroom[1] != anna[1] {
		t.Error("the labels of a user are there twice")
	}

	ids := make([]string, 1000)
	for i := range ids {
		ids[i] = fmt.Sprintf("user%03d", i)
	}
	allocations := testing.AllocsPerRun(10, func() {
		w := newWriter()
		for _, id := range ids {
			w.write(userSessionsDesc, 1, "LAB", id, "/")
			w.write(sessionLimitHeadroomDesc, 4, "LAB", id)
			w.write(userOldestSessionDesc, 1e9, "LAB", id)
			w.write(userLimitReachedDesc, 7, "LAB", id)
		}
		if _, err := w.gather(); err != nil {
			t.Fatal(err)
		}
	})
	if allocations > 400 {
		t.Errorf("%v allocations for 4,000 series", allocations)
	}
}

// TestWrongNumberOfLabels checks that a wrong number of labels, which is a defect of a
// collector, panics when the collector runs.
func TestWrongNumberOfLabels(t *testing.T) {
	defer func() {
		if r := recover(); r != "qlik_repository_up: got 2 label values, want 1" {
			t.Errorf("got %v", r)
		}
	}()
	newWriter().write(repositoryUpDesc, 1, "qlik1", "more")
	t.Error("was written")
}
