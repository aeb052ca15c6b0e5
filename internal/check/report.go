package check

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/text"
)

// Mark is the outcome of a step.
type Mark string

// The outcomes of a step.
const (
	OK      Mark = "ok"
	Warning Mark = "warn"
	Failed  Mark = "FAIL"
	Skipped Mark = "skip" // a prerequisite failed or is not configured
)

// Result is one result of a step. A step that tests several targets has several
// results.
type Result struct {
	Step   string `json:"step"`
	Target string `json:"target"` // such as a file, a host and port, or a link
	Mark   Mark   `json:"mark"`
	Text   string `json:"text"` // the finding; for a failure the cause, a colon, and the remedy
}

// Report holds the results of all steps and advice about the site. Control
// characters in names of the site are made visible, so that they cannot affect a
// terminal.
type Report struct {
	Site    string   `json:"site,omitempty"` // name of the site, if there are several
	Results []Result `json:"steps"`
	Advice  []string `json:"advice"` // independent of failures
}

// OK reports whether no step failed.
func (r *Report) OK() bool { return r.count(Failed) == 0 }

func (r *Report) count(mark Mark) int {
	n := 0
	for i := range r.Results {
		if r.Results[i].Mark == mark {
			n++
		}
	}
	return n
}

func visible(results []Result) []Result {
	results = slices.Clone(results)
	for i := range results {
		r := &results[i]
		r.Step, r.Target, r.Text = text.Visible(r.Step), text.Visible(r.Target), text.Visible(r.Text)
	}
	return results
}

func (r *Report) advise(texts ...string) {
	for _, advice := range texts {
		r.Advice = append(r.Advice, text.Visible(advice))
	}
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }

// WriteJSON writes the report as one JSON object.
func (r *Report) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(struct {
		OK bool `json:"ok"`
		*Report
	}{r.OK(), &Report{Site: r.Site, Results: append([]Result{}, r.Results...), Advice: append([]string{}, r.Advice...)}}) // [], not null
}
