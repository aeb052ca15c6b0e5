package qlik

import (
	"fmt"
	"strings"
)

// User is a Qlik Sense user. Qlik ignores case in directories and ids (docs/qlik.md,
// "User identity"). A User therefore has its directory in upper case and its id in
// lower case, so that equal Users are the same user.
type User struct {
	Directory string
	ID        string
}

// NewUser returns the user with a directory and an id in any case. Invalid UTF-8
// becomes U+FFFD, because label values must be valid UTF-8.
func NewUser(directory, id string) User {
	return User{
		Directory: strings.ToUpper(strings.ToValidUTF8(directory, "\uFFFD")),
		ID:        strings.ToLower(strings.ToValidUTF8(id, "\uFFFD")),
	}
}

// ParseUser parses a user in the form DIRECTORY\id.
func ParseUser(s string) (User, error) {
	directory, id, found := strings.Cut(s, `\`)
	if !found || directory == "" || id == "" {
		return User{}, fmt.Errorf(`%q is not a user: write DIRECTORY\id`, s)
	}
	return NewUser(directory, id), nil
}

// String returns the user as DIRECTORY\id.
func (u User) String() string { return u.Directory + `\` + u.ID }

// AnonymousUser represents all anonymous users. Qlik creates a user
// NONE\anonymous<guid> for each anonymous browser (docs/qlik.md, "Anonymous users").
var AnonymousUser = User{Directory: "NONE", ID: "anonymous"}

// TooLong reports whether the directory or the id is longer than any of Qlik's.
func (u User) TooLong() bool { return !isName(u.Directory) || !isName(u.ID) }

// Anonymous reports whether u is an anonymous user. Anonymous users hold no license,
// so they have no headroom.
func (u User) Anonymous() bool {
	return u.Directory == AnonymousUser.Directory && strings.HasPrefix(u.ID, AnonymousUser.ID)
}

// Counted returns the user that counts the sessions of u: AnonymousUser for all
// anonymous users, u itself for others.
func (u User) Counted() User {
	if u.Anonymous() {
		return AnonymousUser
	}
	return u
}

// Compare orders users by directory and then by id. This is the order of their series
// in Prometheus.
func (u User) Compare(other User) int {
	if c := strings.Compare(u.Directory, other.Directory); c != 0 {
		return c
	}
	return strings.Compare(u.ID, other.ID)
}
