package page

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik"
)

const (
	// maxFound is the largest number of users that a search returns.
	maxFound = 50
	// maxSearched is the length of the longest text that is searched, in bytes.
	maxSearched = 256
	// minInRepository is the length of the shortest text that the repository is asked for.
	// Shorter ones match most of its users.
	minInRepository = 2
	// findTimeout is how long a search waits for the repository.
	findTimeout = 5 * time.Second
)

// find returns the users of a site that match a text: by each of its words in the
// directory, the id, or the display name, or by the hash from a label.
func (o *opened) find(ctx context.Context, searched string) *sessions.Found {
	rows := o.newest().rows()
	found := &sessions.Found{Hosts: o.site.Hosts, Query: searched, Users: []sessions.FoundUser{}, Everybody: true}
	if user, is := o.hashed("", searched); is {
		found.Users = append(found.Users, newFoundUser(user, "", rowOf(rows, user)))
		return found
	}
	words := strings.Fields(strings.ToLower(searched))
	if len(words) == 0 || len(searched) > maxSearched {
		return found
	}
	known, everybody := o.search(ctx, words)
	found.Everybody = everybody
	names := make(map[qlik.User]string, len(known))
	for _, user := range known {
		names[user.User.Counted()] = user.Name
	}
	shown := make(map[qlik.User]bool)
	var matching []match
	add := func(user qlik.User, row *sessions.Row) {
		if rank := rankOf(user, names[user], words); rank > 0 && !shown[user] {
			shown[user] = true
			matching = append(matching, match{rank, user, row})
		}
	}
	for i := range rows {
		add(rows[i].User, &rows[i])
	}
	for _, user := range known {
		add(user.User.Counted(), nil)
	}
	slices.SortStableFunc(matching, func(a, b match) int { return cmp.Compare(a.rank, b.rank) })
	found.More = len(matching) > maxFound
	for _, m := range matching[:min(len(matching), maxFound)] {
		found.Users = append(found.Users, newFoundUser(m.user, names[m.user], m.row))
	}
	return found
}

// match is a user that matches a search.
type match struct {
	rank int // 1 for the best
	user qlik.User
	row  *sessions.Row // nil for a user without sessions
}

// rankOf returns how well a user matches words in lower case. It is 0 if one of them is
// neither in the user nor in the display name.
func rankOf(user qlik.User, name string, words []string) int {
	whole := strings.Join(words, " ")
	back, slash := strings.ToLower(user.String()), strings.ToLower(user.Directory+"/"+user.ID)
	withoutBackslash := strings.EqualFold(user.Directory+user.ID, whole) // a shell has removed it
	if whole == back || whole == slash || whole == user.ID || withoutBackslash {
		return 1
	}
	name = strings.ToLower(name)
	for _, word := range words {
		if !strings.Contains(back, word) && !strings.Contains(slash, word) && !strings.Contains(name, word) {
			return 0
		}
	}
	return 2
}

func newFoundUser(user qlik.User, name string, row *sessions.Row) sessions.FoundUser {
	found := sessions.FoundUser{User: user.String(), Name: text.Visible(name)}
	if row != nil {
		found.Sessions, found.Unlicensed = row.Sessions, row.Unlicensed
		if row.Limited {
			free := max(row.EffectiveHeadroom, 0)
			found.EffectiveHeadroom = &free
		}
	}
	return found
}

// rowOf returns the row of a user, or nil.
func rowOf(rows []sessions.Row, user qlik.User) *sessions.Row {
	if i := slices.IndexFunc(rows, func(r sessions.Row) bool { return r.User == user }); i >= 0 {
		return &rows[i]
	}
	return nil
}

