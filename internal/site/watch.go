package site

import (
	"slices"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

const (
	// A target that was late is given patienceFactor times its usual time, and at least
	// minPatience. An engine is given less, because no session depends on it: it must not
	// delay the scrape beyond the links, which take 100 ms or more
	// (docs/qlik.md, "Session list").
	minPatience         = 250 * time.Millisecond
	minPatienceOfEngine = 50 * time.Millisecond
	patienceFactor      = 5
	// slowFailure is the duration from which a failure counts like no answer. An example
	// is a DNS server that hangs.
	slowFailure = time.Second
	// A target probably hangs after suspiciousFactor times its usual time, and at least
	// slowFailure. A target that has never answered probably hangs after unknownPatience.
	suspiciousFactor = 2
	unknownPatience  = 5 * time.Second
	// maxRunning is the maximum number of concurrent requests to a target: one of a caller
	// with a short deadline, and one of the next round.
	maxRunning = 2
)

// watch keeps the response times of a target between rounds, so that one that hangs
// slows down only one scrape. Times count from the start of the requests of a round.
type watch struct {
	minimum time.Duration // of the patience
	begins  time.Duration // usual time until the response begins; 0 before the first response
	takes   time.Duration // usual time until the response is complete; 0 before the first response
	late    bool          // it hung and has not answered in time since
	running []time.Time   // start times of requests in progress that are newer than the last answer, oldest first
}

func newWatch(t target) *watch {
	if t.engine != nil {
		return &watch{minimum: minPatienceOfEngine}
	}
	return &watch{minimum: minPatience}
}

// patience returns how long to wait for a target that was late: until its response
// begins, and until it is complete. The response of a link that hangs does not begin,
// while the list of a large site only takes long to read. Slow targets get more time.
func (w *watch) patience() (begins, whole time.Duration) {
	return max(patienceFactor*w.begins, w.minimum), max(patienceFactor*w.takes, w.minimum)
}

// suspicious returns the time without an answer after which the target probably hangs.
// Before that, the deadline of the caller may have been short.
func (w *watch) suspicious() time.Duration {
	if w.takes == 0 {
		return unknownPatience
	}
	return max(suspiciousFactor*w.takes, slowFailure)
}

// busy reports whether no new request must be sent to the target, because the requests
// in progress show that it hangs.
func (w *watch) busy(now time.Time) bool {
	return len(w.running) >= maxRunning || len(w.running) > 0 && now.Sub(w.running[0]) >= w.suspicious()
}

// asked records the start of a request.
func (w *watch) asked(at time.Time) { w.running = append(w.running, at) }

// ended records the end of a request. It returns false if a newer request has been
// answered in the meantime, so that the result is outdated.
func (w *watch) ended(asked time.Time) bool {
	i := slices.Index(w.running, asked)
	if i < 0 {
		return false
	}
	w.running = slices.Delete(w.running, i, i+1)
	return true
}

// answered records an answer that arrived in time: when it began and when it was
// complete.
func (w *watch) answered(began, took time.Duration, err error) {
	w.running = nil // the results of older requests are outdated
	if err != nil {
		_, whole := w.patience()
		w.late = qlik.KindOf(err) == qlik.KindTimeout || took > max(whole, slowFailure)
		return
	}
	w.begins, w.takes = moved(w.begins, began), max(moved(w.takes, took), 1) // clocks may be coarse
	w.late = false
}

// moved returns the usual time after a new measurement. It falls fast and rises slowly,
// because a single slow response may have been caused by a busy machine.
func moved(usual, seen time.Duration) time.Duration {
	switch {
	case usual == 0:
		return seen
	case seen < usual:
		return usual - (usual-seen)/2
	default:
		return usual + (seen-usual)/8
	}
}

// missed records that the wait for an answer ended after a time. A target that keeps
// hanging gets less and less time.
func (w *watch) missed(waited time.Duration) {
	switch {
	case waited < w.suspicious():
	case w.late:
		w.begins, w.takes = w.begins/2, w.takes/2
	default:
		w.late = true
	}
}

// answeredLate records the end of a request that was no longer waited for. A timeout
// shows that the target hangs. An answer shows that it works, so its patience rises to the
// time of this answer plus a quarter. If the answer took longer than the whole round,
// the target stays late: waiting for it would cost every round its whole time.
func (w *watch) answeredLate(began, took, round time.Duration, err error) {
	const share = patienceFactor - 1
	switch {
	case err != nil:
		w.late = w.late || qlik.KindOf(err) == qlik.KindTimeout
	case took < round:
		w.begins, w.takes = max(w.begins, began/share), max(w.takes, took/share)
	default:
		w.late = true
	}
}
