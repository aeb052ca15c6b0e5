package qliktest

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

// authenticated is the body of a request for a session or a ticket: a user whom a module of the customer has authenticated
// (docs/qlik.md, "Adding sessions").
type authenticated struct {
	UserDirectory, UserID string
	Attributes            []map[string]string
	SessionID             string // for a session
	TargetID              string // for a ticket
}

// maxAuthenticated is the maximum size of such a body.
const maxAuthenticated = 1 << 16

// readAuthenticated reads a body. Qlik trims both parts of the name and allows no backslash in them.
func readAuthenticated(r *http.Request) (authenticated, bool) {
	var user authenticated
	if err := json.NewDecoder(io.LimitReader(r.Body, maxAuthenticated)).Decode(&user); err != nil {
		return user, false
	}
	user.UserDirectory, user.UserID = strings.TrimSpace(user.UserDirectory), strings.TrimSpace(user.UserID)
	if user.Attributes == nil {
		user.Attributes = []map[string]string{}
	}
	return user, user.UserDirectory != "" && user.UserID != "" && !strings.Contains(user.UserDirectory+user.UserID, `\`)
}

// addedSession is the response to a request for a session.
type addedSession struct {
	sessionData
	NewUser bool
}

// addSession responds to a request for a session. The session takes a slot like one of a login. Its browser has no other session. The
// caller holds the lock.
func (s *Site) addSession(l *link, user authenticated, now time.Time) answer {
	id := user.SessionID
	if id == "" {
		id = s.newID()
	}
	if s.sessions[id] != nil {
		return text(http.StatusConflict, "The session exists.") // a guess
	}
	known := s.accounts[accountKey(user.UserDirectory, user.UserID)]
	each := s.begin(beginning{
		account: s.account(user.UserDirectory, user.UserID), link: l, cookie: cookie{device: "session module " + id, prefix: l.virtualProxy.Prefix, node: l.node},
		directory: user.UserDirectory, userID: user.UserID, id: id, opened: hub, attributes: user.Attributes,
	}, now)
	added := addedSession{NewUser: known == nil}
	_ = json.Unmarshal(each.json, &added.sessionData) // the site's own text
	a := ok(added)
	a.status = http.StatusCreated
	return a
}

// ticketTime is how long a ticket is valid.
const ticketTime = time.Minute

// ticket lets a browser log in once.
type ticket struct {
	user    authenticated
	link    *link
	expires time.Time
}

// addedTicket is the response to a request for a ticket.
type addedTicket struct {
	UserDirectory string
	UserID        string `json:"UserId"`
	Attributes    []map[string]string
	Ticket        string
	TargetURI     *string `json:"TargetUri"`
}

// addTicket responds to a request for a ticket. The caller holds the lock.
func (s *Site) addTicket(l *link, user authenticated, now time.Time) answer {
	maps.DeleteFunc(s.tickets, func(_ string, t ticket) bool { return !now.Before(t.expires) })
	if s.tickets == nil {
		s.tickets = map[string]ticket{}
	}
	added := addedTicket{UserDirectory: user.UserDirectory, UserID: user.UserID, Attributes: user.Attributes, Ticket: newTicket(s.random)}
	if user.TargetID != "" {
		// A real proxy knows the page that it redirected from. There was none, so it is the hub.
		uri := "https://" + l.node.Name + "/" + l.virtualProxy.Prefix
		uri = strings.TrimSuffix(uri, "/") + "/hub/"
		added.TargetURI = &uri
	}
	s.tickets[added.Ticket] = ticket{user, l, now.Add(ticketTime)}
	a := ok(added)
	a.status = http.StatusCreated
	return a
}

// newTicket returns a ticket of sixteen letters and digits, like those of real sites.
func newTicket(random *rand.Rand) string {
	const characters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	var b [16]byte
	for i := range b {
		b[i] = characters[random.IntN(len(characters))]
	}
	return string(b[:])
}

// RedeemTicket simulates a browser without a session that comes with a ticket of the proxy. It returns an error if the ticket was used,
// is older than a minute, or never existed.
func (s *Site) RedeemTicket(id, device string) (Session, error) {
	s.mu.Lock()
	t, found := s.tickets[id]
	delete(s.tickets, id)
	valid := found && s.now().Before(t.expires)
	s.mu.Unlock()
	if !valid {
		return Session{}, fmt.Errorf("qliktest: no valid ticket %q", id)
	}
	return s.Login(t.user.UserDirectory, t.user.UserID, device, t.link.virtualProxy.Prefix, t.link.node.Name)
}
