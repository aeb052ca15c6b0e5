package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/alecthomas/kingpin/v2"

	"github.com/qlik-exporter/qlik_exporter/internal/config"
	"github.com/qlik-exporter/qlik_exporter/internal/terminal"
	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik"
)

const (
	// localFlags is the flags file in the current folder. It is for a program that no
	// package installed, so that there is no folder for the usual one.
	localFlags = "qlik_exporter.flags"
	// maxTries is the number of times that init asks the same question.
	maxTries = 3

	hostFlag       = "qlik.host"
	certDirFlag    = "qlik.cert-dir"
	passphraseFlag = "qlik.key-passphrase-file" //nolint:gosec // the name of a flag
)

// initCommand sets up the connection to a site.
type initCommand struct {
	flags *config.Flags
	args  []string // of the command line
	usual string   // the flags file of the installed exporter
	file  string   // --file
}

// Init adds the command init. It writes the flags in args, and what it asks for, to a
// file.
func Init(app *kingpin.Application, flags *config.Flags, args []string, usual string) Commands {
	if absolute, err := filepath.Abs(usual); usual != "" && err == nil {
		usual = absolute
	}
	c := &initCommand{flags: flags, args: args, usual: usual}
	command := app.Command("init", "Set up the connection to a site: ask for the host name and the certificates, test everything, and write the flags file. "+
		"The command asks only for what the flags and this machine do not tell, and never changes flags that a file already has. "+
		"Exit status: 0 if the test passed and the flags are written; 1 otherwise.")
	config.Path(command.Flag("file", "Flags file to write. By default, that of the installed exporter, or "+localFlags+" in this folder if the exporter is not installed.").NoEnvar(), &c.file)
	return Commands{"init": c.run}
}

// run asks, tests, and writes.
func (c *initCommand) run(ctx context.Context, streams Streams) error {
	if c.flags.ConfigFile != "" {
		return &config.Error{Flag: "config.file", Err: errors.New("describes sites already; test them with qlik_exporter check")}
	}
	file, err := c.flagsFile()
	if err != nil {
		return err
	}
	lines, err := c.flags.Given(c.args, "file")
	if err != nil {
		return err
	}
	found, foundOut := c.flags.FindSite()
	for _, setting := range foundOut {
		if _, err := fmt.Fprintf(streams.Out, "Found on this machine: %s.\n", setting); err != nil {
			return err
		}
	}
	with := converse(streams.In, streams.Out)
	with.echo = !terminal.Is(streams.In)
	answers, err := c.askFor(ctx, with, &found)
	if err != nil {
		return err
	}
	lines = append(lines, answers...)

	passed, err := c.test(ctx, streams)
	switch {
	case err != nil:
		return err
	case !passed:
		_, _ = fmt.Fprintf(streams.Out, "\nThe test failed, so nothing is written. Correct what the lines with FAIL say, and run the command again.\n")
		return ErrFailed
	case len(lines) == 0:
		_, err := fmt.Fprintf(streams.Out, "\nThe test passed. No flags are needed on this machine.\n\n%s", c.next(""))
		return err
	}
	if file, err = filepath.Abs(file); err == nil {
		err = c.flags.AddSite(file, lines)
	}
	if err != nil {
		return explainWrite(file, err)
	}
	_, err = fmt.Fprintf(streams.Out, "\nThe test passed. Wrote to %s:\n\n", file)
	for _, line := range lines {
		_, err = fmt.Fprintf(streams.Out, "  %s\n", text.Visible(line))
	}
	if err == nil {
		_, err = fmt.Fprintf(streams.Out, "\n%s", c.next(file))
	}
	return err
}

// flagsFile returns the file to write. It returns an error if its flags describe a site.
func (c *initCommand) flagsFile() (string, error) {
	file := cmp.Or(c.file, c.usual)
	_, err := os.Stat(filepath.Dir(file))
	switch {
	case file == "", c.file == "" && errors.Is(err, fs.ErrNotExist):
		file = localFlags
	case errors.Is(err, fs.ErrNotExist): // before questions whose answers could not be written
		return "", &config.Error{Flag: "file", Err: fmt.Errorf("the folder %s does not exist", filepath.Dir(file))}
	}
	described, err := c.flags.DescribedIn(file)
	if described {
		return "", fmt.Errorf("%s already describes a site; change its flags there, and test them with %s", file, c.command("check", file))
	}
	return file, err
}

