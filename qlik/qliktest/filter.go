package qliktest

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// filterOf returns the filter of a request, or "" if it has none.
func filterOf(r *http.Request) string {
	for name, values := range r.URL.Query() {
		if strings.EqualFold(name, "filter") {
			return values[0]
		}
	}
	return ""
}

var comparison = regexp.MustCompile(`(?i)^([\w.]+) (eq|so|sw) (?:'([^']*)'|(true|false))(?: or |$)`)

// parseFilter reads comparisons joined by or: userId so 'berg' or inactive eq true. It ignores
// case (docs/qlik.md, "Repository"). It returns false for invalid filters and for all filters
// that it does not support.
func parseFilter(expression string) (matches func(object) bool, ok bool) {
	type test struct{ field, operator, value string }
	var tests []test
	for rest := expression; rest != ""; {
		found := comparison.FindStringSubmatch(rest)
		if found == nil {
			return nil, false
		}
		tests = append(tests, test{found[1], strings.ToLower(found[2]), strings.ToLower(found[3] + found[4])})
		rest = rest[len(found[0]):]
	}
	return func(o object) bool {
		for _, t := range tests {
			value := strings.ToLower(o.text(t.field))
			if value == t.value || t.operator == "so" && strings.Contains(value, t.value) || t.operator == "sw" && strings.HasPrefix(value, t.value) {
				return true
			}
		}
		return len(tests) == 0
	}, true
}

// text returns a field that is a text, also of an entity in a field, such as app.name.
func (o object) text(path string) string {
	field, rest, nested := strings.Cut(path, ".")
	if nested {
		inner, _ := o[field].(object)
		return inner.text(rest)
	}
	switch value := o[field].(type) {
	case string:
		return value
	case bool:
		return strconv.FormatBool(value)
	default:
		return ""
	}
}
