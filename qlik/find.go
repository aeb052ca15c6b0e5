package qlik

import (
	"cmp"
	"context"
	"io"
	"net/url"
	"slices"
	"strings"
)

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

// FindUsers asks a repository for the users whose id or display name contains a
// text, in whatever case, ordered by user; none where there is no repository.
func (c *Client) FindUsers(ctx context.Context, text string) ([]KnownUser, error) {
	// How a quote is escaped in a filter is not documented, so the repository is
	// asked for the longest part without one, and the whole compared here.
	part := slices.MaxFunc(strings.Split(text, "'"), func(a, b string) int { return cmp.Compare(len(a), len(b)) })
	if len(c.repositories.hosts) == 0 || part == "" {
		return nil, nil
	}
	text = strings.ToLower(text)
	var users []KnownUser
	filter := url.Values{"filter": {"userId so '" + part + "' or name so '" + part + "'"}}
	_, err := c.askRepository(ctx, c.repositories.lastFirst(), "/qrs/user", filter, func(body io.Reader) error {
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
