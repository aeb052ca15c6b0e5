package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"github.com/qlik-exporter/qlik_exporter/internal/config"
	"github.com/qlik-exporter/qlik_exporter/internal/facts"
	"github.com/qlik-exporter/qlik_exporter/internal/terminal"
	"github.com/qlik-exporter/qlik_exporter/internal/text"
)

// factsOptions are the flags of check that concern facts.
type factsOptions struct {
	file    string // "" asks for no facts
	watch   time.Duration
	program string // version of the program
}

// standardOutput is the file that stands for the standard output.
const standardOutput = "-"

// sendFacts is where a file of facts helps.
const sendFacts = "https://github.com/qlik-exporter/qlik_exporter/issues/new?template=site_facts.yml"

func (o *factsOptions) flags(check *kingpin.CmdClause) {
	config.Path(check.Flag("facts", "After the check, find out how this site answers the open questions of docs/qlik.md, show the answers, and write them to this new file. "+
		"The file contains no name, id, address or key. - shows the answers only.").PlaceHolder("FILE").NoEnvar(), &o.file)
	config.Duration(check.Flag("facts-watch", "How long --facts watches usage rows, to find out when they end and how often they change. 0s does not watch.").
		Default("6m").NoEnvar(), &o.watch)
}

// validate checks the flags before anything is asked.
func (o *factsOptions) validate(output string) error {
	switch {
	case o.file == "":
		return nil
	case o.file == standardOutput && output == formatJSON:
		return errors.New("--facts: cannot be - with --output=json; name a file")
	case o.file == standardOutput:
		return nil
	}
	if folder := filepath.Dir(o.file); !isFolder(folder) {
		return fmt.Errorf("--facts: there is no folder %s", folder)
	}
	// It would be late to find out after minutes of watching that the file cannot be written.
	err := writeNew(o.file, nil)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("--facts: %s exists and is not overwritten; name a new file", o.file)
	}
	if err == nil {
		err = os.Remove(o.file)
	}
	if err != nil {
		return fmt.Errorf("--facts: %w", err)
	}
	return nil
}

// askFacts asks a site for facts, shows them, and writes them to the file.
func (o *factsOptions) askFacts(ctx context.Context, streams Streams, output string, settings *config.Site) error {
	if o.watch > 0 {
		_, _ = fmt.Fprintf(streams.Err, "Asking for facts. This takes up to %s longer if usage rows can be watched.\n", o.watch)
	}
	file, interrupted := facts.Ask(ctx, facts.Config{
		Qlik: settings.Run().Client, Program: o.program, AuditLogs: settings.AuditLogs(), LocalLogs: settings.LocalLogs, Watch: o.watch,
		Progress: watching(streams.Err),
	})
	if file == nil {
		return interrupted
	}
	content, err := file.JSON()
	if err != nil {
		return err
	}
	shown := streams.Out
	if output == formatJSON {
		shown = streams.Err // the report is alone in the output
	}
	answered := fmt.Sprintf("%d of %s", file.Known(), text.Count(len(file.Facts), "question"))
	if _, err := fmt.Fprintf(shown, "\nThis site answers %s of docs/qlik.md:\n\n%s\n", answered, content); err != nil {
		return err
	}
	if interrupted != nil {
		return fmt.Errorf("%w; what is known so far is above, and no file was written", interrupted)
	}
	if o.file == standardOutput {
		return nil
	}
	return o.write(ctx, Streams{In: streams.In, Out: shown}, terminal.Is(streams.In) && terminal.Is(streams.Out), content)
}

// watching returns a function that shows the progress once in a minute.
func watching(w io.Writer) func(watched, of time.Duration) {
	minute := time.Duration(-1) // of the last line
	return func(watched, of time.Duration) {
		if now := watched.Truncate(time.Minute); now != minute || watched == of {
			hint := ""
			if minute < 0 {
				hint = " (--facts-watch sets the time)"
			}
			_, _ = fmt.Fprintf(w, "Watching usage rows: %s of %s%s.\n", watched.Round(time.Second), of, hint)
			minute = now
		}
	}
}

func isFolder(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// write writes the file. On a terminal, it asks first.
func (o *factsOptions) write(ctx context.Context, streams Streams, onTerminal bool, content []byte) error {
	if onTerminal {
		if agreed, err := confirmed(ctx, streams.In, streams.Out, "Write this to "+text.Visible(o.file)+"?"); err != nil || !agreed {
			_, _ = fmt.Fprintln(streams.Out, "Nothing was written.")
			return err
		}
	}
	if err := writeNew(o.file, content); err != nil {
		return fmt.Errorf("--facts: %w", err)
	}
	_, err := fmt.Fprintf(streams.Out, "Wrote %s. It contains nothing about your site except the answers above. Please paste it in a new issue: %s\n", text.Visible(o.file), sendFacts)
	return err
}

// writeNew writes a file that must not exist yet.
func writeNew(name string, content []byte) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		_ = os.Remove(name) // it is not complete
	}
	return err
}
