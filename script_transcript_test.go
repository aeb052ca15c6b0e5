package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/rogpeppe/go-internal/testscript"
)

// printed is the output of a command.
type printed struct {
	command        string
	args           []string
	stdout, stderr string
	status         int
}

// record adds a command and its output to the transcript of the script.
func record(ts *testscript.TestScript, p printed) {
	var text strings.Builder
	path := ts.MkAbs("transcript")
	if _, err := os.Stat(path); err == nil {
		text.WriteString("\n") // between commands
	}
	text.WriteString("$ " + p.command)
	for _, arg := range p.args {
		if arg == "" || strings.ContainsAny(arg, " '") {
			arg = "'" + strings.ReplaceAll(arg, "'", "''") + "'"
		}
		text.WriteString(" " + arg)
	}
	text.WriteString("\n")
	by := slices.Concat(masks, timeMasks)
	if ts.Getenv(clockFileOf) != "" {
		by = masks // a simulated clock is the same in each run
	}
	for _, output := range []struct{ prefix, text string }{{"", mask(p.stdout, by)}, {"stderr: ", sortLog(mask(p.stderr, by))}} {
		for line := range strings.Lines(output.text) {
			text.WriteString(output.prefix + line)
			if !strings.HasSuffix(line, "\n") {
				text.WriteString("\n(no newline at the end)\n")
			}
		}
	}
	if p.status != 0 {
		fmt.Fprintf(&text, "exit status %d\n", p.status)
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	ts.Check(err)
	shown := strings.ReplaceAll(text.String(), ts.Getenv("WORK"), "$WORK")
	if exporter := ts.Getenv("EXPORTER"); exporter != "" {
		shown = strings.ReplaceAll(shown, exporter, "$EXPORTER")
	}
	_, err = file.WriteString(shown)
	ts.Check(errors.Join(err, file.Close()))
}

// sortLog sorts consecutive lines of the log, and of sentences about requests, because
// concurrent requests fail in any order.
func sortLog(text string) string {
	lines := strings.SplitAfter(text, "\n")
	for start := 0; start < len(lines); start++ {
		end := start
		for end < len(lines) && (strings.HasPrefix(lines[end], "ts=") || strings.HasPrefix(lines[end], "Cannot read from")) {
			end++
		}
		slices.Sort(lines[start:end])
		start = max(start, end)
	}
	return strings.Join(lines, "")
}

// replacement replaces text that differs between runs or machines.
type replacement struct {
	pattern *regexp.Regexp
	by      string
}

// timeMasks replaces times of day.
var timeMasks = []replacement{
	{regexp.MustCompile(`\b(\d+ [A-Z][a-z]+ (\d{4} )?)?\d\d:\d\d:\d\d [A-Z+-][A-Z\d]+\b`), "<TIME>"},
	{regexp.MustCompile(`<TIME> \(in [\w ]+\)`), "<TIME> (in <DURATION>)"},
}

// masks replaces everything else.
var masks = []replacement{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)`), "<TIMESTAMP>"},
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\d\b`), "<DATE>"},
	{regexp.MustCompile(`\b\d+ ms\b`), "<N> ms"},
	{regexp.MustCompile(`\bwithin \d+s of this machine\b`), "within <N>s of this machine"},
	{regexp.MustCompile(`\b(duration(?:=|":"))[\d.]+[a-zµ]+`), "${1}<DURATION>"},
	{regexp.MustCompile(`\b(caller(?:=|":"))\w+\.go:\d+\b`), "${1}<CALLER>"},
	{regexp.MustCompile(`\bby(=|":)"?(\w+ as )?[^"\n]*?@[^"\s]+"?`), `by$1"$2<USER>@<HOST>"`},
	{regexp.MustCompile(`\b(127\.0\.0\.1:|qlik\d:|port )\d{5}\b`), "$1<PORT>"},
	// The topology consists of two lists that are requested concurrently.
	{regexp.MustCompile(`/qrs/(proxyservice|virtualproxyconfig)/full`), "/qrs/<TOPOLOGY>/full"},
}

// mask makes a text independent of the time and the machine.
func mask(text string, by []replacement) string {
	paragraphs := strings.Split(text, "\n\n")
	for i, paragraph := range paragraphs {
		masked := paragraph
		for _, m := range by {
			masked = m.pattern.ReplaceAllString(masked, m.by)
		}
		if masked != paragraph {
			paragraphs[i] = align(masked)
		}
	}
	return strings.Join(paragraphs, "\n\n")
}

// betweenCells matches the separator between the columns of a table.
var betweenCells = regexp.MustCompile(`(\S) {2,}`)

// align formats tables again, because masked text can have any width. For example, a
// time includes a date shortly before midnight.
func align(text string) string {
	var aligned strings.Builder
	w := tabwriter.NewWriter(&aligned, 0, 0, 2, ' ', 0)
	_, _ = io.WriteString(w, betweenCells.ReplaceAllString(text, "$1\t")) // into memory
	_ = w.Flush()
	return aligned.String()
}

// TestMask checks that a masked table with a time is the same at any time of day in
// any time zone, and that a table without a time does not change.
func TestMask(t *testing.T) {
	for table, want := range map[string]string{
		"USER  NEXT SLOT BY  IDLE\nanna  12:34:56 UTC  4 min\nbert  -             -\n": "" +
			"USER  NEXT SLOT BY  IDLE\nanna  <TIME>        4 min\nbert  -             -\n",
		"USER  NEXT SLOT BY          IDLE\nanna  27 Nov 00:03:17 CEST  4 min\nbert  -                     -\n": "" +
			"USER  NEXT SLOT BY  IDLE\nanna  <TIME>        4 min\nbert  -             -\n",
		"USER  NEXT SLOT BY                        IDLE\nanna  1 Jan 2027 00:03:17 CEST (in 5 min)  4 min\n": "" +
			"USER  NEXT SLOT BY            IDLE\nanna  <TIME> (in <DURATION>)  4 min\n",
		"USER  IDLE\nanna    4 min\n\nat 12:34:56 UTC\n": "USER  IDLE\nanna    4 min\n\nat <TIME>\n",
	} {
		if got := mask(table, timeMasks); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
}
