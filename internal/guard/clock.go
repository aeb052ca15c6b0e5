package guard

import "time"

// maxStep is by how much the clock may step within the idle time: idle times are minutes.
const maxStep = 5 * time.Second

// clock notices when the clock of the exporter jumps: when it was set, or when the machine
// was suspended. If the clock of the repository jumps with it, sessions look idle that were
// used just before. Many small steps are a jump, so each time is compared with one that is
// up to an idle time old.
type clock struct {
	offset  time.Duration // between the clock and the uptime
	since   time.Duration // uptime of the offset
	known   bool
	trusted time.Duration // uptime from which idle times are known again
}

// jumped reports whether the clock has jumped within the idle time.
func (c *clock) jumped(now time.Time, uptime, idle time.Duration) bool {
	offset := time.Duration(now.UnixNano()) - uptime
	jumped := c.known && (offset-c.offset).Abs() > maxStep
	if jumped {
		c.trusted = uptime + idle
	}
	if !c.known || jumped || uptime-c.since >= idle {
		c.offset, c.since, c.known = offset, uptime, true
	}
	return uptime < c.trusted
}
