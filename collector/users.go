package collector

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// UsersConfig says which users get series of their own. Bounded counts include
// every user all the same. Users who were refused a login have series of that
// whatever their sessions, up to a number of their own.
type UsersConfig struct {
	Labels       UserLabels
	MinSessions  int      // users with fewer sessions and cooling slots, or usage rows, have no series
	MaxUsers     int      // at most so many users have series, those with most of these first
	ExcludeUsers []string // anchored regular expressions on DIRECTORY\id, in any case
}

// userSelection chooses the users that get series and names them.
type userSelection struct {
	perUser     bool
	namer       *userNamer
	minSessions int
	maxUsers    int
	exclude     *regexp.Regexp // nil excludes nobody
}

func newUserSelection(c UsersConfig) (*userSelection, error) {
	if err := c.Labels.validate(); err != nil {
		return nil, err
	}
	exclude, err := anyOf(c.ExcludeUsers)
	if err != nil {
		return nil, configErrorf("ExcludeUsers", "%w", err)
	}
	return &userSelection{
		perUser:     c.Labels.Mode != UserLabelsNone,
		namer:       newUserNamer(c.Labels),
		minSessions: c.MinSessions,
		maxUsers:    c.MaxUsers,
		exclude:     exclude,
	}, nil
}

// anyOf joins anchored expressions into one.
func anyOf(expressions []string) (*regexp.Regexp, error) {
	if len(expressions) == 0 {
		return nil, nil //nolint:nilnil // excludes nobody
	}
	for _, expression := range expressions {
		if _, err := regexp.Compile(expression); err != nil {
			return nil, err // names the one expression, not the whole
		}
	}
	return regexp.Compile("(?i)^(?:(?:" + strings.Join(expressions, ")|(?:") + "))$")
}

func (s *userSelection) excludes(user qlik.User) bool {
	return s.exclude != nil && s.exclude.MatchString(user.String())
}

// userRow is a user with the labels of its series.
type userRow struct {
	*headroom.UserStatus

	directory, id string
}

// rows returns the users that get series, in the order of their labels, and how
// many the cap left out.
func (s *userSelection) rows(users []headroom.UserStatus) (rows []userRow, dropped int) {
	if !s.perUser {
		return nil, 0
	}
	rows = make([]userRow, 0, len(users))
	for i := range users {
		user := &users[i]
		switch {
		case user.Present() && occupied(user) < s.minSessions:
			continue
		case s.excludes(user.User):
			continue
		}
		rows = append(rows, userRow{UserStatus: user, directory: user.User.Directory, id: s.namer.id(user.User)})
	}
	if dropped = len(rows) - s.maxUsers; dropped > 0 {
		slices.SortStableFunc(rows, func(a, b userRow) int { return cmp.Compare(occupied(b.UserStatus), occupied(a.UserStatus)) })
		rows = rows[:s.maxUsers]
	}
	slices.SortFunc(rows, func(a, b userRow) int {
		return cmp.Or(strings.Compare(a.directory, b.directory), strings.Compare(a.id, b.id))
	})
	putIDsTogether(rows)
	return rows, max(dropped, 0)
}

// putIDsTogether makes one piece of memory of all ids. They are read a dozen times
// from here on, which takes long where they lie scattered over the answers of Qlik.
func putIDsTogether(rows []userRow) {
	var ids strings.Builder
	for i := range rows {
		ids.WriteString(rows[i].id)
	}
	rest := ids.String()
	for i := range rows {
		n := len(rows[i].id)
		rows[i].id, rest = rest[:n], rest[n:]
	}
}

// occupied is how many sessions or slots a user has, whichever are more.
func occupied(user *headroom.UserStatus) int {
	return max(user.Sessions+user.CoolingSlots, user.LicensedSessions)
}
