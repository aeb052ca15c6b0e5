// Package facts finds out how a real site answers what docs/qlik.md leaves open. It
// sends only GET requests, about as many as one check.
//
// A fact is one answer out of a fixed list. The result therefore cannot contain
// anything of the site, such as a name, an id, a host, or a key.
//
// To ask another question, add a row to questions and a function. If the answer needs
// something that is not read yet, add a step to steps.
package facts

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// Schema is the version of the format of a File.
const Schema = 1

// Unknown is the answer if it could not be found out on this site.
const Unknown = "unknown"

// other is the answer if the site answered in a way that is not in the list.
const other = "other"

// Answers of questions about yes and no.
const (
	yes = "yes"
	no  = "no"
)

// Question is a question about Qlik Sense. Its id is a key of File.Facts.
type Question struct {
	ID      string
	Section string   // the section of docs/qlik.md that the answer concerns
	Asks    string   // what it asks, as a sentence
	Answers []string // all answers, except Unknown, which is always possible

	answer func(*site) string
}

// Questions returns all questions, in the order of docs/qlik.md.
func Questions() []Question { return slices.Clone(questions) }

// choose returns the listed answer that equals a text. It returns the text of the list,
// never the one of the caller, which may come from the site.
func (q *Question) choose(got string) string {
	if i := slices.Index(q.Answers, got); i >= 0 {
		return q.Answers[i]
	}
	if i := slices.Index(q.Answers, other); i >= 0 && got != "" && got != Unknown {
		return q.Answers[i]
	}
	return Unknown
}

// Config is the site to ask.
type Config struct {
	Qlik      qlik.Config
	Program   string            // version of the program
	AuditLogs map[string]string // file patterns by node
	LocalLogs string            // folder of the logs of all services, if this machine is a node; may be ""
	Watch     time.Duration     // how long to watch usage rows; 0 does not watch
	Progress  func(watched, of time.Duration)
}

// File is what the site answered.
type File struct {
	Schema  int               `json:"schema"`
	Program string            `json:"program"`
	Facts   map[string]string `json:"facts"` // question to answer
}

// JSON returns the file as text that ends with a line break.
func (f *File) JSON() ([]byte, error) {
	text, err := json.MarshalIndent(f, "", "  ")
	return append(text, '\n'), err
}

// Known returns the number of questions that were answered.
func (f *File) Known() int {
	known := 0
	for _, answer := range f.Facts {
		if answer != Unknown {
			known++
		}
	}
	return known
}

// Limits of all requests together, apart from watching.
const (
	maxTime     = 3 * time.Minute
	maxFailures = 2 // a server that failed so often is not asked again
	maxLinks    = 64
	maxSessions = 200_000 // of all links
	maxRows     = 200_000
	maxNames    = 10_000
	maxName     = 1024 // bytes
)

var errInterrupted = errors.New("interrupted")

// steps read what the questions need, in order. They return nothing: what they could
// not read stays unknown.
var steps = []func(*site, context.Context){
	(*site).readRepository,
	(*site).readSessions,
	(*site).readUsageRows,
	(*site).askProxy,
	(*site).readLicenses,
	(*site).askRepository,
	(*site).askEngine,
	(*site).readLogs,
}

// Ask asks a site all questions. It returns a *qlik.ConfigError if the settings are
// invalid, and another error if ctx ends early. If ctx ends while it watches, it also
// returns what is known by then.
func Ask(ctx context.Context, config Config) (*File, error) {
	s, err := newSite(config)
	if err != nil {
		return nil, err
	}
	defer s.close()
	bounded, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	for _, step := range steps {
		step(s, bounded)
	}
	if ctx.Err() != nil {
		return nil, errInterrupted
	}
	s.watch(ctx)
	if ctx.Err() != nil {
		err = errInterrupted
	}
	file := &File{Schema: Schema, Program: strings.ToValidUTF8(config.Program, ""), Facts: make(map[string]string, len(questions))}
	for i := range questions {
		file.Facts[questions[i].ID] = questions[i].choose(questions[i].answer(s))
	}
	return file, err
}
