package cli

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"github.com/qlik-exporter/qlik_exporter/internal/config"
	"github.com/qlik-exporter/qlik_exporter/internal/exporter"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// CompleteCommand is the word before the words that a shell wants to complete. It is no
// command of the application, whose flags and commands would need to be complete.
const CompleteCommand = "__complete"

// answerWithin is the time that a person waits for completion.
const answerWithin = time.Second

//go:embed completion/*
var completionScripts embed.FS

// shells are those with a script.
var shells = []string{"bash", "zsh", "fish", "powershell"}

// Completion adds the command completion.
func Completion(app *kingpin.Application) Commands {
	var shell string
	command := app.Command("completion", "Print the script that completes commands, flags, and values in a shell. Its first lines say where to put it.")
	command.Arg("shell", "bash, zsh, fish, or powershell.").Required().StringVar(&shell)
	return Commands{"completion": func(_ context.Context, streams Streams) error {
		if !slices.Contains(shells, shell) {
			return fmt.Errorf("completion %s: there is no script for this shell; there are scripts for %s", shell, strings.Join(shells, ", "))
		}
		script, err := completionScripts.ReadFile("completion/" + shell)
		if err != nil {
			return err
		}
		_, err = streams.Out.Write(script)
		return err
	}}
}

// candidate is what a word could become.
type candidate struct {
	value string
	help  string // "" for none
	found bool   // by another part of the name than its beginning
}

// Complete writes the candidates for the last word of a command line, one in a line, with
// a tab before the help. Names of sites, nodes, virtual proxies, and users come from the
// running exporter, if it answers at once. The file is that of the flags of the exporter.
func Complete(ctx context.Context, app *kingpin.Application, flags *config.Flags, file string, words []string, out io.Writer) {
	_, _ = app.ParseContext(nil) // adds kingpin's own commands and flags
	c := completion{app: app.Model(), ask: func(words []string, question func(context.Context, *exporter.Client) error) {
		ctx, cancel := context.WithTimeout(ctx, answerWithin)
		defer cancel()
		if client := exporterOf(flags, file, words); client != nil {
			_ = question(ctx, client) // no answer, no candidates
		}
	}}
	for _, found := range c.candidates(words) {
		line := text.Visible(found.value)
		if found.help != "" {
			line += "\t" + text.Visible(found.help)
		}
		_, _ = fmt.Fprintln(out, line)
	}
}

// exporterOf returns the client of the exporter that a command line asks. It returns nil
// if there is none.
func exporterOf(flags *config.Flags, file string, words []string) *exporter.Client {
	at, _ := url.Parse(valueOf(words, "exporter-url"))
	if at == nil || at.Host == "" {
		args, err := flags.Add([]string{"sessions"}, file, UsesFlagsFile, io.Discard)
		if err != nil {
			return nil
		}
		if _, err := flags.Parse(args); err != nil {
			return nil
		}
		at = flags.ExporterURL()
	}
	if at == nil {
		return nil
	}
	client, err := exporter.New(at, valueOf(words, httpConfigFlag))
	if err != nil {
		return nil
	}
	return client
}

// valueOf returns the value of a flag among words, or "".
func valueOf(words []string, flag string) string {
	for i, word := range words {
		if value, found := strings.CutPrefix(word, "--"+flag+"="); found {
			return value
		}
		if word == "--"+flag && i+1 < len(words) {
			return words[i+1]
		}
	}
	return ""
}

// completion completes command lines of an application.
type completion struct {
	app *kingpin.ApplicationModel
	// ask calls the question with the exporter that the command line asks, unless there
	// is none.
	ask func(words []string, question func(context.Context, *exporter.Client) error)
}

// candidates returns what the last of the words could become.
func (c *completion) candidates(words []string) []candidate {
	if len(words) == 0 {
		words = []string{""}
	}
	before, last := words[:len(words)-1], strings.TrimSpace(words[len(words)-1])
	command, pending, values := c.read(before)
	var found []candidate
	prefix := ""
	switch name, value, isValue := strings.Cut(last, "="); {
	case pending != nil:
		found = c.valuesOf(pending, before, last)
	case strings.HasPrefix(last, "--") && isValue:
		flag := c.flagNamed(command, strings.TrimPrefix(name, "--"))
		if flag == nil {
			return nil
		}
		prefix = name + "="
		found = c.valuesOf(flag, before, value)
		last = value
	case strings.HasPrefix(last, "-"):
		found = c.flagsOf(command, strings.HasPrefix(last, "--no-"))
	default:
		found = c.commandsBelow(command, before, last, values)
	}
	found = slices.DeleteFunc(found, func(f candidate) bool {
		return !f.found && !strings.HasPrefix(strings.ToLower(f.value), strings.ToLower(last))
	})
	for i := range found {
		found[i].value = prefix + found[i].value
	}
	return found
}

