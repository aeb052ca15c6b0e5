package config

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/auditlog"
)

// value stores a setting. Flags, environment variables, and configuration files all
// use Set. Its errors do not name the setting. It is a kingpin.Value.
type value interface {
	Set(text string) error
	String() string // "" if nothing is set
	// yaml returns the value for a configuration file.
	yaml() any
}

// clean removes what is around a value but does not belong to it: blanks, as after
// "set NAME=VALUE &" in cmd.exe, and quotes that no shell has removed, as in a flags
// file, in an environment file of Docker, or from single quotes in cmd.exe.
func clean(text string) string {
	text = strings.TrimFunc(text, isBlank)
	for _, quotes := range []string{`""`, "''", "“”", "‘’"} {
		left, _ := utf8.DecodeRuneInString(quotes)
		right, _ := utf8.DecodeLastRuneInString(quotes)
		inner, opens := strings.CutPrefix(text, string(left))
		if inner, closes := strings.CutSuffix(inner, string(right)); opens && closes && !strings.ContainsAny(inner, quotes) {
			return strings.TrimFunc(inner, isBlank)
		}
	}
	return text
}

// visibleError is an error about a text in which every character can be seen.
type visibleError struct{ error }

func (e visibleError) Error() string { return text.Visible(e.error.Error()) }

func (e visibleError) Unwrap() error { return e.error }

// cumulative is a value with a list of elements. Set is called once for each.
type cumulative interface{ IsCumulative() bool }

// scalarValue stores a single value.
type scalarValue[T any] struct {
	to    *T
	parse func(text string) (T, error)
	show  func(T) string
}

func scalar[T any](to *T, parse func(string) (T, error), show func(T) string) value {
	return &scalarValue[T]{to, parse, show}
}

// Set implements kingpin.Value.
func (v *scalarValue[T]) Set(text string) error {
	parsed, err := v.parse(clean(text))
	if err != nil {
		return visibleError{err}
	}
	*v.to = parsed
	return nil
}

// String implements kingpin.Value.
func (v *scalarValue[T]) String() string { return v.show(*v.to) }

// IsBoolFlag tells kingpin that the flag needs no value and has a --no- form.
func (v *scalarValue[T]) IsBoolFlag() bool {
	_, is := any(*v.to).(bool)
	return is
}

func (v *scalarValue[T]) yaml() any {
	switch plain := any(*v.to).(type) {
	case bool, int:
		return plain
	default:
		return v.String()
	}
}

// listValue stores several values.
type listValue[T any] struct {
	to    *[]T
	parse func(text string) (T, error)
	show  func(T) string
}

func list[T any](to *[]T, parse func(string) (T, error), show func(T) string) value {
	return &listValue[T]{to, parse, show}
}

// Set implements kingpin.Value. It adds an element.
func (v *listValue[T]) Set(text string) error {
	if text = clean(text); text == "" {
		return errors.New("must not be empty")
	}
	parsed, err := v.parse(text)
	if err != nil {
		return visibleError{err}
	}
	*v.to = append(*v.to, parsed)
	return nil
}

// listOfOne is list for values that contain no comma or semicolon. A text with one
// contains several values, which only the parser of an element would see.
func listOfOne[T any](to *[]T, parse func(string) (T, error), show func(T) string) value {
	return list(to, func(text string) (T, error) {
		if strings.ContainsAny(text, ",;") {
			var none T
			return none, fmt.Errorf("%s: contains several values; %s", text, oneByOne)
		}
		return parse(text)
	}, show)
}

const oneByOne = "repeat the flag, or give one value per line in the environment, or a list in a file"

// IsCumulative tells kingpin that the flag may be repeated.
func (v *listValue[T]) IsCumulative() bool { return true }

// String implements kingpin.Value.
func (v *listValue[T]) String() string { return strings.Join(v.texts(), ", ") }

func (v *listValue[T]) yaml() any { return v.texts() }

func (v *listValue[T]) texts() []string {
	texts := make([]string, 0, len(*v.to))
	for _, element := range *v.to {
		texts = append(texts, v.show(element))
	}
	return texts
}

