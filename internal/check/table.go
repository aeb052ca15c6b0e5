package check

import (
	"fmt"
	"io"
	"strings"

	"github.com/rivo/uniseg"

	"github.com/qlik-exporter/qlik_exporter/internal/terminal"
	"github.com/qlik-exporter/qlik_exporter/internal/text"
)

var colors = map[Mark]string{OK: "\x1b[32m", Warning: "\x1b[33m", Failed: "\x1b[1;31m", Skipped: "\x1b[2m"}

// Table writes results as they become known, one line each.
type Table struct {
	out    io.Writer
	color  bool
	width  int // of the terminal; 0 breaks no lines
	step   int // width of the column of steps
	target int // width of the column of targets; it can grow
	err    error
}

// maxTarget is the maximum width of the column of targets. A longer target moves only the
// rest of its line.
const maxTarget = 40

// NewTable returns a table for a terminal of a width; 0 means no terminal. The hosts are
// those that are known before the check.
func NewTable(out io.Writer, color bool, width int, hosts ...string) *Table {
	t := &Table{out: out, color: color, width: width, target: len("client_key.pem")}
	for i := range siteSteps {
		t.step = max(t.step, len(siteSteps[i].name))
	}
	for i := range serverSteps {
		t.step = max(t.step, len(serverSteps[i].name))
	}
	for _, host := range hosts {
		t.fit(host)
	}
	return t
}

// Heading writes the name of a site, if there are several. Call it before the first Add.
func (t *Table) Heading(site string) {
	if site != "" {
		t.printf("Site %s\n\n", text.Visible(site))
	}
}

func (t *Table) fit(target string) {
	if width := uniseg.StringWidth(target); width <= maxTarget {
		t.target = max(t.target, width)
	}
}

// Add writes results.
func (t *Table) Add(results ...Result) {
	for i := range results {
		t.fit(results[i].Target)
	}
	for i := range results {
		r := &results[i]
		mark := fmt.Sprintf("%-4s", r.Mark)
		if t.color {
			mark = colors[r.Mark] + mark + "\x1b[0m"
		}
		place := terminal.Pad(r.Step, t.step) + "  " + terminal.Pad(r.Target, t.target)
		const indent = 6 // below the step
		found := terminal.Wrap(r.Text, indent+uniseg.StringWidth(place)+2, indent, t.width)
		if strings.HasPrefix(found, "\n") {
			place = strings.TrimRight(place, " ")
		} else {
			place += "  "
		}
		t.printf("%s  %s%s\n", mark, place, found)
	}
}

// End writes the advice and a summary. It returns the first error of writing.
func (t *Table) End(r *Report) error {
	if len(r.Advice) > 0 {
		t.printf("\nAdvice:\n")
	}
	for _, advice := range r.Advice {
		t.printf("- %s\n", terminal.Wrap(advice, len("- "), len("- "), t.width))
	}
	t.printf("\n%d ok, %s, %d failed, %d skipped\n", r.count(OK), text.Count(r.count(Warning), "warning"), r.count(Failed), r.count(Skipped))
	return t.err
}

func (t *Table) printf(format string, args ...any) {
	if t.err == nil {
		_, t.err = fmt.Fprintf(t.out, format, args...)
	}
}
