// Package slogbridge lets libraries that log through log/slog write to a
// go-kit logger, so that a program has one log with one set of keys.
package slogbridge

import (
	"context"
	"log/slog"
	"path"
	"slices"
	"strconv"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
)

// NewHandler returns a handler that writes records of at least the level
// minimum to logger.
//
// Each line has the keys caller, level, and msg, in the order that go-kit
// programs use, followed by the attributes. Attributes in groups have dotted
// keys. The logger adds the time. It must not add [log.DefaultCaller], which would
// find this package; the caller comes from the record.
func NewHandler(logger log.Logger, minimum slog.Leveler) slog.Handler {
	return &handler{logger: logger, minimum: minimum}
}

type handler struct {
	logger  log.Logger
	minimum slog.Leveler
	keyvals []any  // from WithAttrs; never appended to in place
	prefix  string // the open groups, each followed by a dot
}

// Enabled filters here, and not only in a go-kit filter behind the handler, so that
// slog does not build the record.
func (h *handler) Enabled(_ context.Context, l slog.Level) bool {
	return l >= h.minimum.Level()
}

// Handle adds the level to the keyvals. Functions such as level.Info would put it
// before the time. A go-kit filter finds it in both places.
func (h *handler) Handle(_ context.Context, r slog.Record) error {
	keyvals := make([]any, 0, 6+len(h.keyvals)+2*r.NumAttrs())
	if s := r.Source(); s != nil {
		keyvals = append(keyvals, "caller", path.Base(s.File)+":"+strconv.Itoa(s.Line))
	}
	keyvals = append(keyvals, level.Key(), levelValue(r.Level), "msg", r.Message)
	keyvals = append(keyvals, h.keyvals...)
	r.Attrs(func(a slog.Attr) bool {
		keyvals = appendAttr(keyvals, h.prefix, a)
		return true
	})
	return h.logger.Log(keyvals...)
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	// Two handlers derived from this one must not share the spare capacity.
	c.keyvals = slices.Clip(c.keyvals)
	for _, a := range attrs {
		c.keyvals = appendAttr(c.keyvals, c.prefix, a)
	}
	return &c
}

func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	c := *h
	c.prefix += name + "."
	return &c
}

func appendAttr(keyvals []any, prefix string, a slog.Attr) []any {
	a.Value = a.Value.Resolve()
	if a.Equal(slog.Attr{}) {
		return keyvals
	}
	if a.Value.Kind() == slog.KindGroup {
		if a.Key != "" { // A group without a name is inlined.
			prefix += a.Key + "."
		}
		for _, member := range a.Value.Group() {
			keyvals = appendAttr(keyvals, prefix, member)
		}
		return keyvals
	}
	if a.Key == "" {
		a.Key = "!BADKEY" // As in slog; logfmt drops the whole line for an empty key.
	}
	// Any unwraps the slog.Value, so that JSON keeps numbers and booleans.
	return append(keyvals, prefix+a.Key, a.Value.Any())
}

func levelValue(l slog.Level) level.Value {
	switch {
	case l >= slog.LevelError:
		return level.ErrorValue()
	case l >= slog.LevelWarn:
		return level.WarnValue()
	case l >= slog.LevelInfo:
		return level.InfoValue()
	default:
		return level.DebugValue()
	}
}
