package page

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/answer"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// userView is the data of user.html.
type userView struct {
	*answer.Answer

	Name     string // safe to show
	Level    string // CSS class: full, near, free or unknown
	ReadAt   moment
	Since    *moment
	Ago      string // since Since
	Likely   bool
	Refused  []string
	Slots    []slotView
	Next     *moment
	In       string // duration until then
	Back     string // URL of the list
	Refresh  string
	From, To string // range of the timeline
	NowAt    int    // on the timeline, of timelineWidth
	Phrases  []phrase
	Find     findView // the form for the next user
	Icon     iconView

	SiteName string // "" if there is only one
	Free     bool   // the viewer may free a slot of the user
}

// phrase is a sentence for the user on the phone.
type phrase struct{ Language, Name, Text string }

// slotView is a slot with its part of the timeline.
type slotView struct {
	State, Text, Place, Node string
	Frees                    string // when its slot becomes free by itself; "" if unknown
	Details                  []string
	Bars                     []bar
}

// bar is a part of a timeline: a state that lasts from At for Width.
type bar struct {
	Class     string // CSS class
	At, Width int
}

// timelineWidth is the width of a timeline in its own units.
const timelineWidth = 1000

// The timeline shows at most so much of the past and of the future.
const (
	maxPast   = 4 * time.Hour
	maxFuture = 2 * time.Hour
)

// serveUser serves the page of one user: the answer of qlik_exporter why. For a part of a
// name, it serves a search.
func (h *handler) serveUser(w http.ResponseWriter, r *http.Request) {
	values := r.URL.Query()
	written, json := values.Get("user"), wantsJSON(r)
	o, ok := h.open(w, r, query{Site: values.Get("site")}, json)
	if !ok {
		return
	}
	defer o.done()
	user, isUser := o.user(written)
	switch {
	case !isUser && json:
		failJSON(nil)(w, `Write the user as DIRECTORY\id.`, http.StatusBadRequest)
		return
	case written == "":
		h.serveFind(w, r, o, strings.TrimSpace(values.Get("q")))
		return
	case !isUser:
		h.serveFind(w, r, o, strings.TrimSpace(written))
		return
	}
	if !o.exists(r.Context(), user) {
		if json {
			failJSON(nil)(w, text.Visible(user.String())+nobody, http.StatusNotFound)
			return
		}
		v := newFindView(&sessions.Found{Query: user.String(), Everybody: true}, o.named())
		v.Icon = h.icon(o.query.Site).view("", o.query.Site)
		v.Sentence = text.Visible(user.String()) + nobody
		h.config.Respond(w, r, func(w http.ResponseWriter, _ *http.Request) { h.render(w, "find.html", v, http.StatusNotFound) })
		return
	}
	h.config.Respond(w, r, func(w http.ResponseWriter, _ *http.Request) {
		h.buildUser(w, json, o, user, h.config.Free(r))
		o.built()
	})
}

// nobody follows the name of a user that does not exist.
const nobody = " has no sessions, was not refused, and is not in the repository. Check the spelling."

// buildUser writes the answer about a user.
func (h *handler) buildUser(w http.ResponseWriter, asJSON bool, o *opened, user qlik.User, mayFree bool) {
	now := h.config.Now()
	reply := answer.New(&answer.Question{
		Snapshot: o.newest().Snapshot, User: user, Site: o.named(), Hosts: o.site.Hosts,
		ServiceAccounts: o.site.ServiceAccounts, Program: h.config.Program, Now: now,
	})
	if asJSON {
		w.Header().Set("Content-Type", jsonType)
		_ = json.NewEncoder(w).Encode(reply) // an error means that the client is gone
		return
	}
	v := newUserView(reply, o.named(), now)
	v.Icon = h.icon(o.query.Site).view("", o.query.Site)
	v.SiteName, v.Free = o.named(), mayFree && reply.EndingHelps
	h.render(w, "user.html", v, http.StatusOK)
}

// user returns the user that is written as DIRECTORY\id or DIRECTORY/id, or as in a label
// with a hash, with or without a directory. A user with sessions can have any name, and
// the pages link to it with a backslash.
func (o *opened) user(written string) (user qlik.User, ok bool) {
	if hashed, is := o.hashed("", written); is {
		return hashed, true
	}
	user, ok = sessions.ParseUser(written)
	if !ok {
		return qlik.User{}, false
	}
	if hashed, is := o.hashed(user.Directory, user.ID); is {
		return hashed, true
	}
	return user.Counted(), true
}

// exists reports whether a user is known. It asks the repository only about users without
// sessions, and counts a user as known if the repository does not answer.
func (o *opened) exists(ctx context.Context, user qlik.User) bool {
	snapshot := o.newest()
	if snapshot.Has(user) || user == qlik.AnonymousUser || o.site.Find == nil || len(user.ID) > maxSearched {
		return true
	}
	if snapshot.Licenses != nil {
		if _, holds := snapshot.Licenses.Holders[user]; holds {
			return true
		}
	}
	ctx, cancel := context.WithTimeout(ctx, findTimeout)
	defer cancel()
	known, err := o.site.names.find(ctx, user.ID, o.site.Find)
	return err != nil || slices.ContainsFunc(known, func(k qlik.KnownUser) bool { return k.User == user })
}

