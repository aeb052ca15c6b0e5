package guard

import "time"

// maxStep is the longest step of the clock that does not matter: idle times are minutes.
const maxStep = 5 * time.Second

// clock notices when the clock of the exporter jumps: when it was set, or when the machine
// was suspended. If the clock of the repository jumps with it, sessions look idle that were
// used just before.
type clock struct {
	offset  time.Duration // between the clock and the uptime
	known   bool
	trusted time.Duration // uptime from which idle times are known again
}

// jumped reports whether the clock has jumped within the idle time.
func (c *clock) jumped(now time.Time, uptime, idle time.Duration) bool {
	offset := time.Duration(now.UnixNano()) - uptime
	if c.known && (offset-c.offset).Abs() > maxStep {
		c.trusted = uptime + idle
	}
	c.offset, c.known = offset, true
	return uptime < c.trusted
}
