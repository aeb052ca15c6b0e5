package facts

import (
	"crypto/tls"
	"time"
)

// Answers that several questions have.
var (
	yesOrNo  = []string{yes, no}
	versions = []string{"1.2", "1.3"}
	prefixes = []string{"status_404", "status_400", "status_403", emptyList, list, htmlPage, other}
	filters  = []string{"works", "ignored", "status_400", "status_403", "status_404", other}
)

// questions are all questions. docs/qlik.md has a table of them.
var questions = []Question{
	{"session_list_order", "Session list", "In what order are the sessions in a session list?", []string{"oldest_first", "newest_first", "by_id", other, "mixed"}, (*site).order},
	{"session_list_content_type", "Session list", "What is the content type of a session list?", []string{"json", "json_with_charset", "text", "none", other, "mixed"}, func(s *site) string { return s.proxy.contentTypes.one() }},
	{"session_list_bom", "Session list", "Does a session list begin with a byte order mark?", []string{yes, no, "mixed"}, func(s *site) string { return s.proxy.boms.one() }},
	{"session_list_names", "Session list", "How are the names in a session list spelled?", []string{"pascal_case", "camel_case", other, "mixed"}, func(s *site) string { return s.proxy.names.one() }},
	{"session_user_name", "Session list", "What is UserName in a session list?", []string{"text", "empty", jsonNull, "missing", other, "mixed"}, func(s *site) string { return s.proxy.userNames.one() }},
	{"session_attributes", "Session list", "What are Attributes in a session list?", []string{"one_key_objects", "empty", jsonNull, "missing", other, "mixed"}, func(s *site) string { return s.proxy.attributeForm() }},
	{"default_list", "Session list", "Which sessions are in the list without a prefix: those of the default virtual proxy, or all?", []string{"own_sessions", "all_sessions"}, func(s *site) string { return s.proxy.defaultList() }},
	{"unknown_prefix", "Session list", "What is the response for a prefix that does not exist?", prefixes, func(s *site) string { return s.proxy.unknownPrefix }},
	{"unlinked_prefix", "Session list", "What is the response for a prefix that is not linked to the node?", prefixes, func(s *site) string { return s.proxy.unlinkedPrefix }},
	{"unknown_session", "Ending sessions", "What is the response for a session id that does not exist?", []string{"status_404", "status_400", jsonNull, emptyList, object, other}, func(s *site) string { return s.proxy.unknownSession }},
	{"user_without_sessions", "Ending sessions", "What is the response for a user without sessions?", []string{emptyList, "status_404", "status_400", jsonNull, other}, func(s *site) string { return s.proxy.noSessions }},
	{"no_client_certificate", "Certificates", "What happens without a client certificate?", []string{refusedHandshake, closedConnection, "status_401", "status_403", "answered", other}, func(s *site) string { return s.proxy.noCertificate }},
	{"short_key", "XSRF key", "What is the response to an XSRF key of 15 characters?", []string{"status_403", "status_400", "answered", other}, func(s *site) string { return s.proxy.shortKey }},
	{"proxy_description", "Ports and addressing", "Does the proxy describe what it offers?", []string{"offered", "status_404", "status_403", other}, func(s *site) string { return s.proxy.description }},
	{"proxy_tls", "TLS versions", "What is the highest TLS version of the proxy, up to 1.3?", versions, func(s *site) string { return version(s.proxy.tls) }},
	{"repository_tls", "TLS versions", "What is the highest TLS version of the repository, up to 1.3?", versions, func(s *site) string { return version(s.repository.tls) }},
	{"engine_tls", "TLS versions", "What is the highest TLS version of the engine, up to 1.3?", versions, func(s *site) string { return version(s.engine.tls) }},
	{"session_on_two_proxies", "Several nodes", "Do two proxies list the same session?", yesOrNo, func(s *site) string { return s.proxy.shared() }},

	{"usage_rows", "Usage rows", "Which sessions have usage rows?", []string{"all", "some", "none"}, (*site).rowsOfSessions},
	{"usage_row_session", "Usage rows", "Are the ids in usage rows those of session lists?", yesOrNo, (*site).joins},
	{"usage_row_second", "Usage rows", "Does any session have two usage rows?", yesOrNo, (*site).second},
	{"usage_row_left", "Usage rows", "Are there usage rows without a session?", yesOrNo, (*site).leftOver},
	{"usage_row_user", "Usage rows", "Whose name is in modifiedByUserName of a usage row?", []string{"user", "service", "missing", other, "mixed"}, (*site).modifier},
	{"usage_row_end", "Five-minute tail", "How long does a usage row outlive its session?", []string{"at_once", "within_5_minutes", "after_5_minutes", "longer", "mixed"}, func(s *site) string { return s.watched.rowEnds.one() }},
	{"usage_row_left_end", "Usage rows", "Do usage rows without a session end within six minutes?", []string{"end", "stay", "mixed"}, func(s *site) string { return s.watched.leftover.one() }},
	{"activity_interval", "Usage rows", "What is the shortest time between two activities in a usage row?", []string{"under_1_minute", "under_4_minutes", "about_5_minutes", "longer"}, func(s *site) string { return s.watched.shortestInterval() }},
	{"activity_delay", "Usage rows", "How long does it take at most until an activity is in a usage row?", []string{"under_1_minute", "up_to_5_minutes", "longer"}, func(s *site) string { return s.watched.longestDelay() }},

	{"access_never_used", "Licenses", "What is lastUsed of an access that was never used?", []string{"missing", jsonNull, "empty", "0001", "1753", other, "mixed"}, func(s *site) string { return s.licenses.neverUsed.one() }},
	{"license_end_in", "Licenses", "Which text contains the end of the license?", []string{"license_file", "key_details", "both", "neither"}, func(s *site) string { return s.licenses.endIn() }},
	{"license_end_date", "Licenses", "How is the date of the license's end written?", []string{"year_first", "day_first", "month_first", "two_ways", "no_end", "unreadable", "mixed"}, func(s *site) string { return s.licenses.endDate() }},

	{"enumerations", "Repository", "Are enumerations numbers or names?", []string{"numbers", "names", other, "mixed"}, func(s *site) string { return s.repository.enumerations.one() }},
	{"proxy_links", "Topology", "What is the name of the links of a proxy?", []string{"virtual_proxies", "old_names", "mixed"}, func(s *site) string { return s.repository.proxyLinks.one() }},
	{"service_state_age", "Service states", "How old can the state of a running service be?", []string{"under_1_minute", "under_10_minutes", "longer"}, (*site).stateAge},
	{"user_roles", "Roles", "What are the roles of a user?", []string{"texts", "objects", other, "mixed"}, func(s *site) string { return s.repository.roles.one() }},
	{"data_connection_filter", "Service accounts", "Does the filter on the names of data connections work?", filters, func(s *site) string { return s.repository.connections }},
	{"data_connection_user", "Service accounts", "What is username of a data connection?", []string{"directory_and_id", "id_only", "empty", jsonNull, "missing", other, "mixed"}, func(s *site) string { return s.repository.accounts.one() }},
	{"stream_filter", "Service accounts", "Does the filter on app.stream.name of reload tasks work?", filters, func(s *site) string { return s.repository.streams }},
	{"execution_count", "Service accounts", "Does the count of executions with a filter on dates and ids work?", []string{"works", "status_400", "status_403", "status_404", other}, func(s *site) string { return s.repository.executions }},
	{"quote_in_filter", "Repository", "Is a quote in a filter accepted if it is doubled?", []string{"accepted", "status_400", other}, func(s *site) string { return s.repository.quote }},

	{"engine_port", "Engine health", "Does the repository list the ports of engines?", []string{"listed", "missing", other}, func(s *site) string { return s.repository.listensAt }},
	{"engine_health", "Engine health", "What does the health check of an engine answer?", []string{"answers", "status_401", "status_403", "status_404", refusedHandshake, closedConnection, "no_connection", other}, func(s *site) string { return s.engine.health }},
	{"engine_health_path", "Engine health", "Does the path of the health check end in a slash?", []string{"both", "without_slash", "with_slash"}, func(s *site) string { return s.engine.path }},
	{"engine_without_key", "Engine health", "What is the response to a health check without an XSRF key?", []string{"answered", "status_403", "status_400", other}, func(s *site) string { return s.engine.withoutKey }},
	{"engine_physical", "Engine health", "Does the health check have totalPhysical?", []string{"present", "missing"}, func(s *site) string { return s.engine.physical }},
	{"engine_committed", "Engine health", "Is the committed memory spelled with one m or with two?", []string{"two_m", "one_m", "both", "neither"}, func(s *site) string { return s.engine.committed }},
	{"engine_started", "Engine health", "How is the start of the engine written?", []string{"basic", "extended", "missing", other}, func(s *site) string { return s.engine.started }},

	{"client_key", "Certificates", "In which format is the client key?", []string{"not_encrypted", "traditional", "pkcs8"}, func(s *site) string { return s.logs.keyFormat }},
	{"audit_log_header", "Audit log", "Is the header of the audit log as docs/qlik.md expects it?", []string{"as_expected", "other_order", "other_names"}, func(s *site) string { return s.logs.header }},
	{"audit_log_columns", "Audit log", "How many columns does the audit log have?", []string{"22", "fewer", "more"}, func(s *site) string { return s.logs.columns }},
	{"audit_log_bom", "Audit log", "Does the audit log begin with a byte order mark?", yesOrNo, func(s *site) string { return s.logs.bom }},
	{"audit_log_offset", "Audit log", "How is the time zone written in the audit log?", []string{"without_colon", "with_colon", "utc", other, "mixed"}, func(s *site) string { return s.logs.offsets.one() }},
	{"audit_log_session", "Audit log", "How do session ids of refused logins begin?", []string{"plain", "c0de", "mixed"}, func(s *site) string { return s.logs.ids.one() }},
	{"audit_log_no_license", "Audit log", "How does the audit log record a login that was refused because of a missing license?", []string{"login_access_denied", "access_was_denied", other, "mixed"}, func(s *site) string { return s.logs.denials.one() }},
	{"trace_log_service_user", "Trace logs", "Do the Trace logs have the column ServiceUser?", []string{"present", "missing"}, func(s *site) string { return s.logs.serviceUser }},
}

func version(of uint16) string {
	switch of {
	case tls.VersionTLS12:
		return "1.2"
	case tls.VersionTLS13:
		return "1.3"
	}
	return ""
}

func (s *site) stateAge() string {
	switch age := s.repository.stateAge; {
	case age == nil:
		return ""
	case *age < time.Minute:
		return "under_1_minute"
	case *age < 10*time.Minute:
		return "under_10_minutes"
	}
	return "longer"
}
