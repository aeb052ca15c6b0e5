package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"github.com/qlik-exporter/qlik_exporter/internal/assets"
	"github.com/qlik-exporter/qlik_exporter/internal/config"
	"github.com/qlik-exporter/qlik_exporter/internal/report"
	"github.com/qlik-exporter/qlik_exporter/internal/report/render"
	"github.com/qlik-exporter/qlik_exporter/internal/terminal"
	"github.com/qlik-exporter/qlik_exporter/internal/text"
)

// reportCommand writes the report for management.
type reportCommand struct {
	flags       *config.Flags
	prometheus  *url.URL
	httpConfig  string
	weeks       int
	until       string
	jobs, sites []string
	language    string
	names       bool
	format      string
	file        string
}

// Output formats of reports, beside JSON.
const (
	formatText = "text"
	formatHTML = "html"
)

// Report adds the command report.
func Report(app *kingpin.Application, flags *config.Flags) Commands {
	c := &reportCommand{flags: flags}
	command := app.Command("report", "Write a report for management: refused logins and the people affected, by week and by cause, what would have prevented them, "+
		"unused licenses, run-out dates, and peaks, compared with the 12 weeks before. It asks Prometheus, not Qlik. Exit status: 0 if done; 1 on an error.")
	config.URL(command.Flag("prometheus.url", "URL of the Prometheus that scrapes the exporter, or of a server with the same API, such as Thanos Query.").Default("http://localhost:9090"), &c.prometheus)
	config.Path(command.Flag("prometheus.http-config-file", "File with the TLS settings and the password for Prometheus, in the format of the HTTP clients of Prometheus.").PlaceHolder("FILE"), &c.httpConfig)
	config.Weeks(command.Flag("since", "The reported time, in whole weeks, such as 7d, 28d, or 364d.").Default("7d").NoEnvar(), &c.weeks)
	config.Text(command.Flag("until", "End of the reported time: now, today (the last midnight), a date such as 2026-11-23 (its beginning), or a time such as 2026-11-23T06:00:00Z.").Default("now").NoEnvar(), &c.until, nil)
	config.Names(command.Flag("site", "Report only this site: the target label site in Prometheus. Repeatable."), &c.sites, notEmpty)
	config.Names(command.Flag("job", "Report only sites of this job in Prometheus. Repeatable."), &c.jobs, notEmpty)
	config.Choice(command.Flag("language", "Language of the report: en, fr, or de.").Default(render.English), &c.language, render.English, render.French, render.German)
	command.Flag("names", "Also list the people who were refused. Without this flag, the report contains no names of people.").NoEnvar().BoolVar(&c.names)
	config.Text(command.Flag("output", "Output format: html, text, or json. By default, the ending of --file selects it. Without --file, the default is text on a terminal, else html.").NoEnvar(), &c.format, func(text string) error {
		switch text {
		case "", formatHTML, formatText, formatJSON:
			return nil
		}
		return fmt.Errorf("must be html, text, or json, not %q", text)
	})
	config.Path(command.Flag("file", "File to write the report to. It is replaced only when the report is complete.").NoEnvar(), &c.file)
	return Commands{"report": c.run}
}

func notEmpty(name string) error {
	if name == "" {
		return errors.New("must not be empty")
	}
	return nil
}

// run writes the report.
func (c *reportCommand) run(ctx context.Context, streams Streams) error {
	now := time.Now()
	if c.flags.Now != nil {
		now = c.flags.Now()
	}
	to, err := untilTime(c.until, now)
	if err != nil {
		return &config.Error{Flag: "until", Err: err}
	}
	if c.prometheus == nil {
		return &config.Error{Flag: "prometheus.url", Err: errors.New("must not be empty")}
	}
	prometheus, err := report.NewPrometheus(c.prometheus, c.httpConfig)
	if err != nil {
		return &config.Error{Flag: "prometheus.http-config-file", Err: err}
	}
	options := &report.Options{To: to, Weeks: c.weeks, Jobs: c.jobs, Sites: c.sites, Names: c.names, Now: now}
	if terminal.Is(streams.Err) {
		options.Progress = func(done, all int) {
			_, _ = fmt.Fprintf(streams.Err, "\rAsking Prometheus: %d of %d answers.", done, all)
		}
	}
	r, err := report.Make(ctx, prometheus, options)
	if options.Progress != nil {
		_, _ = fmt.Fprintln(streams.Err)
	}
	if err != nil {
		return err
	}
	var document bytes.Buffer
	if err := c.write(&document, r, streams.Out, to.Location()); err != nil {
		return err
	}
	if c.file != "" {
		return c.replaceFile(document.Bytes())
	}
	_, err = streams.Out.Write(document.Bytes())
	return err
}

// replaceFile replaces the file by a document. It creates no folder, because its name is
// more likely mistyped.
func (c *reportCommand) replaceFile(document []byte) error {
	if _, err := os.Stat(filepath.Dir(c.file)); err != nil {
		return &config.Error{Flag: "file", Err: err}
	}
	if info, err := os.Stat(c.file); err == nil && !info.Mode().IsRegular() {
		return &config.Error{Flag: "file", Err: fmt.Errorf("%s is not a file", c.file)}
	}
	return assets.Replace(c.file, document)
}

// write writes a report in the format that fits the output.
func (c *reportCommand) write(to io.Writer, r *report.Report, out io.Writer, location *time.Location) error {
	options := render.Options{Language: c.language, Names: c.names, Location: location}
	switch c.formatFor(out) {
	case formatJSON:
		document, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(to, "%s\n", text.EscapeJSON(document)) // people display it in a terminal
		return err
	case formatText:
		return render.Text(to, r, options)
	default:
		return render.HTML(to, r, options)
	}
}

// formatFor returns the format for an output.
func (c *reportCommand) formatFor(out io.Writer) string {
	ending := strings.ToLower(filepath.Ext(c.file))
	switch {
	case c.format != "":
		return c.format
	case ending == ".json":
		return formatJSON
	case ending == ".txt", c.file == "" && terminal.Is(out):
		return formatText
	default:
		return formatHTML
	}
}

// untilTime returns the time that a text describes, in the time zone of now.
func untilTime(words string, now time.Time) (time.Time, error) {
	midnight := func(year int, month time.Month, day int) time.Time {
		return time.Date(year, month, day, 0, 0, 0, 0, now.Location())
	}
	var t time.Time
	if date, err := time.Parse(time.DateOnly, words); err == nil {
		t = midnight(date.Date())
	} else if exact, err := time.Parse(time.RFC3339, words); err == nil {
		t = exact.In(now.Location())
	} else {
		switch words {
		case "now":
			return now, nil
		case "today":
			return midnight(now.Date()), nil
		}
		return time.Time{}, fmt.Errorf("must be now, today, a date such as 2026-11-23, or a time such as 2026-11-23T06:00:00Z, not %q", words)
	}
	if t.After(now) {
		return time.Time{}, fmt.Errorf("%s is in the future", words)
	}
	return t, nil
}
