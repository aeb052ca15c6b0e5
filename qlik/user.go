package qlik

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
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

// ParseUser parses a user as people write it: DIRECTORY\id, or DIRECTORY/id, which no
// shell changes. It refuses texts that are not exactly one user, such as a list.
func ParseUser(s string) (User, error) {
	separator := `\`
	if !strings.Contains(s, separator) {
		separator = "/"
	}
	directory, id, found := strings.Cut(s, separator)
	switch {
	case strings.ContainsFunc(s, unseen):
		return User{}, userErrorf(s, "it contains an invisible character; if a backslash and a letter became this character, write %s", bothForms)
	case strings.ContainsAny(s, ",;"), severalUsers(s):
		return User{}, userErrorf(s, "write a single user")
	case !found:
		return User{}, userErrorf(s, "it has no directory; if a shell or systemd removed the backslash, write %s", bothForms)
	case directory == "" || id == "":
		return User{}, userErrorf(s, "write %s", bothForms)
	case strings.Contains(id, `\`):
		return User{}, userErrorf(s, `write a single backslash, as in 'DIR\id'`)
	case strings.Contains(id, "/") && separator == "/":
		return User{}, userErrorf(s, `write 'DIR\id' with a backslash, because the directory or the id contains a slash`)
	}
	return NewUser(directory, id), nil
}

// bothForms are the forms of a user that are safe to type. No program changes the first
// one. Quotes protect a backslash from shells, but not from systemd.
const bothForms = `DIR/id or 'DIR\id'`

func userErrorf(s, format string, args ...any) error {
	return fmt.Errorf("%s is not a user as DIRECTORY\\id: %w", s, fmt.Errorf(format, args...))
}

// severalUsers returns whether at least two words of a text contain a separator.
func severalUsers(s string) bool {
	users := 0
	for word := range strings.FieldsSeq(s) {
		if strings.ContainsAny(word, `\/`) {
			users++
		}
	}
	return users > 1
}

// unseen returns whether a character cannot be seen in a name: a control character, a
// mark such as a zero-width space, or a special space that looks like another.
func unseen(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) || r == '\u00a0' || r == utf8.RuneError
}

// parseUserName parses DIRECTORY\id as the repository writes it.
func parseUserName(name string) (user User, ok bool) {
	directory, id, found := strings.Cut(name, `\`)
	return NewUser(directory, id), found && directory != "" && id != ""
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
