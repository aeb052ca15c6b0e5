package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"github.com/qlik-exporter/qlik_exporter/internal/answer"
	"github.com/qlik-exporter/qlik_exporter/internal/config"
	"github.com/qlik-exporter/qlik_exporter/internal/exporter"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/internal/terminal"
	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// whyCommand answers whether a user can log in.
type whyCommand struct {
	sessionsCommand

	user, format string
}

// Why adds the command why.
func Why(app *kingpin.Application, flags *config.Flags) Commands {
	c := &whyCommand{sessionsCommand: sessionsCommand{flags: flags}}
	command := app.Command("why", "Say whether a user can log in, why not, what helps, and what to tell the user. "+
		"Exit status: 0 with an answer; 1 on an error, or if nobody knows the user; 2 if incomplete, because some virtual proxies did not respond.")
	config.Text(command.Flag("site", "Site of --config.file. Required if the file describes several sites."), &c.site, nil)
	config.Choice(command.Flag("output", "Output format: table or json.").Default(formatTable).NoEnvar(), &c.format, formatTable, formatJSON)
	c.exporter.add(command)
	command.Arg("user", `User: DIRECTORY\id or DIRECTORY/id, an id, part of an id or of a display name, or the hash from a label.`).Required().StringVar(&c.user)
	return Commands{"why": c.why}
}

