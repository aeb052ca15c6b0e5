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
// Each line gets the keys caller, level and msg, in the order that go-kit
// programs use, then the attributes; those in groups have dotted keys. The time
// is logger's business. The caller is not: only the record knows it, so logger
// must not be bound to [log.DefaultCaller], which would find this package.
func NewHandler(logger log.Logger, minimum slog.Leveler) slog.Handler {
	return &handler{logger: logger, minimum: minimum}
}

type handler struct {
	logger  log.Logger
	minimum slog.Leveler
	keyvals []any  // From WithAttrs; never appended to in place.
	prefix  string // The open groups, each followed by a dot.
}

// Enabled filters here, and not only in a go-kit filter behind, because slog
// then skips building the record.
func (h *handler) Enabled(_ context.Context, l slog.Level) bool {
	return l >= h.minimum.Level()
}

// Handle puts the level among the keyvals instead of calling level.Info and its
// like, which would put it before the time; a go-kit filter finds it either way.
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
	// Clipped: two handlers derived from this one must not share the tail.
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