func plainly(text string) string { return text }

// filePath returns a value for the path of a file or a folder.
func filePath(to *string) value { return scalar(to, plainPath, plainly) }

// unexpanded matches what a shell would have replaced in a path.
var unexpanded = regexp.MustCompile(`%\w+(?:\(x86\))?%|\$\{\w+\}|(?:^|[\\/])(?:~|\$\w+|\$env:\w+)[\\/]`)

// plainPath refuses paths that do not exist and contain what a shell should have removed or
// replaced: a quotation mark, ~, or a variable.
func plainPath(text string) (string, error) {
	folder := filepath.Dir(text)
	switch {
	case exists(text), unexpanded.MatchString(folder) && exists(folder):
	case strings.Contains(text, `"`):
		return "", fmt.Errorf(`%s: contains a quotation mark; on Windows, remove the backslash before the last quotation mark, as in "C:\folder"`, text)
	case unexpanded.MatchString(text):
		return "", fmt.Errorf("%s: contains %s, which nothing replaces here; write the path in full", text, strings.Trim(unexpanded.FindString(text), `\/`))
	}
	return text, nil
}

func boolean(to *bool) value {
	return scalar(to, func(text string) (bool, error) {
		on, err := strconv.ParseBool(text)
		if err != nil {
			return false, fmt.Errorf("must be true or false, not %q", text)
		}
		return on, nil
	}, strconv.FormatBool)
}

// number returns a value for whole numbers of at least minimum.
func number(to *int, minimum int) value { return numberUpTo(to, minimum, math.MaxInt) }

// numberUpTo returns a value for whole numbers from minimum to maximum.
func numberUpTo(to *int, minimum, maximum int) value {
	return scalar(to, func(text string) (int, error) {
		n, err := strconv.Atoi(text)
		switch {
		case err != nil:
			return 0, fmt.Errorf("must be a whole number, not %q", text)
		case n < minimum:
			return 0, fmt.Errorf("must be at least %d, not %d", minimum, n)
		case n > maximum:
			return 0, fmt.Errorf("must be at most %d, not %d", maximum, n)
		}
		return n, nil
	}, strconv.Itoa)
}

// choiceValue is a value with a few choices.
type choiceValue struct {
	value

	choices []string
}

// Choices returns the valid values.
func (v choiceValue) Choices() []string { return v.choices }

func choice(to *string, choices ...string) value {
	return choiceValue{scalar(to, func(text string) (string, error) {
		if !slices.Contains(choices, text) {
			return "", fmt.Errorf("must be one of %s, not %q", strings.Join(choices, ", "), text)
		}
		return text, nil
	}, plainly), choices}
}

// positiveDuration returns a value for durations of at most maximum.
func positiveDuration(to *time.Duration, maximum time.Duration) value {
	return scalar(to, func(text string) (time.Duration, error) {
		d, err := duration(text)
		switch {
		case err == nil && d <= 0:
			return 0, fmt.Errorf("must be longer than 0s, not %s", text)
		case err == nil && d > maximum:
			return 0, fmt.Errorf("must be at most %s, not %s", showDuration(maximum), text)
		}
		return d, err
	}, showDuration)
}

// durationBetween returns a value for durations from minimum to maximum.
func durationBetween(to *time.Duration, minimum, maximum time.Duration) value {
	return scalar(to, func(text string) (time.Duration, error) {
		d, err := duration(text)
		switch {
		case err == nil && d < minimum:
			return 0, fmt.Errorf("must be at least %s, not %s", showDuration(minimum), text)
		case err == nil && d > maximum:
			return 0, fmt.Errorf("must be at most %s, not %s", showDuration(maximum), text)
		}
		return d, err
	}, showDuration)
}

func durationFromZero(text string) (time.Duration, error) {
	d, err := duration(text)
	if err == nil && d < 0 {
		return 0, fmt.Errorf("must be at least 0s, not %s", text)
	}
	return d, err
}

func duration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("must be a duration such as 90s or 5m, not %q", text)
	}
	return d, nil
}

