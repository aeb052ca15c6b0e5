package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/alecthomas/kingpin/v2"

	"github.com/qlik-exporter/qlik_exporter/internal/config"
	"github.com/qlik-exporter/qlik_exporter/internal/service"
)

const accountFlag = "service.account"

// installCommand installs the Windows service.
type installCommand struct {
	flags   *config.Flags
	args    []string // of the command line; the service runs with these flags
	file    string   // the file for these flags
	account string
}

// Service adds the commands for the Windows service. The installed service runs with
// the flags in a file. The command that installs it writes the flags in args there.
func Service(app *kingpin.Application, flags *config.Flags, args []string, file string) Commands {
	command := app.Command("service", "Install, start, stop, or uninstall the Windows service.")
	c := &installCommand{flags: flags, args: args, file: file}
	install := command.Command("install", "Install the service. It runs with the flags in flags.txt beside the program. If this file has no flags, the command writes the other flags on this command line to it.")
	config.Text(install.Flag(accountFlag, "Account that runs the service: a virtual, managed, or built-in account, which has no password.").
		Default(service.DefaultAccount), &c.account, nil)
	configure := &configureCommand{file: file}
	// Everything after -- belongs to the flags, so that the installer passes on what it got.
	command.Command("configure", "Write flags to flags.txt beside the program, unless it has flags. The installer runs this command.").Hidden().
		Arg("flags", "Flags after --, without quotes around values.").Required().StringsVar(&configure.words)
	command.Command("start", "Start the service.")
	command.Command("stop", "Stop the service.")
	command.Command("uninstall", "Stop and remove the service.")
	control := func(do func(context.Context) error) Run {
		return func(ctx context.Context, _ Streams) error { return do(ctx) }
	}
	return Commands{
		"service install":   c.run,
		"service configure": configure.run,
		"service start":     control(service.Start),
		"service stop":      control(service.Stop),
		"service uninstall": control(service.Uninstall),
	}
}

// run installs the service. It refuses settings that the service would refuse.
func (c *installCommand) run(_ context.Context, streams Streams) error {
	if err := service.Supported(); err != nil {
		return err
	}
	if _, err := c.flags.Load(); err != nil {
		return err
	}
	flags, err := c.flags.Given(c.args, accountFlag)
	if err != nil {
		return err
	}
	account := strings.ReplaceAll(c.account, "/", `\`) // no account contains a slash, but shells remove backslashes
	if err := c.flags.Write(c.file, flags); err != nil {
		return err
	}
	if err := service.Install(account, []string{"@" + c.file}); err != nil {
		return err
	}
	_, err = fmt.Fprintf(streams.Out, "Installed the service %s. It runs as %s with the flags in %s. "+
		"Next, allow this account to read the certificates, then start the service (see docs/windows.md).\n",
		service.Name, account, c.file)
	return err
}

// configureCommand writes the flags of an installer's command line.
type configureCommand struct {
	words []string
	file  string
}

// run writes the flags that the words contain. Each flag reaches to the next one, because the
// quotes around a value rarely survive a shell and an installer. A file that has flags stays as
// it is: tools for software distribution use the same command line for every version.
func (c *configureCommand) run(_ context.Context, streams Streams) error {
	given := linesOf(c.words)
	if !strings.HasPrefix(given[0], "--") {
		return fmt.Errorf("%s: is not a flag; write --FLAG=VALUE", given[0])
	}
	app := kingpin.New("qlik_exporter", "")
	flags := config.Register(app)
	app.Command("serve", "").Default()
	flags.WithoutFiles() // the administrator copies them after the installation
	if _, err := flags.Parse(given); err != nil {
		return err
	}
	if old, _, err := config.ExpandFiles([]string{"@" + c.file}); err == nil && len(old) > 0 {
		_, err := fmt.Fprintf(streams.Out, "%s has flags and stays as it is.\n", c.file)
		return err
	}
	if err := flags.Write(c.file, given); err != nil {
		return err
	}
	_, err := fmt.Fprintf(streams.Out, "Wrote %s to %s.\n", strings.Join(given, " "), c.file)
	return err
}

// linesOf joins words to flags. A word that does not begin with two hyphens continues the flag
// before it.
func linesOf(words []string) []string {
	var lines []string
	for _, word := range words {
		if len(lines) == 0 || strings.HasPrefix(word, "--") {
			lines = append(lines, word)
		} else {
			lines[len(lines)-1] += " " + word
		}
	}
	return lines
}
