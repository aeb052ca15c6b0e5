package page

import (
	"slices"

	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// choice is an option of a list or a link.
type choice struct {
	Value, Text string
	Selected    bool
}

// filter is a list of the filter form. The sort order is one of them, because
// phones do not show the column headers.
type filter struct {
	Name, Label string
	Choices     []choice
}

// filters returns the lists of the filter form with the selected options.
func filters(links []headroom.LinkResult, q query) []filter {
	var virtualProxies, nodes []string
	for i := range links {
		virtualProxies = append(virtualProxies, links[i].VirtualProxy)
		nodes = append(nodes, links[i].Node)
	}
	return []filter{
		{"slots", "Free slots", []choice{
			{"", "Any", q.Slots == ""},
			{"near", "None or one", q.Slots == "near"},
			{"0", "None", q.Slots == "0"},
			{"1", "One", q.Slots == "1"},
		}},
		{"proxy", "Virtual proxy", choices(virtualProxies, q.VirtualProxy)},
		{"node", "Node", choices(nodes, q.Node)},
		{"sort", "Sort by", orders(q.Sort)},
	}
}

// choices returns the options of a filter. The selected value stays an option even
// if it no longer exists.
func choices(values []string, selected string) []choice {
	if selected != "" {
		values = append(values, selected)
	}
	slices.Sort(values)
	all := []choice{{"", "All", selected == ""}}
	for _, value := range slices.Compact(values) {
		all = append(all, choice{value, text.Visible(value), value == selected})
	}
	return all
}

// orders returns the sort orders.
func orders(selected string) []choice {
	var all []choice
	for _, c := range columns {
		if c.compare != nil {
			all = append(all, choice{c.Key, c.Order, c.Key == selected}, choice{"-" + c.Key, c.Reverse, "-"+c.Key == selected})
		}
	}
	return all
}