// why answers. It asks the running exporter first.
func (c *whyCommand) why(ctx context.Context, streams Streams) error {
	opened, openErr := c.open(ctx, streams)
	if openErr == nil {
		defer opened.Site.Close()
	} else {
		opened = withoutSite(streams) // an exporter needs no settings, but display names do
	}
	var reply *answer.Answer
	answered, err := c.exporter.ask(streams.Err, c.flags, func(client *exporter.Client) (err error) {
		_, settings, _ := settingsOf(c.flags, c.site)
		reply, err = c.askExporter(ctx, client, settings)
		return err
	})
	switch {
	case err != nil:
		return err
	case answered: // all texts of the exporter are unchecked
		if reply.Command != "" {
			user, _ := qlik.ParseUser(reply.User)
			reply.Command = sessions.EndCommand(c.flags.Command, user, c.site)
		}
	case openErr != nil:
		return openErr
	default:
		if err := sayDirect(streams.Err); err != nil {
			return err
		}
		if reply, err = c.askQlik(ctx, opened); err != nil {
			return err
		}
	}
	if c.format == formatJSON {
		encoder := json.NewEncoder(opened.Out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(reply)
	} else {
		err = writeAnswer(opened, reply, answered)
	}
	if err == nil && !reply.Complete {
		err = ErrIncomplete
	}
	return err
}

// askExporter has the exporter find the user, and asks it about this user.
func (c *whyCommand) askExporter(ctx context.Context, client *exporter.Client, settings *config.Site) (*answer.Answer, error) {
	query := make(url.Values)
	if c.site != "" {
		query.Set("site", c.site)
	}
	find := func(searched string) (*sessions.Found, error) {
		found := new(sessions.Found)
		query.Set("q", searched)
		err := client.Get(ctx, "api/users", query, found)
		if err == nil && found.Query != strings.TrimSpace(searched) {
			err = errors.New("the answer is not a list of users")
		}
		return found, err
	}
	found, err := find(c.user)
	if err != nil {
		return nil, err
	}
	if err := sameSite(settings, found.Hosts); err != nil {
		return nil, err
	}
	user, err := theOne(usersOf(found), c.user, found.More)
	if err != nil {
		if len(found.Users) == 0 {
			if wider, wideErr := find(beginning(c.user)); wideErr == nil {
				err = addSimilar(err, usersOf(wider), c.user)
			}
			if !found.Everybody {
				err = fmt.Errorf("%w; the repository was not searched", err)
			}
		}
		return nil, &notOneUserError{err}
	}
	query.Del("q")
	query.Set("user", user.String())
	reply := new(answer.Answer)
	if err := client.Get(ctx, "sessions/user", query, reply); err != nil {
		return nil, err
	}
	if reply.User == "" {
		return nil, errors.New("the answer is not about a user")
	}
	return reply, nil
}

// notOneUserError is about the name that was asked for, and not about the exporter.
type notOneUserError struct{ error }

func isAboutTheUser(err error) bool {
	_, is := errors.AsType[*notOneUserError](err)
	return is
}

func (c *whyCommand) askQlik(ctx context.Context, opened *openSite) (*answer.Answer, error) {
	snapshot, err := opened.read(ctx)
	if err != nil {
		return nil, err
	}
	if err := sayIncomplete(opened.Err, sessions.NewList(snapshot, nil)); err != nil {
		return nil, err
	}
	users := make([]qlik.User, len(snapshot.Users))
	for i := range snapshot.Users {
		users[i] = snapshot.Users[i].User
	}
	user, err := opened.oneUser(ctx, users, c.user)
	if err != nil {
		return nil, err
	}
	return answer.New(&answer.Question{
		Snapshot: snapshot, User: user, Site: c.site, ServiceAccounts: opened.ServiceAccounts, Program: c.flags.Command, Now: snapshot.Time.Local(),
	}), nil
}

// maxNamed is the maximum number of users in an error.
const maxNamed = 10

// oneUser returns the user that a text names: one of the users, or one whom the repository
// knows.
func (c *openSite) oneUser(ctx context.Context, users []qlik.User, searched string) (qlik.User, error) {
	withKnown := func(name string) []qlik.User {
		all := slices.Clone(users)
		known, _ := c.Site.FindUsers(ctx, name) // match reports an error
		for _, user := range known {
			all = append(all, user.User)
		}
		return all
	}
	name := searched
	if user, err := qlik.ParseUser(searched); err == nil {
		name = user.ID // the repository searches ids without their directories
	}
	matching, _, err := c.match(ctx, withKnown(name), searched)
	if err != nil {
		return qlik.User{}, err
	}
	user, err := theOne(slices.SortedFunc(maps.Keys(matching), qlik.User.Compare), searched, false)
	if len(matching) == 0 {
		err = addSimilar(err, withKnown(beginning(searched)), searched)
	}
	return user, err
}

func usersOf(found *sessions.Found) []qlik.User {
	var users []qlik.User
	for i := range found.Users {
		directory, id, _ := strings.Cut(found.Users[i].User, `\`)
		users = append(users, qlik.NewUser(directory, id))
	}
	return users
}

// theOne returns the user whom a text names: the one with this name or id, or the only one
// that matches. More is whether more users match.
func theOne(matching []qlik.User, searched string, more bool) (qlik.User, error) {
	id := qlik.NewUser("", searched).ID
	named := slices.DeleteFunc(slices.Clone(matching), func(u qlik.User) bool {
		return !strings.EqualFold(u.String(), searched) && !strings.EqualFold(u.Directory+"/"+u.ID, searched) && u.ID != id
	})
	var names []string
	for _, user := range matching {
		names = append(names, text.Visible(user.String()))
	}
	list := strings.Join(names[:min(len(names), maxNamed)], ", ")
	switch {
	case len(named) == 1:
		return named[0], nil
	case len(matching) == 1 && !more:
		return matching[0], nil
	case len(matching) == 0:
		return qlik.User{}, fmt.Errorf("%s: nobody with this name has sessions, was refused, or is in the repository", text.Visible(searched))
	case more:
		return qlik.User{}, fmt.Errorf("%s: more than %d users match, among them %s; write more of the name", text.Visible(searched), len(names), list)
	case len(names) > maxNamed:
		return qlik.User{}, fmt.Errorf("%s: %d users match, among them %s; write more of the name", text.Visible(searched), len(names), list)
	default:
		return qlik.User{}, fmt.Errorf("%s: several users match: %s", text.Visible(searched), list)
	}
}

const (
	// minSimilar is the shortest beginning that similar ids share with a text.
	minSimilar = 3
	// maxSimilar is the maximum number of similar users in an error.
	maxSimilar = 5
)

// beginning returns the first characters of the id in a text.
func beginning(searched string) string {
	id := []rune(idIn(searched))
	return string(id[:min(len(id), minSimilar)])
}

// idIn returns the id in a text that can begin with a directory.
func idIn(searched string) string {
	return qlik.NewUser("", searched[strings.LastIndexAny(searched, `\/`)+1:]).ID
}

// addSimilar adds to an error the users whose ids contain the longest beginning of the id
// that was searched.
func addSimilar(err error, users []qlik.User, searched string) error {
	id := []rune(idIn(searched))
	for n := len(id); n >= minSimilar; n-- {
		var names []string
		for _, user := range users {
			if name := text.Visible(user.String()); strings.Contains(user.ID, string(id[:n])) && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		if slices.Sort(names); len(names) > 0 {
			return fmt.Errorf("%w; similar: %s", err, strings.Join(names[:min(len(names), maxSimilar)], ", "))
		}
	}
	return err
}

// writeAnswer writes an answer for people, on one screen.
//
// Without the past, as a command sees it that asks Qlik itself, the ages of sessions and
// causes are only those of the command.
func writeAnswer(c *openSite, a *answer.Answer, past bool) error {
	now := a.At.Local()
	columns, _ := terminal.Size(c.Out)
	var b strings.Builder
	color := ""
	if c.Color && a.CanLogIn != nil && !*a.CanLogIn {
		color = red
	}
	b.WriteString(colored(terminal.Wrap(text.Visible(a.Verdict), 0, 0, columns), color) + "\n\n")
	const indent = len("Refused  ") // the longest name
	write := func(name, value string) {
		if value != "" {
			b.WriteString(terminal.Pad(name, indent) + value + "\n")
		}
	}
	line := func(name, value string) {
		write(name, terminal.Wrap(value, indent, indent, columns))
	}
	if a.Why != "" {
		why := text.Visible(a.Why)
		if a.Certainty == headroom.Likely {
			why = "Likely: " + why
		}
		line("Why", why)
	}
	if a.Since != nil && a.Why != "" && past {
		line("Since", text.Moment(*a.Since, now)+", "+ago(*a.Since, now))
	}
	for i, refusal := range a.Refused[:min(len(a.Refused), 3)] {
		line([]string{"Refused", "", ""}[i], text.Moment(refusal.At, now)+", "+ago(refusal.At, now)+": "+reasons[refusal.Reason])
	}
	line("License", text.Visible(strings.ReplaceAll(a.License, "_", " ")))
	for i := range a.Slots {
		name := ""
		if i == 0 {
			name = "Slots"
		}
		line(name, slotText(&a.Slots[i], now, past))
	}
	line("To do", text.Visible(a.Advice))
	write("", a.Command) // it must stay in one piece
	for i, language := range []string{answer.English, answer.French, answer.German} {
		line([]string{"Say", "", ""}[i], language+": "+text.Visible(a.Say[language]))
	}
	_, err := io.WriteString(c.Out, b.String())
	return err
}

var reasons = map[qlik.RefusalReason]string{qlik.RefusedNoLicense: "no license", qlik.RefusedSessionLimit: "too many sessions"}

func colored(s, color string) string {
	if color == "" {
		return s
	}
	return color + s + plain
}

// ago returns the time from t until now, such as "3 min ago".
func ago(t, now time.Time) string {
	if now.Sub(t) < time.Second {
		return "just now"
	}
	return text.Duration(now.Sub(t)) + " ago"
}

// slotText describes a slot: its place, what it does, and when it becomes free.
func slotText(s *answer.Slot, now time.Time, past bool) string {
	parts := []string{text.Visible(string(s.State))}
	if s.State == headroom.SlotActive && !s.HoldsSlot {
		parts = []string{"holds no slot"}
	}
	if s.VirtualProxy != "" {
		parts = append(parts, text.Visible(s.VirtualProxy+" on "+s.Node))
	}
	if s.FirstSeen != nil && past {
		parts = append(parts, "first seen "+ago(*s.FirstSeen, now))
	}
	if s.LastActive != nil {
		parts = append(parts, "last used "+ago(*s.LastActive, now))
	}
	if s.FreesAt != nil {
		parts = append(parts, "free by "+text.Coming(*s.FreesAt, now))
	}
	return strings.Join(parts, ", ")
}
