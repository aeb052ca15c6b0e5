package site

import (
	"slices"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// Asking is the progress of a round.
type Asking struct {
	Links   int           // links that are asked
	Waiting []qlik.Link   // those without an answer
	For     time.Duration // since the first requests were sent
}

// Asking returns the progress of the round in progress. It returns false if no link is being
// asked. It is for programs with a person who waits.
func (s *Site) Asking() (Asking, bool) {
	s.rounds.mu.Lock()
	current := s.rounds.current
	s.rounds.mu.Unlock()
	if current == nil {
		return Asking{}, false
	}
	return s.rounds.asker.progress(current.requests)
}

func (a *asker) progress(q *requests) (Asking, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if q.asked.IsZero() || q.finished {
		return Asking{}, false
	}
	asking := Asking{For: time.Since(q.asked)}
	for i := range q.answers {
		link := q.answers[i].link
		if link == nil {
			continue
		}
		asking.Links++
		if q.waiting[i] {
			asking.Waiting = append(asking.Waiting, *link)
		}
	}
	return asking, true
}

// Nodes returns the nodes that are waited for.
func (a *Asking) Nodes() []string {
	var nodes []string
	for i := range a.Waiting {
		if node := a.Waiting[i].Node; !slices.Contains(nodes, node) {
			nodes = append(nodes, node)
		}
	}
	return nodes
}
