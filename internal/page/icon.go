package page

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/qlik-exporter/qlik_exporter/internal/text"
)

// icon is the icon of a browser tab. It shows the number of users without a free slot. The
// number is in its URL, because browsers keep icons by URL.
type icon struct {
	users      int
	known      bool // the sessions of a site are known
	incomplete bool // there may be more users
}

// maxOnIcon is the largest number on an icon.
const maxOnIcon = 99

// icon returns the icon of the last snapshots of sites. It sends no request to Qlik.
func (h *handler) icon(names ...string) icon {
	var i icon
	for _, name := range names {
		site, done, found := h.config.Use(name)
		if !found {
			continue
		}
		last := site.last.Load()
		done()
		switch {
		case last == nil: // not scraped yet
		case !last.state.Known, h.config.Now().Sub(last.time) >= staleAfter:
			i.incomplete = true
		default:
			i.known = true
			i.users += last.NoSlot
			i.incomplete = i.incomplete || !last.state.Complete
		}
	}
	return i
}

// url returns the URL of the icon relative to /sessions/.
func (i icon) url() string {
	switch {
	case i.users > 0:
		return "favicon.svg?users=" + strconv.Itoa(i.users)
	case i.incomplete:
		return "favicon.svg?users=unknown"
	default:
		return "favicon.svg?users=0"
	}
}

// serveIcon draws the icon in the query. Without one, it redirects to that of a site, or of
// all sites.
func (h *handler) serveIcon(w http.ResponseWriter, r *http.Request) {
	values := r.URL.Query()
	if !values.Has("users") {
		names := h.config.Names()
		if site := values.Get("site"); site != "" {
			names = []string{site}
		}
		w.Header().Set("Location", h.icon(names...).url()) // relative, so that it works behind any reverse proxy
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	const box = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="%s"/>%s</svg>`
	const word = `<text x="16" y="%d" font-family="Arial, Helvetica, sans-serif" font-weight="bold" font-size="%d" text-anchor="middle" fill="#fff">%s</text>`
	body := fmt.Sprintf(box, "#1f5fbf", `<g fill="#fff"><rect x="6" y="17" width="5" height="9" rx="1"/><rect x="13.5" y="11" width="5" height="15" rx="1"/><rect x="21" y="6" width="5" height="20" rx="1"/></g>`)
	switch users, _ := strconv.Atoi(values.Get("users")); { // anything else is no number
	case values.Get("users") == "unknown":
		body = fmt.Sprintf(box, "#66717f", fmt.Sprintf(word, 24, 23, "?"))
	case users > maxOnIcon:
		body = fmt.Sprintf(box, "#c5221f", fmt.Sprintf(word, 22, 16, strconv.Itoa(maxOnIcon)+"+"))
	case users > 9:
		body = fmt.Sprintf(box, "#c5221f", fmt.Sprintf(word, 24, 22, strconv.Itoa(users)))
	case users > 0:
		body = fmt.Sprintf(box, "#c5221f", fmt.Sprintf(word, 25, 25, strconv.Itoa(users)))
	}
	w.Header().Set("Content-Type", "image/svg+xml")
	_, _ = w.Write([]byte(body))
}

// iconView is the data of the link to an icon. Both URLs are relative to the page.
type iconView struct {
	URL string
	Now string // leads to the URL of the icon of the last snapshot
}

// view returns the link of a page. The folder is that of /sessions/ relative to the page.
func (i icon) view(folder, site string) iconView {
	v := iconView{URL: folder + i.url(), Now: folder + "favicon.svg"}
	if site != "" {
		v.Now += "?" + url.Values{"site": {site}}.Encode()
	}
	return v
}

// summary is the title of the page about all sites.
func (i icon) summary() string {
	users := text.Count(i.users, "user") + " without a free slot"
	switch {
	case i.known && i.incomplete:
		return "Incomplete: at least " + users
	case i.known:
		return users
	case i.incomplete:
		return "No session data available"
	default:
		return "Not scraped yet"
	}
}
