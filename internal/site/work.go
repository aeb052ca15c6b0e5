package site

import (
	"context"
	"sync"
)

// work runs the goroutines of a site. They do not depend on a caller and end with the
// site.
type work struct {
	ctx    context.Context //nolint:containedctx // the context of all goroutines
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

// ending reports whether the context of the goroutines was canceled.
func (w *work) ending() bool { return w.ctx.Err() != nil }

// end cancels all goroutines and waits for them.
func (w *work) end() {
	w.cancel()
	w.group.Wait()
}
