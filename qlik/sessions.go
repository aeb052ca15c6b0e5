package qlik

import (
	"context"
	"errors"
	"hash/maphash"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// SessionID is the value of a user's session cookie. It is a secret: it gives access
// as that user (docs/qlik.md, "Session list"). Its methods therefore hide the value.
type SessionID string

const redacted = "[session id]"

// String hides the id.
func (SessionID) String() string { return redacted }

// GoString hides the id.
func (SessionID) GoString() string { return redacted }

// MarshalText hides the id.
func (SessionID) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// SessionKey is a hash of a session id. It identifies a session without revealing the
// id. It is valid only within this process.
type SessionKey uint64

var sessionSeed = maphash.MakeSeed()

// Key returns the hash of the id.
func (id SessionID) Key() SessionKey { return SessionKey(maphash.String(sessionSeed, string(id))) }

// Session is a proxy session in the list of a link. The list does not contain the
// start time or the client address (docs/qlik.md, "Session list").
type Session struct {
	ID   SessionID
	User User  // as returned by User.Counted: all anonymous users are one
	Link *Link // link that listed the session
}

// sessionRecord is an element of the session list. Other fields are ignored:
// UserName is often empty, and Attributes can be large.
type sessionRecord struct {
	SessionID     string `json:"SessionId"`
	UserDirectory string `json:"UserDirectory"`
	UserID        string `json:"UserId"`
}

var errIncompleteSession = otherShapef("an element of the list has no SessionId, UserDirectory or UserId")

var errLongName = otherShapef("an element of the list has an id of more than %d characters", maxName)

// Sessions reads the session list of a link from its proxy. It calls begun, which may
// be nil, when the response begins to arrive. If the list is incomplete, Sessions
// returns only the error. The room is shared by the links of a node; nil means that there
// is only one.
func (c *Client) Sessions(ctx context.Context, link *Link, room *Room, begun func()) (sessions []Session, answer Answer, err error) {
	if link.Unread {
		return nil, answer, unreadError(link)
	}
	if room == nil {
		room = NewRoom()
	}
	// The list is probably about as long as the last one. Allocating this length at
	// once avoids copies.
	url, length := link.URL(), 0
	if last, ok := c.lengths.Load(url); ok {
		length = last.(int) //nolint:errcheck,forcetypeassert // Store below stores an int
	}
	q := get(APIProxy, link.Address, link.path(), nil)
	q.begun = begun
	answer, err = c.send(ctx, q, func(body io.Reader) error {
		sessions, err = decodeSessions(roomReader{body, room}, link, room, length+length/16)
		return err
	})
	if err != nil {
		c.lengths.Delete(url)   // otherwise, many links could reserve the memory of a list that only one has
		return nil, answer, err // a partial list would hide sessions
	}
	c.lengths.Store(url, len(sessions))
	return sessions, answer, nil
}

// decodeSessions reads a session list. The length is an estimate.
func decodeSessions(body io.Reader, link *Link, room *Room, length int) (sessions []Session, err error) {
	sessions = make([]Session, 0, length)
	// A list has many users but few directories, so all users of a directory share one
	// string.
	directories := make(map[string]string)
	err = decodeArray(body, func(record *sessionRecord) error {
		if record.SessionID == "" || record.UserDirectory == "" || record.UserID == "" {
			return errIncompleteSession
		}
		if !isName(record.SessionID) || !isName(record.UserDirectory) || !isName(record.UserID) {
			return errLongName
		}
		if len(sessions) == cap(sessions) {
			sessions = slices.Grow(sessions, max(len(sessions), 16)) // append grows in smaller steps, with more copies
		}
		user := NewUser(record.UserDirectory, record.UserID)
		if known, ok := directories[user.Directory]; ok {
			user.Directory = known
		} else if directories[user.Directory] = user.Directory; !room.takeName(user.Directory) {
			return errNoRoomForSessions
		}
		if !room.take(record.SessionID, user.ID) {
			return errNoRoomForSessions
		}
		sessions = append(sessions, Session{ID: SessionID(record.SessionID), User: user.Counted(), Link: link})
		return nil
	})
	return sessions, err
}

var errRelativeID = errors.New("the session id is a relative path")

// isRelative reports whether a session id has an element that a server could resolve
// to another path although it is escaped.
func isRelative(id string) bool {
	return slices.ContainsFunc(strings.FieldsFunc(id, func(r rune) bool { return r == '/' || r == '\\' }), func(element string) bool {
		return element == "." || element == ".."
	})
}

// EndSession ends a session on a link (docs/qlik.md, "Ending sessions"). It returns
// false and no error if the session no longer exists.
func (c *Client) EndSession(ctx context.Context, link *Link, id SessionID) (ended bool, err error) {
	// The path contains the id, so errors show a path without it.
	target := url.URL{Scheme: "https", Host: link.Address, Path: link.path() + "/"}
	shown := target.String() + redacted
	if isRelative(string(id)) {
		return false, &Error{Op: http.MethodDelete, Target: shown, Kind: KindDecode, Err: errRelativeID}
	}
	target.RawPath = target.EscapedPath() + url.PathEscape(string(id))
	target.Path += string(id)
	_, err = c.send(ctx, apiRequest{api: APIProxy, method: http.MethodDelete, target: target, shown: shown}, func(body io.Reader) error {
		_, err := io.Copy(io.Discard, io.LimitReader(body, maxElementBytes)) // so that the connection can be reused
		return err
	})
	if notFound(err) {
		return false, nil
	}
	return err == nil, err
}
