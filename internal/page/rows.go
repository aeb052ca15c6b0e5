package page

import (
	"fmt"
	"strings"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// rowView is a user in the table.
type rowView struct {
	Name          string // of the row, for the script
	Directory, ID string
	Anonymous     bool
	Level         string   // class: full, near, free or unlimited
	Slots         string   // "0 free"
	Meter         []string // classes of the slots, nil where they are too many to draw
	Sessions      string   // "5 of 5"
	Notes         []note
	Places        []placeView
	Age, Idle     string
	License       string
	Next          *moment
	In            string // until then
	NextUnknown   bool
	NeverEnded    string // what the user is, where its sessions are not ended
	Command       string // "" where the name is not safe to paste
}

// note is what is unusual about the sessions of a user.
type note struct{ Class, Text string }

// placeView is where a user has sessions.
type placeView struct {
	VirtualProxy, Node string
	Sessions           int
}

// maxDrawn is up to how many slots are drawn.
const maxDrawn = 10

// newRowView shows a user of a snapshot.
func newRowView(row *sessions.Row, snapshot *headroom.Snapshot, now time.Time) rowView {
	r := rowView{
		Name:      text.Visible(row.User.String()),
		Directory: text.Visible(row.User.Directory),
		ID:        text.Visible(row.User.ID),
		Anonymous: row.User == qlik.AnonymousUser,
		Level:     "unlimited",
		Sessions:  fmt.Sprint(row.Sessions),
		License:   strings.ReplaceAll(row.License, "_", " "),
	}
	for _, p := range row.Places {
		r.Places = append(r.Places, placeView{text.Visible(p.VirtualProxy), text.Visible(p.Node), p.Sessions})
	}
	if !row.FirstSeen.IsZero() {
		r.Age = text.Duration(now.Sub(row.FirstSeen))
		if !row.FirstSeen.After(snapshot.Tracking.Since) {
			r.Age = "≥ " + r.Age
		}
	}
	if !row.LastActivity.IsZero() {
		r.Idle = text.Duration(now.Sub(row.LastActivity))
	}
	if !row.Limited {
		return r
	}

	r.Slots = fmt.Sprintf("%d free", max(row.EffectiveHeadroom, 0))
	r.Sessions = fmt.Sprintf("%d of %d", row.Sessions, snapshot.Limit)
	r.Meter = meter(row, snapshot.Limit)
	switch slotsLeft(row) {
	case "0":
		r.Level = "full"
		if r.NextUnknown = row.NextSlot.IsZero(); !r.NextUnknown {
			next := newMoment(row.NextSlot, now)
			r.Next, r.In = &next, "in "+text.Duration(row.NextSlot.Sub(now))
		}
	case "1":
		r.Level = "near"
	default:
		r.Level = "free"
	}
	if row.Sessions > snapshot.Limit {
		r.Notes = append(r.Notes, note{"over", fmt.Sprintf("%d over the limit", row.Sessions-snapshot.Limit)})
	}
	if row.CoolingSlots > 0 {
		r.Notes = append(r.Notes, note{"cooling", fmt.Sprintf("%d cooling", row.CoolingSlots)})
	}
	// Usage rows may know of fewer slots than there are sessions, or of more.
	taken, counted := snapshot.Limit-row.EffectiveHeadroom, row.Sessions+row.CoolingSlots
	if taken != counted && taken != min(counted, snapshot.Limit) {
		r.Notes = append(r.Notes, note{"rows", text.Count(taken, "slot") + " taken"})
	}
	return r
}

// meter draws the slots of a user: taken, cooling and open.
func meter(row *sessions.Row, limit int) []string {
	if limit > maxDrawn {
		return nil
	}
	slots := make([]string, limit)
	taken := limit - row.EffectiveHeadroom
	for i := range slots {
		switch {
		case i >= taken:
			slots[i] = "open"
		case i >= taken-row.CoolingSlots:
			slots[i] = "cooling"
		default:
			slots[i] = "taken"
		}
	}
	return slots
}
