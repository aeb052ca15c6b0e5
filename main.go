// qlik_exporter exports the sessions of Qlik Sense Enterprise on Windows users, and
// their headroom below the session limit, to Prometheus.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/version"

	"github.com/qlik-exporter/qlik_exporter/internal/cli"
	"github.com/qlik-exporter/qlik_exporter/internal/config"
	"github.com/qlik-exporter/qlik_exporter/internal/serve"
	"github.com/qlik-exporter/qlik_exporter/internal/service"
	"github.com/qlik-exporter/qlik_exporter/internal/terminal"
	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik"
)

func main() {
	if build, ok := debug.ReadBuildInfo(); ok && version.Version == "" {
		version.Version = build.Main.Version // not set by the linker: go run, go install
	}
	if os.Getenv("GOGC") == "" {
		// A scrape produces much garbage, and little memory is needed between scrapes.
		// With the default, the garbage of one scrape is half of the memory in use.
		debug.SetGCPercent(50)
	}
	code := service.Run(context.Background(), run)
	if len(os.Args) == 1 && terminal.OwnsWindow() { // after a double click, for people to read
		fmt.Print("\nPress Enter to close this window. ")
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	}
	os.Exit(code)
}

// flagsFile is the file with the flags of the installed exporter. Tests replace it.
var flagsFile = config.FlagsFile

// commandWith returns the words that start this program in printed commands. Tests replace
// it.
var commandWith = cli.CommandWith

// clock is the clock of commands; nil means time.Now. Tests replace it.
var clock func() time.Time

// run is main without os.Exit, so that deferred calls run.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == cli.CompleteCommand {
		app, flags, _ := newApp(nil)
		cli.Complete(ctx, app, flags, flagsFile(), args[1:], stdout)
		return 0
	}
	typed := args
	args, places, err := config.ExpandFiles(args)
	app, flags, commands := newApp(args)
	flags.Places = places
	cli.ReportUsage(app, stdout, stderr, os.Exit)
	app.ErrorWriter(stderr)
	var command string
	if err == nil {
		args, err = flags.Add(args, flagsFile(), cli.UsesFlagsFile, stderr)
	}
	if err == nil {
		command, err = flags.Parse(args)
	}
	switch {
	case err != nil: // reported below
		warn(stderr, flags)
	case flags.ConfigCheck && command != "serve":
		err = &config.Error{Flag: "config.check", Err: errors.New("works only with the command serve; other commands always check their settings")}
	case flags.ConfigCheck:
		warn(stderr, flags)
		err = serve.Check(flags, stdout)
	default:
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
		defer stop()
		context.AfterFunc(ctx, stop)                 // a second signal ends the program at once
		if command != "serve" && command != "demo" { // they log it
			warn(stderr, flags)
		}
		switch {
		case flags.Command != config.DefaultCommand: // given
		case command == "serve":
			flags.Command = cli.ServedCommand(typed, flagsFile())
		case command != "demo": // which has a flags file of its own
			flags.Command = commandWith(typed, flagsFile())
		}
		err = cli.InTime(ctx, func() error {
			return commands[command](ctx, cli.Streams{In: os.Stdin, Out: stdout, Err: stderr})
		})
	}
	switch {
	case err == nil:
		return 0
	case len(typed) == 0 && errors.Is(err, qlik.ErrNoHost):
		cli.Welcome(stderr)
		return 1
	case errors.Is(err, cli.ErrIncomplete):
		return 2
	case errors.Is(err, cli.ErrFailed):
		return 1
	}
	// Make characters visible that editors, shells, and web pages leave in a value.
	lines := strings.Split(text.Error(flags.Explain(err)), "\n")
	for i := range lines {
		lines[i] = text.Visible(lines[i])
	}
	_, _ = fmt.Fprintf(stderr, "qlik_exporter: error: %s\n", strings.Join(lines, "\n"))
	if errors.Is(err, qlik.ErrNoHost) && command != "serve" {
		_, _ = fmt.Fprintf(stderr, "%s init asks for it, tests it, and saves it.\n", cli.Program())
	}
	return 1
}

// warn says which environment variables have no effect.
func warn(stderr io.Writer, flags *config.Flags) {
	for _, sentence := range flags.Unread() {
		_, _ = fmt.Fprintf(stderr, "qlik_exporter: warning: %s\n", text.Visible(sentence))
	}
}

// newApp returns the command line of the program, its flags, and its commands.
func newApp(args []string) (*kingpin.Application, *config.Flags, cli.Commands) {
	app := kingpin.New("qlik_exporter",
		"Prometheus exporter for the sessions of Qlik Sense Enterprise on Windows. It shows which users are about to reach the session limit, and where.")
	app.Version(version.Print("qlik_exporter"))
	app.HelpFlag.Short('h').NoEnvar().Help("Show help.")
	app.VersionFlag.NoEnvar()
	app.DefaultEnvars()
	cli.Help(app)

	flags := config.Register(app)
	flags.Now = clock
	e := serve.Exporter{Flags: flags}
	app.Command("serve", "Serve the metrics (the default command).").Default()
	commands := cli.Commands{"serve": e.Serve}
	for _, more := range []cli.Commands{
		cli.Init(app, flags, args, flagsFile()), cli.Demo(app, e.Demo), cli.Check(app, flags, version.Version), cli.Sessions(app, flags), cli.Why(app, flags), cli.Licenses(app, flags), cli.Report(app, flags), cli.Assets(app), cli.Completion(app), cli.Desk(app), cli.Service(app, flags, args, flagsFile()),
	} {
		maps.Copy(commands, more)
	}
	return app, flags, commands
}
