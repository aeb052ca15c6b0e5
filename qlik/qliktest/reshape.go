package qliktest

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// This file changes answers of services into those that the site was told to give (behave.go), so that the services themselves need not
// know of them.

// ask passes a request to the service, unless the site was told what to answer, and reshapes the answer.
func (e *endpoint) ask(r *http.Request) answer {
	t := e.site.config.facts
	if len(t) == 0 || r.Method != http.MethodGet {
		return e.service.answer(r)
	}
	path := strings.ToLower(r.URL.Path)
	if e.port == enginePort {
		return t.reshapeEngine(r, e.service.answer(r))
	}
	if !strings.HasPrefix(path, "/qrs/") {
		a := e.service.answer(r)
		if parsed, found := parseProxyPath(r.URL.EscapedPath()); found && a.status == http.StatusOK {
			return t.reshapeProxy(parsed, a)
		}
		return a
	}
	id := map[string]string{
		"/qrs/dataconnection/full": "data_connection_filter", "/qrs/reloadtask/full": "stream_filter", "/qrs/executionresult/count": "execution_count",
	}[path]
	if a, is := t.response(id); is {
		return a
	}
	if path == "/qrs/user" && strings.Contains(parameter(r, "filter"), "''") {
		switch t["quote_in_filter"] {
		case "accepted":
			return listOf(nil)
		case "status_400":
			return text(http.StatusBadRequest, "400::Cannot parse the expression")
		}
	}
	if t.is(id, "ignored") {
		r = r.Clone(r.Context())
		query := r.URL.Query()
		query.Del("filter")
		r.URL.RawQuery = query.Encode()
	}
	a := e.service.answer(r)
	if a.status != http.StatusOK {
		return a
	}
	return t.reshapeRepository(path, e.site.now(), a)
}

// textOf returns a field that is a text, or "".
func textOf(o object, field string) string {
	text, _ := o[field].(string)
	return text
}

// eachObject changes every object of a list, or a single object.
func eachObject(a answer, change func(object)) answer {
	var all []object
	if json.Unmarshal(a.body, &all) == nil {
		for _, o := range all {
			change(o)
		}
		a.body = ok(all).body
		return a
	}
	var one object
	if json.Unmarshal(a.body, &one) == nil && one != nil {
		change(one)
		a.body = ok(one).body
	}
	return a
}

// setTo sets a field to a value that its kind names: missing, null, empty, or the value.
func (o object) setTo(field, kind string, value any) {
	switch kind {
	case "", "mixed":
	case Missing:
		delete(o, field)
	case Null:
		o[field] = nil
	case "empty":
		o[field] = ""
	default:
		o[field] = value
	}
}

func (t told) reshapeProxy(path proxyPath, a answer) answer {
	switch {
	case path.resource == "about/description":
		if a, is := t.response("proxy_description"); is {
			return a
		}
		return a
	case path.resource == "user" && bytes.Equal(a.body, []byte("[]")):
		if a, is := t.response("user_without_sessions"); is {
			return a
		}
		return a
	case !path.isList() || a.contentType != contentJSON:
		return a
	}
	var all []object
	if json.Unmarshal(a.body, &all) != nil {
		return a
	}
	id := func(o object) string { return textOf(o, "SessionId") }
	switch t["session_list_order"] {
	case "newest_first":
		slices.Reverse(all)
	case "by_id":
		slices.SortFunc(all, func(a, b object) int { return strings.Compare(id(a), id(b)) })
	case "other":
		slices.SortFunc(all, func(a, b object) int { return strings.Compare(hashed(id(a)), hashed(id(b))) })
	}
	for _, o := range all {
		o.setTo("UserName", t["session_user_name"], "Name of "+textOf(o, "UserId"))
		switch kind := t["session_attributes"]; kind {
		case "one_key_objects":
			o["Attributes"] = []map[string]string{{"group": "Sales"}}
		case "empty":
			o["Attributes"] = []string{}
		case "other":
			o["Attributes"] = []object{{"name": "group", "value": "Sales"}}
		default:
			o.setTo("Attributes", kind, nil)
		}
		for _, name := range []string{"UserDirectory", "UserId", "Attributes", "SessionId", "UserName"} {
			value, there := o[name]
			switch spelled := strings.ToLower(name[:1]) + name[1:]; {
			case !there:
			case t.is("session_list_names", "camel_case"):
				delete(o, name)
				o[spelled] = value
			case t.is("session_list_names", "other"):
				delete(o, name)
				o[strings.ToLower(name)] = value
			}
		}
	}
	if all == nil {
		all = []object{}
	}
	a.body = ok(all).body
	if t.is("session_list_bom", yes) {
		a.body = append([]byte("\uFEFF"), a.body...)
	}
	switch t["session_list_content_type"] {
	case "json":
		a.contentType = "application/json"
	case "text":
		a.contentType = contentText
	case "none":
		a.contentType = ""
	}
	return a
}

func hashed(text string) string {
	hash := sha256.Sum256([]byte(text))
	return string(hash[:])
}

// serviceStates are the names of the states of services, by code (docs/qlik.md, "Service states").
var serviceStates = []string{"Initializing", "CertificatesNotInstalled", "Running", "NoCommunication", "Disabled", "Unknown"}

