package qlik

import (
	"context"
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	// MaxRoles is the maximum number of users of one call of Administrators.
	MaxRoles = 50
	// maxRolesFilter is the maximum number of bytes of its filter, because the filter is a
	// part of the address of the request.
	maxRolesFilter = 3000
)

// roleRecord is a user with the roles of the QMC.
type roleRecord struct {
	userRef

	Roles elements[role] `json:"roles"`
}

func (r roleRecord) usable() bool { return r.complete() }

// role is the name of a role: a text, or an object with a name.
type role string //nolint:recvcheck // a record is a value, and decoding needs a pointer

func (r role) usable() bool { return r != "" }

// ofAdministrator reports whether the role is one of those of administrators.
func (r role) ofAdministrator() bool { return strings.Contains(strings.ToLower(string(r)), "admin") }

// onlyHub reports whether the role gives rights in the hub and none in the QMC.
func (r role) onlyHub() bool { return strings.EqualFold(string(r), "HubAdmin") }

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (r *role) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	var text name
	if d.PeekKind() == jsontext.KindBeginObject {
		var object struct {
			Name name `json:"name"`
		}
		if err := json.UnmarshalDecode(d, &object); err != nil {
			return err
		}
		text = object.Name
	} else if err := text.UnmarshalJSONFrom(d); err != nil {
		return err
	}
	*r = role(text)
	return nil
}

// Administrators reads from a repository which of at most MaxRoles users have an
// administrator's role (docs/qlik.md, "Roles"). Users of whom this is unknown are not in
// the result: those that the repository does not list, and those with other roles only,
// which may be those of administrators, too.
func (c *Client) Administrators(ctx context.Context, users []User) (map[User]bool, error) {
	users = users[:min(len(users), MaxRoles)]
	filter := rolesFilter(users)
	if len(c.repositories.hosts) == 0 || filter == "" {
		return nil, nil
	}
	var known map[User]bool
	left := make(leftOut)
	_, err := readLeniently(ctx, c, c.repositories.lastFirst(), "user/full", url.Values{"filter": {filter}}, left, func(body io.Reader, attempt leftOut) error {
		known = make(map[User]bool)
		return decodeElements(body, attempt, newRoom(maxElements, maxNames), func(r *roleRecord) {
			user := r.user()
			if !slices.Contains(users, user) {
				return // with the same id in another directory, for example
			}
			roles := slices.DeleteFunc(r.Roles.list, role.onlyHub)
			administers := slices.ContainsFunc(roles, role.ofAdministrator)
			if administers || len(roles) == 0 && !r.Roles.odd {
				known[user] = administers
			}
		})
	})
	c.skipped.record(SourceUsers, left, err)
	if err != nil {
		return nil, err
	}
	return known, nil
}

// rolesFilter returns a filter for the ids of users. It leaves out those for which there is
// no room, and those with a quote, because escaping one in a filter is not documented.
func rolesFilter(users []User) string {
	var filter strings.Builder
	for _, user := range users {
		part := "userId eq '" + user.ID + "'"
		if strings.Contains(user.ID, "'") || filter.Len()+len(part) > maxRolesFilter {
			continue
		}
		if filter.Len() > 0 {
			filter.WriteString(" or ")
		}
		filter.WriteString(part)
	}
	return filter.String()
}
