package sessions

import (
	"regexp"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// pasteable matches names that no shell on any system interprets within double
// quotes.
var pasteable = regexp.MustCompile(`^\w[\w.@ -]*$`)

// EndCommand returns the command line that ends sessions of a user. The program is the
// words that start it, such as "qlik_exporter". The site is "" if there is only one.
// EndCommand returns "" if a shell could interpret a part of the
// user or the site name.
func EndCommand(program string, user qlik.User, site string) string {
	if !pasteable.MatchString(user.Directory) || !pasteable.MatchString(user.ID) {
		return ""
	}
	line := program + ` sessions end --user "` + user.String() + `"`
	switch {
	case site == "":
	case pasteable.MatchString(site):
		line += ` --site "` + site + `"`
	default:
		return ""
	}
	return line
}
