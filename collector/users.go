package collector

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

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
	if c.MinSessions < 1 {
		return nil, configErrorf("MinSessions", "must be at least 1, not %d", c.MinSessions)
	}
	if c.MaxUsers < 1 {
		return nil, configErrorf("MaxUsers", "must be at least 1, not %d; without labels of users there are no series of users", c.MaxUsers)
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
	labels        []*dto.LabelPair
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
	labels := make([]*dto.LabelPair, 0, 2*len(rows)) // of all of them, in one piece of memory
	ids := make([]dto.LabelPair, len(rows))
	var directory *dto.LabelPair
	for i := range rows {
		row := &rows[i]
		if directory == nil || directory.GetValue() != row.directory {
			directory = &dto.LabelPair{Name: &userDirectoryName, Value: &row.directory}
		}
		ids[i].Name, ids[i].Value = &userIDName, &row.id
		labels = append(labels, directory, &ids[i])
		row.labels = slices.Clip(labels[2*i:])
	}
	return rows, max(dropped, 0)
}

// occupied is how many sessions or slots a user has, whichever are more.
func occupied(user *headroom.UserStatus) int {
	return max(user.Sessions+user.CoolingSlots, user.LicensedSessions)
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

// userMetric is a metric of users. There are tens of thousands of series of them
// in a scrape. They are made in bulk and do not go through a registry, which would
// take most of the time of a scrape to find out what holds anyway: that users are
// distinct, in order, and have valid labels.
type userMetric struct {
	desc       *prometheus.Desc
	name, help string
	kind       dto.MetricType
}

func userGauge(name, help string) *userMetric { return newUserMetric(name, help, dto.MetricType_GAUGE) }

func userCounter(name, help string) *userMetric {
	return newUserMetric(name, help, dto.MetricType_COUNTER)
}

func newUserMetric(name, help string, kind dto.MetricType) *userMetric {
	name = prometheus.BuildFQName(namespace, "", name)
	return &userMetric{desc: prometheus.NewDesc(name, help, nil, nil), name: name, help: help, kind: kind}
}

// userFamily is the series of a userMetric in one scrape.
type userFamily struct {
	dto.MetricFamily

	portion []dto.Metric // being filled; never grows, because there are pointers into it
}

// family begins the family of a metric.
func (v *view) family(metric *userMetric) *userFamily {
	family := new(userFamily)
	family.Name, family.Help, family.Type = &metric.name, &metric.help, &metric.kind
	v.families = append(v.families, family)
	return family
}

// portionSize is how many series are made at once.
const portionSize = 256

// add adds a series. Its labels are in the order of their names, and it comes
// behind the others in the order of labels.
func (f *userFamily) add(value float64, labels []*dto.LabelPair) {
	if len(f.portion) == cap(f.portion) {
		f.portion = make([]dto.Metric, 0, portionSize)
	}
	f.portion = f.portion[:len(f.portion)+1]
	metric := &f.portion[len(f.portion)-1]
	metric.Label = labels
	if f.GetType() == dto.MetricType_COUNTER {
		metric.Counter = &dto.Counter{Value: new(value)}
	} else {
		metric.Gauge = gaugeOf(value)
	}
	if len(f.Metric) == cap(f.Metric) {
		f.Metric = slices.Grow(f.Metric, max(len(f.Metric), portionSize)) // append grows by less, which costs copies
	}
	f.Metric = append(f.Metric, metric)
}

// smallGauges are the values 0, 1, 2 and so on, which most series have and share.
var smallGauges = func() (gauges [64]*dto.Gauge) {
	for i := range gauges {
		gauges[i] = &dto.Gauge{Value: new(float64(i))}
	}
	return gauges
}()

func gaugeOf(value float64) *dto.Gauge {
	if i := int(value); i >= 0 && i < len(smallGauges) && float64(i) == value {
		return smallGauges[i]
	}
	return &dto.Gauge{Value: new(value)}
}

// addUsers adds a series of each user for whom value gives one.
func (v *view) addUsers(metric *userMetric, value func(*userRow) (float64, bool)) {
	family := v.family(metric)
	for i := range v.users {
		if value, ok := value(&v.users[i]); ok {
			family.add(value, v.users[i].labels)
		}
	}
}
