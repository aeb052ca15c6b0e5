package page

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

const (
	// staleAfter is the age of a snapshot after which the landing page says that nobody
	// scrapes the site. Prometheus does not return samples that are older, either.
	staleAfter = 5 * time.Minute
	// expiresSoon is the time before the end of a certificate when the landing page says so.
	// It is that of the alerts.
	expiresSoon = 30 * 24 * time.Hour
)

// Landing defines the links of the landing page.
type Landing struct {
	TelemetryPath string // of the metrics of the exporter
	Pprof         bool   // /debug/pprof/ is served
	// Desk returns the URL of the desk for a request to the exporter. It returns "" if there
	// is no desk, or if its URL is unknown.
	Desk    func(r *http.Request) string
	Version string
}

// NewLanding returns the handler of the landing page. It sends no request to Qlik: it shows
// the last snapshots of scrapes and of the sessions page.
func NewLanding(config Config, landing Landing) http.Handler {
	h := newHandler(config)
	return Protected(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.render(w, "landing.html", h.newLandingView(landing, r), http.StatusOK)
	}))
}

// landingView is the data of landing.html. All its texts are safe to show.
type landingView struct {
	Summary string
	Icon    iconView
	Sites   []siteView
	Named   bool     // the sites have names
	Find    []choice // sites that can be searched

	Metrics, Desk string // URLs
	Pprof         bool
	Version       string
}

// siteView is a site on the landing page.
type siteView struct {
	Name     string
	Level    string // CSS class: full, near, free or unknown; full also if nothing is known
	Scraped  bool   // there has been a snapshot
	Stale    bool   // the snapshot is old
	ReadAt   moment
	Ago      string
	State    sessions.State
	Tiles    []tile
	Problems []string // sentences
	List     string   // URL of the sessions page; "" if that refuses the request
	Scrape   string   // URL of the metrics
}

// tile is a number with its meaning.
type tile struct {
	URL, Level string // "" for none
	AtLeast    bool   // the number is a lower bound
	Number     int
	Text       string
}

func (h *handler) newLandingView(landing Landing, r *http.Request) *landingView {
	v := &landingView{Metrics: relative(landing.TelemetryPath), Pprof: landing.Pprof, Version: landing.Version}
	if landing.Desk != nil {
		v.Desk = landing.Desk(r)
	}
	names := h.config.Names()
	authenticated := h.config.Authenticated()
	for _, name := range names {
		site, done, found := h.config.Use(name)
		if !found {
			continue // removed since
		}
		shown := newSiteView(name, &site, authenticated, h.config.Now())
		done()
		if shown.List != "" {
			v.Find = append(v.Find, choice{Value: name, Text: shown.Name})
		}
		if name != "" {
			v.Named, shown.Scrape = true, "probe?"+url.Values{"target": {name}}.Encode()
		} else {
			shown.Scrape = v.Metrics
		}
		v.Sites = append(v.Sites, shown)
	}
	all := h.icon(names...)
	v.Icon, v.Summary = all.view("sessions/", ""), all.summary()
	return v
}

// relative returns the URL of a path relative to the landing page, so that it works behind
// any reverse proxy. The path could look like a scheme.
func relative(path string) string { return "." + (&url.URL{Path: path}).EscapedPath() }

// newSiteView returns the view of a site. Its times are in the time zone of now.
func newSiteView(name string, site *Site, authenticated bool, now time.Time) siteView {
	v := siteView{Name: text.Visible(name), Level: "unknown"}
	switch {
	case name != "":
	case len(site.Hosts) > 0:
		v.Name = text.Visible(qlik.HostOf(site.Hosts[0]))
	default:
		v.Name = "Qlik Sense"
	}
	locked := site.NamesHidden && !authenticated // the sessions page requires authentication
	list := func(slots string) string {
		if locked {
			return ""
		}
		return "sessions" + query{Site: name, Slots: slots}.url()
	}
	v.List = list("")
	last := site.last.Load()
	v.Problems = problems(last, site, now)
	if last == nil {
		return v
	}
	age := now.Sub(last.time)
	v.Scraped, v.Stale = true, age >= staleAfter
	v.ReadAt, v.Ago, v.State = newMoment(last.time, now), text.Duration(age), last.state
	if !v.State.Known {
		v.Level = "full"
		return v
	}
	least := !v.State.Complete
	v.Tiles = []tile{
		{list("0"), "full", least, last.NoSlot, noun(last.NoSlot, "user") + " without a free slot"},
		{list("1"), "near", false, last.OneSlot, noun(last.OneSlot, "user") + " with one free slot"},
		{list(""), "", least, last.sessions, noun(last.sessions, "session") + " of " + text.Count(last.Users, "user")},
	}
	if site.AuditLog {
		v.Tiles = append(v.Tiles, tile{"", "near", false, last.Refused, "refused " + noun(last.Refused, "login") + " in the last " + text.Duration(headroom.RecentRefusal)})
	}
	for i := range v.Tiles {
		if v.Tiles[i].Number == 0 || v.Stale {
			v.Tiles[i].Level = ""
		}
	}
	switch {
	case last.NoSlot > 0 && !v.Stale:
		v.Level = "full"
	case last.OneSlot > 0, least, v.Stale:
		v.Level = "near"
	default:
		v.Level = "free"
	}
	return v
}

// noun returns a noun in the number of n.
func noun(n int, singular string) string {
	_, noun, _ := strings.Cut(text.Count(n, singular), " ")
	return noun
}

// problems returns what is wrong with a site. The first problem is the most important.
func problems(last *overview, site *Site, now time.Time) []string {
	var all []string
	if last != nil {
		failures := last.state.Failures
		if last.state.Links == 0 {
			all = append(all, "No repository has answered, so the virtual proxies are unknown.")
		}
		if len(failures) > 0 {
			broken := fmt.Sprintf("No sessions from %s on %s: %s.", failures[0].Node, strings.Join(failures[0].VirtualProxies, ", "), failures[0].Cause)
			if more := len(failures) - 1; more > 0 {
				broken += " The sessions page shows " + text.Count(more, "other failure") + "."
			}
			all = append(all, broken)
		}
	}
	status := site.Status()
	for _, repository := range status.Repositories {
		if !repository.Up {
			all = append(all, "The repository of "+text.Visible(repository.Node)+" does not answer.")
		}
	}
	expires := func(what string, at time.Time) {
		switch left := at.Sub(now); {
		case at.IsZero() || left >= expiresSoon:
		case left <= 0:
			all = append(all, fmt.Sprintf("%s expired on %s.", what, text.Date(at)))
		default:
			all = append(all, fmt.Sprintf("%s expires in %s, on %s.", what, text.Duration(left), text.Date(at)))
		}
	}
	expires("The client certificate", status.Certificates.ClientExpiry)
	expires("The root certificate", status.Certificates.RootExpiry)
	if last != nil {
		expires("The certificate of "+text.Visible(last.node), last.nodeExpiry)
	}
	return all
}
