package site

import (
	"sync"

	"github.com/go-kit/log"
)

// changes logs what begins to fail, fails for another reason, or works again:
// each change once, however often it is seen.
type changes struct {
	logger log.Logger

	mu      sync.Mutex        // guards what follows
	reasons map[string]string // by what fails
}

// note notes that something works (reason is "") or why it does not. If that is
// new, it calls works or fails.
func (c *changes) note(what, reason string, works, fails func(log.Logger)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.reasons[what]
	if reason == before {
		return
	}
	if c.reasons == nil {
		c.reasons = make(map[string]string)
	}
	c.reasons[what] = reason
	if reason == "" {
		works(c.logger)
	} else {
		fails(c.logger)
	}
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