// askFor asks for what is missing to connect to the site. It returns the answers as
// flags.
func (c *initCommand) askFor(ctx context.Context, with *conversation, site *config.Site) (answers []string, err error) {
	if len(site.Host) == 0 && len(site.Proxy) == 0 {
		line, err := c.answer(ctx, with, hostFlag, "Host name of the central node, as the QMC shows it under Nodes:", nil)
		if err != nil {
			return nil, err
		}
		answers = append(answers, line)
	}
	if site.CertDir == "" {
		line, err := c.answer(ctx, with, certDirFlag, "Folder with client.pem, client_key.pem, and root.pem, which the QMC exported:", func() error {
			if err := c.readCredentials(); !isAbout(err, passphraseFlag) {
				return err
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		answers = append(answers, line)
	}
	if site.KeyPassphraseFile == "" && isAbout(c.readCredentials(), passphraseFlag) {
		line, err := c.answer(ctx, with, passphraseFlag, "client_key.pem is encrypted. File with its passphrase:", c.readCredentials)
		if err != nil {
			return nil, err
		}
		answers = append(answers, line)
	}
	return answers, nil
}

// answer asks for the value of a flag until it is valid, and sets the flag. It returns the
// flag as a line of a flags file.
func (c *initCommand) answer(ctx context.Context, with *conversation, flag, question string, check func() error) (line string, err error) {
	for try := 1; ; try++ {
		given, err := with.ask(ctx, question)
		if errors.Is(err, errNoAnswer) {
			_, _ = fmt.Fprintln(with.out)
			return "", &config.Error{Flag: flag, Err: errors.New("is missing, and there is nobody to ask; set it on the command line")}
		}
		if err != nil {
			return "", err
		}
		if given == "" {
			err = &config.Error{Flag: flag, Err: errors.New("is empty")}
		} else {
			line, err = c.flags.Answer(flag, given)
		}
		if err == nil && check != nil {
			err = check()
		}
		if err == nil || try == maxTries {
			return line, err
		}
		if _, err := fmt.Fprintf(with.out, "  %s\n", text.Visible(text.Error(err))); err != nil {
			return "", err
		}
	}
}

// readCredentials reads the certificate files.
func (c *initCommand) readCredentials() error {
	site, _ := c.flags.FindSite()
	run := site.Run()
	client, err := qlik.NewClient(run.Client)
	if err != nil {
		return config.Named(err)
	}
	defer client.Close()
	read, err := client.Credentials()
	if err != nil {
		return config.Named(err)
	}
	return config.Named(cmp.Or(read.ClientError, read.RootError))
}

// isAbout reports whether an error is about a flag.
func isAbout(err error, flag string) bool {
	setting, ok := errors.AsType[*config.Error](err)
	return ok && setting.Flag == flag
}

// test checks the site and reports whether no step failed.
func (c *initCommand) test(ctx context.Context, streams Streams) (passed bool, err error) {
	configuration, err := c.flags.Load()
	if err != nil {
		return false, err
	}
	if _, err := fmt.Fprintln(streams.Out); err != nil {
		return false, err
	}
	report, err := (&checkCommand{flags: c.flags, output: formatTable}).checkSite(ctx, streams, configuration, &configuration.Sites[0])
	if err != nil {
		return false, err
	}
	return report.OK(), nil
}

// explainWrite adds a remedy to the error of a file that cannot be written.
func explainWrite(file string, err error) error {
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	who := "as root"
	if runtime.GOOS == "windows" {
		who = "as administrator"
	}
	return fmt.Errorf("%s cannot be written without more rights; run the command %s, or choose another file with --file", file, who)
}

// next says what to do after the flags are written. The file is "" if no flags are
// needed.
func (c *initCommand) next(file string) string {
	start := c.command("", file)
	switch {
	case file != c.usual && file != "":
	case runtime.GOOS == "windows":
		start = "qlik_exporter service start"
	case slices.ContainsFunc([]string{"/usr/lib/systemd/system", "/lib/systemd/system", "/etc/systemd/system"}, func(folder string) bool {
		_, err := os.Stat(filepath.Join(folder, "qlik_exporter.service"))
		return err == nil
	}):
		// The service may not read a file that root has read.
		start = "runuser -u qlik_exporter -- " + c.command("check", file) + "\n  systemctl enable --now qlik_exporter"
	}
	page := ""
	if at := c.flags.ExporterURL(); at != nil {
		page = ", and open " + at.String()
	}
	return fmt.Sprintf("See who has how many sessions:\n\n  %s\n\nStart the exporter%s:\n\n  %s\n", c.command("sessions", file), page, start)
}

// command returns a command of this program that uses a flags file.
func (c *initCommand) command(name, file string) string {
	line := Program()
	if name != "" {
		line += " " + name
	}
	if file != "" && (file != c.usual || name == "") {
		if folder, err := os.Getwd(); err == nil && filepath.Dir(file) == folder {
			file = filepath.Base(file)
		}
		line += " @" + file
	}
	return line
}
