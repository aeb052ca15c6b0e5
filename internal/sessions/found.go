package sessions

import (
	"strings"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// ParseUser returns the user that is written as DIRECTORY\id or DIRECTORY/id. A user with
// sessions can have any name, and the pages write it with a backslash.
func ParseUser(written string) (user qlik.User, ok bool) {
	user, err := qlik.ParseUser(written)
	if err != nil {
		directory, id, found := strings.Cut(written, `\`)
		if !found {
			return qlik.User{}, false
		}
		user = qlik.NewUser(directory, id)
	}
	return user, true
}

// Found is the answer to a search for users.
type Found struct {
	Site  string      `json:"site,omitempty"`  // "" if flags describe the only site
	Hosts []string    `json:"hosts,omitempty"` // configured hosts, which tell one site from another
	Query string      `json:"query"`
	Users []FoundUser `json:"users"` // the best matches first
	More  bool        `json:"more"`  // more users match than are listed
	// Everybody is false if the repository did not answer. Then only users with sessions or
	// refused logins are found.
	Everybody bool `json:"everybody"`
}

// FoundUser is a user that matches a search.
type FoundUser struct {
	User     string `json:"user"` // DIRECTORY\id
	Name     string `json:"name"` // display name; "" if unknown
	Sessions int    `json:"sessions"`
	// EffectiveHeadroom is absent for users without sessions and for those without a limit.
	EffectiveHeadroom *int `json:"effective_headroom,omitempty"`
	// Unlicensed is why the user cannot log in although slots are free.
	Unlicensed Unlicensed `json:"unlicensed,omitempty"`
}
