package slogbridge_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/slogtest"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/qlik-exporter/qlik_exporter/internal/slogbridge"
)

// TestSlogtest runs the conformance suite of the standard library. The suite
// expects the time under the key "time". This program writes "ts", so the test binds
// the logger to "time".
func TestSlogtest(t *testing.T) {
	var buf bytes.Buffer
	newHandler := func(t *testing.T) slog.Handler {
		t.Helper()
		if strings.HasSuffix(t.Name(), "/zero-time") {
			t.Skip("the time is bound to the go-kit logger, which has one for every line")
		}
		buf.Reset()
		logger := log.With(log.NewJSONLogger(&buf), "time", log.DefaultTimestampUTC)
		return slogbridge.NewHandler(logger, slog.LevelInfo)
	}
	slogtest.Run(t, newHandler, func(t *testing.T) map[string]any {
		t.Helper()
		return nest(t, buf.Bytes())
	})
}

// nest turns the dotted keys of a JSON line into nested maps, which is how
// slogtest looks for groups.
func nest(t *testing.T, line []byte) map[string]any {
	t.Helper()
	var flat map[string]any
	if err := json.Unmarshal(line, &flat); err != nil {
		t.Fatalf("line %q: %v", line, err)
	}
	nested := map[string]any{}
	for key, value := range flat {
		m := nested
		parts := strings.Split(key, ".")
		for _, group := range parts[:len(parts)-1] {
			inner, ok := m[group].(map[string]any)
			if !ok {
				inner = map[string]any{}
				m[group] = inner
			}
			m = inner
		}
		m[parts[len(parts)-1]] = value
	}
	return nested
}

type secret string

func (secret) LogValue() slog.Value { return slog.StringValue("masked") }

type endpoint struct{ host string }

func (e endpoint) LogValue() slog.Value {
	return slog.GroupValue(slog.String("host", e.host), slog.Int("port", 4243))
}

func TestLines(t *testing.T) {
	tests := []struct {
		name   string
		log    func(*slog.Logger)
		logfmt string
		json   string
	}{
		{
			name:   "debug",
			log:    func(l *slog.Logger) { l.Debug("m") },
			logfmt: `level=debug msg=m`,
			json:   `{"level":"debug","msg":"m"}`,
		},
		{
			name:   "info",
			log:    func(l *slog.Logger) { l.Info("Listening on", "address", "[::]:9986") },
			logfmt: `level=info msg="Listening on" address=[::]:9986`,
			json:   `{"address":"[::]:9986","level":"info","msg":"Listening on"}`,
		},
		{
			name:   "warn",
			log:    func(l *slog.Logger) { l.Warn("m") },
			logfmt: `level=warn msg=m`,
			json:   `{"level":"warn","msg":"m"}`,
		},
		{
			name:   "error",
			log:    func(l *slog.Logger) { l.Error("m", "err", errors.New("no such file")) },
			logfmt: `level=error msg=m err="no such file"`,
			json:   `{"err":"no such file","level":"error","msg":"m"}`,
		},
		{
			name:   "level between two names takes the lower",
			log:    func(l *slog.Logger) { l.Log(t.Context(), slog.LevelError-1, "m") },
			logfmt: `level=warn msg=m`,
			json:   `{"level":"warn","msg":"m"}`,
		},
		{
			name:   "types survive",
			log:    func(l *slog.Logger) { l.Info("m", "n", 20, "f", 0.5, "http2", true, "d", time.Second, "nil", nil) },
			logfmt: `level=info msg=m n=20 f=0.5 http2=true d=1s nil=null`,
			json:   `{"d":"1s","f":0.5,"http2":true,"level":"info","msg":"m","n":20,"nil":null}`,
		},
		{
			name: "groups become dotted prefixes",
			log: func(l *slog.Logger) {
				l.With("a", 1).WithGroup("g").With("b", 2).WithGroup("h").Info("m", "c", 3, slog.Group("i", "d", 4))
			},
			logfmt: `level=info msg=m a=1 g.b=2 g.h.c=3 g.h.i.d=4`,
			json:   `{"a":1,"g.b":2,"g.h.c":3,"g.h.i.d":4,"level":"info","msg":"m"}`,
		},
		{
			name:   "unnamed groups are inlined",
			log:    func(l *slog.Logger) { l.WithGroup("").Info("m", slog.Group("", "a", 1)) },
			logfmt: `level=info msg=m a=1`,
			json:   `{"a":1,"level":"info","msg":"m"}`,
		},
		{
			name:   "empty attributes and groups are dropped",
			log:    func(l *slog.Logger) { l.With(slog.Attr{}).Info("m", slog.Attr{}, slog.Group("g"), "a", 1) },
			logfmt: `level=info msg=m a=1`,
			json:   `{"a":1,"level":"info","msg":"m"}`,
		},
		{
			name:   "an attribute without a key does not cost the line",
			log:    func(l *slog.Logger) { l.Info("m", slog.Int("", 1)) },
			logfmt: `level=info msg=m !BADKEY=1`,
			json:   `{"!BADKEY":1,"level":"info","msg":"m"}`,
		},
		{
			name: "LogValuers are resolved",
			log: func(l *slog.Logger) {
				l.With("key", secret("k1")).Info("m", "key2", secret("k2"), "node", endpoint{"qlik1"})
			},
			logfmt: `level=info msg=m key=masked key2=masked node.host=qlik1 node.port=4243`,
			json:   `{"key":"masked","key2":"masked","level":"info","msg":"m","node.host":"qlik1","node.port":4243}`,
		},
	}
	// Another test covers the caller. Without it, the expected lines do not depend on
	// line numbers in this file.
	caller := regexp.MustCompile(`caller=\S+ |"caller":"[^"]*",`)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var buf bytes.Buffer
			tt.log(slog.New(slogbridge.NewHandler(log.NewLogfmtLogger(&buf), slog.LevelDebug)))
			if got := caller.ReplaceAllString(buf.String(), ""); got != tt.logfmt+"\n" {
				t.Errorf("logfmt\n got %swant %s", got, tt.logfmt)
			}
			buf.Reset()
			tt.log(slog.New(slogbridge.NewHandler(log.NewJSONLogger(&buf), slog.LevelDebug)))
			if got := caller.ReplaceAllString(buf.String(), ""); got != tt.json+"\n" {
				t.Errorf("JSON\n got %swant %s", got, tt.json)
			}
		})
	}
}

