package site

import (
	"context"
	"sync"
)

// work is the goroutines of a site. They belong to no caller and end with the
// site.
type work struct {
	ctx    context.Context //nolint:containedctx // of the goroutines
	cancel context.CancelFunc
	group  sync.WaitGroup
}

func newWork() *work {
	w := new(work)
	w.ctx, w.cancel = context.WithCancel(context.Background()) //nolint:forbidigo // ended by end
	return w
}

// start starts a goroutine.
func (w *work) start(f func()) { w.group.Go(f) }

// ending reports whether the goroutines have been told to end.
func (w *work) ending() bool { return w.ctx.Err() != nil }

// end ends all goroutines and waits for them.
func (w *work) end() {
	w.cancel()
	w.group.Wait()
}