// read returns the command in complete words, which is nil if there is none; the flag whose
// value follows, if any; and the number of arguments after the command.
func (c *completion) read(words []string) (command *kingpin.CmdModel, pending *kingpin.FlagModel, arguments int) {
	commands := c.app.Commands
	for _, word := range words {
		name, isFlag := strings.CutPrefix(word, "--")
		switch {
		case pending != nil:
			pending = nil
		case isFlag && !strings.Contains(name, "="):
			if flag := c.flagNamed(command, name); flag != nil && !flag.IsBoolFlag() {
				pending = flag
			}
		case strings.HasPrefix(word, "-"):
		default:
			at := slices.IndexFunc(commands, func(sub *kingpin.CmdModel) bool { return sub.Name == word })
			if at < 0 {
				arguments++
				continue
			}
			command, commands = commands[at], commands[at].Commands
			if command.Name == "help" {
				commands = c.app.Commands
			}
		}
	}
	return command, pending, arguments
}

// flags returns the flags that may follow a command.
func (c *completion) flags(command *kingpin.CmdModel) []*kingpin.FlagModel {
	var flags []*kingpin.FlagModel
	if command != nil {
		flags = ownFlags(c.app, command)
	}
	for _, group := range flagGroups(c.app, command) {
		flags = append(flags, group.Flags...)
	}
	return flags
}

func (c *completion) flagNamed(command *kingpin.CmdModel, name string) *kingpin.FlagModel {
	for _, flag := range c.flags(command) {
		if flag.Name == name {
			return flag
		}
	}
	return nil
}

// flagsOf returns the flags that may follow a command, or the negated forms of those that
// are on or off.
func (c *completion) flagsOf(command *kingpin.CmdModel, negated bool) []candidate {
	var found []candidate
	for _, flag := range c.flags(command) {
		help, _, _ := strings.Cut(flag.Help, ". ")
		switch {
		case negated && flag.IsBoolFlag():
			found = append(found, candidate{value: "--no-" + flag.Name, help: help})
		case negated:
		case flag.IsBoolFlag():
			found = append(found, candidate{value: "--" + flag.Name, help: help})
		default:
			found = append(found, candidate{value: "--" + flag.Name + "=", help: help})
		}
	}
	return found
}

// commandsBelow returns the commands below a command, or the values of its argument.
func (c *completion) commandsBelow(command *kingpin.CmdModel, before []string, word string, arguments int) []candidate {
	commands := c.app.Commands
	switch {
	case command == nil && arguments > 0:
		return nil
	case command == nil, command.Name == "help":
	case command.Name == "completion" && arguments == 0:
		return choices(shells)
	case command.Name == "why" && arguments == 0:
		return c.users(before, word)
	default:
		commands = command.Commands
	}
	var found []candidate
	for _, sub := range commands {
		if !sub.Hidden {
			found = append(found, candidate{value: sub.Name, help: rowOf(sub)[1]})
		}
	}
	return found
}

// valuesOf returns values of a flag.
func (c *completion) valuesOf(flag *kingpin.FlagModel, before []string, value string) []candidate {
	if of, ok := flag.Value.(interface{ Choices() []string }); ok && len(of.Choices()) > 0 {
		return choices(of.Choices())
	}
	switch flag.Name {
	case "user":
		return c.users(before, value)
	case "site":
		return choices(typable(c.sites(before)))
	case "node", "virtual-proxy":
		list := c.list(before)
		if list == nil {
			return nil
		}
		if flag.Name == "node" {
			return choices(typable(list.Nodes))
		}
		return choices(typable(list.VirtualProxies))
	default:
		return nil // a file, or a value that only the user knows
	}
}

// special matches a name with a character that some shell does not take as it is. Bash puts
// a candidate into the line without quoting it, so that "$(...)" in a name would run. A dash
// in front would make a flag of it.
var special = regexp.MustCompile(`^$|^-|[^\pL\pN\pM/._@:+-]`)

// typable returns the names that can be typed without quotes.
func typable(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), special.MatchString)
}

func choices(values []string) []candidate {
	var found []candidate
	for _, value := range values {
		found = append(found, candidate{value: value})
	}
	return found
}

// list returns the sessions of the site that a command line selects, or nil.
func (c *completion) list(before []string) (list *sessions.List) {
	c.ask(before, func(ctx context.Context, client *exporter.Client) (err error) {
		list, err = client.Sessions(ctx, valueOf(before, "site"))
		return err
	})
	return list
}

// sites returns the names of the sites of the running exporter, which names them in its
// answer to a question about none of them.
func (c *completion) sites(before []string) (names []string) {
	c.ask(before, func(ctx context.Context, client *exporter.Client) error {
		_, err := client.Sessions(ctx, "")
		if refusal, ok := errors.AsType[*exporter.RefusedError](err); ok {
			names = refusal.Sites
		}
		return err
	})
	return names
}

// users returns the users that match a word. They are written with a slash, because shells
// remove a backslash.
func (c *completion) users(before []string, word string) (users []candidate) {
	if word == "" {
		return nil // that would be everybody
	}
	c.ask(before, func(ctx context.Context, client *exporter.Client) error {
		query := url.Values{"q": {word}}
		if site := valueOf(before, "site"); site != "" {
			query.Set("site", site)
		}
		found := new(sessions.Found)
		if err := client.Get(ctx, "api/users", query, found); err != nil {
			return err
		}
		for _, entry := range found.Users {
			user, err := qlik.ParseUser(entry.User)
			if name := user.Directory + "/" + user.ID; err == nil && strings.Count(name, "/") == 1 && !special.MatchString(name) {
				users = append(users, candidate{name, entry.Name, true})
			}
		}
		return nil
	})
	return users
}
