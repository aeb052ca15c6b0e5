package site

import (
	"reflect"
	"testing"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

func TestShareRequests(t *testing.T) {
	nodes := func(links ...int) map[string][]int {
		byNode := make(map[string][]int)
		for i, n := range links {
			byNode[string(rune('a'+i))] = make([]int, n)
		}
		return byNode
	}
	for _, test := range []struct {
		name   string
		byNode map[string][]int
		want   map[string]int // nil: only the bounds are fixed
	}{
		{"a request per link", nodes(3, 5), map[string]int{"a": 3, "b": 5}},
		{"at most 64 per node", nodes(200), map[string]int{"a": 64}},
		{"at most 128 in all", nodes(64, 64, 64), nil},
		{"small nodes are served first", nodes(200, 200, 10), map[string]int{"a": 59, "b": 59, "c": 10}},
		{"more nodes than slots", nodes(make([]int, 0)...), map[string]int{}},
	} {
		got := shareRequests(test.byNode)
		total := 0
		for node, n := range got {
			total += n
			if n > qlik.MaxConnectionsPerNode || n < 1 {
				t.Errorf("%s: %d for %s", test.name, n, node)
			}
		}
		if total > maxRequests {
			t.Errorf("%s: %d in all", test.name, total)
		}
		if test.want != nil && !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}
