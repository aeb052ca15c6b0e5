package check

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

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

func (r *Report) add(results ...Result) {
	for _, result := range results {
		result.Step, result.Target, result.Text = text.Visible(result.Step), text.Visible(result.Target), text.Visible(result.Text)
		r.Results = append(r.Results, result)
	}
}

func (r *Report) advise(texts ...string) {
	for _, advice := range texts {
		r.Advice = append(r.Advice, text.Visible(advice))
	}
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }

var colors = map[Mark]string{OK: "\x1b[32m", Warning: "\x1b[33m", Failed: "\x1b[1;31m", Skipped: "\x1b[2m"}

// WriteTable writes one line for each result, then the advice and a summary.
func (r *Report) WriteTable(w io.Writer, color bool) error {
	step, target := 0, 0
	for i := range r.Results {
		step = max(step, utf8.RuneCountInString(r.Results[i].Step))
		target = max(target, utf8.RuneCountInString(r.Results[i].Target))
	}
	var table strings.Builder
	if r.Site != "" {
		fmt.Fprintf(&table, "Site %s\n\n", r.Site)
	}
	for _, result := range r.Results {
		mark := fmt.Sprintf("%-4s", result.Mark)
		if color {
			mark = colors[result.Mark] + mark + "\x1b[0m"
		}
		fmt.Fprintf(&table, "%s  %-*s  %-*s  %s\n", mark, step, result.Step, target, result.Target, result.Text)
	}
	if len(r.Advice) > 0 {
		table.WriteString("\nAdvice:\n")
	}
	for _, advice := range r.Advice {
		fmt.Fprintf(&table, "- %s\n", advice)
	}
	fmt.Fprintf(&table, "\n%d ok, %s, %d failed, %d skipped\n", r.count(OK), text.Count(r.count(Warning), "warning"), r.count(Failed), r.count(Skipped))
	_, err := io.WriteString(w, table.String())
	return err
}

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
