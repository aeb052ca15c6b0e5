package qlik

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"
)

const proxyPort = "4243"

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

// Session is a proxy session as a link lists it. The list tells neither when it
// began nor from where (docs/qlik.md, "Session list").
type Session struct {
	ID   SessionID
	User User
	Link *Link // that listed it; of several links the first
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

// listSessions asks a proxy for the sessions of one of its virtual proxies.
func (c *client) listSessions(ctx context.Context, link *Link) (sessions []Session, certificateExpiry time.Time, err error) {
	certificateExpiry, err = c.get(ctx, APIProxy, link.Address, link.path(), nil, func(body io.Reader) error {
		return decodeArray(body, func(record *sessionRecord) error {
			if record.SessionID == "" || record.UserDirectory == "" || record.UserID == "" {
				return errIncompleteSession
			}
			if len(sessions) == maxSessions {
				return errTooManySessions
			}
			if len(sessions) == cap(sessions) {
				sessions = slices.Grow(sessions, max(len(sessions), 16)) // append grows by less, which costs copies
			}
			sessions = append(sessions, Session{
				ID:   SessionID(record.SessionID),
				User: NewUser(record.UserDirectory, record.UserID),
				Link: link,
			})
			return nil
		})
	})
	if err != nil {
		return nil, certificateExpiry, err // a list that broke off is no list
	}
	return sessions, certificateExpiry, nil
}
