package qlik

import (
	"context"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// monitoringApps is the beginning of the names of the data connections of the monitoring
// apps (docs/qlik.md, "Service accounts").
const monitoringApps = "monitor_apps_REST_"

// maxConnectionUsers is the maximum number of users that are kept of data connections. All
// connections of the monitoring apps usually have the same user.
const maxConnectionUsers = 20

// connectionRecord has the only fields of a data connection that are read. The others can
// contain passwords.
type connectionRecord struct {
	Name     name           `json:"name"`
	Username optional[name] `json:"username"`
}

func (r connectionRecord) usable() bool { return r.Name != "" }

// MonitoringUsers reads from a repository the users that the reloads of the monitoring
// apps log in as. It returns none if the release has no data connections or if no
// repository is configured.
func (c *Client) MonitoringUsers(ctx context.Context) ([]User, error) {
	if len(c.repositories.hosts) == 0 {
		return nil, nil
	}
	var users map[User]struct{}
	filter := url.Values{"filter": {"name sw '" + monitoringApps + "'"}}
	left := make(leftOut)
	_, err := readLeniently(ctx, c, c.repositories.lastFirst(), "dataconnection/full", filter, left, func(body io.Reader, attempt leftOut) error {
		users = make(map[User]struct{})
		return decodeElements(body, attempt, newRoom(maxElements, maxNames), func(r *connectionRecord) {
			if !hasPrefixFold(string(r.Name), monitoringApps) || r.Username.value == "" {
				return
			}
			user, ok := parseUserName(string(r.Username.value))
			switch {
			case !ok:
				attempt.add("username")
			case user.Directory != "INTERNAL" && len(users) < maxConnectionUsers:
				users[user] = struct{}{}
			}
		})
	})
	if notFound(err) {
		users, err = nil, nil
	}
	c.skipped.record(SourceDataConnections, left, err)
	if err != nil {
		return nil, err
	}
	return slices.SortedFunc(maps.Keys(users), User.Compare), nil
}

func hasPrefixFold(text, prefix string) bool {
	return len(text) >= len(prefix) && strings.EqualFold(text[:len(prefix)], prefix)
}
