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
	Name string // display name; often empty
}

type userRecord struct {
	Directory string `json:"userDirectory"`
	ID        string `json:"userId"`
	Name      string `json:"name"`
}

// FindUsers reads from a repository the users whose id or display name contains a
// text, ignoring case. The result is ordered by user. It is empty if no repository is
// configured.
func (c *Client) FindUsers(ctx context.Context, text string) ([]KnownUser, error) {
	// Escaping a quote in a filter is not documented. The filter therefore contains
	// only the longest part without a quote, and the code below compares the whole text.
	part := slices.MaxFunc(strings.Split(text, "'"), func(a, b string) int { return cmp.Compare(len(a), len(b)) })
	if len(c.repositories.hosts) == 0 || part == "" {
		return nil, nil
	}
	text = strings.ToLower(text)
	var users []KnownUser
	filter := url.Values{"filter": {"userId so '" + part + "' or name so '" + part + "'"}}
	_, err := c.sendToRepository(ctx, c.repositories.lastFirst(), "/qrs/user", filter, func(body io.Reader) error {
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
