package check_test

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/check"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// reported is a result with the time since the start of the check.
type reported struct {
	check.Result

	after time.Duration
}

// watch runs a check and returns its results in the order in which they were reported.
func watch(ctx context.Context, config check.Config) (results []reported, report *check.Report, err error) {
	begun := time.Now()
	config.Report = func(now ...check.Result) {
		for _, r := range now {
			results = append(results, reported{r, time.Since(begun)})
		}
	}
	report, err = check.Run(ctx, config)
	return results, report, err
}

// requests returns the targets of the requests to proxies.
func requests(results []reported) (targets []string) {
	for _, r := range results {
		if r.Step == "request" && strings.HasSuffix(r.Target, ":4243") {
			targets = append(targets, r.Target)
		}
	}
	return targets
}

// TestReportedAtOnce checks that a node that hangs delays only its own results and what
// follows all nodes.
func TestReportedAtOnce(t *testing.T) {
	three := twoNodes()
	three.Nodes = append(three.Nodes, qliktest.Node{Name: "qlik3"})
	for name, test := range map[string]struct {
		fault    qliktest.Fault
		patience time.Duration
		want     []string
		after    time.Duration // of the results of healthy nodes after the slow one
	}{
		"healthy": {qliktest.NoFault, time.Second, []string{"qlik1:4243", "qlik2:4243", "qlik3:4243"}, 0},
		"in turn": {qliktest.Hanging, 0, []string{"qlik1:4243", "qlik2:4243", "qlik3:4243"}, 5 * time.Second},
		"patient": {qliktest.Hanging, time.Second, []string{"qlik1:4243", "qlik3:4243", "qlik2:4243"}, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				site, config := start(t, three)
				site.SetProxyFault("qlik2", test.fault)
				config.Patience, config.Qlik.Timeout = test.patience, 5*time.Second
				results, report, err := watch(t.Context(), config)
				if err != nil {
					t.Fatal(err)
				}
				if got := requests(results); !slices.Equal(got, test.want) {
					t.Errorf("reported %v", got)
				}
				if got := requests(inOrder(report)); !slices.Equal(got, []string{"qlik1:4243", "qlik2:4243", "qlik3:4243"}) {
					t.Errorf("in the report: %v", got)
				}
				if len(results) != len(report.Results) {
					t.Errorf("%d results were reported, the report has %d", len(results), len(report.Results))
				}
				for _, r := range results {
					latest := time.Duration(0)
					switch {
					case strings.HasPrefix(r.Target, "qlik3"):
						latest = test.after
					case strings.HasPrefix(r.Target, "qlik2") || slices.Contains([]string{"licenses", "license", "usage rows", "service account", "audit log", "clock"}, r.Step):
						continue
					}
					if r.after.Truncate(time.Second) > latest {
						t.Errorf("%s %s was reported after %s", r.Step, r.Target, r.after)
					}
				}
			})
		})
	}
}

func inOrder(report *check.Report) (results []reported) {
	for _, r := range report.Results {
		results = append(results, reported{Result: r})
	}
	return results
}

// TestInterruptedReports checks that an interrupt leaves what is known, also of the node that
// hangs, and nothing that looks like a failure.
func TestInterruptedReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site, config := start(t, twoNodes())
		site.SetProxyFault("qlik1", qliktest.Hanging)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		config.Progress = new(check.Progress)
		time.AfterFunc(3*time.Second, func() {
			running := config.Progress.Running()
			if len(running) != 1 || running[0].Step != "request" || running[0].Target != "qlik1:4243" || time.Since(running[0].Since).Round(time.Second) != 3*time.Second {
				t.Errorf("running: %+v", running)
			}
			cancel()
		})
		results, report, err := watch(ctx, config)
		if report != nil || err == nil || err.Error() != "interrupted" {
			t.Errorf("%v, %v", report, err)
		}
		last := results[len(results)-1]
		for _, r := range results {
			if r.Mark != check.OK {
				t.Errorf("%+v", r)
			}
		}
		if got := requests(results); !slices.Equal(got, []string{"qlik2:4243"}) || last.Target != "qlik2 /sales" {
			t.Errorf("requests %v; last %+v", got, last)
		}
		if !slices.ContainsFunc(results, func(r reported) bool { return r.Step == "server certificate" && r.Target == "qlik1:4243" }) {
			t.Error("nothing of the node that hangs")
		}
		if running := config.Progress.Running(); len(running) > 0 {
			t.Errorf("still running: %+v", running)
		}
	})
}

// TestTableFits checks that a line of the table is at most as wide as the terminal, and that
// no word is lost.
func TestTableFits(t *testing.T) {
	const remedy = "127.0.0.1:4243 refuses the connection: start the Qlik Sense Proxy Service on the node, or open port 4243 in the node's firewall"
	var out bytes.Buffer
	table := check.NewTable(&out, false, 60, "qlik1.acme.example")
	table.Add(check.Result{Step: "port", Target: "qlik2:4243", Mark: check.Failed, Text: remedy})
	if err := table.End(&check.Report{Advice: []string{remedy}}); err != nil {
		t.Fatal(err)
	}
	const want = `FAIL  port                qlik2:4243
      127.0.0.1:4243 refuses the connection: start the Qlik
      Sense Proxy Service on the node, or open port 4243 in
      the node's firewall

Advice:
- 127.0.0.1:4243 refuses the connection: start the Qlik
  Sense Proxy Service on the node, or open port 4243 in the
  node's firewall

0 ok, 0 warnings, 0 failed, 0 skipped
`
	if out.String() != want {
		t.Errorf("got\n%s", &out)
	}
}