// showDuration omits the zeros of 5m0s and 1h0m0s.
func showDuration(d time.Duration) string {
	text := d.String()
	for _, zero := range []struct{ unit, rest string }{{"m", "0s"}, {"h", "0m"}} {
		if strings.HasSuffix(text, zero.unit+zero.rest) {
			text = strings.TrimSuffix(text, zero.rest)
		}
	}
	return text
}

// address accepts HOST or HOST:PORT.
func address(text string) (string, error) {
	if _, _, err := qlik.ParseAddress(text); err != nil {
		return "", fmt.Errorf("%q: %w", text, err)
	}
	return text, nil
}

// hostName accepts a host name without a port, or an empty text.
func hostName(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	if _, port, err := qlik.ParseAddress(text); err != nil || port != "" {
		return "", fmt.Errorf("%q: must be a host name without a port", text)
	}
	return text, nil
}

// virtualProxy accepts the prefix of a virtual proxy. The characters that it refuses are
// those between several prefixes, and those of a path into which a shell has turned the
// prefix. The client checks the rest.
func virtualProxy(text string) (string, error) {
	if strings.ContainsAny(text, ",;: \t") {
		return "", fmt.Errorf("%s: is not the prefix of a virtual proxy; write a prefix such as / or /sales", text)
	}
	return text, nil
}

// virtualProxyName accepts a prefix as virtualProxy and the client do, and returns the name
// that the virtual proxy has in the links of the site.
func virtualProxyName(text string) (string, error) {
	if _, err := virtualProxy(text); err != nil {
		return "", err
	}
	return qlik.ParseVirtualProxy(text)
}

func showUser(user qlik.User) string {
	if user == (qlik.User{}) {
		return ""
	}
	return user.String()
}

// NodeAddress is the address of a node that is not reachable under its registered
// host name.
type NodeAddress struct {
	Node string // registered host name
	qlik.NodeAddress
}

// String returns NODE=HOST[:PORT].
func (a NodeAddress) String() string { return a.Node + "=" + a.NodeAddress.String() }

func parseNodeAddress(text string) (a NodeAddress, err error) {
	a.Node, a.NodeAddress, err = qlik.ParseNodeAddress(text)
	return a, err
}

// EnginePort is the port of the engine of a node, or of all nodes without a port of their
// own.
type EnginePort struct {
	Node string // registered host name; "" means all nodes
	Port string
}

// String returns PORT or NODE=PORT.
func (p EnginePort) String() string {
	if p.Node == "" {
		return p.Port
	}
	return p.Node + "=" + p.Port
}

func parseEnginePort(text string) (EnginePort, error) {
	node, port, named := strings.Cut(text, "=")
	if !named {
		node, port = "", text
	}
	number, err := strconv.Atoi(port)
	host, extra, badHost := qlik.ParseAddress(node)
	if err != nil || number < 1 || number > 65535 || named && (badHost != nil || extra != "") {
		return EnginePort{}, fmt.Errorf("%q: must be PORT or NODE=PORT, such as 4747 or qlik2=4748", text)
	}
	return EnginePort{Node: host, Port: strconv.Itoa(number)}, nil
}

// AuditLog is the location of the audit security log of a node.
type AuditLog struct {
	Node string // registered host name
	Glob string
}

// String returns NODE=GLOB.
func (l AuditLog) String() string { return l.Node + "=" + l.Glob }

func parseAuditLog(text string) (AuditLog, error) {
	node, glob, _ := strings.Cut(text, "=")
	node, glob = clean(node), clean(glob)
	switch {
	case node == "" || glob == "":
		return AuditLog{}, fmt.Errorf("%s: must be NODE=GLOB", text)
	case anotherLog.MatchString(glob):
		return AuditLog{}, fmt.Errorf("%s: contains several values; %s", text, oneByOne)
	}
	if _, err := plainPath(glob); err != nil {
		return AuditLog{}, err
	}
	if _, err := auditlog.New(auditlog.Config{Node: node, Glob: glob}); err != nil {
		return AuditLog{}, err
	}
	return AuditLog{node, glob}, nil
}

