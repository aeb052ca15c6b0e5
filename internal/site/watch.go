package site

import (
	"slices"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

const (
	// minPatience and patienceFactor bound how long a link is waited for that did
	// not answer in time before.
	minPatience    = 250 * time.Millisecond
	patienceFactor = 5
	// slowFailure is from when on a failure is as bad as no answer: a name server
	// that hangs, say.
	slowFailure = time.Second
	// A link seems to hang that has taken several times as long as usual, and at
	// least slowFailure; one that never answered, strangerPatience.
	suspiciousFactor = 2
	strangerPatience = 5 * time.Second
	// maxRunning bounds the requests to a link that are under way at once: that of a
	// caller who was in a hurry, and that of the next.
	maxRunning = 2
)

// watch is what is remembered of a link between flights, so that one that hangs
// costs one slow scrape and not every scrape. Times are counted from when the site
// is asked.
type watch struct {
	begins  time.Duration // when its answers usually begin; 0 before the first
	takes   time.Duration // when they usually are whole; 0 before the first
	late    bool          // it hung, and has not answered in time since
	running []time.Time   // when its requests began that are under way, the oldest first; none that are older than an answer
}

// patience is how long a link is waited for that was late before: until its answer
// begins, and until it is whole. One that hangs does not even begin; to read the
// list of a large site takes longer. One that always takes long is given long.
func (w *watch) patience() (begins, whole time.Duration) {
	return max(patienceFactor*w.begins, minPatience), max(patienceFactor*w.takes, minPatience)
}

// suspicious is how long without an answer shows that the link hangs, and not that
// the caller was in a hurry.
func (w *watch) suspicious() time.Duration {
	if w.takes == 0 {
		return strangerPatience
	}
	return max(suspiciousFactor*w.takes, slowFailure)
}

// busy reports whether the link must not be asked anew, because the requests under
// way show that it hangs.
func (w *watch) busy(now time.Time) bool {
	return len(w.running) >= maxRunning || len(w.running) > 0 && now.Sub(w.running[0]) >= w.suspicious()
}

// asked notes that a request begins.
func (w *watch) asked(at time.Time) { w.running = append(w.running, at) }

// ended notes that a request is over, and reports whether that says anything: not if
// a newer one was answered meanwhile.
func (w *watch) ended(asked time.Time) bool {
	i := slices.Index(w.running, asked)
	if i < 0 {
		return false
	}
	w.running = slices.Delete(w.running, i, i+1)
	return true
}

// answered notes an answer that was waited for: when it began, and when it was
// whole.
func (w *watch) answered(began, took time.Duration, err error) {
	w.running = nil // what becomes of older requests says nothing any more
	if err != nil {
		_, whole := w.patience()
		w.late = qlik.KindOf(err) == qlik.KindTimeout || took > max(whole, slowFailure)
		return
	}
	w.begins, w.takes = moved(w.begins, began), max(moved(w.takes, took), 1) // clocks may be coarse
	w.late = false
}

// moved returns what is usual after something was seen. It falls fast and rises
// slowly: that a machine was busy for a moment says little of the link.
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

// missed notes that an answer is not waited for any longer, after so long. A link
// that goes on hanging is given less and less.
func (w *watch) missed(waited time.Duration) {
	switch {
	case waited < w.suspicious():
	case w.late:
		w.begins, w.takes = w.begins/2, w.takes/2
	default:
		w.late = true
	}
}

// answeredLate notes the end of a request that nobody waited for. That it failed
// by the timeout shows that the link hangs. An answer shows that it is alive, and
// how long it must be waited for now: as long as this one took, and a quarter more.
// One that took longer than the whole flight would cost every flight its whole
// time, and is not worth it.
func (w *watch) answeredLate(began, took, flight time.Duration, err error) {
	const share = patienceFactor - 1
	switch {
	case err != nil:
		w.late = w.late || qlik.KindOf(err) == qlik.KindTimeout
	case took < flight:
		w.begins, w.takes = max(w.begins, began/share), max(w.takes, took/share)
	default:
		w.late = true
	}
}
