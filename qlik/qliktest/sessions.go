package qliktest

import (
	"cmp"
	"container/list"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"
)

// Session is a proxy session. A browser's cookie refers to it, and the limit counts it.
type Session struct {
	ID string
	// Directory and UserID are spelled as at the login. Qlik ignores their case (docs/qlik.md, "User identity").
	Directory, UserID string
	// UserName is the name in the session list; "" if the list has none or null.
	UserName string
	// VirtualProxy is the prefix.
	VirtualProxy, Node, Device string
	// Granted means that the license check granted access. A refused session is listed too, and its next activity repeats the check
	// (docs/qlik.md, "Denial").
	Granted bool
	// LastActivity decides when the session times out. Usage rows may record less; see Config.Activity and Site.KeepAlive.
	Started, LastActivity time.Time
}

// session is a live proxy session.
type session struct {
	Session
	number  uint64
	account *account
	link    *link
	element *list.Element // in link.sessions
	row     *usageRow     // nil without a slot
	opened  opened        // hub, QMC, or both

	secondRow *usageRow // of the hub and the QMC with QMCSecondRow; nil without one
	json      []byte    // element of the session list; it never changes
	ended     bool
}

func (s *session) expiry() time.Time {
	return s.LastActivity.Add(s.link.virtualProxy.InactivityTimeout)
}

// account is the state of one user, independent of the spelling.
type account struct {
	User
	key     string
	id      string
	known   bool // the user is in the repository's table of users
	created time.Time
	cookies map[cookie]*session
	rows    int // number of usage rows, including cooling slots

	allocations []allocation         // replaces User.License and User.Second
	unitEnds    map[string]time.Time // ends of the units of analyzer capacity, by device
	pass        *pass                // the last pass of login access; nil without one
}

// cookie identifies a cookie of a browser. A device has one cookie per virtual proxy and host, and another one for the QMC with
// QMCOwnSession.
type cookie struct {
	device, prefix string
	node           *node
	console        bool
}

func (s *Site) cookieFor(device string, l *link, what opened) cookie {
	return cookie{device, l.virtualProxy.Prefix, l.node, what == console && s.config.QMC == QMCOwnSession}
}

