package site

import (
	"fmt"
	"maps"
	"slices"
	"testing"
)

func TestShareRequests(t *testing.T) {
	for _, test := range []struct {
		name  string
		links []int // number of links of each node
		want  []int // requests in descending order; chance decides which of equal nodes gets one more
	}{
		{"a request per link", []int{3, 5}, []int{5, 3}},
		{"at most 64 per node", []int{200}, []int{64}},
		{"at most 128 in all", []int{64, 64, 64}, []int{43, 43, 42}},
		{"small nodes are served first", []int{200, 200, 10}, []int{59, 59, 10}},
		{"more nodes than requests", slices.Repeat([]int{2}, 200), slices.Repeat([]int{1}, 200)},
		{"no nodes", nil, nil},
	} {
		byNode := make(map[string][]int)
		for i, n := range test.links {
			byNode[fmt.Sprint("node", i)] = make([]int, n)
		}
		requests := shareRequests(byNode)
		got := slices.Sorted(maps.Values(requests))
		slices.Reverse(got)
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
		for node, n := range requests {
			if n > len(byNode[node]) {
				t.Errorf("%s: %d requests for %d links of %s", test.name, n, len(byNode[node]), node)
			}
		}
	}
}
