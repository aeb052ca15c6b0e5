package sessions

import (
	"regexp"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// pasteable are names that no shell, on any system, reads as anything else when
// they stand between double quotes.
var pasteable = regexp.MustCompile(`^\w[\w.@ -]*$`)

// EndCommand returns the command line that ends sessions of a user. It is "" where
// a name could do something else when it is pasted into a shell. The site is "" where
// there is only one.
func EndCommand(user qlik.User, site string) string {
	if !pasteable.MatchString(user.Directory) || !pasteable.MatchString(user.ID) {
		return ""
	}
	line := `qlik_exporter sessions end --user "` + user.String() + `"`
	switch {
	case site == "":
	case pasteable.MatchString(site):
		line += ` --site "` + site + `"`
	default:
		return ""
	}
	return line
}
