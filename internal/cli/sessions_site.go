package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/qlik-exporter/qlik_exporter/internal/config"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/internal/site"
	"github.com/qlik-exporter/qlik_exporter/internal/terminal"
	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// openSite is the site that a sessions command queries, together with the terminal
// of the operator.
type openSite struct {
	Site   *site.Site
	Logger log.Logger
	// Record logs who ended sessions.
	Record log.Logger
	// ServiceAccounts are users whose sessions are never ended.
	ServiceAccounts []qlik.User
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
	begun := time.Now()
	defer terminal.NewStatus(c.Err).Follow(func() string { return waitingForLinks(c.Site, begun) })()
	c.Site.ReadAhead(ctx)
	snapshot := c.Site.Snapshot(ctx)
	if !snapshot.Up() && errors.Is(ctx.Err(), context.Canceled) {
		return snapshot, errors.New("interrupted")
	}
	return snapshot, noData(sessions.NewList(snapshot, nil))
}

// waitingForLinks says what a command waits for.
func waitingForLinks(site *site.Site, begun time.Time) string {
	asking, ok := site.Asking()
	if !ok {
		return fmt.Sprintf("Waiting for the repository (%s)", text.Duration(time.Since(begun)))
	}
	line := fmt.Sprintf("%s of %s answered", text.Number(asking.Links-len(asking.Waiting)), text.Count(asking.Links, "link"))
	if nodes := asking.Nodes(); len(nodes) > 0 {
		line += fmt.Sprintf("; waiting for %s (%s)", text.Visible(strings.Join(nodes, ", ")), text.Duration(asking.For))
	}
	return line
}

// say writes a line for people. On a terminal, it breaks the line between words.
func say(out io.Writer, format string, args ...any) error {
	columns, _ := terminal.Size(out)
	_, err := io.WriteString(out, terminal.Wrap(fmt.Sprintf(format, args...), 0, 0, columns)+"\n")
	return err
}

// noData returns an error if no link responded, so that all sessions are unknown.
func noData(list *sessions.List) error {
	switch {
	case list.LinksAnswered > 0:
		return nil
	case list.Links == 0:
		return errors.New("the sessions are unknown: no virtual proxy was found; run qlik_exporter check to find the cause")
	default:
		var causes []string
		for _, failure := range list.Failures() {
			causes = append(causes, failure.Node+": "+failure.Cause)
		}
		return fmt.Errorf("the sessions are unknown: no virtual proxy responded (%s)", strings.Join(causes, "; "))
	}
}

// checkPlaces checks that the places of a query exist.
func checkPlaces(query *Query, list *sessions.List) error {
	if node := query.UnknownNode(list.Nodes); node != "" {
		return unknown("node", "node", node, list.Nodes)
	}
	if prefix := query.UnknownVirtualProxy(list.VirtualProxies); prefix != "" {
		return unknown("virtual-proxy", "virtual proxy", prefix, list.VirtualProxies)
	}
	return nil
}

// unknown returns an error about a place that does not exist, with those that do.
func unknown(flag, what, name string, existing []string) error {
	var names []string
	for _, name := range existing {
		names = append(names, text.Visible(name))
	}
	return fmt.Errorf("--%s: no %s %s; there are %s", flag, what, text.Visible(name), strings.Join(names, ", "))
}

