package sessions

import (
	"errors"
	"slices"
	"strings"

	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// State is how much of the site answered. A link is a virtual proxy on a node.
type State struct {
	Known    bool // at least one link answered
	Complete bool // every link answered that may have sessions
	Links    int
	Answered int
	Stopped  int       // links of proxies that have stopped
	Failures []Failure // of the other links
}

// Failure is why links of a node did not answer. Its texts are safe to show.
type Failure struct {
	Node           string
	VirtualProxies []string
	Cause          string
}

// NewState returns how much of the site answered for a snapshot.
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

// fail adds a link to the failure that it shares with others of its node.
func (s *State) fail(link *headroom.LinkResult) {
	node, cause := text.Visible(link.Node), causeOf(link.Err)
	at := slices.IndexFunc(s.Failures, func(f Failure) bool { return f.Node == node && f.Cause == cause })
	if at < 0 {
		at = len(s.Failures)
		s.Failures = append(s.Failures, Failure{Node: node, Cause: cause})
	}
	s.Failures[at].VirtualProxies = append(s.Failures[at].VirtualProxies, text.Visible(link.VirtualProxy))
}

// causeOf leaves out which request failed: the node and the virtual proxy say it.
func causeOf(err error) string {
	if e, ok := errors.AsType[*qlik.Error](err); ok {
		return text.Visible(strings.ReplaceAll(string(e.Kind), "_", " ") + ": " + e.Err.Error())
	}
	return text.Visible(err.Error())
}
