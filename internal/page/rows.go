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

// rowView is a user in the table. Its texts are safe to show.
type rowView struct {
	Name          string // identifies the row for the script
	URL           string // page of the user; "" for anonymous users
	Directory, ID string
	Anonymous     bool     // the row stands for all anonymous users
	Level         string   // CSS class: full, near, free, unlimited or unlicensed
	Slots         string   // such as "0 free"; "no license" for a user whose free slots are of no use
	Meter         []string // CSS class of each slot; nil if there are too many to draw
	Sessions      string   // such as "5 of 5"
	Notes         []note
	Places        []placeView
	MorePlaces    int    // places that are not shown
	Age, Idle     string // of the oldest session; since the last activity
	License       string
	Next          *moment // time of the next free slot; only for a user without one
	In            string  // duration until then
	NextUnknown   bool    // the user has no free slot and the time of the next is unknown
	Wait          bool    // ending sessions would not free a slot sooner than Next
	NeverEnded    string  // kind of user, if its sessions are never ended
	Advice        string  // what to do in place of ending sessions; "" if ending them may help
	Command       string  // command that ends sessions; "" if the name is not safe to paste
}

// note is a remark about the sessions of a user, such as "2 cooling".
type note struct{ Class, Text string }

// placeView is a virtual proxy and a node on which a user has sessions.
type placeView struct {
	VirtualProxy, Node string
	Sessions           int
}

// maxPlaces is the largest number of places that are shown for a user. A page has many
// users, and a runaway program can have sessions everywhere.
const maxPlaces = 20

// maxDrawn is the largest session limit for which slots are drawn.
const maxDrawn = 10

// newRowView returns the row of a user of a snapshot.
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
	r.MorePlaces = max(len(row.Places)-maxPlaces, 0)
	for _, p := range row.Places[:len(row.Places)-r.MorePlaces] {
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
	refusal := row.RefusedText(now)
	if r.Advice = row.Unlicensed.Advice(); r.Advice != "" {
		r.Level, r.Slots = "unlicensed", row.Unlicensed.Label()
		r.Notes = append(r.Notes, note{"unlicensed", refusal})
		return r
	}
	if refusal != "" {
		r.Notes = append(r.Notes, note{"refused", refusal})
	}
	if !row.Limited {
		return r
	}

	r.Slots = fmt.Sprintf("%d free", max(row.EffectiveHeadroom, 0))
	refused := row.Sessions > snapshot.Limit && row.EffectiveHeadroom <= 0
	if row.Sessions <= snapshot.Limit || refused { // otherwise some of them hold no slot
		r.Sessions = fmt.Sprintf("%d of %d", row.Sessions, snapshot.Limit)
	}
	r.Meter = meter(row, snapshot.Limit)
	switch slotsLeft(row) {
	case "0":
		r.Level = "full"
		if r.NextUnknown = row.NextSlot.IsZero(); !r.NextUnknown {
			next := newMoment(row.NextSlot, now)
			r.Next, r.In = &next, text.In(row.NextSlot, now)
		}
		r.Wait = !snapshot.Wait(&row.UserStatus).IsZero()
	case "1":
		r.Level = "near"
	default:
		r.Level = "free"
	}
	if refused {
		r.Notes = append(r.Notes, note{"over", fmt.Sprintf("%d over the limit", row.Sessions-snapshot.Limit)})
	}
	if row.CoolingSlots > 0 {
		r.Notes = append(r.Notes, note{"cooling", fmt.Sprintf("%d cooling", row.CoolingSlots)})
	}
	// Usage rows can account for more or fewer slots than sessions and cooling slots.
	taken, counted := snapshot.Limit-row.EffectiveHeadroom, row.Sessions+row.CoolingSlots
	if taken != counted && taken != min(counted, snapshot.Limit) {
		r.Notes = append(r.Notes, note{"rows", text.Count(taken, "slot") + " taken"})
	}
	return r
}

// meter returns the CSS classes of the slots of a user: taken, cooling or open.
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
