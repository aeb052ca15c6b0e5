package check

import (
	"slices"
	"sync"
	"time"
)

// Running is a step that runs.
type Running struct {
	Step, Target string
	Since        time.Time
}

// Progress holds the steps that run. It is safe for concurrent use.
type Progress struct {
	mu      sync.Mutex
	running []*Running
}

// Running returns the steps that run, the longest running first.
func (p *Progress) Running() []Running {
	p.mu.Lock()
	defer p.mu.Unlock()
	running := make([]Running, len(p.running))
	for i := range p.running {
		running[i] = *p.running[i]
	}
	return running
}

func (p *Progress) begin(step, target string) (end func()) {
	if p == nil {
		return func() {}
	}
	begun := &Running{Step: step, Target: target, Since: time.Now()}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running = append(p.running, begun)
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.running = slices.DeleteFunc(p.running, func(r *Running) bool { return r == begun })
	}
}

func (s *site) begin(step, target string) (end func()) { return s.Progress.begin(step, target) }

func (s *server) begin(step, target string) (end func()) { return s.site.Progress.begin(step, target) }
