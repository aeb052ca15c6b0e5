package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/qlik-exporter/qlik_exporter/internal/config"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/internal/site"
	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/auditlog"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// openSite is the site that a sessions command queries, together with the terminal
// of the operator.
type openSite struct {
	Site   *site.Site
	Logger log.Logger
	// ServiceAccounts are users whose sessions are never ended.
	ServiceAccounts []qlik.User
	// AuditLogs are the glob patterns of the audit security logs. The commands read the
	// refused logins of the last day from them.
	AuditLogs []string
	// Hash returns the hash of a user in labels. It is nil if no key is known.
	Hash func(qlik.User) string

	In       io.Reader
	Out, Err io.Writer
	Terminal bool // the operator can be asked for confirmation
	Color    bool
}

// Query selects users and sessions.
type Query struct {
	// User is DIRECTORY\id or DIRECTORY/id, an id, a part of an id or of a display
	// name, or the hash from a label. "" selects all users.
	User string
	sessions.PlaceFilter
}

// read queries the site. It waits for the repository's data, including usage rows,
// for longer than a scrape does.
func (c *openSite) read(ctx context.Context) (*headroom.Snapshot, error) {
	c.Site.ReadAhead(ctx)
	snapshot := c.Site.Snapshot(ctx)
	switch {
	case snapshot.Up():
		return snapshot, nil
	case errors.Is(ctx.Err(), context.Canceled):
		return snapshot, errors.New("interrupted")
	case len(snapshot.Links) == 0:
		return snapshot, errors.New("the sessions are unknown: no virtual proxy was found; run qlik_exporter check to find the cause")
	default:
		var causes []string
		for _, failure := range sessions.NewState(snapshot).Failures {
			causes = append(causes, failure.Node+": "+failure.Cause)
		}
		return snapshot, fmt.Errorf("the sessions are unknown: no virtual proxy responded (%s)", strings.Join(causes, "; "))
	}
}

// rows returns the users of a snapshot. It includes refused logins if an audit log can be
// read.
func (c *openSite) rows(ctx context.Context, snapshot *headroom.Snapshot) []sessions.Row {
	return sessions.Rows(snapshot, c.refused(ctx, snapshot))
}

// maxRefusals is the maximum number of refusals of a user in the output.
const maxRefusals = 20

// refused reads the refused logins of the last day before a snapshot. It logs which logs
// cannot be read.
func (c *openSite) refused(ctx context.Context, snapshot *headroom.Snapshot) qlik.Refusals {
	refused := make(qlik.Refusals)
	for _, glob := range c.AuditLogs {
		denials, err := auditlog.Past(ctx, glob, snapshot.Time.Add(-24*time.Hour))
		if err != nil {
			_ = level.Warn(c.Logger).Log("msg", "Cannot read the audit log; some refused logins are not shown", "file", glob, "err", err)
		}
		for _, denial := range denials {
			if denial.Time.After(snapshot.Time) { // since then, or by another clock
				denial.Time = snapshot.Time
			}
			if user := denial.User.Counted(); user != (qlik.User{}) {
				refused[user] = append(refused[user], qlik.Refusal{
					At: denial.Time, Reason: denial.Reason, License: snapshot.Licenses.Before(denial.Time, user),
				})
			}
		}
	}
	for user, refusals := range refused {
		slices.SortStableFunc(refusals, func(a, b qlik.Refusal) int { return b.At.Compare(a.At) })
		refused[user] = refusals[:min(len(refusals), maxRefusals)]
	}
	return refused
}

// readFor queries the site and checks that the places of the query exist.
func (c *openSite) readFor(ctx context.Context, query *Query) (*headroom.Snapshot, error) {
	snapshot, err := c.read(ctx)
	if err != nil {
		return snapshot, err
	}
	if node := query.UnknownNode(snapshot.Links); node != "" {
		return snapshot, unknown("node", "node", node, snapshot, func(l *headroom.LinkResult) string { return l.Node })
	}
	if prefix := query.UnknownVirtualProxy(snapshot.Links); prefix != "" {
		return snapshot, unknown("virtual-proxy", "virtual proxy", prefix, snapshot, func(l *headroom.LinkResult) string { return l.VirtualProxy })
	}
	return snapshot, nil
}

// unknown returns an error about a place that does not exist, with those that do.
func unknown(flag, what, name string, snapshot *headroom.Snapshot, nameOf func(*headroom.LinkResult) string) error {
	var names []string
	for i := range snapshot.Links {
		names = append(names, text.Visible(nameOf(&snapshot.Links[i])))
	}
	slices.Sort(names)
	return fmt.Errorf("--%s: no %s %s; there are %s", flag, what, text.Visible(name), strings.Join(slices.Compact(names), ", "))
}

