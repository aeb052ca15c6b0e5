package qlik

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
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
