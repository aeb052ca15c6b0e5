package qliktest

import (
	"cmp"
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// parameter returns a parameter of a request, or "". The case of its name does not matter.
func parameter(r *http.Request, name string) string {
	for each, values := range r.URL.Query() {
		if strings.EqualFold(each, name) {
			return values[0]
		}
	}
	return ""
}

// filter is a parsed filter of the repository: comparisons with and, or and parentheses (docs/qlik.md, "Repository").
type filter interface {
	// matches returns an error if a comparison is not possible, such as a number with a text.
	matches(e *entity) (bool, error)
	// comparisons calls visit with all comparisons until it returns false.
	comparisons(visit func(*comparison) bool) bool
}

type (
	// conjunction is true if all of its parts are, and disjunction if one of them is.
	conjunction []filter
	disjunction []filter
)

// comparison compares a field with a value, such as app.stream.name eq 'Everyone'.
type comparison struct {
	path     []string
	operator string // in lower case
	value    string
	quoted   bool
}

// errFilter means that a filter is not valid, or not for these entities.
var errFilter = errors.New("cannot parse the expression")

// maxFilterDepth is the maximum number of parentheses in each other.
const maxFilterDepth = 100

// token is a part of a filter: a parenthesis, a quoted text, or a word, which is a name, an operator, or a value without quotes.
var token = regexp.MustCompile(`^\s*(?:([()])|'([^']*)'|([\w.:+-]+))`)

// fieldName is the name of a field, also of an entity in a field.
var fieldName = regexp.MustCompile(`^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$`)

// filterParser reads a filter token by token. How to escape a quote is not documented, so a text ends at the next quote.
type filterParser struct {
	rest   string
	kind   byte   // of the current token: ( ) ' w, or 0 at the end
	text   string // of the current token
	failed bool
}

func (p *filterParser) next() {
	if strings.TrimSpace(p.rest) == "" {
		p.kind, p.text, p.rest = 0, "", ""
		return
	}
	at := token.FindStringSubmatchIndex(p.rest)
	if at == nil {
		p.failed = true
		p.kind, p.text, p.rest = 0, "", ""
		return
	}
	part := func(group int) string { return p.rest[at[2*group]:at[2*group+1]] }
	switch {
	case at[2] >= 0:
		p.text = part(1)
		p.kind = p.text[0]
	case at[4] >= 0:
		p.kind, p.text = '\'', part(2)
	default:
		p.kind, p.text = 'w', part(3)
	}
	p.rest = p.rest[at[1]:]
	// Texts and words end at a space or a parenthesis.
	if p.kind != '(' && p.kind != ')' && p.rest != "" && !strings.ContainsAny(p.rest[:1], " \t\r\n()") {
		p.failed = true
	}
}

// word reports whether the current token is a word, in any case, and moves on if so.
func (p *filterParser) word(word string) bool {
	if p.kind != 'w' || !strings.EqualFold(p.text, word) {
		return false
	}
	p.next()
	return true
}

// parseFilter reads a filter. The expression may be in parentheses. And binds more strongly than or.
func parseFilter(expression string) (filter, error) {
	p := &filterParser{rest: expression}
	p.next()
	parsed := p.alternatives(0)
	if p.failed || p.kind != 0 {
		return nil, errFilter
	}
	return parsed, nil
}

func (p *filterParser) alternatives(depth int) filter {
	all := disjunction{p.conditions(depth)}
	for !p.failed && p.word("or") {
		all = append(all, p.conditions(depth))
	}
	return all
}

func (p *filterParser) conditions(depth int) filter {
	all := conjunction{p.condition(depth)}
	for !p.failed && p.word("and") {
		all = append(all, p.condition(depth))
	}
	return all
}

func (p *filterParser) condition(depth int) filter {
	if p.kind == '(' && depth < maxFilterDepth {
		p.next()
		inner := p.alternatives(depth + 1)
		if p.kind != ')' {
			p.failed = true
		}
		p.next()
		return inner
	}
	c := &comparison{}
	if p.kind != 'w' || !fieldName.MatchString(p.text) {
		p.failed = true
		return c
	}
	c.path = strings.Split(p.text, ".")
	p.next()
	c.operator = strings.ToLower(p.text)
	switch c.operator {
	case "eq", "ne", "gt", "ge", "lt", "le", "sw", "ew", "so":
	default:
		p.failed = true
	}
	if p.kind != 'w' {
		p.failed = true
	}
	p.next()
	if p.kind != '\'' && p.kind != 'w' {
		p.failed = true
	}
	c.value, c.quoted = p.text, p.kind == '\''
	p.next()
	return c
}

func (all conjunction) matches(e *entity) (bool, error) {
	for _, each := range all {
		if match, err := each.matches(e); !match || err != nil {
			return false, err
		}
	}
	return true, nil
}

func (all disjunction) matches(e *entity) (bool, error) {
	for _, each := range all {
		if match, err := each.matches(e); match || err != nil {
			return match, err
		}
	}
	return false, nil
}

func (all conjunction) comparisons(visit func(*comparison) bool) bool {
	for _, each := range all {
		if !each.comparisons(visit) {
			return false
		}
	}
	return true
}

func (all disjunction) comparisons(visit func(*comparison) bool) bool {
	return conjunction(all).comparisons(visit)
}

func (c *comparison) comparisons(visit func(*comparison) bool) bool { return visit(c) }

// matches reports whether the field, or any element of a list in it, compares as asked for.
func (c *comparison) matches(e *entity) (bool, error) {
	match := false
	var wrong error
	e.visit(c.path, func(value any) {
		same, err := c.compare(value)
		match = match || same
		wrong = cmp.Or(wrong, err)
	})
	return match && wrong == nil, wrong
}

// compare compares a value. Only numbers and dates have an order, and only texts have parts (docs/qlik.md, "Repository").
func (c *comparison) compare(value any) (bool, error) {
	if !c.quoted && strings.EqualFold(c.value, "null") {
		return c.equal(value == nil)
	}
	switch value := value.(type) {
	case nil:
		return c.operator == "ne", nil
	case bool:
		want, err := strconv.ParseBool(strings.ToLower(c.value))
		if err != nil {
			return false, errFilter
		}
		return c.equal(value == want)
	case int:
		return c.compareNumber(float64(value))
	case uint64:
		return c.compareNumber(float64(value))
	case float64:
		return c.compareNumber(value)
	case string:
		return c.compareText(value)
	default: // an entity
		return false, errFilter
	}
}

func (c *comparison) equal(same bool) (bool, error) {
	switch c.operator {
	case "eq":
		return same, nil
	case "ne":
		return !same, nil
	}
	return false, errFilter
}

func (c *comparison) order(result int) (bool, error) {
	switch c.operator {
	case "gt":
		return result > 0, nil
	case "ge":
		return result >= 0, nil
	case "lt":
		return result < 0, nil
	case "le":
		return result <= 0, nil
	}
	return c.equal(result == 0)
}

func (c *comparison) compareNumber(value float64) (bool, error) {
	if want, err := strconv.ParseFloat(c.value, 64); err == nil {
		return c.order(cmp.Compare(value, want))
	}
	for code, name := range enumerations[strings.ToLower(c.path[len(c.path)-1])] {
		if strings.EqualFold(name, c.value) {
			return c.order(cmp.Compare(value, float64(code)))
		}
	}
	return false, errFilter
}

func (c *comparison) compareText(value string) (bool, error) {
	if at, err := time.Parse(dateLayout, value); err == nil {
		if want, ok := parseDate(c.value); ok {
			return c.order(at.Compare(want))
		}
	}
	value, want := strings.ToLower(value), strings.ToLower(c.value)
	switch c.operator {
	case "sw":
		return strings.HasPrefix(value, want), nil
	case "ew":
		return strings.HasSuffix(value, want), nil
	case "so":
		return strings.Contains(value, want), nil
	}
	return c.equal(value == want)
}

// parseDate reads a date of a filter. Qlik's documentation writes '2012-05-09 12:00:00', and clients repeat the dates of answers.
func parseDate(text string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", time.DateTime, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// enumerations are the names of numbers, by field in lower case (docs/qlik.md, "Service states" and "Virtual proxies").
var enumerations = map[string][]string{
	"servicetype":            {"Repository", "Proxy", "Scheduler", "Engine", "AppMigration", "Printing"},
	"servicestate":           {"Initializing", "CertificatesNotInstalled", "Running", "NoCommunication", "Disabled", "Unknown"},
	"authenticationmethod":   {"Ticket", "HeaderStaticUserDirectory", "HeaderDynamicUserDirectory", "SAML", "JWT", "OIDC"},
	"loadbalancingalgorithm": {"RoundRobin", "MemoryAllocation"},
	"status": {
		"NeverStarted", "Triggered", "Started", "Queued", "AbortInitiated", "Aborting", "Aborted", "FinishedSuccess", "FinishedFail",
		"Skipped", "Retry", "Error", "Reset",
	},
}
