package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/alecthomas/kingpin/v2"

	"github.com/qlik-exporter/qlik_exporter/internal/config"
	"github.com/qlik-exporter/qlik_exporter/internal/exporter"
	"github.com/qlik-exporter/qlik_exporter/internal/text"
)

// runningExporter is the exporter that a command asks before Qlik, because only a
// running exporter knows the past.
type runningExporter struct {
	url    *url.URL // nil for the one on this machine
	file   string   // TLS settings and passwords
	direct bool     // do not ask it

	says string // what it does, in the line that says which one answered; "" means that it answers
}

const httpConfigFlag = "exporter.http-config-file"

// add adds the flags to a command.
func (e *runningExporter) add(command *kingpin.CmdClause) {
	e.addFlags(command, "Ask Qlik, not the running exporter. Then the past is unknown: which slots are cooling, and how old sessions are.")
}

// addFlags adds the flags to a command. The argument is the help of --direct.
func (e *runningExporter) addFlags(command *kingpin.CmdClause, direct string) {
	config.URL(command.Flag("exporter-url", "URL of the running exporter, which is asked before Qlik. By default, the exporter on this machine with the same listen address.").PlaceHolder("URL"), &e.url)
	config.Path(command.Flag(httpConfigFlag, "File with the TLS settings and the password for the running exporter, in the format of the HTTP clients of Prometheus.").PlaceHolder("FILE"), &e.file)
	command.Flag("direct", direct).BoolVar(&e.direct)
}

// ask asks the running exporter a question and says on out which exporter answered. If
// none answers, it says why, and answered is false. A refusal is an error, because the
// answer of Qlik would be another one.
func (e *runningExporter) ask(out io.Writer, flags *config.Flags, question func(*exporter.Client) error) (answered bool, err error) {
	at := e.url
	if at == nil {
		at = flags.ExporterURL()
	}
	if e.direct || at == nil {
		return false, nil
	}
	client, err := exporter.New(at, e.file)
	if err != nil {
		return false, &config.Error{Flag: httpConfigFlag, Err: err}
	}
	err = question(client)
	refusal, refused := errors.AsType[*exporter.RefusedError](err)
	switch {
	case err == nil:
		return true, say(out, "The exporter at %s %s.", client, cmp.Or(e.says, "answers"))
	case isAboutTheUser(err):
		return false, err
	case errors.Is(err, context.Canceled):
		return false, errors.New("interrupted")
	case !refused:
		return false, say(out, "No answer from an exporter at %s: %s.", client, strings.TrimSuffix(err.Error(), "."))
	case len(refusal.Sites) > 0:
		return false, &config.Error{Flag: "site", Err: fmt.Errorf("must be one of %s, which the exporter at %s serves; to ask Qlik instead, add --direct", strings.Join(refusal.Sites, ", "), client)}
	case refusal.UnknownSite():
		return false, &config.Error{Flag: "site", Err: fmt.Errorf("the exporter at %s serves one site, which has no name; remove the flag, or add --direct to ask Qlik instead", client)}
	case refusal.NeedsPassword():
		return false, fmt.Errorf("the exporter at %s requires a password: %w; set --%s, or add --direct to ask Qlik instead", client, refusal, httpConfigFlag)
	default:
		return false, fmt.Errorf("the exporter at %s: %w; to ask Qlik instead, add --direct", client, refusal)
	}
}

// sayDirect says what an answer of Qlik itself does not contain.
func sayDirect(out io.Writer) error {
	return say(out, "Qlik itself answers. Which slots are cooling since when, and how old sessions are, is known only to a running exporter.")
}

// sameSite returns an error if an exporter serves another site than the one that the
// settings of the command describe. Without settings, any site will do.
func sameSite(settings *config.Site, hosts []string) error {
	if settings == nil || len(settings.Hosts()) == 0 || len(hosts) == 0 {
		return nil
	}
	name := func(host string) string { return strings.TrimSuffix(strings.ToLower(host), ":4242") }
	for _, own := range settings.Hosts() {
		if slices.ContainsFunc(hosts, func(host string) bool { return name(host) == name(own) }) {
			return nil
		}
	}
	var names []string
	for _, host := range hosts[:min(len(hosts), 3)] {
		names = append(names, text.Visible(host))
	}
	return fmt.Errorf("it serves another site, that of %s", strings.Join(names, ", "))
}
