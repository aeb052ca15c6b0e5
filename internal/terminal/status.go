package terminal

import (
	"io"
	"sync"
	"time"
)

// Status is a line at the bottom of a terminal that says what a command waits for. Lines
// above it are written with Above. On anything but a terminal, it writes nothing. It is safe
// for concurrent use.
type Status struct {
	out     io.Writer // nil if it is no terminal
	columns func() int

	mu    sync.Mutex
	shown bool
}

const eraseLine = "\r\x1b[K"

// NewStatus returns a status line on an output.
func NewStatus(out io.Writer) *Status {
	if !Escapes(out) {
		return &Status{}
	}
	return &Status{out: out, columns: func() int { columns, _ := Size(out); return columns }}
}

// Follow shows every second what say returns, until the caller calls stop. The first time
// is after a second. stop removes the line.
func (s *Status) Follow(say func() string) (stop func()) {
	if s.out == nil {
		return func() {}
	}
	stopping, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-stopping:
				return
			case <-ticker.C:
				s.show(say())
			}
		}
	}()
	return sync.OnceFunc(func() {
		close(stopping)
		<-stopped
		s.show("")
	})
}

func (s *Status) show(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if text == "" && !s.shown {
		return
	}
	if columns := s.columns(); columns > 0 { // a second line would not be removed
		text = End.cut(text, columns-1)
	}
	s.shown = text != ""
	_, _ = io.WriteString(s.out, eraseLine+text) // it is not missed
}

// Above removes the line while write writes.
func (s *Status) Above(write func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shown {
		_, _ = io.WriteString(s.out, eraseLine)
		s.shown = false
	}
	write()
}
