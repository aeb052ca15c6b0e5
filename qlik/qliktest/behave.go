package qliktest

import (
	"crypto/tls"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// behavior sets the configuration for an answer. It gets all answers, because some fields depend on several. A nil behavior needs no
// setting: either the site behaves so anyway, or the functions of this file and of reshape.go look at the answer.
type behavior func(c *Config, facts map[string]string)

// behaviors are the answers of the questions of docs/qlik.md, "Open questions", that a site can be told to give.
var behaviors = map[string]map[string]behavior{
	"session_list_order":        {"oldest_first": nil, "newest_first": nil, "by_id": nil, "other": nil},
	"session_list_content_type": {"json_with_charset": nil, "json": nil, "text": nil, "none": nil},
	"session_list_bom":          {no: nil, yes: nil},
	"session_list_names":        {"pascal_case": nil, "camel_case": nil, "other": nil},
	"session_user_name":         {"mixed": nil, "text": nil, "empty": nil, Null: nil, Missing: nil},
	"session_attributes":        {"one_key_objects": nil, "empty": nil, Null: nil, Missing: nil, "other": nil},
	"default_list":              {"own_sessions": nil, "all_sessions": nil},
	"unknown_prefix":            {"status_404": nil, "status_400": nil, "status_403": nil, "empty_list": nil, "html_page": nil},
	"unlinked_prefix":           {"status_404": nil, "status_400": nil, "status_403": nil, "empty_list": nil, "html_page": nil, "sessions": nil},
	"unknown_session":           {"status_404": nil, "status_400": nil, Null: nil, "empty_list": nil},
	"user_without_sessions":     {"empty_list": nil, "status_404": nil, "status_400": nil, Null: nil},
	"no_client_certificate": {
		"status_403": nil, "status_401": nil, "answered": nil, "connection_closed": nil,
		"handshake_refused": func(c *Config, _ map[string]string) { c.RequireClientCertificate = true },
	},
	"short_key":              {"status_403": nil, "status_400": nil, "answered": nil},
	"proxy_description":      {"offered": nil, "status_404": nil, "status_403": nil},
	"proxy_tls":              {"1.3": nil, "1.2": nil},
	"repository_tls":         {"1.3": nil, "1.2": nil},
	"engine_tls":             {"1.3": nil, "1.2": nil},
	"session_on_two_proxies": {no: nil, yes: nil},

	"usage_rows": {
		"some": nil,
		"none": func(c *Config, _ map[string]string) { c.NoUsageRows = true },
	},
	"usage_row_session": {yes: nil, no: nil},
	"usage_row_second": {
		no:  nil,
		yes: func(c *Config, _ map[string]string) { c.QMC = QMCSecondRow },
	},
	"usage_row_left": {
		yes: nil,
		no:  func(c *Config, _ map[string]string) { c.LeftoverTime = time.Nanosecond },
	},
	"usage_row_user": {"user": nil, "service": nil, Missing: nil, "other": nil},
	"usage_row_end": {
		"at_once":          nil,
		"within_5_minutes": cooling(2 * time.Minute),
		"after_5_minutes":  cooling(5 * time.Minute),
		"longer":           cooling(time.Hour),
	},
	"usage_row_left_end": {
		"stay": nil,
		"end":  func(c *Config, _ map[string]string) { c.LeftoverTime = 3 * time.Minute },
	},
	"activity_interval": {
		"under_1_minute": nil,
		"longer":         func(c *Config, _ map[string]string) { c.Activity = ActivityEvery10Minutes },
		"about_5_minutes": func(c *Config, facts map[string]string) {
			if c.Activity = ActivityEvery5Minutes; facts["activity_delay"] == "up_to_5_minutes" {
				c.Activity = ActivityInBatches
			}
		},
	},
	"activity_delay": {
		"under_1_minute":  nil,
		"up_to_5_minutes": func(c *Config, _ map[string]string) { c.Activity = ActivityInBatches },
	},

	"access_never_used": {"1753": nil, Null: nil, Missing: nil, "0001": nil, "empty": nil},
	"license_end_in": {
		"key_details":  nil,
		"license_file": func(c *Config, _ map[string]string) { c.SerialNumber = true },
		"both":         nil,
		"neither":      nil,
	},
	"license_end_date": {"year_first": nil, "day_first": nil, "month_first": nil, "two_ways": nil, "no_end": nil, "unreadable": nil},

	"enumerations":           {"numbers": nil, "names": nil},
	"proxy_links":            {"virtual_proxies": nil, "old_names": nil, "mixed": nil},
	"service_state_age":      {"under_1_minute": nil, "under_10_minutes": nil, "longer": nil},
	"user_roles":             {"texts": nil, "objects": nil},
	"data_connection_filter": {"works": nil, "ignored": nil, "status_400": nil, "status_403": nil, "status_404": nil},
	"data_connection_user":   {"directory_and_id": nil, "id_only": nil, "empty": nil, Null: nil, Missing: nil},
	"stream_filter":          {"works": nil, "ignored": nil, "status_400": nil, "status_403": nil, "status_404": nil},
	"execution_count":        {"works": nil, "status_400": nil, "status_403": nil, "status_404": nil},
	"quote_in_filter":        {"accepted": nil, "status_400": nil},

	"engine_port":        {"listed": nil, Missing: nil},
	"engine_health":      {"answers": nil, "status_401": nil, "status_403": nil, "status_404": nil},
	"engine_health_path": {"both": nil, "without_slash": nil, "with_slash": nil},
	"engine_without_key": {"status_403": nil, "status_400": nil, "answered": nil},
	"engine_physical":    {"present": nil, Missing: nil},
	"engine_committed":   {"two_m": nil, "one_m": nil, "both": nil, "neither": nil},
	"engine_started":     {"basic": nil, "extended": nil, Missing: nil, "other": nil},

	"audit_log_header":  {"as_expected": nil, "other_order": nil, "other_names": nil},
	"audit_log_columns": {"22": nil, "fewer": nil, "more": nil},
	"audit_log_bom":     {no: nil, yes: nil},
	"audit_log_offset":  {"without_colon": nil, "with_colon": nil, "utc": nil},
	"audit_log_session": {
		"plain": nil,
		"c0de":  func(c *Config, _ map[string]string) { c.Denials = max(c.Denials, Denials2021) },
	},
	"audit_log_no_license": {
		"login_access_denied": nil,
		"access_was_denied":   func(c *Config, _ map[string]string) { c.Denials = Denials2025 },
	},
	"trace_log_service_user": {"present": nil, Missing: nil},
}

const (
	yes = "yes"
	no  = "no"
)

// cooling returns a behavior in which every slot cools for a time.
func cooling(d time.Duration) behavior {
	return func(c *Config, _ map[string]string) { c.Tail, c.CoolingTime = TailAlways, d }
}

// Behaviors returns the answers that a site can be told to give, by question.
func Behaviors() map[string][]string {
	all := map[string][]string{}
	for id, answers := range behaviors {
		all[id] = slices.Sorted(maps.Keys(answers))
	}
	return all
}

// Behave returns a configuration of a site that behaves as the facts of a real site say: the field facts of the file that the command check
// writes. It also returns the questions whose answer the simulation cannot give; an answer "unknown" changes nothing. It returns an error for an unknown question.
func (c Config) Behave(facts map[string]string) (behaving Config, cannot []string, err error) {
	c.facts = told{}
	for _, id := range slices.Sorted(maps.Keys(facts)) {
		answers, known := behaviors[id]
		set, can := answers[facts[id]]
		switch {
		case !known && !slices.Contains(notSimulated, id):
			return c, nil, fmt.Errorf("qliktest: there is no question %q", id)
		case facts[id] == "unknown":
		case !can:
			cannot = append(cannot, id)
		default:
			c.facts[id] = facts[id]
			if set != nil {
				set(&c, facts)
			}
		}
	}
	return c, cannot, nil
}

// notSimulated are questions that a Site cannot answer: the key of the client is a file of
// the exporter.
var notSimulated = []string{"client_key"}

// told are the answers that a site was told to give, by question.
type told map[string]string

// is reports whether the site was told to give an answer.
func (t told) is(id, answer string) bool { return t[id] == answer }

// maxVersion returns the highest version of TLS of a service.
func (e *endpoint) maxVersion() uint16 {
	id := map[int]string{repositoryPort: "repository_tls", enginePort: "engine_tls"}[e.port]
	if id == "" {
		id = "proxy_tls"
	}
	if e.site.config.facts.is(id, "1.2") {
		return tls.VersionTLS12
	}
	return 0 // the highest that there is
}

// response returns the response that the site was told to give instead of an answer, such
// as status_404. It returns false if it was told nothing, or to answer as usual.
func (t told) response(id string) (answer, bool) {
	switch t[id] {
	case "status_400":
		return answer{http.StatusBadRequest, contentHTML, []byte(loginPage)}, true
	case "status_401":
		return text(http.StatusUnauthorized, "Unauthorized"), true
	case "status_403":
		return text(http.StatusForbidden, "Forbidden"), true
	case "status_404":
		return text(http.StatusNotFound, "Not found"), true
	case "html_page":
		return answer{http.StatusOK, contentHTML, []byte(loginPage)}, true
	case "empty_list":
		return listOf(nil), true
	case Null:
		return ok(nil), true
	}
	return answer{}, false
}

// withoutCertificate answers a client without a certificate. It returns false if such a client is answered like any other one.
func (e *endpoint) withoutCertificate() (answer, bool) {
	t := e.site.config.facts
	switch {
	case t.is("no_client_certificate", "answered"):
		return answer{}, false
	case t.is("no_client_certificate", "connection_closed"):
		panic(http.ErrAbortHandler)
	}
	if a, is := t.response("no_client_certificate"); is {
		return a, true
	}
	return text(http.StatusForbidden, "A client certificate is required."), true
}

// wrongKey answers a request without a valid key. It returns false if such a request is answered like any other one.
func (e *endpoint) wrongKey() (answer, bool) {
	t, id := e.site.config.facts, "short_key"
	if e.port == enginePort {
		id = "engine_without_key"
	}
	if t.is(id, "answered") {
		return answer{}, false
	}
	if a, is := t.response(id); is && a.status != http.StatusForbidden {
		return a, true
	}
	return text(http.StatusForbidden, xsrfText), true
}

// missingLink answers a request for the sessions of a prefix that the node does not serve.
func (s *Site) missingLink(path proxyPath) answer {
	id := "unknown_prefix"
	for _, v := range s.virtualProxies {
		if v.Prefix == path.prefix {
			id = "unlinked_prefix"
		}
	}
	isList := path.isList() || path.resource == "user"
	if a, is := s.config.facts.response(id); is && (isList || !s.config.facts.is(id, "empty_list")) {
		return a
	}
	if s.config.facts.is(id, "sessions") && path.isList() {
		for _, n := range s.nodes {
			if l := n.links[path.prefix]; l != nil {
				return listLink(l)
			}
		}
	}
	return text(http.StatusNotFound, "Not found")
}

// listed responds with the sessions of a link, and with those of others if the site was told so.
func (s *Site) listed(l *link) answer {
	all := []*link{l}
	for _, n := range s.nodes {
		for prefix, another := range n.links {
			otherNode := n != l.node && prefix == l.virtualProxy.Prefix && s.config.facts.is("session_on_two_proxies", yes)
			otherPrefix := n == l.node && another != l && l.virtualProxy.Prefix == "" && s.config.facts.is("default_list", "all_sessions")
			if otherNode || otherPrefix {
				all = append(all, another)
			}
		}
	}
	if len(all) == 1 {
		return listLink(l)
	}
	var sessions []*session
	for _, each := range all {
		sessions = append(sessions, sessionsOf(each)...)
	}
	sortByAge(sessions)
	return listOf(sessions)
}

// auditHeader returns the first line of an audit log.
func (t told) auditHeader() string {
	columns := slices.Clone(auditColumns)
	const objectID, objectName = 11, 12
	switch {
	case t.is("audit_log_header", "other_order"):
		columns[objectID], columns[objectName] = columns[objectName], columns[objectID]
	case t.is("audit_log_columns", "fewer"):
		columns = columns[:len(columns)-1]
	case t.is("audit_log_columns", "more"):
		columns = append(columns, "Extra")
	case t.is("audit_log_header", "other_names"):
		columns[objectID] = "Object Id"
	}
	line := strings.Join(columns, "\t")
	if t.is("audit_log_bom", yes) {
		line = "\uFEFF" + line
	}
	return line
}

// auditTime returns a time as it is in the audit log.
func (t told) auditTime(at time.Time) string {
	switch t["audit_log_offset"] {
	case "with_colon":
		return at.Format("20060102T150405.000-07:00")
	case "utc":
		return at.UTC().Format("20060102T150405.000Z")
	}
	return at.Format(auditTimestamp)
}

// traceHeader returns the first line of a trace log.
func (t told) traceHeader() string {
	header := strings.Join(traceColumns, "\t")
	if t.is("trace_log_service_user", Missing) {
		header = strings.Replace(header, "ServiceUser", "User", 1)
	}
	return header
}
