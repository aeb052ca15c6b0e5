package qlik

import (
	"context"
	"errors"
	"hash/maphash"
	"io"
	"net/http"
	"net/url"
	"slices"
)

// SessionID is the value of a user's session cookie: whoever knows it is that
// user. It therefore does not print itself.
type SessionID string

const redacted = "[session id]"

// String hides the id.
func (SessionID) String() string { return redacted }

// GoString hides the id.
func (SessionID) GoString() string { return redacted }

// MarshalText hides the id.
func (SessionID) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// SessionKey stands for a session id where it must be recognized and not be
// known. It holds within this process only.
type SessionKey uint64

var sessionSeed = maphash.MakeSeed()

// Key returns what stands for the id.
func (id SessionID) Key() SessionKey { return SessionKey(maphash.String(sessionSeed, string(id))) }

// Session is a proxy session as a link lists it. The list tells neither when it
// began nor from where (docs/qlik.md, "Session list").
type Session struct {
	ID   SessionID
	User User  // as counted: all anonymous users are one
	Link *Link // that listed it
}

// sessionRecord is an element of the session list. All other fields are
// ignored: UserName is often empty, Attributes can be large.
type sessionRecord struct {
	SessionID     string `json:"SessionId"`
	UserDirectory string `json:"UserDirectory"`
	UserID        string `json:"UserId"`
}

var errIncompleteSession = &kindError{
	kind: KindDecode,
	err:  errors.New("the list has an element without SessionId, UserDirectory or UserId"),
}

// maxSessions bounds what one link may list, far above any real site.
const maxSessions = 250_000

var errTooManySessions = kindErrorf(KindTooLarge, "the list has more than %d sessions", maxSessions)

// Sessions asks a proxy for the sessions of one of its virtual proxies. It calls
// begun, which may be nil, when the answer begins to come in.
func (c *Client) Sessions(ctx context.Context, link *Link, begun func()) (sessions []Session, answer Answer, err error) {
	// The list is likely to be as long as the last one, which saves copies.
	url, length := link.URL(), 0
	if last, ok := c.lengths.Load(url); ok {
		length = last.(int) //nolint:errcheck,forcetypeassert // what is stored below
	}
	q := get(APIProxy, link.Address, link.path(), nil)
	q.begun = begun
	answer, err = c.ask(ctx, q, func(body io.Reader) error {
		sessions, err = decodeSessions(body, link, length+length/16)
		return err
	})
	if err != nil {
		return nil, answer, err // a list that broke off is no list
	}
	c.lengths.Store(url, len(sessions))
	return sessions, answer, nil
}

// decodeSessions reads a list of sessions of about the given length.
func decodeSessions(body io.Reader, link *Link, length int) (sessions []Session, err error) {
	sessions = make([]Session, 0, length)
	// Most users of a list are of few directories, so that one copy of each name
	// serves all of them.
	directories := make(map[string]string)
	err = decodeArray(body, func(record *sessionRecord) error {
		if record.SessionID == "" || record.UserDirectory == "" || record.UserID == "" {
			return errIncompleteSession
		}
		if len(sessions) == maxSessions {
			return errTooManySessions
		}
		if len(sessions) == cap(sessions) {
			sessions = slices.Grow(sessions, max(len(sessions), 16)) // append grows by less, which costs copies
		}
		user := NewUser(record.UserDirectory, record.UserID)
		if known, ok := directories[user.Directory]; ok {
			user.Directory = known
		} else {
			directories[user.Directory] = user.Directory
		}
		sessions = append(sessions, Session{ID: SessionID(record.SessionID), User: user.Counted(), Link: link})
		return nil
	})
	return sessions, err
}

// EndSession ends a session on a link (docs/qlik.md, "Ending sessions"). It
// returns false if the link does not know the session any more.
func (c *Client) EndSession(ctx context.Context, link *Link, id SessionID) (ended bool, err error) {
	// The id is a part of the path, hence hidden in errors.
	target := url.URL{Scheme: "https", Host: link.Address, Path: link.path() + "/"}
	shown := target.String() + redacted
	target.RawPath = target.EscapedPath() + url.PathEscape(string(id))
	target.Path += string(id)
	_, err = c.ask(ctx, question{api: APIProxy, method: http.MethodDelete, target: target, shown: shown}, func(body io.Reader) error {
		_, err := io.Copy(io.Discard, io.LimitReader(body, maxElementBytes)) // so that the connection can be used again
		return err
	})
	if notFound(err) {
		return false, nil
	}
	return err == nil, err
}
