package check

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/qlik-exporter/qlik_exporter/internal/text"
)

// Mark says how a rung went.
type Mark string

// The marks.
const (
	OK      Mark = "ok"
	Warning Mark = "warn"
	Failed  Mark = "FAIL"
	Skipped Mark = "skip" // a rung below it failed, or it is not configured
)

// Rung is one thing that was tried.
type Rung struct {
	Name   string `json:"rung"`
	Target string `json:"target"` // against what
	Mark   Mark   `json:"mark"`
	Text   string `json:"text"` // what was found; of a failure the cause, a colon, and the remedy
}

// Report is what was found. Its texts hold nothing that a terminal would act
// upon, whatever the site calls its parts.
type Report struct {
	Site   string   `json:"site,omitempty"` // its name, where there are several
	Rungs  []Rung   `json:"rungs"`
	Advice []string `json:"advice"` // about the site, which answers all the same
}

// OK says whether no rung failed.
func (r *Report) OK() bool { return r.count(Failed) == 0 }

func (r *Report) count(mark Mark) int {
	n := 0
	for i := range r.Rungs {
		if r.Rungs[i].Mark == mark {
			n++
		}
	}
	return n
}

func (r *Report) add(rungs ...Rung) {
	for _, rung := range rungs {
		rung.Name, rung.Target, rung.Text = printable(rung.Name), printable(rung.Target), printable(rung.Text)
		r.Rungs = append(r.Rungs, rung)
	}
}

func (r *Report) advise(format string, args ...any) {
	r.Advice = append(r.Advice, printable(fmt.Sprintf(format, args...)))
}

// printable shows what is not a visible character by its number: line breaks,
// terminal escapes, marks that turn the direction of text.
func printable(s string) string { return text.Visible(s) }

var colors = map[Mark]string{OK: "\x1b[32m", Warning: "\x1b[33m", Failed: "\x1b[1;31m", Skipped: "\x1b[2m"}

// WriteTable writes a line for each rung, then the advice, and a summary.
func (r *Report) WriteTable(w io.Writer, color bool) error {
	name, target := 0, 0
	for i := range r.Rungs {
		name = max(name, utf8.RuneCountInString(r.Rungs[i].Name))
		target = max(target, utf8.RuneCountInString(r.Rungs[i].Target))
	}
	var table strings.Builder
	if r.Site != "" {
		fmt.Fprintf(&table, "Site %s\n\n", r.Site)
	}
	for _, rung := range r.Rungs {
		mark := fmt.Sprintf("%-4s", rung.Mark)
		if color {
			mark = colors[rung.Mark] + mark + "\x1b[0m"
		}
		fmt.Fprintf(&table, "%s  %-*s  %-*s  %s\n", mark, name, rung.Name, target, rung.Target, rung.Text)
	}
	if len(r.Advice) > 0 {
		table.WriteString("\nAbout the site:\n")
	}
	for _, advice := range r.Advice {
		fmt.Fprintf(&table, "- %s\n", advice)
	}
	fmt.Fprintf(&table, "\n%d ok, %s, %d failed, %d skipped\n", r.count(OK), count(r.count(Warning), "warning", "warnings"), r.count(Failed), r.count(Skipped))
	_, err := io.WriteString(w, table.String())
	return err
}

// WriteJSON writes the report as one object.
func (r *Report) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(struct {
		OK bool `json:"ok"`
		*Report
	}{r.OK(), &Report{Site: r.Site, Rungs: slices.Concat([]Rung{}, r.Rungs), Advice: slices.Concat([]string{}, r.Advice)}})
}
