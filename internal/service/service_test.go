package service

import (
	"strings"
	"testing"

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
