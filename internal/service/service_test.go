package service

import (
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
			if got := levelOf(line.String()); got != want {
				t.Errorf("%s: level %q, want %q: %s", format, got, want, line.String())
			}
		}
	}
	if got := levelOf("qlik_exporter: error: unknown long flag '--qlik.hots', try --help"); got != "error" {
		t.Errorf("level %q, want error", got)
	}
}

func TestEventText(t *testing.T) {
	for text, want := range map[string]int{"a\x00b\n": 3, strings.Repeat("a", maxEvent): maxEvent, strings.Repeat("€", maxEvent): maxEvent + len(" (cut)")} {
		if got := eventText([]byte(text)); len(got) != want || !utf8.ValidString(got) || strings.Contains(got, "\x00") {
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
