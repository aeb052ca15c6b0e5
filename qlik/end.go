package qlik

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// EndSession ends a session on every link of the snapshot that lists it. It
// returns false if none of them knew the session any more. An error is one
// *Error or wraps several.
func (s *Site) EndSession(ctx context.Context, snapshot *Snapshot, id SessionID) (ended bool, err error) {
	for i := range snapshot.Links {
		link := &snapshot.Links[i]
		if !slices.ContainsFunc(link.Sessions, func(session Session) bool { return session.ID == id }) {
			continue
		}
		switch failure := s.client.endSession(ctx, &link.Link, id); {
		case failure == nil:
			ended = true
		case notFound(failure):
		case err == nil:
			err = failure
		default:
			err = fmt.Errorf("%w; %w", err, failure)
		}
	}
	s.usage.outdate()
	return ended, err
}

// endSession ends a session (docs/qlik.md, "Ending sessions"). The id is a part
// of the path, hence hidden in errors.
func (c *client) endSession(ctx context.Context, link *Link, id SessionID) error {
	target := url.URL{Scheme: "https", Host: link.Address, Path: link.path() + "/"}
	shown := target.String() + redacted
	target.RawPath = target.EscapedPath() + url.PathEscape(string(id))
	target.Path += string(id)
	_, err := c.request(ctx, APIProxy, http.MethodDelete, target, shown, func(body io.Reader) error {
		_, err := io.Copy(io.Discard, io.LimitReader(body, maxElementBytes)) // so that the connection can be used again
		return err
	})
	return err
}

// KnownUser is a user of the repository.
type KnownUser struct {
	User User
	Name string // for display; often empty
}

type userRecord struct {
	Directory string `json:"userDirectory"`
	ID        string `json:"userId"`
	Name      string `json:"name"`
}

// FindUsers returns the users whose id or display name contains a text, in
// whatever case, ordered by user; none where there is no repository.
func (s *Site) FindUsers(ctx context.Context, text string) ([]KnownUser, error) {
	// How a quote is escaped in a filter is not documented, so the repository is
	// asked for the longest part without one, and the whole compared here.
	part := slices.MaxFunc(strings.Split(text, "'"), func(a, b string) int { return cmp.Compare(len(a), len(b)) })
	if s.repository == nil || part == "" {
		return nil, nil
	}
	text = strings.ToLower(text)
	var users []KnownUser
	filter := url.Values{"filter": {"userId so '" + part + "' or name so '" + part + "'"}}
	err := s.repository.ask(ctx, "/qrs/user", filter, func(body io.Reader) error {
		users = nil
		return decodeArray(body, func(record *userRecord) error {
			if strings.Contains(strings.ToLower(record.ID), text) || strings.Contains(strings.ToLower(record.Name), text) {
				users = append(users, KnownUser{NewUser(record.Directory, record.ID), strings.ToValidUTF8(record.Name, "\uFFFD")})
			}
			return nil
		})
	})
	slices.SortFunc(users, func(a, b KnownUser) int { return a.User.Compare(b.User) })
	return users, err
}