func (t told) reshapeRepository(path string, now time.Time, a answer) answer {
	list, license := strings.CutPrefix(strings.TrimSuffix(path, "/full"), "/qrs/license")
	switch {
	case path == "/qrs/servicestatus/full":
		return eachObject(a, func(o object) { t.reshapeService(o, now) })
	case path == "/qrs/proxyservice/full":
		return eachObject(a, t.reshapeLinks)
	case path == "/qrs/engineservice/full" && t.is("engine_port", Missing):
		return eachObject(a, func(o object) {
			settings, _ := o["settings"].(map[string]any)
			delete(settings, "listenerPorts")
		})
	case path == "/qrs/user/full" && t.is("user_roles", "objects"):
		return eachObject(a, func(o object) {
			roles, _ := o["roles"].([]any)
			for i := range roles {
				roles[i] = object{"id": stableID("role", fmt.Sprint(roles[i])), "name": roles[i]}
			}
		})
	case path == "/qrs/dataconnection/full":
		return eachObject(a, func(o object) {
			_, id, _ := strings.Cut(textOf(o, "username"), `\`)
			if kind := t["data_connection_user"]; kind != "directory_and_id" {
				o.setTo("username", kind, id)
			}
		})
	case license && list == "":
		return eachObject(a, t.reshapeLicense)
	case license && strings.HasSuffix(list, "accesstype"):
		return eachObject(a, func(o object) {
			if textOf(o, "lastUsed") == noDate && !t.is("access_never_used", "1753") {
				o.setTo("lastUsed", t["access_never_used"], "0001-01-01T00:00:00.000Z")
			}
		})
	case license && strings.HasSuffix(list, "accessusage"):
		return eachObject(a, t.reshapeRow)
	}
	return a
}

func (t told) reshapeService(o object, now time.Time) {
	switch t["service_state_age"] {
	case "under_10_minutes":
		o["timestamp"] = date(now.Add(-5 * time.Minute))
	case "longer":
		o["timestamp"] = date(now.Add(-time.Hour))
	}
	if !t.is("enumerations", "names") {
		return
	}
	for _, service := range services {
		if o["serviceType"] == float64(service.code) {
			o["serviceType"] = service.name
		}
	}
	if state, is := o["serviceState"].(float64); is && int(state) < len(serviceStates) {
		o["serviceState"] = serviceStates[int(state)]
	}
}

func (t told) reshapeLinks(o object) {
	settings, _ := o["settings"].(map[string]any)
	kind := t["proxy_links"]
	if settings == nil || kind == "" || kind == "virtual_proxies" {
		return
	}
	settings["virtualProxyConfigurations"] = settings["virtualProxies"]
	if kind == "old_names" {
		delete(settings, "virtualProxies")
	}
}

func (t told) reshapeRow(o object) {
	if t.is("usage_row_session", no) {
		for _, each := range append(objectsIn(o, "sessions"), o) {
			if id := textOf(each, "sessionID"); id != "" {
				each["sessionID"] = obfuscated(id)
			}
		}
	}
	switch kind := t["usage_row_user"]; kind {
	case "", "user":
	case "service":
		o["modifiedByUserName"] = creator
	default:
		o.setTo("modifiedByUserName", kind, `OTHER\somebody`)
	}
}

// objectsIn returns the objects of a list in a field.
func objectsIn(o object, field string) []object {
	var all []object
	list, _ := o[field].([]any)
	for _, one := range list {
		if inner, is := one.(map[string]any); is {
			all = append(all, inner)
		}
	}
	return all
}

var endDate = regexp.MustCompile(`(TIMELIMIT;;;|Valid To: )(\d{4})-(\d{2})-(\d{2})`)

func (t told) reshapeLicense(o object) {
	end := endDate.FindStringSubmatch(textOf(o, "lef") + textOf(o, "keyDetails"))
	if end == nil {
		return
	}
	switch t["license_end_in"] {
	case "neither":
		o["lef"], o["keyDetails"] = "", ""
	case "both":
		day := end[2] + "-" + end[3] + "-" + end[4]
		o["lef"], o["keyDetails"] = "TIMELIMIT;;;"+day+"\r\n", "Valid To: "+day+" 12:00:00 AM\r\n"
	}
	// The day decides how a date can be read.
	form := map[string]string{
		"day_first": "${1}28.${3}.${2}", "month_first": "${1}${3}/28/${2}", "two_ways": "${1}04/03/${2}", "no_end": "${1}9999-12-31", "unreadable": "${1}soon",
	}[t["license_end_date"]]
	if form == "" {
		return
	}
	for _, field := range []string{"lef", "keyDetails"} {
		o[field] = endDate.ReplaceAllString(textOf(o, field), form)
	}
}

// misspelled is the committed memory in an old example by Qlik.
const misspelled = "comitted" //nolint:misspell // see above

func (t told) reshapeEngine(r *http.Request, a answer) answer {
	if a, is := t.response("engine_health"); is {
		return a
	}
	slash := strings.HasSuffix(r.URL.Path, "/")
	if slash && t.is("engine_health_path", "without_slash") || !slash && t.is("engine_health_path", "with_slash") {
		return text(http.StatusNotFound, "Not found")
	}
	return eachObject(a, func(o object) {
		memory, _ := o["mem"].(map[string]any)
		if memory == nil {
			return
		}
		if t.is("engine_physical", Missing) {
			delete(memory, "totalPhysical")
		}
		committed := memory["committed"]
		switch t["engine_committed"] {
		case "one_m":
			delete(memory, "committed")
			memory[misspelled] = committed
		case "both":
			memory[misspelled] = committed
		case "neither":
			delete(memory, "committed")
		}
		switch t["engine_started"] {
		case "extended":
			if at, err := time.Parse("20060102T150405.000+0000", textOf(o, "started")); err == nil {
				o["started"] = date(at)
			}
		case Missing:
			delete(o, "started")
		case "other":
			o["started"] = "a while ago"
		}
	})
}
