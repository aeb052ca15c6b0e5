package sessions

import (
	"slices"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/check"
	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// List is the answer about all users of a site. The sessions page sends it as JSON, and
// the command sessions prints it, so that both say the same. Values that are unknown or
// do not apply are absent.
type List struct {
	Site  string   `json:"site,omitempty"`  // "" if flags describe the only site
	Hosts []string `json:"hosts,omitempty"` // configured hosts, which tell one site from another

	Time           time.Time `json:"time"`
	TrackingSince  time.Time `json:"tracking_since"` // start of what is known about the past
	Complete       bool      `json:"complete"`
	VirtualProxies []string  `json:"virtual_proxies"` // of all links
	Nodes          []string  `json:"nodes"`           // of all links
	Links          int       `json:"links"`
	LinksAnswered  int       `json:"links_answered"`
	Missing        []Missing `json:"missing"`
	Limit          int       `json:"limit"`
	UsageKnown     bool      `json:"usage_known"` // effective headroom is based on usage rows
	Users          []Listed  `json:"users"`
	// Unlicensed are the users who were refused for want of a license within the last day,
	// whether they have sessions or not.
	Unlicensed []RefusedUser `json:"refused_no_license,omitempty"`
}

// RefusedUser is a user with the time of the last refusal.
type RefusedUser struct {
	Directory string    `json:"user_directory"`
	ID        string    `json:"user_id"`
	At        time.Time `json:"at"`
}

// Missing is a link that did not answer. It may have sessions.
type Missing struct {
	VirtualProxy string    `json:"virtual_proxy"`
	Node         string    `json:"node"`
	Kind         qlik.Kind `json:"kind"`
	Cause        string    `json:"cause"`
	Remedy       string    `json:"remedy,omitempty"`
}

// Listed is a user in a List.
type Listed struct {
	Directory           string    `json:"user_directory"`
	ID                  string    `json:"user_id"`
	EffectiveHeadroom   *int      `json:"effective_headroom,omitempty"`
	Headroom            *int      `json:"headroom,omitempty"`
	Sessions            int       `json:"sessions"`
	SessionsWithSlot    *int      `json:"sessions_with_slot,omitempty"`
	SlotsOfSessions     *int      `json:"slots_of_sessions,omitempty"` // usually one for each session with a slot
	SlotsWithoutSession *int      `json:"slots_without_session,omitempty"`
	CoolingSlots        int       `json:"cooling_slots"` // of them, those that the exporter saw being freed
	LicensedSessions    *int      `json:"usage_rows,omitempty"`
	License             string    `json:"license,omitempty"`
	FirstSeen           time.Time `json:"first_seen,omitzero"` // of the oldest session
	LastActivity        time.Time `json:"last_activity,omitzero"`
	NextSlot            time.Time `json:"next_slot,omitzero"`
	Places              []Place   `json:"places"`
	// Refused lists the refused logins of the last day, the last one first.
	Refused []RefusedLogin `json:"refused,omitempty"`
	// Unlicensed is why the user cannot log in although slots are free.
	Unlicensed Unlicensed `json:"unlicensed,omitempty"`
}

// RefusedLogin is a refused login.
type RefusedLogin struct {
	At     time.Time          `json:"at"`
	Reason qlik.RefusalReason `json:"reason"`
}

// User returns the user.
func (l *Listed) User() qlik.User { return qlik.NewUser(l.Directory, l.ID) }

// Taken returns how many slots the user takes at least.
func (l *Listed) Taken() int {
	taken := l.Sessions + l.CoolingSlots
	if l.LicensedSessions != nil {
		taken = max(taken, *l.LicensedSessions)
	}
	return taken
}

// NewList returns the list of the rows of a snapshot.
func NewList(snapshot *headroom.Snapshot, rows []*Row) *List {
	list := &List{
		Time: snapshot.Time.UTC(), TrackingSince: snapshot.Tracking.Since.UTC(),
		Complete: snapshot.Complete(), Links: len(snapshot.Links), Missing: []Missing{},
		Limit: snapshot.Limit, UsageKnown: rowsCount(snapshot), Users: make([]Listed, 0, len(rows)),
	}
	for i := range snapshot.Links {
		link := &snapshot.Links[i]
		switch {
		case link.Err == nil:
			list.LinksAnswered++
		case !link.Stopped:
			cause, remedy := check.Explain(&link.Link, link.Err)
			list.Missing = append(list.Missing, Missing{link.VirtualProxy, link.Node, qlik.KindOf(link.Err), text.Visible(cause), text.Visible(remedy)})
		}
		list.VirtualProxies, list.Nodes = append(list.VirtualProxies, link.VirtualProxy), append(list.Nodes, link.Node)
	}
	list.VirtualProxies, list.Nodes = names(list.VirtualProxies), names(list.Nodes)
	list.Unlicensed = refusedForLicense(snapshot.Refusals)
	for i := range rows {
		list.Users = append(list.Users, NewListed(rows[i], snapshot))
	}
	return list
}

// refusedForLicense returns the users who were refused for want of a license.
func refusedForLicense(refusals qlik.Refusals) []RefusedUser {
	var users []RefusedUser
	for user, at := range refusals.Last(qlik.RefusedNoLicense) {
		users = append(users, RefusedUser{user.Directory, user.ID, at.UTC()})
	}
	slices.SortFunc(users, func(a, b RefusedUser) int {
		return qlik.User{Directory: a.Directory, ID: a.ID}.Compare(qlik.User{Directory: b.Directory, ID: b.ID})
	})
	return users
}

// names returns each name once, in alphabetical order.
func names(all []string) []string {
	slices.Sort(all)
	return append([]string{}, slices.Compact(all)...)
}

// NewListed returns the entry of a row of a snapshot.
func NewListed(row *Row, snapshot *headroom.Snapshot) Listed {
	user := Listed{
		Directory: row.User.Directory, ID: row.User.ID, Sessions: row.Sessions, License: row.License, CoolingSlots: row.CoolingSlots,
		FirstSeen: row.FirstSeen.UTC(), LastActivity: row.LastActivity.UTC(), NextSlot: row.NextSlot.UTC(), Places: append([]Place{}, row.Places...),
		Unlicensed: row.Unlicensed,
	}
	for _, refusal := range row.Refused {
		user.Refused = append(user.Refused, RefusedLogin{refusal.At.UTC(), refusal.Reason})
	}
	if row.Limited {
		user.EffectiveHeadroom, user.Headroom = new(row.EffectiveHeadroom), new(row.Headroom)
	}
	if snapshot.UsageKnown {
		user.LicensedSessions = new(row.LicensedSessions)
	}
	if !rowsCount(snapshot) {
		return user
	}
	user.SessionsWithSlot, user.SlotsOfSessions = new(row.WithSlot), new(row.Slots)
	// While a link does not respond, slots of its sessions look like slots without a
	// session.
	if snapshot.Complete() {
		user.SlotsWithoutSession = new(row.LicensedSessions - row.Slots)
	}
	return user
}

// rowsCount returns whether effective headroom is based on usage rows.
func rowsCount(snapshot *headroom.Snapshot) bool {
	return snapshot.UsageKnown && snapshot.UsagePlausible
}
