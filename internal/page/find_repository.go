package page

import (
	"context"
	"sync"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

const (
	// rememberedFor is how long the result of a search in the repository is used again, such
	// as when a page refreshes.
	rememberedFor = time.Minute
	// maxRemembered is the largest number of results that are remembered, and
	// maxInResult the largest number of users in one of them.
	maxRemembered, maxInResult = 100, 1000
)

// repositorySearch searches users in the repository of a site. It bounds the load on the
// repository, independent of the number of viewers: it sends one search at a time.
type repositorySearch struct {
	turn chan struct{} // holds an element during a search

	mu     sync.Mutex
	recent map[string]searchResult
}

type searchResult struct {
	users []qlik.KnownUser
	at    time.Time
}

func newRepositorySearch() repositorySearch {
	return repositorySearch{turn: make(chan struct{}, 1), recent: make(map[string]searchResult)}
}

// find returns the users that match a text. It returns an error if the repository fails
// or if ctx ends.
func (s *repositorySearch) find(ctx context.Context, searched string, ask func(context.Context, string) ([]qlik.KnownUser, error)) ([]qlik.KnownUser, error) {
	if result, known := s.remembered(searched); known {
		return result.users, nil
	}
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if result, known := s.remembered(searched); known { // the search before this one was the same
		return result.users, nil
	}
	users, err := ask(ctx, searched)
	if err != nil {
		return nil, err
	}
	if len(users) <= maxInResult {
		s.remember(searched, searchResult{users, time.Now()})
	}
	return users, nil
}

func (s *repositorySearch) remembered(searched string) (result searchResult, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	result, known = s.recent[searched]
	return result, known && time.Since(result.at) < rememberedFor
}

func (s *repositorySearch) remember(searched string, result searchResult) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.recent) >= maxRemembered {
		clear(s.recent)
	}
	s.recent[searched] = result
}
