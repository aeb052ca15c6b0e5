package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"github.com/qlik-exporter/qlik_exporter/internal/answer"
	"github.com/qlik-exporter/qlik_exporter/internal/config"
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
	command.Arg("user", `User: DIRECTORY\id or DIRECTORY/id, an id, part of an id or of a display name, or the hash from a label.`).Required().StringVar(&c.user)
	return Commands{"why": c.why}
}

func (c *whyCommand) why(ctx context.Context, streams Streams) error {
	site, err := c.open(streams)
	if err != nil {
		return err
	}
	defer site.Site.Close()
	snapshot, err := site.read(ctx)
	if err != nil {
		return err
	}
	user, err := site.oneUser(ctx, snapshot, c.user)
	if err != nil {
		return err
	}
	reply := answer.New(&answer.Question{
		Snapshot: snapshot, User: user, Site: c.site, ServiceAccounts: site.ServiceAccounts, Now: snapshot.Time.Local(),
	})
	if c.format == formatJSON {
		encoder := json.NewEncoder(site.Out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(reply)
	} else {
		err = writeAnswer(site, reply, snapshot.Time.Local())
	}
	if err == nil && !snapshot.Complete() {
		err = ErrIncomplete
	}
	return err
}

// maxNamed is the maximum number of users in an error.
const maxNamed = 10

// oneUser returns the user that a text names: one with sessions or slots, or one whom the
// repository knows.
func (c *openSite) oneUser(ctx context.Context, snapshot *headroom.Snapshot, searched string) (qlik.User, error) {
	users := make([]qlik.User, len(snapshot.Users))
	for i := range snapshot.Users {
		users[i] = snapshot.Users[i].User
	}
	known, _ := c.Site.FindUsers(ctx, searched) // match reports an error
	for _, user := range known {
		users = append(users, user.User)
	}
	matching, _, err := c.match(ctx, users, searched)
	if err != nil {
		return qlik.User{}, err
	}
	found := slices.SortedFunc(maps.Keys(matching), qlik.User.Compare)
	var names []string
	for _, user := range found {
		names = append(names, text.Visible(user.String()))
	}
	switch {
	case len(names) == 1:
		return found[0], nil
	case len(names) == 0:
		return qlik.User{}, fmt.Errorf("%s: nobody with this name has sessions, was refused, or is in the repository", text.Visible(searched))
	case len(names) > maxNamed:
		return qlik.User{}, fmt.Errorf("%s: %d users match, among them %s; write more of the name", text.Visible(searched), len(names), strings.Join(names[:maxNamed], ", "))
	default:
		return qlik.User{}, fmt.Errorf("%s: several users match: %s", text.Visible(searched), strings.Join(names, ", "))
	}
}

// writeAnswer writes an answer for people, on one screen.
func writeAnswer(c *openSite, a *answer.Answer, now time.Time) error {
	var b bytes.Buffer
	color := ""
	if c.Color && a.CanLogIn != nil && !*a.CanLogIn {
		color = red
	}
	_, _ = fmt.Fprintf(&b, "%s\n\n", colored(a.Verdict, color))
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	line := func(name, value string) {
		if value != "" {
			_, _ = fmt.Fprintf(w, "%s\t%s\n", name, value)
		}
	}
	if a.Why != "" {
		why := a.Why
		if a.Certainty == headroom.Likely {
			why = "Likely: " + why
		}
		line("Why", why)
	}
	if a.Since != nil {
		line("Since", text.Moment(*a.Since, now)+", "+ago(*a.Since, now))
	}
	for i, refusal := range a.Refused[:min(len(a.Refused), 3)] {
		line([]string{"Refused", "", ""}[i], text.Moment(refusal.At, now)+", "+ago(refusal.At, now)+": "+reasons[refusal.Reason])
	}
	line("License", strings.ReplaceAll(a.License, "_", " "))
	for i := range a.Slots {
		name := ""
		if i == 0 {
			name = "Slots"
		}
		line(name, slotText(&a.Slots[i], now))
	}
	line("To do", a.Advice)
	line("", a.Command)
	for i, language := range []string{answer.English, answer.French, answer.German} {
		line([]string{"Say", "", ""}[i], language+": "+a.Say[language])
	}
	_ = w.Flush() // into memory
	_, err := c.Out.Write(b.Bytes())
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
func ago(t, now time.Time) string { return text.Duration(max(now.Sub(t), 0)) + " ago" }

// slotText describes a slot: its place, what it does, and when it becomes free.
func slotText(s *answer.Slot, now time.Time) string {
	parts := []string{string(s.State)}
	if s.VirtualProxy != "" {
		parts = append(parts, s.VirtualProxy+" on "+s.Node)
	}
	if s.FirstSeen != nil {
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