// match returns the rows of the users that match a text. Whole means that the text
// identifies a single user and is not part of a name.
func (c *openSite) match(ctx context.Context, rows []sessions.Row, searched string) (matching []sessions.Row, whole bool, err error) {
	if searched == "" {
		return rows, false, nil
	}
	// A user with sessions is a user, however odd the name is.
	for _, separator := range []string{`\`, "/"} {
		directory, id, found := strings.Cut(searched, separator)
		if user := qlik.NewUser(directory, id); found {
			if matching = only(rows, func(u qlik.User) bool { return u == user }); len(matching) > 0 {
				return matching, true, nil
			}
		}
	}
	_, err = qlik.ParseUser(searched)
	if strings.Contains(searched, `\`) { // which is in no id and no display name
		if err != nil {
			err = &config.Error{Flag: "user", Err: err}
		}
		return nil, true, err
	}
	matching, isHash := c.matchName(ctx, rows, searched)
	return matching, isHash || err == nil && len(matching) == 0, nil
}

// matchName returns the rows of the users with a hash, or with a part of a name. Whole
// means that the text is a hash.
func (c *openSite) matchName(ctx context.Context, rows []sessions.Row, searched string) (matching []sessions.Row, whole bool) {
	if c.Hash != nil {
		if matching = only(rows, func(u qlik.User) bool { return c.Hash(u) == strings.ToLower(searched) }); len(matching) > 0 {
			return matching, true
		}
	}
	named := make(map[qlik.User]bool)
	known, err := c.Site.FindUsers(ctx, searched)
	if err != nil {
		_ = level.Warn(c.Logger).Log("msg", "Cannot search display names in the repository", "err", err)
	}
	for _, user := range known {
		named[user.User] = true
	}
	id := qlik.NewUser("", searched).ID
	return only(rows, func(u qlik.User) bool {
		withoutBackslash := strings.EqualFold(u.Directory+u.ID, searched) // a shell has removed it
		return strings.Contains(u.ID, id) || named[u] || withoutBackslash
	}), false
}

func only(rows []sessions.Row, is func(user qlik.User) bool) []sessions.Row {
	var those []sessions.Row
	for i := range rows {
		if is(rows[i].User) {
			those = append(those, rows[i])
		}
	}
	return those
}

// sayIncomplete writes the links that are missing from the output, if any.
func sayIncomplete(out io.Writer, snapshot *headroom.Snapshot) error {
	if snapshot.Complete() {
		return nil
	}
	state := sessions.NewState(snapshot)
	var b strings.Builder
	fmt.Fprintf(&b, "Incomplete: %d of %d links (virtual proxies on nodes) responded. There may be more sessions and fewer free slots.\n",
		state.Answered, state.Links)
	for _, failure := range state.Failures {
		fmt.Fprintf(&b, "  %s %s: %s\n", failure.Node, strings.Join(failure.VirtualProxies, " "), failure.Cause)
	}
	b.WriteString("\n")
	_, err := io.WriteString(out, b.String())
	return err
}

// sessionsText returns the number of sessions of a user. If usage rows show that not
// each of them holds one slot, it adds the number that do, or the number of slots.
func sessionsText(row *sessions.Row, snapshot *headroom.Snapshot) string {
	count := strconv.Itoa(row.Sessions)
	if !row.Limited || !rowsCount(snapshot) || row.WithSlot == row.Sessions && row.Slots == row.WithSlot {
		return count
	}
	switch {
	case row.Slots > row.WithSlot:
		return fmt.Sprintf("%s, holding %d slots", count, row.Slots)
	case row.WithSlot == 0:
		return count + ", none holds a slot"
	case row.WithSlot == 1:
		return count + ", 1 holds a slot"
	default:
		return fmt.Sprintf("%s, %d hold a slot", count, row.WithSlot)
	}
}

// takenWithout returns the number of slots of a user that are taken without a
// session. They are cooling or left over; only an exporter that saw the sessions end
// can tell which. While a link does not respond, slots of its sessions look the same,
// so the number is unknown.
func takenWithout(row *sessions.Row, snapshot *headroom.Snapshot) (slots int, known bool) {
	return row.LicensedSessions - row.Slots, rowsCount(snapshot) && snapshot.Complete()
}

// rowsCount returns whether effective headroom is based on usage rows.
func rowsCount(snapshot *headroom.Snapshot) bool {
	return snapshot.UsageKnown && snapshot.UsagePlausible
}