// match returns those of the users that match a text. Whole means that the text
// identifies a single user and is not part of a name.
func (c *openSite) match(ctx context.Context, users []qlik.User, searched string) (matching map[qlik.User]bool, whole bool, err error) {
	if searched == "" {
		return only(users, func(qlik.User) bool { return true }), false, nil
	}
	// A user with sessions is a user, however odd the name is.
	for _, separator := range []string{`\`, "/"} {
		directory, id, found := strings.Cut(searched, separator)
		if user := qlik.NewUser(directory, id); found && slices.Contains(users, user) {
			return map[qlik.User]bool{user: true}, true, nil
		}
	}
	_, err = qlik.ParseUser(searched)
	if strings.Contains(searched, `\`) { // which is in no id and no display name
		if err != nil {
			err = &config.Error{Flag: "user", Err: err}
		}
		return nil, true, err
	}
	matching, isHash := c.matchName(ctx, users, searched)
	return matching, isHash || err == nil && len(matching) == 0, nil
}

// matchName returns the users with a hash, or with a part of a name. Whole means that
// the text is a hash.
func (c *openSite) matchName(ctx context.Context, users []qlik.User, searched string) (matching map[qlik.User]bool, whole bool) {
	if c.Hash != nil {
		if matching = only(users, func(u qlik.User) bool { return c.Hash(u) == strings.ToLower(searched) }); len(matching) > 0 {
			return matching, true
		}
	}
	named := c.displayed(ctx, searched)
	id := qlik.NewUser("", searched).ID
	return only(users, func(u qlik.User) bool {
		withoutBackslash := strings.EqualFold(u.Directory+u.ID, searched) // a shell has removed it
		return strings.Contains(u.ID, id) || named[u] || withoutBackslash
	}), false
}

// displayed returns the users with a part of a name in the repository. A command without
// settings of a site cannot search there.
func (c *openSite) displayed(ctx context.Context, searched string) map[qlik.User]bool {
	if c.Site == nil {
		_ = say(c.Err, "Display names and hashes are not searched, because the flags do not describe the site.")
		return nil
	}
	named := make(map[qlik.User]bool)
	known, err := c.Site.FindUsers(ctx, searched)
	if err != nil {
		_ = level.Warn(c.Logger).Log("msg", "Cannot search display names in the repository", "err", err)
	}
	for _, user := range known {
		named[user.User] = true
	}
	return named
}

func only(users []qlik.User, is func(user qlik.User) bool) map[qlik.User]bool {
	those := make(map[qlik.User]bool)
	for _, user := range users {
		if is(user) {
			those[user] = true
		}
	}
	return those
}

// sayIncomplete writes the links that are missing from the output, if any.
func sayIncomplete(out io.Writer, list *sessions.List) error {
	if list.Complete {
		return nil
	}
	err := say(out, "Incomplete: %s of %s (virtual proxies on nodes) responded. There may be more sessions and fewer free slots.",
		text.Number(list.LinksAnswered), text.Count(list.Links, "link"))
	for _, failure := range list.Failures() {
		err = cmp.Or(err, say(out, "  %s %s: %s", failure.Node, strings.Join(failure.VirtualProxies, " "), failure.Cause))
		if failure.Remedy != "" {
			err = cmp.Or(err, say(out, "    To do: %s", failure.Remedy))
		}
	}
	return cmp.Or(err, say(out, ""))
}

// sessionsText returns the number of sessions of a user. If usage rows show that not
// each of them holds one slot, it adds the number that do, or the number of slots.
func sessionsText(user *sessions.Listed) string {
	count := text.Number(user.Sessions)
	if user.EffectiveHeadroom == nil || user.SessionsWithSlot == nil || user.SlotsOfSessions == nil {
		return count
	}
	switch with, slots := *user.SessionsWithSlot, *user.SlotsOfSessions; {
	case with == user.Sessions && slots == with:
		return count
	case slots > with:
		return fmt.Sprintf("%s, holding %s slots", count, text.Number(slots))
	case with == 0:
		return count + ", none holds a slot"
	case with == 1:
		return count + ", 1 holds a slot"
	default:
		return fmt.Sprintf("%s, %s hold a slot", count, text.Number(with))
	}
}

// withoutSession returns the number of slots of a user that are known to be taken without
// a session. They are cooling or left over.
func withoutSession(user *sessions.Listed) int {
	if user.SlotsWithoutSession == nil {
		return 0
	}
	return *user.SlotsWithoutSession
}
