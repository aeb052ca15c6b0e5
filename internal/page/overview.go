package page

import (
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// overview is what the landing page shows of a snapshot. It is kept instead of the snapshot,
// which needs far more memory.
type overview struct {
	sessions.Counts

	time     time.Time // of the snapshot
	state    sessions.State
	sessions int
	limit    int
	// nodeExpiry is the earliest end of validity of the certificates of proxies, and node is
	// the node with this certificate.
	nodeExpiry time.Time
	node       string
}

func newOverview(snapshot *headroom.Snapshot) *overview {
	o := &overview{
		Counts: sessions.Count(snapshot), time: snapshot.Time, state: sessions.NewState(snapshot),
		sessions: len(snapshot.Sessions), limit: snapshot.Limit,
	}
	for i := range snapshot.Links {
		link := &snapshot.Links[i]
		if at := link.CertificateExpiry; !at.IsZero() && (o.node == "" || at.Before(o.nodeExpiry)) {
			o.nodeExpiry, o.node = at, link.Node
		}
	}
	return o
}

// summarize remembers a snapshot for the landing page. A caller with a short deadline does
// not replace a snapshot of the same time in which more links answered.
func (r *Recent) summarize(snapshot *headroom.Snapshot) {
	next := newOverview(snapshot)
	if last := r.last.Load(); last == nil || !next.time.Equal(last.time) || next.state.Answered >= last.state.Answered {
		r.last.Store(next)
	}
}
