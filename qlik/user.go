package qlik

import (
	"fmt"
	"strings"
)

// User is a Qlik Sense user. Qlik compares directories and ids without case, so
// a User is always folded (directory upper case, id lower case) and two Users
// are the same user exactly if they are equal.
type User struct {
	Directory string
	ID        string
}

// NewUser folds the two parts of a user's name as Qlik sent them. Bytes that
// are not UTF-8 become U+FFFD, because label values must be valid UTF-8.
func NewUser(directory, id string) User {
	return User{
		Directory: strings.ToUpper(strings.ToValidUTF8(directory, "\uFFFD")),
		ID:        strings.ToLower(strings.ToValidUTF8(id, "\uFFFD")),
	}
}

// ParseUser reads a user written as DIRECTORY\id.
func ParseUser(s string) (User, error) {
	directory, id, found := strings.Cut(s, `\`)
	if !found || directory == "" || id == "" {
		return User{}, fmt.Errorf(`%q is not a user: write DIRECTORY\id`, s)
	}
	return NewUser(directory, id), nil
}

// String returns the user as DIRECTORY\id.
func (u User) String() string { return u.Directory + `\` + u.ID }

// AnonymousUser stands for all anonymous users together: Qlik gives each
// anonymous browser a user of its own, NONE\anonymous<guid>
// (docs/qlik.md, "Anonymous users").
var AnonymousUser = User{Directory: "NONE", ID: "anonymous"}

// Anonymous says whether u is one of Qlik's anonymous users. They hold no
// license of their own, hence have no headroom.
func (u User) Anonymous() bool {
	return u.Directory == AnonymousUser.Directory && strings.HasPrefix(u.ID, AnonymousUser.ID)
}

// Counted returns the user as whom u is counted: all anonymous ones are one.
func (u User) Counted() User {
	if u.Anonymous() {
		return AnonymousUser
	}
	return u
}

// Compare orders users by directory, then by id: the order in which Prometheus
// sorts their series.
func (u User) Compare(other User) int {
	if c := strings.Compare(u.Directory, other.Directory); c != 0 {
		return c
	}
	return strings.Compare(u.ID, other.ID)
}
