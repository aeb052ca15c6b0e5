package qlik

import (
	"cmp"
	"context"
	"io"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// KnownUser is a user of the repository.
type KnownUser struct {
	User User
	Name string // display name; often empty
}

type userRecord struct {
	Directory name            `json:"userDirectory"`
	ID        name            `json:"userId"`
	Name      optional[label] `json:"name"`
}

func (r userRecord) usable() bool { return r.Directory != "" && r.ID != "" }

// matches returns whether each word in lower case is in the id or in the display name.
func (r userRecord) matches(words []string) bool {
	id, name := strings.ToLower(string(r.ID)), strings.ToLower(string(r.Name.value))
	return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(id, word) && !strings.Contains(name, word) })
}

// FindUsers reads from a repository the users whose id or display name contains each word
// of a text, ignoring case. The result is ordered by user. It is empty if no repository is
// configured.
func (c *Client) FindUsers(ctx context.Context, text string) ([]KnownUser, error) {
	// Escaping a quote in a filter is not documented. The filter therefore contains
	// only the longest part without a quote, and the code below compares all words.
	parts := strings.FieldsFunc(text, func(r rune) bool { return r == '\'' || unicode.IsSpace(r) })
	if len(c.repositories.hosts) == 0 || len(parts) == 0 {
		return nil, nil
	}
	part := slices.MaxFunc(parts, func(a, b string) int { return cmp.Compare(len(a), len(b)) })
	words := strings.Fields(strings.ToLower(text))
	var users []KnownUser
	filter := url.Values{"filter": {"userId so '" + part + "' or name so '" + part + "'"}}
	left := make(leftOut)
	_, err := readLeniently(ctx, c, c.repositories.lastFirst(), "user", filter, left, func(body io.Reader, attempt leftOut) error {
		users = nil
		room := newRoom(maxElements, maxNames)
		return decodeElements(body, attempt, room, func(r *userRecord) {
			if r.matches(words) {
				room.take(string(r.Directory), string(r.ID), string(r.Name.value))
				users = append(users, KnownUser{NewUser(string(r.Directory), string(r.ID)), string(r.Name.value)})
			}
		})
	})
	c.skipped.record(SourceUsers, left, err)
	slices.SortFunc(users, func(a, b KnownUser) int { return a.User.Compare(b.User) })
	return users, err
}
