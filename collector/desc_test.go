package collector

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
)

// TestDescriptors: what a registry would refuse, and what is agreed on besides.
// Each metric is in the answer of a site that has something for every metric to
// say, which is used as a list of them.
func TestDescriptors(t *testing.T) {
	golden, err := os.ReadFile(filepath.Join("testdata", "company.prom"))
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`^qlik(_[a-z0-9]+)+$`)
	labelName := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	known := make(map[string]bool)
	for i, d := range descs {
		switch {
		case d.index != i:
			t.Errorf("%s has the index %d in place of %d", d.name, d.index, i)
		case known[d.name]:
			t.Errorf("%s is described twice", d.name)
		case !name.MatchString(d.name):
			t.Errorf("%s is no name of a metric of Qlik", d.name)
		case (d.kind == dto.MetricType_COUNTER) != strings.HasSuffix(d.name, "_total"):
			t.Errorf("%s is a %s", d.name, d.kind)
		case !strings.HasSuffix(d.help, "."):
			t.Errorf("%s: the help %q is no sentence", d.name, d.help)
		case !strings.Contains(string(golden), "\n# TYPE "+d.name+" ") && !strings.HasPrefix(string(golden), "# HELP "+d.name+" "):
			t.Errorf("%s is not expected", d.name)
		}
		known[d.name] = true
		for j, label := range d.labels {
			if !labelName.MatchString(label) || slices.Contains(d.labels[:j], label) {
				t.Errorf("%s: %s is no name of a label, or is there twice", d.name, label)
			}
		}
	}
	if len(known) < 40 {
		t.Errorf("%d descriptors; are these all?", len(known))
	}
}
