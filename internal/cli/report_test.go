package cli

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/report"
)

func TestUntilTime(t *testing.T) {
	berlin := time.FixedZone("CET", 3600)
	now := time.Date(2026, time.November, 23, 0, 30, 0, 0, berlin) // still Sunday in UTC
	for words, want := range map[string]string{
		"now":                       "2026-11-23T00:30:00+01:00",
		"today":                     "2026-11-23T00:00:00+01:00",
		"2026-11-23":                "2026-11-23T00:00:00+01:00",
		"2026-10-01":                "2026-10-01T00:00:00+01:00",
		"2026-11-22T06:00:00Z":      "2026-11-22T07:00:00+01:00",
		"2026-11-22T06:00:00+05:30": "2026-11-22T01:30:00+01:00",
		"2026-11-24":                "2026-11-24 is in the future",
		"2026-11-22T24:00:00Z":      `must be now, today, a date such as 2026-11-23, or a time such as 2026-11-23T06:00:00Z, not "2026-11-22T24:00:00Z"`,
		"monday":                    `must be now, today, a date such as 2026-11-23, or a time such as 2026-11-23T06:00:00Z, not "monday"`,
		"":                          `must be now, today, a date such as 2026-11-23, or a time such as 2026-11-23T06:00:00Z, not ""`,
	} {
		to, err := untilTime(words, now)
		got := to.Format(time.RFC3339)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", words, got, want)
		}
	}
}

func TestReportFormat(t *testing.T) {
	for _, test := range []struct{ output, file, want string }{
		{"", "", formatHTML}, // tests have no terminal
		{"", "report.html", formatHTML},
		{"", "report.TXT", formatText},
		{"", "report.json", formatJSON},
		{"", "report", formatHTML},
		{"json", "report.html", formatJSON},
		{"text", "", formatText},
	} {
		c := &reportCommand{format: test.output, file: test.file}
		if got := c.formatFor(io.Discard); got != test.want {
			t.Errorf("--output=%s --file=%s: got %s, want %s", test.output, test.file, got, test.want)
		}
	}
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("this machine has no pseudoterminals: %v", err)
	}
	defer func() { _ = terminal.Close() }()
	if got := (&reportCommand{}).formatFor(terminal); got != formatText {
		t.Errorf("on a terminal: got %s", got)
	}
}

// TestReportJSON checks that names cannot change the display of a terminal.
func TestReportJSON(t *testing.T) {
	var out strings.Builder
	c := &reportCommand{format: formatJSON}
	if err := c.write(&out, &report.Report{Warnings: []string{"\u202e\u009b31m"}}, io.Discard, time.UTC); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), `"\u202e\u009b31m"`) {
		t.Error(out.String())
	}
}

// TestReplaceFile checks that a report replaces a file, and nothing else.
func TestReplaceFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "report.html")
	for _, content := range []string{"old", "new"} {
		if err := (&reportCommand{file: file}).replaceFile([]byte(content)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != content {
			t.Error(string(got), err)
		}
	}
	for _, wrong := range []string{dir, filepath.Join(dir, "missing", "report.html")} {
		if err := (&reportCommand{file: wrong}).replaceFile([]byte("new")); err == nil {
			t.Errorf("%s: no error", wrong)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "missing")); err == nil {
		t.Error("a folder was created")
	}
}
