package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"github.com/qlik-exporter/qlik_exporter/internal/config"
	"github.com/qlik-exporter/qlik_exporter/internal/journal"
	"github.com/qlik-exporter/qlik_exporter/internal/text"
)

// verifyCommand verifies the file of a journal.
type verifyCommand struct {
	file, last string
}

// Desk adds the commands about the desk.
func Desk(app *kingpin.Application) Commands {
	c := new(verifyCommand)
	command := app.Command("desk", "Commands about the desk, where a help desk ends sessions.")
	verify := command.Command("verify", "Check that no line of a journal was changed, inserted, or removed. The exporter may be running.")
	verify.Arg("file", "File of the journal.").Required().StringVar(&c.file)
	config.Text(verify.Flag("last", "Last hash in the log of the exporter. Without it, a missing end of the file cannot be found.").NoEnvar(), &c.last, checkHash)
	return Commands{"desk verify": c.run}
}

var errNoHash = errors.New("must be a hash of 64 hexadecimal digits, as in the log of the exporter")

func checkHash(s string) error {
	if b, err := hex.DecodeString(s); err != nil || len(b) != 32 {
		return errNoHash
	}
	return nil
}

func (c *verifyCommand) run(_ context.Context, streams Streams) error {
	file, err := os.Open(c.file)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	report, err := journal.Verify(file)
	if err != nil {
		return err
	}
	var b strings.Builder
	whole := c.write(&b, report)
	if _, err := io.WriteString(streams.Out, b.String()); err != nil {
		return err
	}
	if !whole {
		return ErrFailed
	}
	return nil
}

// write describes a report. It returns false if something was changed or is missing.
func (c *verifyCommand) write(b *strings.Builder, report journal.Report) (whole bool) {
	if report.Hash == "" {
		fmt.Fprintf(b, "%s is not a journal: it contains no line of a journal.\n", text.Visible(c.file))
		return false
	}
	whole = len(report.Problems) == 0
	if whole {
		fmt.Fprintf(b, "The chain is whole: %s, numbers %d to %d, from %s to %s.\n", text.Count(report.Entries, "entry"), report.First, report.Last, second(report.From), second(report.To))
	} else {
		b.WriteString("The chain is broken. Move the file away and keep it as evidence.\n")
	}
	for _, problem := range report.Problems {
		fmt.Fprintf(b, "  %s\n", text.Visible(problem.String()))
	}
	if report.More > 0 {
		fmt.Fprintf(b, "  and %s\n", text.Count(report.More, "other problem"))
	}
	if report.Prev != "" {
		fmt.Fprintf(b, "The file continues an earlier one, which must end with the hash %s.\n", text.Visible(report.Prev))
	}
	if report.Closed > 0 {
		fmt.Fprintf(b, "A start of the exporter has replaced %s.\n", text.Count(report.Closed, "incomplete line"))
	}
	if report.Unknown > 0 {
		fmt.Fprintf(b, "The result of %s is unknown, because the exporter stopped before it wrote the result.\n", text.Count(report.Unknown, "intent"))
	}
	for _, open := range report.Open {
		if open.Line == 0 {
			fmt.Fprintf(b, "Intent %s of an earlier file has no result yet.\n", text.Visible(open.ID))
			continue
		}
		who := open.By
		if open.Operator != "" {
			who = open.Operator + " (" + open.By + ")"
		}
		fmt.Fprintf(b, "Line %d has no result yet: %s was about to end %s of %s at %s.\n",
			open.Line, text.Visible(who), text.Count(open.Sessions, "session"), text.Visible(open.User), second(open.At))
	}
	if report.Torn > 0 {
		fmt.Fprintf(b, "The last line is incomplete (%s). The exporter is writing it now, or its next start replaces it.\n", text.Count(int(report.Torn), "byte"))
	}
	fmt.Fprintf(b, "The last hash is %s.\n", report.Hash)
	last := strings.ToLower(c.last)
	switch {
	case last == "" && whole:
		b.WriteString("Whether the end of the file is missing is not checked. Repeat the command with --last and the last hash in the log of the exporter.\n")
	case last == "":
	case report.Has(last):
		b.WriteString("The file contains the hash of --last, so no line up to that one is missing.\n")
	case last == report.Prev:
		b.WriteString("The hash of --last belongs to the earlier file. Verify that one, or give the last hash in the log of the exporter.\n")
		whole = false
	default:
		b.WriteString("No line has the hash of --last: the end of the file is missing or was changed, or the hash belongs to another file.\n")
		whole = false
	}
	return whole
}

func second(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
