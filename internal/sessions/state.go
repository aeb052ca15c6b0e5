package sessions

import (
	"errors"
	"slices"
	"strings"

	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik"
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
}

// NewState returns the state of a snapshot.
func NewState(snapshot *headroom.Snapshot) State {
	s := State{Known: snapshot.Up(), Complete: snapshot.Complete(), Links: len(snapshot.Links)}
	for i := range snapshot.Links {
		switch link := &snapshot.Links[i]; {
		case link.Err == nil:
			s.Answered++
		case link.Stopped:
			s.Stopped++
		default:
			s.fail(link)
		}
	}
	return s
}

// fail records the failure of a link. Links of a node with the same cause share one
// Failure.
func (s *State) fail(link *headroom.LinkResult) {
	node, cause := text.Visible(link.Node), causeOf(link.Err)
	at := slices.IndexFunc(s.Failures, func(f Failure) bool { return f.Node == node && f.Cause == cause })
	if at < 0 {
		at = len(s.Failures)
		s.Failures = append(s.Failures, Failure{Node: node, Cause: cause})
	}
	s.Failures[at].VirtualProxies = append(s.Failures[at].VirtualProxies, text.Visible(link.VirtualProxy))
}

// causeOf returns the cause without the URL of the request. The node and the virtual
// proxy already identify it.
func causeOf(err error) string {
	if e, ok := errors.AsType[*qlik.Error](err); ok {
		return text.Visible(strings.ReplaceAll(string(e.Kind), "_", " ") + ": " + e.Err.Error())
	}
	return text.Visible(err.Error())
}