// anotherLog matches the start of a second NODE=GLOB. A path can contain a comma.
var anotherLog = regexp.MustCompile(`[,;]\s*[\w.-]+=`)

// expression accepts regular expressions that can match a user.
func expression(text string) (string, error) {
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return "", err
	}
	if !matchesSeparator(parsed) {
		return "", fmt.Errorf(`%s: matches no user, because it matches no backslash and no slash; write DIRECTORY/id, or \\ for a backslash`, text)
	}
	return text, nil
}

// matchesSeparator returns whether a part of an expression matches the separator of
// a directory and an id. In an expression such as ACME\svc, \s is white space.
func matchesSeparator(expression *syntax.Regexp) bool {
	switch expression.Op {
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return true
	case syntax.OpLiteral:
		return strings.ContainsAny(string(expression.Rune), `\/`)
	case syntax.OpCharClass: // pairs of a first and a last character
		for i := 0; i+1 < len(expression.Rune); i += 2 {
			for _, separator := range `\/` {
				if expression.Rune[i] <= separator && separator <= expression.Rune[i+1] {
					return true
				}
			}
		}
	default:
	}
	return slices.ContainsFunc(expression.Sub, matchesSeparator)
}

// ownPaths are the paths of the exporter itself. It also serves paths below them.
var ownPaths = []string{"/probe", "/sd", "/config", "/sessions", "/api", "/-", "/debug"}

// telemetryPath rejects paths that are reserved or that have a special meaning.
func telemetryPath(text string) (string, error) {
	switch {
	case !strings.HasPrefix(text, "/"):
		return "", fmt.Errorf("must start with a slash, not %q", text)
	case path.Clean(text) != text, strings.ContainsAny(text, "{} \t?#%"):
		return "", fmt.Errorf("%q is not a plain path; use a path such as /metrics", text)
	case slices.ContainsFunc(ownPaths, func(own string) bool { return text == own || strings.HasPrefix(text, own+"/") }):
		return "", fmt.Errorf("%q is reserved; use a path such as /metrics", text)
	}
	return text, nil
}

var errExternalURL = errors.New("must be a URL such as https://monitoring.example/qlik")

// externalURL parses a URL and removes trailing slashes. It returns nil for an empty
// text. If the URL may contain a password, the error does not repeat it.
func externalURL(text string) (*url.URL, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // not set
	}
	u, err := url.Parse(text)
	if err != nil || u.User != nil || strings.Contains(text, "@") {
		return nil, errExternalURL
	}
	if u.Path = strings.TrimRight(u.Path, "/"); u.Path != "" {
		_, err = telemetryPath(u.Path) // must not conflict with the exporter's own paths
	}
	port, portErr := strconv.ParseUint(cmp.Or(u.Port(), "443"), 10, 16)
	switch {
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "", strings.HasSuffix(u.Host, ":"), portErr != nil, port == 0,
		u.RawQuery != "", u.ForceQuery, u.Fragment != "", u.RawPath != "":
		err = errExternalURL
	}
	if err != nil {
		return nil, fmt.Errorf("%q: %w", text, err)
	}
	return u, nil
}

// commandWord matches the characters that no shell interprets. Quotes are for a path with
// blanks.
var commandWord = regexp.MustCompile(`^["\w][\w./:=@"\\ -]*$`)

// commandWords checks the start of a command line.
func commandWords(text string) (string, error) {
	if !commandWord.MatchString(text) || strings.Count(text, `"`)%2 != 0 {
		return "", fmt.Errorf("%q: must be the start of a command line without characters that a shell interprets, such as docker exec -it NAME qlik_exporter", text)
	}
	return text, nil
}

func showURL(u *url.URL) string {
	if u == nil {
		return ""
	}
	return u.String()
}

// deskAddress parses the address of the desk; "" means that there is none.
func deskAddress(text string) (string, error) {
	text = clean(text)
	if text == "" {
		return "", nil
	}
	return text, listenAddress(text)
}
