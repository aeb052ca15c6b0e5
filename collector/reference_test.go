package collector_test

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"

	"github.com/qlik-exporter/qlik_exporter/collector"
)

// TestReference keeps the tables in docs/metrics.md equal to the metrics: a
// section for each collector, and the section "site" for metrics that are always
// present. That page decides, under "Stability", which metrics are experimental.
func TestReference(t *testing.T) {
	path := filepath.Join("..", "docs", "metrics.md")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, stability, _ := strings.Cut(string(content), "\n## Stability\n")
	stability, _, _ = strings.Cut(stability, "\n## ")
	experimental := make(map[string]bool)
	for _, match := range regexp.MustCompile("(?m)^\\| `(qlik_[a-z_]+)` \\|").FindAllStringSubmatch(stability, -1) {
		experimental[match[1]] = true
	}

	// A metric that appears with several collectors belongs to the site.
	metrics := make(map[string]*dto.MetricFamily)
	owner := make(map[string]string)
	for _, only := range collector.All() {
		for _, family := range enabledOnly(t, only.Name) {
			name := family.GetName()
			if metrics[name] == nil {
				owner[name] = only.Name
			} else {
				owner[name] = "site"
			}
			metrics[name] = family
		}
	}
	if len(metrics) < 50 || len(experimental) == 0 {
		t.Errorf("%d metrics, %d of them experimental; are these all?", len(metrics), len(experimental))
	}
	const header = "| metric | type | labels | stability | meaning |\n| --- | --- | --- | --- | --- |\n"
	tables := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(metrics)) {
		tables[owner[name]] = cmp.Or(tables[owner[name]], header) + metricRow(metrics[name], experimental[name])
	}

	text := regexp.MustCompile(`(?s)<!-- metrics of ([^>]*) -->\n.*?<!-- end -->`).ReplaceAllStringFunc(string(content), func(section string) string {
		start, _, _ := strings.Cut(section, "\n")
		name := strings.TrimSuffix(strings.TrimPrefix(start, "<!-- metrics of "), " -->")
		table := tables[name]
		delete(tables, name)
		return start + "\n" + table + "<!-- end -->"
	})
	for name := range tables {
		t.Errorf("docs/metrics.md has no section for the metrics of %s", name)
	}
	if *update {
		err = os.WriteFile(path, []byte(text), 0o600)
	} else if text != string(content) {
		t.Error("the tables in docs/metrics.md differ from the metrics; go test ./collector -run TestReference -update writes them anew")
	}
	if err != nil {
		t.Fatal(err)
	}
}

// enabledOnly gathers a site with a single collector enabled.
func enabledOnly(t *testing.T, name string) []*dto.MetricFamily {
	t.Helper()
	c := config(nil)
	c.Enabled = make(map[string]bool)
	for _, available := range collector.All() {
		c.Enabled[available.Name] = available.Name == name
	}
	families, err := scrape(t, company(), c).Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families
}

func metricRow(family *dto.MetricFamily, experimental bool) string {
	var labels []string
	for _, label := range family.GetMetric()[0].GetLabel() {
		labels = append(labels, "`"+label.GetName()+"`")
	}
	level := "stable"
	if experimental {
		level = "experimental"
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s |\n", "`"+family.GetName()+"`", strings.ToLower(family.GetType().String()),
		strings.Join(labels, ", "), level, family.GetHelp())
}