// accountKey identifies a user. It is the same for all spellings.
func accountKey(directory, id string) string {
	return strings.ToLower(directory) + `\` + strings.ToLower(id)
}

// addUser adds a user of the configuration to the repository.
func (s *Site) addUser(u User) error {
	for _, license := range []License{u.License, u.Second} {
		if license != Unlicensed && !s.config.personal(license) {
			return fmt.Errorf(`qliktest: user %s\%s cannot hold the license %q on this site`, u.Directory, u.ID, license)
		}
	}
	if s.accounts[accountKey(u.Directory, u.ID)] != nil {
		return fmt.Errorf(`qliktest: user %s\%s is given twice`, u.Directory, u.ID)
	}
	a := s.newAccount(u)
	if u.License != Unlicensed {
		first := allocation{license: u.License, allocated: s.started.Add(-u.HeldFor)}
		if u.UnusedFor > 0 {
			first.lastUsed = s.started.Add(-u.UnusedFor)
		}
		a.allocations = append(a.allocations, first)
	}
	if u.Second != Unlicensed && u.Second != u.License {
		a.allocations = append(a.allocations, allocation{license: u.Second, allocated: s.started.Add(-u.HeldFor)})
	}
	return nil
}

func (s *Site) newAccount(u User) *account {
	key := accountKey(u.Directory, u.ID)
	a := &account{User: u, key: key, id: stableID("user", key), created: s.started, cookies: map[cookie]*session{}}
	s.accounts[key] = a
	// Every anonymous browser is a separate user that is not in the repository (docs/qlik.md, "Anonymous users").
	if !strings.EqualFold(u.Directory, "NONE") {
		a.known = true
		s.accountOrder = append(s.accountOrder, a)
	}
	return a
}

// account returns the user's account. It creates an account without a license for an unknown user.
func (s *Site) account(directory, id string) *account {
	if a := s.accounts[accountKey(directory, id)]; a != nil {
		return a
	}
	a := s.newAccount(User{Directory: directory, ID: id})
	a.created = s.now()
	return a
}

// forget deletes an account that is not in the repository and has no cookies and no rows.
func (s *Site) forget(a *account) {
	if !a.known && len(a.cookies) == 0 && a.rows == 0 && s.accounts[a.key] == a {
		delete(s.accounts, a.key)
	}
}

// Login simulates a user who opens the hub on a device. If the device has a valid cookie for the virtual proxy on that node, the
// session is reused; otherwise the proxy creates one. Then the license is checked. A refused session has Granted false, is in the
// session list, and causes a line in the audit log. For the node "" a load balancer with sticky sessions chooses a running node. Login
// returns an error only if the virtual proxy does not exist or is not linked, or if the proxy is stopped.
func (s *Site) Login(directory, id, device, prefix, node string) (Session, error) {
	return s.open(directory, id, device, prefix, node, hub)
}

// open opens the hub or the QMC.
func (s *Site) open(directory, id, device, prefix, node string, what opened) (Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.advance()
	l, err := s.linkFor(accountKey(directory, id)+"\x00"+device, prefix, node)
	if err != nil {
		return Session{}, err
	}
	a := s.account(directory, id)
	key := s.cookieFor(device, l, what)
	if live := a.cookies[key]; live != nil {
		return s.openAgain(live, what, now), nil
	}
	return s.begin(beginning{account: a, link: l, cookie: key, directory: directory, userID: id, id: s.newID(), opened: what}, now).Session, nil
}

// beginning is what a new session begins with.
type beginning struct {
	account           *account
	link              *link
	cookie            cookie
	directory, userID string // as spelled at the login
	id                string
	opened            opened
	attributes        []map[string]string // nil if the proxy finds them
}

// begin creates a session and checks the license.
func (s *Site) begin(b beginning, now time.Time) *session {
	s.logins++
	each := &session{
		Session: Session{
			ID: b.id, Directory: b.directory, UserID: b.userID, VirtualProxy: b.link.virtualProxy.Prefix, Node: b.link.node.Name,
			Device: b.cookie.device, Started: now, LastActivity: now,
		},
		number: s.logins, account: b.account, link: b.link, opened: b.opened,
	}
	s.describe(each, b.attributes)
	b.account.cookies[b.cookie] = each
	each.element = b.link.sessions.PushBack(each)
	s.sessions[each.ID] = each
	s.due.push(each.expiry(), due{session: each})
	s.checkLicense(each, now)
	return each
}

// linkFor returns the link for a login. The key selects one of several nodes.
func (s *Site) linkFor(key, prefix, nodeName string) (*link, error) {
	if nodeName != "" {
		n, ok := s.nodesByName[strings.ToLower(nodeName)]
		switch {
		case !ok:
			return nil, fmt.Errorf("qliktest: no node %q", nodeName)
		case !n.running:
			return nil, fmt.Errorf("qliktest: the proxy of %q is stopped", nodeName)
		case n.links[prefix] == nil:
			return nil, fmt.Errorf("qliktest: virtual proxy %q does not exist on node %q", prefix, nodeName)
		}
		return n.links[prefix], nil
	}
	var linked, running []*link
	for _, n := range s.nodes {
		if l := n.links[prefix]; l != nil {
			linked = append(linked, l)
			if n.running {
				running = append(running, l)
			}
		}
	}
	if len(running) == 0 {
		return nil, fmt.Errorf("qliktest: no running node serves virtual proxy %q", prefix)
	}
	h := fnv.New64a()
	h.Write([]byte(key))
	hash := h.Sum64() >> 8 // the low bits of FNV are weak
	if l := linked[hash%uint64(len(linked))]; l.node.running {
		return l, nil
	}
	return running[hash%uint64(len(running))], nil
}

// describe sets the fields of the session list that depend on the user. UserName is text, null or missing. Attributes is mostly empty
// (docs/qlik.md, "Session list"), unless the caller gives it.
func (s *Site) describe(each *session, attributes []map[string]string) {
	h := fnv.New64a()
	h.Write(fmt.Appendf(nil, "%d\x00%s", s.config.Seed, each.account.key))
	hash := h.Sum64() >> 8
	data := sessionData{
		UserDirectory: each.Directory, UserID: each.UserID, SessionID: each.ID, Attributes: []map[string]string{},
	}
	switch hash % 3 {
	case 0:
		if each.account.Name != "" {
			each.UserName = each.account.Name
			data.UserName, _ = json.Marshal(each.UserName)
		}
	case 1:
		data.UserName = json.RawMessage("null")
	}
	switch {
	case attributes != nil:
		data.Attributes = attributes
	case hash/3%8 == 0:
		data.Attributes = []map[string]string{{"group": "Sales"}, {"group": "EMEA"}, {"costcenter": ""}}
	}
	each.json, _ = json.Marshal(data) // strings cannot fail
}

// Touch simulates activity in a session and reports whether the session exists. For a refused session the license check runs again.
func (s *Site) Touch(sessionID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.advance()
	each := s.sessions[sessionID]
	if each == nil {
		return false
	}
	s.touch(each, now)
	return true
}

// alive reports whether a session exists, without activity.
func (s *Site) alive(sessionID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	return s.sessions[sessionID] != nil
}

func (s *Site) touch(each *session, now time.Time) {
	// The due time in the queue is now too early. advance corrects it later, which keeps activity cheap.
	each.LastActivity = now
	each.link.node.engine.worked()
	for _, row := range [...]*usageRow{each.row, each.secondRow} {
		if row != nil {
			row.record(s.config.Activity, now)
		}
	}
	if each.Granted {
		s.renew(each, now)
	} else {
		s.checkLicense(each, now)
	}
}

// Logout ends a session and reports whether it existed.
func (s *Site) Logout(sessionID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.advance()
	each := s.sessions[sessionID]
	if each == nil {
		return false
	}
	s.end(each, now, endByItself)
	return true
}

// How a session ends.
type ending int

const (
	endByItself    ending = iota // by a logout, a timeout, or an administrator
	endWithProxy                 // with its proxy
	endLeavingRows               // its usage rows are left over
)

// end ends a session at a time.
func (s *Site) end(each *session, at time.Time, how ending) {
	each.ended = true
	delete(s.sessions, each.ID)
	delete(each.account.cookies, s.cookieFor(each.Device, each.link, each.opened))
	each.link.sessions.Remove(each.element)
	for _, row := range []*usageRow{each.row, each.secondRow} {
		if row == nil {
			continue
		}
		row.latest(at) // a batch that was due
		row.session = nil
		switch {
		case how == endLeavingRows, how == endWithProxy && s.config.KeepRowsOnRestart:
			s.leave(row, at)
		case s.config.Tail == TailAlways, each.account.rows >= s.config.SessionLimit:
			s.due.push(at.Add(s.config.CoolingTime), due{row: row})
		default:
			s.removeRow(row)
		}
	}
	each.row, each.secondRow = nil, nil
	s.forget(each.account)
}

// endAll ends sessions, oldest first. The order determines which of them end at the limit.
func (s *Site) endAll(ended []*session, at time.Time, how ending) {
	sortByAge(ended)
	for _, each := range ended {
		s.end(each, at, how)
	}
}

func sortByAge(all []*session) {
	slices.SortFunc(all, func(a, b *session) int { return cmp.Compare(a.number, b.number) })
}

func sessionsOf(l *link) []*session {
	return slices.Collect(values[*session](l.sessions))
}

// Sessions returns the live sessions, sorted by user, virtual proxy, node, start and id.
func (s *Site) Sessions() []Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	all := make([]Session, 0, len(s.sessions))
	for _, each := range s.sessions {
		all = append(all, each.Session)
	}
	slices.SortFunc(all, func(a, b Session) int {
		return cmp.Or(
			strings.Compare(a.Directory, b.Directory), strings.Compare(a.UserID, b.UserID),
			strings.Compare(a.VirtualProxy, b.VirtualProxy), strings.Compare(a.Node, b.Node),
			a.Started.Compare(b.Started), strings.Compare(a.ID, b.ID))
	})
	return all
}

// due is an event at a time: the possible timeout of a session or the release of a row.
type due struct {
	session *session
	row     *usageRow
}

// requeue adds all sessions to the queue again, because their timeouts may have become shorter.
func (s *Site) requeue() {
	old := s.due.entries
	s.due = queue[due]{}
	for _, e := range old {
		if e.value.row != nil {
			s.due.push(e.at, e.value)
		}
	}
	var all []*session
	for _, each := range s.sessions {
		all = append(all, each)
	}
	sortByAge(all)
	for _, each := range all {
		s.due.push(each.expiry(), due{session: each})
	}
}

// advance processes all events that are due, in order, and returns the time. The order matters: whether a session ends at the limit
// depends on the rows released before.
func (s *Site) advance() time.Time {
	now := s.now()
	for {
		at, next, ok := s.due.pop(now)
		switch {
		case !ok:
			return now
		case next.row != nil:
			if next.row.element != nil && next.row.timesOut {
				next.row.node.auditLog.timeOut(next.row, at)
			}
			s.removeRow(next.row)
			s.forget(next.row.account)
		case next.session.ended:
		case next.session.expiry().After(at):
			s.due.push(next.session.expiry(), next)
		default:
			s.end(next.session, at, endByItself)
		}
	}
}
