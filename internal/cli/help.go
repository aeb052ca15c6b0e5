package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kingpin/v2"

	"github.com/qlik-exporter/qlik_exporter/internal/terminal"
	"github.com/qlik-exporter/qlik_exporter/internal/text"
)

// helpTopic is a group of commands in the general help.
type helpTopic struct {
	title    string
	commands []helpCommand
}

// helpCommand is a command in the help, with the lines that its own help shows as examples.
type helpCommand struct {
	name     string
	examples []string
}

// helpTopics lists all commands in the order in which people need them. Subcommands have
// examples of their own, but no line in the general help.
var helpTopics = []helpTopic{
	{"First steps", []helpCommand{
		{"init", []string{"qlik_exporter init", "qlik_exporter init --qlik.host=qlik1.company.com --qlik.cert-dir=certs"}},
		{"check", []string{"qlik_exporter check", "qlik_exporter check --qlik.host=qlik1.company.com --qlik.cert-dir=certs"}},
		{"demo", []string{"qlik_exporter demo"}},
	}},
	{"Answers", []helpCommand{
		{"sessions", []string{"qlik_exporter sessions", "qlik_exporter sessions --at-least=4"}},
		{"sessions list", []string{"qlik_exporter sessions --at-least=4", "qlik_exporter sessions --user=anna --output=json"}},
		{"sessions end", []string{"qlik_exporter sessions end --user=ACME/anna.berg --dry-run", "qlik_exporter sessions end --user=ACME/anna.berg"}},
		{"why", []string{"qlik_exporter why anna", "qlik_exporter why ACME/anna.berg --output=json"}},
		{"licenses", []string{"qlik_exporter licenses", "qlik_exporter licenses --output=csv > licenses.csv"}},
		{"report", []string{"qlik_exporter report --prometheus.url=http://localhost:9090 --since=28d --file=report.html"}},
	}},
	{"Operation", []helpCommand{
		{"serve", []string{"qlik_exporter --qlik.host=qlik1.company.com --qlik.cert-dir=certs", "qlik_exporter --config.file=sites.yml"}},
		{"assets", []string{"qlik_exporter assets monitoring"}},
		{"desk", nil},
		{"desk verify", []string{"qlik_exporter desk verify desk.jsonl"}},
		{"service", []string{"qlik_exporter service install", "qlik_exporter service start"}},
		{"service install", []string{"qlik_exporter service install"}},
		{"completion", []string{`eval "$(qlik_exporter completion bash)"`}},
		{"help", []string{"qlik_exporter help sessions end"}},
	}},
}

// flagGroup is a group of flags in the help.
type flagGroup struct {
	Title string
	Flags []*kingpin.FlagModel
}

// flagTopics are the groups of the flags of the program, by prefix. The first one that
// matches has the flag.
var flagTopics = []struct{ prefix, title string }{
	{"qlik.", "Connection to Qlik Sense"},
	{"config.file", "Connection to Qlik Sense"},
	{"guard", "Guard, which ends idle sessions before Qlik refuses a login"},
	{"desk.", "Desk, where a help desk frees slots"},
	{"web.", "Web server"},
	{"timeout-offset", "Web server"},
	{"log.", "Log"},
	{"collector.", "What is collected and shown"},
	{"user-labels", "What is collected and shown"},
	{"", "Other flags"},
}

const connection = "Connection to Qlik Sense"

// Help makes the help of an application show what people look for first: commands before
// flags, and the flags of a command before those that many commands have.
func Help(app *kingpin.Application) {
	app.UsageFuncs(map[string]any{
		"Topics":      topicsOf,
		"Subcommands": subcommands,
		"Examples":    examplesOf,
		"Own":         ownFlags,
		"Groups":      flagGroups,
	})
	app.UsageTemplate(helpTemplate)
}

// ReportUsage makes help and version go to stdout, and ends the program with an error if
// they cannot be written. Kingpin would panic. It finds the width of a terminal, which takes
// all that is written, only without anything in between.
func ReportUsage(app *kingpin.Application, stdout, stderr io.Writer, exit func(code int)) {
	if terminal.Is(stdout) {
		app.UsageWriter(stdout)
		return
	}
	usage := &usageWriter{to: stdout}
	app.UsageWriter(usage)
	app.Terminate(func(code int) {
		if usage.err != nil {
			_, _ = fmt.Fprintf(stderr, "qlik_exporter: error: %s\n", text.Error(usage.err))
			code = 1
		}
		exit(code)
	})
}

// usageWriter keeps the first error of a writer.
type usageWriter struct {
	to  io.Writer
	err error
}

func (w *usageWriter) Write(p []byte) (int, error) {
	if w.err == nil {
		_, w.err = w.to.Write(p)
	}
	return len(p), nil
}

// topicModel is a topic with the rows of its commands.
type topicModel struct {
	Title string
	Rows  [][2]string // name and first sentence
}

func topicsOf(app *kingpin.ApplicationModel) []topicModel {
	var topics []topicModel
	for _, topic := range helpTopics {
		shown := topicModel{Title: topic.title}
		for _, command := range topic.commands {
			at := slices.IndexFunc(app.Commands, func(c *kingpin.CmdModel) bool { return c.Name == command.name })
			if at < 0 {
				continue // a subcommand
			}
			shown.Rows = append(shown.Rows, rowOf(app.Commands[at]))
		}
		topics = append(topics, shown)
	}
	return topics
}

