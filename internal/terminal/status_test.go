package terminal

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestStatus checks that the line appears after a second, makes room for what is written
// above it, never takes two lines, and is removed at the end.
func TestStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		s := &Status{out: &out, columns: func() int { return 20 }}
		s.Above(func() { _, _ = out.WriteString("first\n") })
		begun := time.Now()
		stop := s.Follow(func() string { return "waiting " + time.Since(begun).String() + strings.Repeat(" long", 20) })
		time.Sleep(2500 * time.Millisecond)
		s.Above(func() { _, _ = out.WriteString("second\n") })
		time.Sleep(time.Second)
		stop()
		stop()
		want := "first\n" +
			"\r\x1b[Kwaiting 1s long lo…" +
			"\r\x1b[Kwaiting 2s long lo…" +
			"\r\x1b[Ksecond\n" +
			"\r\x1b[Kwaiting 3s long lo…" +
			"\r\x1b[K"
		if out.String() != want {
			t.Errorf("got %q", &out)
		}
	})
}

// TestNoStatus checks that a file gets no status.
func TestNoStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		s := NewStatus(&out)
		stop := s.Follow(func() string { return "waiting" })
		time.Sleep(time.Minute)
		s.Above(func() { _, _ = out.WriteString("only this") })
		stop()
		if out.String() != "only this" {
			t.Errorf("got %q", &out)
		}
	})
}
