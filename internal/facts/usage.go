package facts

import (
	"context"
	"strings"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// usageLists are the lists of usage rows (docs/qlik.md, "Usage rows").
var usageLists = []string{"professional", "analyzer", "user", "login", "analyzertime"}

// row is a usage row.
type row struct {
	id, session     key
	user            key  // modifiedByUserName
	service         bool // it is a service, not a user
	unnamed         bool // it is empty or missing
	started, latest time.Time
}

// usage is what the usage rows of a site are.
type usage struct {
	read bool // all lists
	rows []row
	used []string      // lists with rows
	of   map[key][]row // by session
	date time.Time     // clock of the repository; zero if unknown
}

// started returns the row that began with a session.
func (u *usage) started(session key) (row, bool) {
	for _, each := range u.of[session] {
		if !each.started.IsZero() {
			return each, true
		}
	}
	return row{}, false
}

// readUsageRows reads all lists of usage rows.
func (s *site) readUsageRows(ctx context.Context) {
	s.usage = s.rows(ctx, usageLists)
}

// rows reads lists of usage rows. The clock is that of the last answer.
func (s *site) rows(ctx context.Context, lists []string) (u usage) {
	u.read, u.of = true, make(map[key][]row)
	seen := make(map[[2]key]bool)
	for _, kind := range lists {
		before := len(u.rows)
		add := func(e element, of row) {
			session := keyOf(e.text("sessionID"))
			if e.text("sessionID") == "" || len(u.rows) >= maxRows || seen[[2]key{of.id, session}] {
				return // it is in two lists
			}
			seen[[2]key{of.id, session}] = true
			of.session, of.latest = session, e.time("latestActivity")
			u.rows = append(u.rows, of)
			u.of[session] = append(u.of[session], of)
		}
		answer := s.ask(ctx, "license/"+kind+"accessusage/full", "", elements(func(e element) {
			user := strings.ToLower(e.text("modifiedByUserName"))
			of := row{id: keyOf(e.text("id")), user: keyOf(user), unnamed: user == "", service: strings.HasPrefix(user, `internal\`), started: e.time("useStartTime")}
			add(e, of)
			of.started = time.Time{} // it is that of the first session
			for _, each := range e.objects("sessions") {
				add(each, of)
			}
		}))
		if u.date = answer.date; !answer.ok() && !answer.absent() {
			u.read = false
		}
		if len(u.rows) > before {
			u.used = append(u.used, kind)
		}
	}
	return u
}

// sessionIDs returns all sessions of the lists.
func (p *proxy) sessionIDs() map[key]key {
	all := make(map[key]key) // id to user
	for i := range p.links {
		for _, each := range p.links[i].sessions {
			all[each.id] = each.user
		}
	}
	return all
}

// rowsOfSessions returns how many sessions have rows: all, some, or none.
func (s *site) rowsOfSessions() string {
	sessions, with := s.proxy.sessionIDs(), 0
	if !s.usage.read || len(sessions) == 0 || s.joins() == no {
		return ""
	}
	for id := range sessions {
		if len(s.usage.of[id]) > 0 {
			with++
		}
	}
	switch {
	case with == len(sessions):
		return "all"
	case with > 0:
		return "some"
	case len(s.usage.rows) == 0 && sessionsOf(s.licenses.holders, sessions) >= minSessions:
		return "none"
	}
	return ""
}

// minSessions is the minimum number of sessions of users who must have rows, to say that
// there are none. Administrators without a license and users who were refused have sessions
// without rows.
const minSessions = 6

// sessionsOf returns the number of sessions that some users have.
func sessionsOf(users map[key]bool, sessions map[key]key) (n int) {
	for _, user := range sessions {
		if users[user] {
			n++
		}
	}
	return n
}

// joins returns whether the ids of rows are those of session lists.
func (s *site) joins() string {
	sessions := s.proxy.sessionIDs()
	if len(sessions) == 0 || len(s.usage.rows) == 0 {
		return ""
	}
	users := make(map[key]bool)
	for _, each := range s.usage.rows {
		if _, ok := sessions[each.session]; ok {
			return yes
		}
		users[each.user] = true
	}
	if sessionsOf(users, sessions) >= minSessions {
		return no
	}
	return "" // rows can be left over
}

// second returns whether a session has two rows.
func (s *site) second() string {
	if s.joins() != yes {
		return ""
	}
	for id := range s.proxy.sessionIDs() {
		if len(s.usage.of[id]) > 1 {
			return yes
		}
	}
	return no
}

// leftOver returns whether rows have no session. All lists must be known.
func (s *site) leftOver() string {
	if s.joins() != yes || !s.complete() {
		return ""
	}
	sessions := s.proxy.sessionIDs()
	for _, each := range s.usage.rows {
		// A young row may be that of a session that began after the lists were read.
		young := !s.usage.date.IsZero() && s.usage.date.Sub(each.started) < maxReading && s.usage.date.Sub(each.latest) < maxReading
		if _, ok := sessions[each.session]; !ok && !young {
			return yes
		}
	}
	return no
}

// maxReading is the longest time between the lists of sessions and those of usage rows.
const maxReading = time.Minute

// complete reports whether the lists have all sessions of the site.
func (s *site) complete() bool {
	if len(s.proxy.links) == 0 || s.proxy.rest <= 0 || len(s.Qlik.Proxies)+len(s.Qlik.VirtualProxies) > 0 {
		return false
	}
	known := make(map[string]bool) // by host and prefix
	for i := range s.proxy.links {
		link := &s.proxy.links[i].link
		known[strings.ToLower(link.Host())+link.VirtualProxy] = true
	}
	for host, linked := range s.repository.linked {
		for id := range linked {
			prefix, exists := s.repository.prefixes[id]
			name, err := qlik.ParseVirtualProxy(prefix)
			if exists && (err != nil || !known[host+name]) {
				return false
			}
		}
	}
	return s.repository.linked != nil
}

// modifier returns whose name the rows have.
func (s *site) modifier() string {
	sessions, seen := s.proxy.sessionIDs(), make(forms)
	for _, each := range s.usage.rows {
		user, ok := sessions[each.session]
		switch {
		case !ok:
		case each.unnamed:
			seen["missing"] = true
		case each.user == user:
			seen["user"] = true
		case each.service:
			seen["service"] = true
		default:
			seen[other] = true
		}
	}
	return seen.one()
}
