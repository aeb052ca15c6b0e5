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

// targetLabels are labels that Prometheus set-ups give to targets. One of ours with the same
// name would be renamed, or would hide theirs.
var targetLabels = []string{
	"app", "cluster", "container", "customer", "datacenter", "endpoint", "env", "environment", "host", "hostname", "instance", "job", "name", "namespace", "node",
	"pod", "prometheus", "region", "replica", "service", "site", "stage", "team", "tenant", "version", "zone",
}

// TestDescriptors checks the rules of a registry and our own conventions. It also
// checks that the golden file, which serves as a list of all metrics, has each metric.
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
			t.Errorf("%s is not a valid metric name", d.name)
		case (d.kind == dto.MetricType_COUNTER) != strings.HasSuffix(d.name, "_total"):
			t.Errorf("%s is a %s", d.name, d.kind)
		case !strings.HasSuffix(d.help, "."):
			t.Errorf("%s: the help %q is not a sentence", d.name, d.help)
		case !strings.Contains(string(golden), "\n# TYPE "+d.name+" ") && !strings.HasPrefix(string(golden), "# HELP "+d.name+" "):
			t.Errorf("%s is not in the golden file", d.name)
		}
		known[d.name] = true
		for j, label := range d.labels {
			if !labelName.MatchString(label) || slices.Contains(d.labels[:j], label) {
				t.Errorf("%s: %s is not a valid label name, or occurs twice", d.name, label)
			}
			if slices.Contains(targetLabels, label) {
				t.Errorf("%s: %s is a label of targets", d.name, label)
			}
		}
	}
	if len(known) < 40 {
		t.Errorf("%d descriptors; are these all?", len(known))
	}
}