// rowOf returns the name of a command and the first sentence of its help.
func rowOf(command *kingpin.CmdModel) [2]string {
	first, _, _ := strings.Cut(command.Help, ". ")
	return [2]string{command.FullCommand, strings.TrimSuffix(first, ".") + "."}
}

func subcommands(command *kingpin.CmdModel) [][2]string {
	var rows [][2]string
	for _, sub := range command.Commands {
		if !sub.Hidden {
			rows = append(rows, rowOf(sub))
		}
	}
	return rows
}

// examplesOf returns the examples of a command.
func examplesOf(command *kingpin.CmdModel) []string {
	for _, topic := range helpTopics {
		for _, c := range topic.commands {
			if c.name == command.FullCommand {
				return c.examples
			}
		}
	}
	return nil
}

// visible returns the flags that the help shows. Kingpin's own ways to print help and
// completion are hidden behind commands.
func visible(flags []*kingpin.FlagModel) []*kingpin.FlagModel {
	return slices.DeleteFunc(slices.Clone(flags), func(f *kingpin.FlagModel) bool {
		return f.Hidden || strings.HasPrefix(f.Name, "help-") || strings.HasPrefix(f.Name, "completion-")
	})
}

// ownFlags returns the flags that can follow a command: its own, those of the commands
// above it, and those of its default subcommand.
func ownFlags(app *kingpin.ApplicationModel, command *kingpin.CmdModel) []*kingpin.FlagModel {
	flags := visible(command.Flags)
	for _, sub := range command.Commands {
		if sub.Default {
			flags = append(flags, visible(sub.Flags)...)
		}
	}
	parent, _, found := strings.Cut(command.FullCommand, " ")
	if at := slices.IndexFunc(app.Commands, func(c *kingpin.CmdModel) bool { return c.Name == parent }); found && at >= 0 {
		flags = append(visible(app.Commands[at].Flags), flags...)
	}
	return flags
}

// flagGroups returns the flags of the program that matter to a command: all of them to the
// exporter itself, and those that reach Qlik to commands that read the same settings. The
// command is nil for the general help.
func flagGroups(app *kingpin.ApplicationModel, command *kingpin.CmdModel) []flagGroup {
	all := command == nil || command.FullCommand == "serve" || command.FullCommand == "demo"
	var groups []flagGroup
	for _, topic := range flagTopics {
		if !slices.ContainsFunc(groups, func(g flagGroup) bool { return g.Title == topic.title }) {
			groups = append(groups, flagGroup{Title: topic.title})
		}
	}
	for _, flag := range visible(app.Flags) {
		at := slices.IndexFunc(flagTopics, func(t struct{ prefix, title string }) bool { return strings.HasPrefix(flag.Name, t.prefix) })
		title := flagTopics[at].title
		if !all && (title != connection || !readsSettings(command)) {
			continue
		}
		to := slices.IndexFunc(groups, func(g flagGroup) bool { return g.Title == title })
		groups[to].Flags = append(groups[to].Flags, flag)
	}
	return slices.DeleteFunc(groups, func(g flagGroup) bool { return len(g.Flags) == 0 })
}

// readsSettings reports whether a command, or the default of its subcommands, connects to
// Qlik with the settings of the exporter.
func readsSettings(command *kingpin.CmdModel) bool {
	return command.FullCommand == "init" || UsesFlagsFile(command.FullCommand) ||
		slices.ContainsFunc(command.Commands, func(sub *kingpin.CmdModel) bool { return sub.Default && readsSettings(sub) })
}

const helpTemplate = `{{define "Command" -}}
{{range .Args}}{{if not .Hidden}} {{if not .Required}}[{{end}}{{if .PlaceHolder}}{{.PlaceHolder}}{{else}}<{{.Name}}>{{end}}{{if not .Required}}]{{end}}{{end}}{{end -}}
{{end -}}

{{if .Context.SelectedCommand -}}
usage: {{.App.Name}} {{.Context.SelectedCommand.FullCommand}}{{if .Context.SelectedCommand.Commands}} [<command>]{{end}} [<flags>]{{template "Command" .Context.SelectedCommand}}

{{.Context.SelectedCommand.Help|Wrap 0}}
{{with Examples .Context.SelectedCommand -}}
Examples:
{{range .}}  {{.}}
{{end}}
{{end -}}
{{with .Context.SelectedCommand.Args|ArgsToTwoColumns -}}
Arguments:
{{.|FormatTwoColumns}}
{{end -}}
{{with Subcommands .Context.SelectedCommand -}}
Commands:
{{.|FormatTwoColumns}}
{{end -}}
{{with Own .App .Context.SelectedCommand -}}
Flags:
{{.|FlagsToTwoColumns|FormatTwoColumns}}
{{end -}}
{{else -}}
usage: {{.App.Name}} [<command>] [<flags>]

{{.App.Help|Wrap 0}}
{{range Topics .App -}}
{{.Title}}:
{{.Rows|FormatTwoColumns}}
{{end -}}
"{{.App.Name}} help <command>" explains a command.
Without a command, {{.App.Name}} serves metrics.
Each flag with a $VARIABLE can also come from the environment.

{{end -}}
{{range Groups .App .Context.SelectedCommand -}}
{{.Title}}:
{{.Flags|FlagsToTwoColumns|FormatTwoColumns}}
{{end -}}
{{if .Context.SelectedCommand}}"{{.App.Name}} --help" lists all commands and all flags.
{{end -}}
`
