package collector

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// UsersConfig selects the users with series of their own. Bounded counts always
// include every user. Series about refused logins do not depend on sessions and
// have a separate maximum.
type UsersConfig struct {
	Labels       UserLabels
	MinSessions  int      // of sessions plus cooling slots, or of usage rows
	MaxUsers     int      // maximum with series; users with the most of these come first
	ExcludeUsers []string // anchored regular expressions on DIRECTORY\id or DIRECTORY/id, case-insensitive
}

// userSelection selects and names the users with series.
type userSelection struct {
	perUser     bool
	namer       *userNamer
	minSessions int
	maxUsers    int
	exclude     *regexp.Regexp // nil excludes no user
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

// anyOf joins expressions into one anchored expression.
func anyOf(expressions []string) (*regexp.Regexp, error) {
	if len(expressions) == 0 {
		return nil, nil //nolint:nilnil // excludes no user
	}
	for _, expression := range expressions {
		if _, err := regexp.Compile(expression); err != nil {
			return nil, err // names this expression, not the joined one
		}
	}
	return regexp.Compile("(?i)^(?:(?:" + strings.Join(expressions, ")|(?:") + "))$")
}

func (s *userSelection) excludes(user qlik.User) bool {
	return s.exclude != nil && (s.exclude.MatchString(user.String()) || s.exclude.MatchString(user.Directory+"/"+user.ID))
}

// userRow is a user with the labels of its series.
type userRow struct {
	*headroom.UserStatus

	directory, id string
}

// rows returns the users with series, in the order of their labels, and the
// number of users that the maximum excludes.
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
	all := len(rows)
	dropped = max(all-s.maxUsers, 0)
	maxBytes := max(s.maxUsers*bytesPerUser, alwaysBytes)
	if dropped > 0 || sizeOf(rows) > maxBytes {
		slices.SortStableFunc(rows, func(a, b userRow) int { return cmp.Compare(occupied(b.UserStatus), occupied(a.UserStatus)) })
		rows = rows[:len(rows)-dropped]
		for sizeOf(rows) > maxBytes {
			rows = rows[:len(rows)-max(len(rows)/20, 1)]
		}
		dropped = all - len(rows)
	}
	slices.SortFunc(rows, func(a, b userRow) int {
		return cmp.Or(strings.Compare(a.directory, b.directory), strings.Compare(a.id, b.id))
	})
	putIDsTogether(rows)
	return rows, dropped
}

const (
	// bytesPerUser is the maximum average of the bytes of a user's labels in all series,
	// about five times the usual. Only a node that invents long names exceeds it.
	bytesPerUser = 1600
	// alwaysBytes are always allowed, because the maximum number of users can be small.
	alwaysBytes = 1 << 20
	// seriesPerUser is about the number of series of a user besides those of its virtual
	// proxies.
	seriesPerUser = 10
)

// sizeOf returns about the number of bytes of the labels of the users' series.
func sizeOf(rows []userRow) int {
	size := 0
	for i := range rows {
		row := &rows[i]
		size += (len(row.directory) + len(row.id)) * (seriesPerUser + len(row.VirtualProxies))
		for _, count := range row.VirtualProxies {
			size += len(count.VirtualProxy)
		}
	}
	return size
}

// putIDsTogether copies all ids into one block of memory. They are read a dozen
// times from here on, which is slow while they are scattered over the responses
// of Qlik.
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

// occupied returns the number of sessions plus cooling slots of a user, or of
// usage rows if there are more.
func occupied(user *headroom.UserStatus) int {
	return max(user.Sessions+user.CoolingSlots, user.LicensedSessions)
}
