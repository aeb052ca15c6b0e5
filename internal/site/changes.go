package site

import (
	"maps"
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

// log is told why something fails, or that it works (reason is ""). If that is new
// it calls fails, or works, which may be nil.
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

// forget forgets what failed and is not there any more.
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
