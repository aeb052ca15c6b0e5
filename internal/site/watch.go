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
// costs one slow scrape and not every scrape.
type watch struct {
	usual   time.Duration // what its answers usually take, from when the site is asked; 0 before the first
	late    bool          // it did not answer in time, and has not done so since
	running bool          // its last request is still under way
}

// patience is how long a link is waited for that was late before. One that always
// takes long is given long.
func (w *watch) patience() time.Duration { return max(patienceFactor*w.usual, minPatience) }

// answered notes an answer that was waited for.
func (w *watch) answered(took time.Duration, err error) {
	if err != nil {
		w.late = qlik.KindOf(err) == qlik.KindTimeout || took > max(w.patience(), slowFailure)
		return
	}
	if w.usual == 0 {
		w.usual = took
	}
	w.usual += (took - w.usual) / 4
	w.late = false
}

// missed notes that an answer is not waited for any longer.
func (w *watch) missed() { w.late = true }

// answeredLate notes an answer that nobody waited for. It only shows that the link
// is alive, and whether it deserves more patience: not if it took longer than the
// whole flight, because then it would cost every flight its whole time.
func (w *watch) answeredLate(took, flight time.Duration, err error) {
	if err == nil && took < flight {
		w.usual = max(w.usual, took)
	}
}
