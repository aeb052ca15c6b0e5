package desk

import (
	"bytes"
	"context"
	"embed"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/answer"
	"github.com/qlik-exporter/qlik_exporter/internal/ending"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/internal/text"
)

//go:embed *.html
var pageFiles embed.FS

var templates = template.Must(template.ParseFS(pageFiles, "*.html"))

// planView is the data of plan.html. Its texts are safe to show.
type planView struct {
	Head             string // title of the window
	What             string // what the plan does
	User, Name, Site string
	Back             string // URL of the page of the user
	Plan             string
	Button           string
	Ends, Keeps      []lineView
	Works            string // when a new window works
	OnlyRefused      bool   // no slot becomes free
	Choose           *choice
}

// choice is what an operator chooses from who may choose what ends; nil for others.
type choice struct {
	User, Site string
	Keep       []int // numbers of sessions to keep; the first one is the default
}

// lineView is a session.
type lineView struct {
	Place, Node, Text string
	Ends              bool // or has ended
}

// freedView is the data of freed.html.
type freedView struct {
	Head, Name, Back, Verdict string
	Done                      bool     // a slot becomes free
	Works                     string   // as of now, when the page is shown
	GoesOn                    string   // how many windows do
	Windows                   []string // their virtual proxies
	Ended, Other              []lineView
	Phrases                   []phrase

	works, read time.Time
	waits       bool
}

// phrase is a sentence for the user on the phone.
type phrase struct{ Language, Name, Text string }

// refusedView is the data of refused.html.
type refusedView struct {
	Head, Name, Back, Title, Text string
	Choose                        *choice
}

// planPage serves the page with a plan and the button that carries it out.
func (d *Desk) planPage(w http.ResponseWriter, r *http.Request) {
	if err := readForm(r); err != nil {
		d.refusedPage(w, r, "", "", err)
		return
	}
	a := &ask{User: r.PostFormValue("user"), Site: r.PostFormValue("site")}
	switch keep := r.PostFormValue("keep"); keep {
	case "":
	case "all":
		a.All = true
	default:
		n, err := strconv.Atoi(keep)
		if err != nil {
			d.refusedPage(w, r, a.User, a.Site, &refusal{http.StatusBadRequest, badRequest, "The number of sessions to keep is not a number."})
			return
		}
		a.Keep = &n
	}
	who := operatorOf(r)
	plan, err := d.plan(r.Context(), who, a)
	if err != nil {
		d.refusedPage(w, r, a.User, a.Site, err)
		return
	}
	now := d.config.Now()
	v := planView{
		User: plan.User, Name: text.Visible(plan.User), Site: plan.Site, Back: userURL(plan.User, plan.Site), Plan: plan.Plan,
		OnlyRefused: !slices.ContainsFunc(plan.Ends, func(s answer.Slot) bool { return s.HoldsSlot }),
	}
	v.What = "Free a slot for"
	if v.OnlyRefused {
		v.What = "End refused sessions of"
	}
	v.Head = v.What + " " + v.Name
	v.Button = "End " + text.Count(len(plan.Ends), sessionNoun(v.OnlyRefused))
	v.Works = worksText(plan.plan.WorksAt, plan.at, now, v.OnlyRefused)
	v.Ends, v.Keeps = linesOf(plan.plan.Ending(), now), linesOf(plan.plan.Staying(), now)
	v.Choose = newChoice(who, plan.User, plan.Site, len(plan.plan.Sessions))
	d.render(w, "plan.html", v, http.StatusOK)
}

// freePage carries out a plan and serves the page about it.
func (d *Desk) freePage(w http.ResponseWriter, r *http.Request) {
	if err := readForm(r); err != nil {
		d.refusedPage(w, r, "", "", err)
		return
	}
	who, plan := operatorOf(r), r.PostFormValue("plan")
	v, again, err := d.shown.once(r.Context(), who.name+"\n"+plan, func(ctx context.Context) (*freedView, *refusal) {
		freed, err := d.free(ctx, who, plan, r.PostFormValue("ticket"), addressOf(r))
		if err != nil {
			return nil, err
		}
		return newFreedView(freed, d.config.Now()), nil
	})
	if err != nil {
		d.refusedPage(w, r, r.PostFormValue("user"), r.PostFormValue("site"), err)
		return
	}
	shown, status := *v, http.StatusOK
	shown.Works = worksText(v.works, v.read, d.config.Now(), v.waits)
	if again { // nothing more was ended
		d.count(r, errPlanUsed)
		status = errPlanUsed.status
	}
	d.render(w, "freed.html", shown, status)
}

