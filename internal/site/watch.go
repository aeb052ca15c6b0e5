package site

import (
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
)

// watch is what is remembered of a link between flights, so that one that hangs
// costs one slow scrape and not every scrape. Times are counted from when the site
// is asked.
type watch struct {
	begins  time.Duration // when its answers usually begin; 0 before the first
	takes   time.Duration // when they usually are whole; 0 before the first
	late    bool          // it did not answer in time, and has not done so since
	running bool          // its last request is still under way
}

// patience is how long a link is waited for that was late before: until its answer
// begins, and until it is whole. One that hangs does not even begin; to read the
// list of a large site takes longer. One that always takes long is given long.
func (w *watch) patience() (begins, whole time.Duration) {
	return max(patienceFactor*w.begins, minPatience), max(patienceFactor*w.takes, minPatience)
}

// answered notes an answer that was waited for: when it began, and when it was
// whole.
func (w *watch) answered(began, took time.Duration, err error) {
	if err != nil {
		_, whole := w.patience()
		w.late = qlik.KindOf(err) == qlik.KindTimeout || took > max(whole, slowFailure)
		return
	}
	w.begins, w.takes = moved(w.begins, began), moved(w.takes, took)
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

// missed notes that an answer is not waited for any longer.
func (w *watch) missed() { w.late = true }

// answeredLate notes an answer that nobody waited for. It only shows that the link
// is alive, and whether it deserves more patience: not if it took longer than the
// whole flight, because then it would cost every flight its whole time.
func (w *watch) answeredLate(began, took, flight time.Duration, err error) {
	if err == nil && took < flight {
		w.begins, w.takes = max(w.begins, began), max(w.takes, took)
	}
}
