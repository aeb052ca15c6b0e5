package site

import (
	"maps"
	"sync"

	"github.com/go-kit/log"
)

// changes logs each change of a state once: something starts to fail, fails for
// another reason, or works again.
type changes struct {
	logger log.Logger

	mu      sync.Mutex        // guards the fields below
	reasons map[string]string // reason of each failure, by what fails
}

// log records the reason why something fails, or "" if it works. If the reason has
// changed, log calls fails or works. The argument works may be nil.
func (c *changes) log(what, reason string, works, fails func(log.Logger)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if reason == c.reasons[what] {
		return
	}
	if c.reasons == nil {
		c.reasons = make(map[string]string)
	}
	c.reasons[what] = reason
	switch {
	case reason != "":
		fails(c.logger)
	case works != nil:
		works(c.logger)
	}
}

// forget removes the failures of things that no longer exist.
func (c *changes) forget(gone func(what string) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.reasons, func(what, _ string) bool { return gone(what) })
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
