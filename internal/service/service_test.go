package service

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
)

func TestArgument(t *testing.T) {
	t.Chdir(t.TempDir())
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := filepath.Join(t.TempDir(), "certs")
	for _, test := range []struct{ flag, value, want string }{
		{"config.file", "sites.yml", filepath.Join(here, "sites.yml")},
		{"qlik.cert-dir", elsewhere, elsewhere},
		{"qlik.cert-dir", "", ""},
		{"web.config.file", "web.yml", filepath.Join(here, "web.yml")},
		{"qlik.audit-log", "qlik1=*.txt", "qlik1=" + filepath.Join(here, "*.txt")},
		{"qlik.audit-log", "*.txt", "*.txt"},
		{"qlik.host", "qlik1", "qlik1"},
	} {
		if got, err := Argument(test.flag, test.value); err != nil || got != test.want {
			t.Errorf("--%s=%s became %q (%v), want %q", test.flag, test.value, got, err, test.want)
		}
	}
}

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
