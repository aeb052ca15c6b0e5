package sessions

import (
	"slices"

	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// State is the completeness of a snapshot. A link is a virtual proxy served by a
// node.
type State struct {
	Known    bool // at least one link answered
	Complete bool // every link that may have sessions answered
	Links    int
	Answered int
	Stopped  int       // links of stopped proxies
	Failures []Failure // of all other links
}

// Failure is the cause why links of a node did not answer. Its texts are safe to
// show.
type Failure struct {
	Node           string
	VirtualProxies []string
	Cause          string
	Remedy         string // "" if the cause contains it, or if none is known
}

// NewState returns the state of a snapshot.
func NewState(snapshot *headroom.Snapshot) State {
	s := State{Known: snapshot.Up(), Complete: snapshot.Complete(), Links: len(snapshot.Links)}
	for i := range snapshot.Links {
		if link := &snapshot.Links[i]; link.Err != nil && link.Stopped {
			s.Stopped++
		}
	}
	list := NewList(snapshot, nil)
	s.Answered, s.Failures = list.LinksAnswered, list.Failures()
	return s
}

// Failures returns the causes why links are missing. Links of a node with the same cause
// share one Failure.
func (l *List) Failures() []Failure {
	var failures []Failure
	for _, link := range l.Missing {
		node, cause := text.Visible(link.Node), text.Visible(link.Cause)
		at := slices.IndexFunc(failures, func(f Failure) bool { return f.Node == node && f.Cause == cause })
		if at < 0 {
			at = len(failures)
			failures = append(failures, Failure{Node: node, Cause: cause, Remedy: text.Visible(link.Remedy)})
		}
		failures[at].VirtualProxies = append(failures[at].VirtualProxies, text.Visible(link.VirtualProxy))
	}
	return failures
}