// userURL returns the URL of the page of a user, relative to that of the list.
func userURL(user qlik.User, site string) string {
	return "sessions/user" + query{Site: site, User: user.String()}.url()
}

// findURL returns the URL of the search for a user, relative to that of the list.
func findURL(searched, site string) string {
	return "sessions/user" + query{Site: site, Text: searched}.url()
}

func newUserView(a *answer.Answer, site string, now time.Time) *userView {
	v := &userView{
		Answer: a, Name: text.Visible(a.User), Level: "unknown", ReadAt: newMoment(a.At, now), Likely: a.Certainty == headroom.Likely,
		Back: "../sessions" + query{Site: site}.url(), Refresh: "user" + query{Site: site, User: a.User}.url(),
		Find:    *newFindView(&sessions.Found{}, site),
		Phrases: []phrase{{answer.English, "English", a.Say[answer.English]}, {answer.French, "français", a.Say[answer.French]}, {answer.German, "Deutsch", a.Say[answer.German]}},
	}
	switch {
	case a.CanLogIn == nil:
	case !*a.CanLogIn:
		v.Level = "full"
	case a.Limit > 0 && a.EffectiveHeadroom == 1:
		v.Level = "near"
	default:
		v.Level = "free"
	}
	if a.Since != nil {
		since := newMoment(*a.Since, now)
		v.Since, v.Ago = &since, text.Duration(max(now.Sub(*a.Since), 0))
	}
	if a.NextSlotAt != nil {
		next := newMoment(*a.NextSlotAt, now)
		v.Next, v.In = &next, text.In(*a.NextSlotAt, now)
	}
	for _, refusal := range a.Refused[:min(len(a.Refused), 5)] {
		what := "too many sessions"
		if refusal.Reason == qlik.RefusedNoLicense {
			what = "no license"
		}
		v.Refused = append(v.Refused, what+", "+text.Gone(refusal.At, now))
	}
	v.addSlots(now)
	return v
}

// addSlots adds the slots with their timelines, all on one scale.
func (v *userView) addSlots(now time.Time) {
	from, to := now.Add(-15*time.Minute), now.Add(15*time.Minute)
	for i := range v.Answer.Slots {
		s := &v.Answer.Slots[i]
		if s.FirstSeen != nil && s.FirstSeen.Before(from) {
			from = *s.FirstSeen
		}
		if s.FreesAt != nil && s.FreesAt.After(to) {
			to = *s.FreesAt
		}
	}
	if earliest := now.Add(-maxPast); from.Before(earliest) {
		from = earliest
	}
	if latest := now.Add(maxFuture); to.After(latest) {
		to = latest
	}
	at := func(t time.Time) int {
		return min(max(int(int64(timelineWidth)*int64(t.Sub(from))/int64(to.Sub(from))), 0), timelineWidth)
	}
	v.From, v.To, v.NowAt = newMoment(from, now).Text, newMoment(to, now).Text, at(now)
	for i := range v.Answer.Slots {
		s := &v.Answer.Slots[i]
		shown := slotView{State: string(s.State), Text: stateTexts[s.State], Place: s.VirtualProxy, Node: s.Node}
		span := func(class string, from, to time.Time) {
			if width := at(to) - at(from); width > 0 {
				shown.Bars = append(shown.Bars, bar{class, at(from), width})
			}
		}
		begun, used, ends := now, now, now
		if s.FirstSeen != nil {
			begun = *s.FirstSeen
			shown.Details = append(shown.Details, "first seen "+text.Duration(max(now.Sub(begun), 0))+" ago")
		}
		if s.LastActive != nil {
			used = *s.LastActive
			shown.Details = append(shown.Details, "last used "+text.Duration(max(now.Sub(used), 0))+" ago")
		}
		if s.FreesAt != nil {
			ends = *s.FreesAt
			shown.Frees = "free by " + text.Coming(ends, now)
		}
		switch s.State {
		case headroom.SlotActive, headroom.SlotIdle:
			if used.Before(begun) {
				used = begun
			}
			span("used", begun, used)
			span("idle", used, now)
		case headroom.SlotRefused:
			span("refused", begun, now)
		default:
			span("idle", used, now)
		}
		span("frees", now, ends)
		v.Slots = append(v.Slots, shown)
	}
}

var stateTexts = map[headroom.SlotState]string{
	headroom.SlotActive:   "in use",
	headroom.SlotIdle:     "idle",
	headroom.SlotRefused:  "refused, holds no slot",
	headroom.SlotCooling:  "ended, its slot is still taken",
	headroom.SlotLeftover: "left over, no session",
}

// String describes a timeline for people who do not see it.
func (s slotView) String() string {
	parts := append([]string{"Timeline: " + s.Text}, s.Details...)
	if s.Frees != "" {
		parts = append(parts, s.Frees)
	}
	return strings.Join(parts, ", ")
}
