package service

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
)

func TestLevelOf(t *testing.T) {
	for format, newLogger := range map[string]func(*strings.Builder) log.Logger{
		"logfmt": func(w *strings.Builder) log.Logger { return log.NewLogfmtLogger(w) },
		"json":   func(w *strings.Builder) log.Logger { return log.NewJSONLogger(w) },
	} {
		var line strings.Builder
		logger := level.NewFilter(log.With(newLogger(&line), "ts", log.DefaultTimestampUTC, "caller", log.DefaultCaller), level.AllowAll())
		for want, at := range map[string]func(log.Logger) log.Logger{
			"debug": level.Debug, "info": level.Info, "warn": level.Warn, "error": level.Error,
		} {
			line.Reset()
			const misleading = `level=fatal "level":"fatal"`
			if err := at(logger).Log("msg", misleading, "cause", misleading); err != nil {
				t.Fatal(err)
			}
			if got, ofLog := levelOf(line.String()); got != want || !ofLog {
				t.Errorf("%s: level %q, want %q: %s", format, got, want, line.String())
			}
		}
	}
	if got, ofLog := levelOf("qlik_exporter: error: --qlik.hots: there is no such flag; did you mean --qlik.host?"); ofLog {
		t.Errorf("level %q of a line that is not from the log", got)
	}
}

// TestOutput checks that the text with which a program ends is one event.
func TestOutput(t *testing.T) {
	var events []string
	out := &output{report: func(level, text string) error {
		events = append(events, level+": "+text)
		return nil
	}}
	logger := log.With(log.NewLogfmtLogger(out), "ts", "now", "caller", "a.go:1")
	for _, logged := range []error{
		level.Warn(level.NewFilter(logger, level.AllowAll())).Log("msg", "one"),
		level.Info(level.NewFilter(logger, level.AllowAll())).Log("msg", "two"),
	} {
		if logged != nil {
			t.Error(logged)
		}
	}
	for _, line := range []string{"qlik_exporter: warning: a\n", "qlik_exporter: error: b\n", "Next: c\n"} {
		if n, err := out.Write([]byte(line)); n != len(line) || err != nil {
			t.Error(n, err)
		}
	}
	out.end("error")
	want := []string{
		"warn: ts=now caller=a.go:1 level=warn msg=one", "info: ts=now caller=a.go:1 level=info msg=two",
		"error: qlik_exporter: warning: a\nqlik_exporter: error: b\nNext: c",
	}
	if !slices.Equal(events, want) {
		t.Errorf("the events are\n%q\nwant\n%q", events, want)
	}
	events = nil
	(&output{report: out.report}).end("error")
	if len(events) > 0 {
		t.Errorf("an end without a text is %q", events)
	}
}

func TestEventText(t *testing.T) {
	for text, want := range map[string]int{"a\x00b\n": 3, strings.Repeat("a", maxEvent): maxEvent, strings.Repeat("€", maxEvent): maxEvent + len(" (cut)")} {
		if got := eventText(text); len(got) != want || !utf8.ValidString(got) || strings.Contains(got, "\x00") {
			t.Errorf("%.10q: %d bytes, want %d: %.10q", text, len(got), want, got)
		}
	}
}

func TestOfInstaller(t *testing.T) {
	for args, want := range map[string]bool{"service configure -- --guard=off": true, "service install": false, "service": false, "": false} {
		if got := ofInstaller(strings.Fields(args)); got != want {
			t.Errorf("%s: %v", args, got)
		}
	}
}