func newFreedView(freed *freed, now time.Time) *freedView {
	outcome := freed.outcome
	windows := outcome.Windows()
	v := &freedView{
		Name: text.Visible(freed.User), Back: userURL(freed.User, freed.Site), Done: freed.freesSlot(), Verdict: "Nothing was ended.",
		GoesOn: text.Count(len(windows), "window") + " keep working", Windows: visible(windows),
		Phrases: []phrase{{answer.English, "English", freed.Say[answer.English]}, {answer.French, "français", freed.Say[answer.French]}, {answer.German, "Deutsch", freed.Say[answer.German]}},
		works:   outcome.WorksAt(), read: outcome.After.Time, waits: freed.waits(),
	}
	if len(freed.Ended) > 0 {
		v.Verdict = text.Count(len(freed.Ended), sessionNoun(!v.Done)) + " ended."
	}
	if v.waits && v.works.After(v.read) {
		v.Verdict += " No slot became free."
	}
	if len(windows) == 1 {
		v.GoesOn = "1 window keeps working"
	}
	for _, result := range outcome.Results {
		line := linesOf([]ending.PlannedSession{result.PlannedSession}, now)[0]
		if result.Fate == ending.Ended {
			v.Ended = append(v.Ended, line)
			continue
		}
		line.Ends = false
		switch result.Fate {
		case ending.AlreadyGone:
			line.Text = "had already ended"
		case ending.LeftAlone:
			line.Text = "left alone: " + string(result.Left)
		default:
			line.Text = "failed: " + text.Visible(result.Err.Error())
		}
		v.Other = append(v.Other, line)
	}
	v.Head = v.Verdict + " " + v.Name
	return v
}

// refusedPage serves the page about a refusal, which leads back to the user.
func (d *Desk) refusedPage(w http.ResponseWriter, r *http.Request, user, site string, why *refusal) {
	d.count(r, why)
	v := refusedView{Title: "Nothing was ended", Text: why.text}
	if why.reason == planUsed {
		v.Title = "Nothing more was ended" // the page about it is no longer known
	}
	if known, ok := sessions.ParseUser(user); ok {
		v.Name, v.Back = text.Visible(known.String()), userURL(known.String(), site)
		if why.reason == nothingToEnd {
			v.Choose = newChoice(operatorOf(r), known.String(), site, usualLimit)
		}
	}
	v.Head = v.Title
	d.render(w, "refused.html", v, why.status)
}

// usualLimit is how many sessions a user has at the limit. It is the number of those to
// choose from if theirs is not known.
const usualLimit = 5

// newChoice returns the choice about a number of sessions. The default ends as few as
// possible.
func newChoice(who operator, user, site string, sessions int) *choice {
	if who.role < admin {
		return nil
	}
	c := &choice{User: user, Site: site}
	for keep := sessions - 1; keep > 0; keep-- {
		c.Keep = append(c.Keep, keep)
	}
	return c
}

func (d *Desk) render(w http.ResponseWriter, name string, view any, status int) {
	var body bytes.Buffer
	if err := templates.ExecuteTemplate(&body, name, view); err != nil {
		http.Error(w, "Rendering the page failed: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = body.WriteTo(w)
}

// userURL returns the URL of the page of a user, relative to the pages of the desk.
func userURL(user, site string) string {
	values := url.Values{"user": {user}}
	if site != "" {
		values.Set("site", site)
	}
	return "user?" + values.Encode()
}

// worksText says when a new window works. It does by itself if no slot was freed for it.
func worksText(works, read, now time.Time, byItself bool) string {
	switch {
	case works.IsZero():
		return "It is unknown when a new window works."
	case !works.After(read):
		return "A new window works now."
	}
	// As in the sentence for the phone, the time is rounded up to a minute.
	at := works.In(now.Location()).Add(59*time.Second).Format("15:04 MST") + " (" + text.In(works, now) + ")."
	if byItself {
		return "One becomes free by itself by " + at
	}
	return "A new window works from " + at
}

// sessionNoun is what a session is called that ends.
func sessionNoun(refused bool) string {
	if refused {
		return "refused session"
	}
	return "session"
}

func linesOf(all []ending.PlannedSession, now time.Time) []lineView {
	var lines []lineView
	for i := range all {
		s := &all[i]
		line := lineView{Place: text.Visible(s.Link.VirtualProxy), Node: text.Visible(s.Link.Node), Ends: s.Ends()}
		switch {
		case s.Refused:
			line.Text = "refused, holds no slot"
		case s.LastActivity.IsZero():
			line.Text = "last activity unknown"
		default:
			line.Text = "last used " + text.Duration(max(now.Sub(s.LastActivity), 0)) + " ago"
		}
		if !s.Ends() {
			line.Text += "; " + string(s.Stays)
		}
		lines = append(lines, line)
	}
	return lines
}

// visible returns the virtual proxies, each once, safe to show.
func visible(places []string) []string {
	var names []string
	for _, place := range places {
		if name := text.Visible(place); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