func TestKeyOrderAndCaller(t *testing.T) {
	var buf bytes.Buffer
	logger := log.With(log.NewLogfmtLogger(&buf), "ts", "now")
	slog.New(slogbridge.NewHandler(logger, slog.LevelInfo)).Info("m", "a", 1)
	if want := regexp.MustCompile(`^ts=now caller=slogbridge_test\.go:\d+ level=info msg=m a=1\n$`); !want.MatchString(buf.String()) {
		t.Errorf("got %q, want a match of %s", buf.String(), want)
	}
}

func TestEnabled(t *testing.T) {
	var minimum slog.LevelVar // a level that can change
	h := slogbridge.NewHandler(log.NewNopLogger(), &minimum)
	if h.Enabled(t.Context(), slog.LevelDebug) {
		t.Error("debug is enabled at level info")
	}
	if !h.Enabled(t.Context(), slog.LevelInfo) {
		t.Error("info is not enabled at level info")
	}
	minimum.Set(slog.LevelDebug)
	if !h.Enabled(t.Context(), slog.LevelDebug) {
		t.Error("debug is not enabled at level debug")
	}
}

// TestGoKitFilter shows that the level is one that go-kit's own filter knows.
func TestGoKitFilter(t *testing.T) {
	var buf bytes.Buffer
	filtered := level.NewFilter(log.NewLogfmtLogger(&buf), level.AllowWarn())
	l := slog.New(slogbridge.NewHandler(filtered, slog.LevelDebug))
	l.Info("dropped")
	l.Warn("kept")
	if got := buf.String(); strings.Contains(got, "dropped") || !strings.Contains(got, "level=warn msg=kept") {
		t.Errorf("got %q, want the warning only", got)
	}
}

// TestDerivedHandlersShareNothing checks that WithAttrs does not append to the
// attributes of its receiver in place. With -race, a violation is also reported.
func TestDerivedHandlersShareNothing(t *testing.T) {
	var buf bytes.Buffer
	parent := slog.New(slogbridge.NewHandler(log.NewLogfmtLogger(log.NewSyncWriter(&buf)), slog.LevelInfo))
	// Three pairs of keyvals leave spare capacity in the slice.
	parent = parent.With("a", 1).With("b", 2).With("c", 3)
	var wg sync.WaitGroup
	for _, name := range []string{"x", "y"} {
		wg.Go(func() { parent.With(name, name).Info(name) })
	}
	wg.Wait()
	parent.Info("parent")
	for _, want := range []string{
		"msg=x a=1 b=2 c=3 x=x\n",
		"msg=y a=1 b=2 c=3 y=y\n",
		"msg=parent a=1 b=2 c=3\n",
	} {
		if !strings.Contains(buf.String(), want) {
			t.Errorf("no line ends in %q:\n%s", want, buf.String())
		}
	}
}