// search returns the users of the repository that match words. Answered is false if the
// repository was not asked or did not answer in time.
func (o *opened) search(ctx context.Context, words []string) (known []qlik.KnownUser, answered bool) {
	for i, word := range words { // the repository searches ids without their directories
		_, id, found := strings.Cut(word, `\`)
		if !found {
			_, id, found = strings.Cut(word, "/")
		}
		if found {
			words = slices.Clone(words)
			words[i] = id
		}
	}
	searched := strings.Join(strings.Fields(strings.Join(words, " ")), " ")
	if o.site.Find == nil || len(searched) < minInRepository {
		return nil, false
	}
	ctx, cancel := context.WithTimeout(ctx, findTimeout)
	defer cancel()
	known, err := o.site.names.find(ctx, searched, o.site.Find)
	return known, err == nil
}

// hashed returns the user whose hash is the id in a label. The directory is "" if it is
// unknown. Only users with sessions, refused logins, or a license can be found, because a
// hash cannot be reversed.
func (o *opened) hashed(directory, id string) (user qlik.User, found bool) {
	id = strings.ToLower(strings.TrimSpace(id))
	if o.site.Hash == nil || len(id) != 16 || strings.Trim(id, "0123456789abcdef") != "" {
		return qlik.User{}, false
	}
	directory = strings.ToUpper(directory)
	is := func(u qlik.User) bool {
		if found || directory != "" && u.Directory != directory || o.site.Hash(u) != id {
			return false
		}
		user, found = u, true
		return true
	}
	snapshot := o.newest()
	for i := range snapshot.Users {
		if is(snapshot.Users[i].User) {
			return user, true
		}
	}
	for u := range snapshot.Refusals {
		if is(u) {
			return user, true
		}
	}
	if snapshot.Licenses != nil {
		for u := range snapshot.Licenses.Holders {
			if is(u) {
				return user, true
			}
		}
	}
	return qlik.User{}, false
}

// serveUsers answers a program that searches users.
func (h *handler) serveUsers(w http.ResponseWriter, r *http.Request) {
	values := r.URL.Query()
	searched := strings.TrimSpace(values.Get("q"))
	switch {
	case searched == "":
		failJSON(nil)(w, "The parameter q is missing: part of an id or of a display name.", http.StatusBadRequest)
		return
	case len(searched) > maxSearched:
		failJSON(nil)(w, tooLong, http.StatusBadRequest)
		return
	}
	o, ok := h.open(w, r, query{Site: values.Get("site")}, true)
	if !ok {
		return
	}
	defer o.done()
	found := o.find(r.Context(), searched)
	if found.Site = o.query.Site; r.Context().Err() != nil {
		return
	}
	h.config.Respond(w, r, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", jsonType)
		_ = json.NewEncoder(w).Encode(found) // an error means that the client is gone
	})
}

const tooLong = "The text is too long for a name."

// findView is the data of find.html.
type findView struct {
	*sessions.Found

	Icon        iconView
	Action      string // URL of the search
	Site        string
	Back        string // URL of the list
	Sentence    string // what was found, or what to do
	Rows        []foundRow
	InDirectory bool // users without sessions are listed
}

// foundRow is a user in the list of matches. Its texts are safe to show.
type foundRow struct {
	URL, User, Name string
	Level, Slots    string // CSS class and text of the badge
}

// serveFind searches and leads to the user, or to the list of those who match.
func (h *handler) serveFind(w http.ResponseWriter, r *http.Request, o *opened, searched string) {
	status, found := http.StatusOK, &sessions.Found{Query: searched, Everybody: true}
	switch {
	case len(searched) > maxSearched:
		status, found.Query = http.StatusBadRequest, ""
	case searched != "":
		found = o.find(r.Context(), searched)
	}
	if r.Context().Err() != nil {
		return
	}
	if len(found.Users) > 0 && o.certain(found) {
		w.Header().Set("Location", "user"+query{Site: o.named(), User: found.Users[0].User}.url())
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	v := newFindView(found, o.named())
	v.Icon = h.icon(o.query.Site).view("", o.query.Site)
	if status != http.StatusOK {
		v.Sentence = tooLong
	}
	h.config.Respond(w, r, func(w http.ResponseWriter, _ *http.Request) { h.render(w, "find.html", v, status) })
}

// certain reports whether the first match is the user that was searched, so that no list
// is needed.
func (o *opened) certain(found *sessions.Found) bool {
	return len(found.Users) == 1 && (found.Everybody || o.site.Find == nil) || strings.EqualFold(found.Users[0].User, found.Query)
}

func newFindView(found *sessions.Found, site string) *findView {
	v := &findView{Found: found, Action: "user", Site: site, Back: "../sessions" + query{Site: site}.url()}
	for i := range found.Users {
		user := &found.Users[i]
		row := foundRow{URL: "user" + query{Site: site, User: user.User}.url(), User: text.Visible(user.User), Name: user.Name, Level: "free"}
		switch free := user.EffectiveHeadroom; {
		case user.Unlicensed != "":
			row.Level, row.Slots = "unlicensed", user.Unlicensed.Label()
		case free != nil && *free == 0:
			row.Level, row.Slots = "full", "0 free"
		case free != nil && *free == 1:
			row.Level, row.Slots = "near", "1 free"
		case free != nil:
			row.Slots = text.Count(*free, "slot") + " free"
		case user.Sessions > 0:
			row.Slots = text.Count(user.Sessions, "session") + ", no limit"
		default:
			row.Slots = "no sessions"
		}
		v.Rows = append(v.Rows, row)
	}
	switch n := len(v.Rows); {
	case found.Query == "":
		v.Sentence = "Type a part of the user's id or name."
	case n == 0 && found.Everybody:
		v.Sentence = "Nobody matches. Try a shorter part of the name, or the login name."
	case n == 0:
		v.Sentence = "Nobody with sessions or a refused login matches."
	case found.More:
		v.Sentence = text.Count(n, "user") + " of many that match. Type more of the name."
	default:
		v.Sentence = text.Count(n, "user") + map[bool]string{true: " matches.", false: " match."}[n == 1]
	}
	return v
}
