package collector

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// UsersConfig says which users get series of their own, in every collector.
// Bounded counts include every user all the same.
type UsersConfig struct {
	Labels       UserLabels
	MinSessions  int      // users with fewer sessions and cooling slots have no series
	MaxUsers     int      // at most so many users have series, those with most sessions first
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
	if c.MinSessions < 1 {
		return nil, configErrorf("collector.sessions.min-sessions", "must be at least 1, not %d", c.MinSessions)
	}
	if c.MaxUsers < 1 {
		return nil, configErrorf("collector.sessions.max-users", "must be at least 1, not %d; --user-labels=none drops the series of all users", c.MaxUsers)
	}
	exclude, err := anyOf(c.ExcludeUsers)
	if err != nil {
		return nil, configErrorf("collector.sessions.exclude-user", "%w", err)
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
	*qlik.UserStatus

	directory, id string
	labels        []*dto.LabelPair
}

// rows returns the users that get series, in the order of their labels, and how
// many the cap left out.
func (s *userSelection) rows(users []qlik.UserStatus) (rows []userRow, dropped int) {
	if !s.perUser {
		return nil, 0
	}
	rows = make([]userRow, 0, len(users))
	for i := range users {
		user := &users[i]
		occupied := max(user.Sessions+user.CoolingSlots, user.LicensedSessions)
		switch {
		case user.Present() && occupied < s.minSessions:
			continue
		case s.excludes(user.User):
			continue
		}
		rows = append(rows, userRow{UserStatus: user, directory: user.User.Directory, id: s.namer.id(user.User)})
	}
	if dropped = len(rows) - s.maxUsers; dropped > 0 {
		slices.SortStableFunc(rows, func(a, b userRow) int { return cmp.Compare(b.Sessions, a.Sessions) })
		rows = rows[:s.maxUsers]
	}
	// Unsorted rows make gathering several times slower; plain ones mostly are
	// sorted already.
	slices.SortFunc(rows, func(a, b userRow) int {
		return cmp.Or(strings.Compare(a.directory, b.directory), strings.Compare(a.id, b.id))
	})
	pairs := make([]dto.LabelPair, 2*len(rows))
	labels := make([]*dto.LabelPair, 2*len(rows))
	for i := range rows {
		directory, id := &pairs[2*i], &pairs[2*i+1]
		directory.Name, directory.Value = &userDirectoryName, &rows[i].directory
		id.Name, id.Value = &userIDName, &rows[i].id
		rows[i].labels = labels[2*i : 2*i : 2*i+2]
		rows[i].labels = append(rows[i].labels, directory, id)
	}
	return rows, max(dropped, 0)
}

// The names of labels that are shared by pointer.
var (
	userDirectoryName = "user_directory"
	userIDName        = "user_id"
	virtualProxyName  = "virtual_proxy"
	licenseName       = "license"
	reasonName        = "reason"
)

var userLabels = []string{userDirectoryName, userIDName}

// userMetric is a metric of a user. There are tens of thousands of them in a
// scrape, so they share their label pairs instead of making them anew as
// prometheus.NewConstMetric does.
type userMetric struct {
	desc    *prometheus.Desc
	labels  []*dto.LabelPair // in the order of their names
	value   float64
	counter bool
}

var _ prometheus.Metric = (*userMetric)(nil)

// Desc implements prometheus.Metric.
func (m *userMetric) Desc() *prometheus.Desc { return m.desc }

// Write implements prometheus.Metric.
func (m *userMetric) Write(out *dto.Metric) error {
	out.Label = m.labels
	if m.counter {
		out.Counter = &dto.Counter{Value: &m.value}
	} else {
		out.Gauge = &dto.Gauge{Value: &m.value}
	}
	return nil
}

// sendUsers sends a gauge of each user for whom value gives one.
func sendUsers(ch chan<- prometheus.Metric, desc *prometheus.Desc, rows []userRow, value func(*userRow) (float64, bool)) {
	var metrics []userMetric // made in portions, which never grow: there are pointers into them
	for i := range rows {
		if v, ok := value(&rows[i]); ok {
			if len(metrics) == cap(metrics) {
				metrics = make([]userMetric, 0, 256)
			}
			metrics = append(metrics, userMetric{desc: desc, labels: rows[i].labels, value: v})
			ch <- &metrics[len(metrics)-1]
		}
	}
}
