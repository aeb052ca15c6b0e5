package facts

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// repository is what the repository of a site answered.
type repository struct {
	address string // of the first one that answers; "" without any
	tls     uint16

	enumerations forms
	stateAge     *time.Duration // of the oldest state of a running service
	engineHosts  []string       // nodes with an engine that is not disabled

	proxyLinks   forms
	linked       map[string]map[string]bool // ids of virtual proxies, by lower-case host of the proxy; nil while unknown
	prefixes     map[string]string          // of virtual proxies, by lower-case id
	listensAt    string                     // whether engines have a list of ports
	enginePorts  map[string]string          // the first port of each engine, by host
	roles        forms
	connections  string // outcome of the filter on data connections
	accounts     forms  // of data connections
	streams      string // outcome of the filter on streams
	executions   string // outcome of the count of executions
	quote        string // outcome of a filter with a doubled quote
	reloadTaskID string
}

// ask sends a request to the repository in use.
func (s *site) ask(ctx context.Context, path, filter string, read func(io.Reader) error) response {
	if s.repository.address == "" {
		return response{}
	}
	return s.get(ctx, request{url: "https://" + s.repository.address + "/qrs/" + path, filter: filter}, read)
}

// readRepository finds a repository that answers and reads the services and the topology.
func (s *site) readRepository(ctx context.Context) {
	r := &s.repository
	for _, host := range s.Qlik.Hosts {
		r.address = host
		r.enumerations, r.engineHosts = make(forms), nil
		var oldest time.Time
		services := s.ask(ctx, "servicestatus/full", "", elements(func(e element) { s.readService(e, &oldest) }))
		if !services.ok() {
			r.address = ""
			continue
		}
		r.tls = services.tls
		if !oldest.IsZero() && !services.date.IsZero() {
			age := services.date.Sub(oldest)
			r.stateAge = &age
		}
		break
	}
	links := make(map[string]map[string]bool)
	r.proxyLinks = make(forms)
	if answer := s.ask(ctx, "proxyservice/full", "", elements(func(e element) { r.readProxy(e, links) })); answer.ok() {
		r.linked = links
	}
	r.prefixes = make(map[string]string)
	answer := s.ask(ctx, "virtualproxyconfig/full", "", elements(func(e element) {
		id, prefix := e.text("id"), e.text("prefix")
		if id != "" && len(id)+len(prefix) < maxName && form(e.field("prefix")) != other && len(r.prefixes) < maxNames {
			r.prefixes[strings.ToLower(id)] = prefix
		}
	}))
	if !answer.ok() {
		r.linked = nil // of little use without the prefixes
	}
}

// Codes and names of services and states (docs/qlik.md, "Service states").
const (
	engineCode, engineName     = "3", "Engine"
	runningCode, runningName   = "2", "Running"
	disabledCode, disabledName = "4", "Disabled"
)

func (s *site) readService(e element, oldest *time.Time) {
	r := &s.repository
	kind, state := enumeration(e, "serviceType"), enumeration(e, "serviceState")
	for _, name := range []string{"serviceType", "serviceState"} {
		switch value := e.field(name); {
		case form(value) == "text":
			r.enumerations["names"] = true
		case len(value) > 0 && strings.Trim(string(value), "0123456789") == "":
			r.enumerations["numbers"] = true
		default:
			r.enumerations[other] = true
		}
	}
	if state == runningCode || state == runningName {
		if at := e.time("timestamp"); !at.IsZero() && (oldest.IsZero() || at.Before(*oldest)) {
			*oldest = at
		}
	}
	host := e.object("serverNodeConfiguration").text("hostName")
	if (kind == engineCode || kind == engineName) && state != disabledCode && state != disabledName && len(host) < maxName && len(r.engineHosts) < maxLinks {
		r.engineHosts = append(r.engineHosts, host)
	}
}

func enumeration(e element, name string) string { return strings.Trim(string(e.field(name)), `"`) }

// readProxy reads the links of a proxy.
func (r *repository) readProxy(e element, links map[string]map[string]bool) {
	settings := e.object("settings")
	var linked []element
	if current := settings.field("virtualProxies"); current != nil {
		r.proxyLinks["virtual_proxies"] = true
		linked = append(linked, settings.objects("virtualProxies")...)
	}
	if settings.field("virtualProxyConfigurations") != nil || settings.field("defaultVirtualProxyConfigurations") != nil {
		r.proxyLinks["old_names"] = true
		linked = append(linked, settings.objects("virtualProxyConfigurations")...)
		linked = append(linked, settings.object("defaultVirtualProxyConfigurations"))
	}
	host := strings.ToLower(e.object("serverNodeConfiguration").text("hostName"))
	if host == "" || len(host) >= maxName || len(links) >= maxLinks {
		return
	}
	links[host] = make(map[string]bool)
	for _, one := range linked[:min(len(linked), maxNames/maxLinks)] {
		if id := one.text("id"); len(id) < maxName {
			links[host][strings.ToLower(id)] = true
		}
	}
}

// unlinked returns the prefix of a virtual proxy that is not linked to a node. It
// returns false if there is none, or if this is unknown.
func (r *repository) unlinked(host string) (prefix string, ok bool) {
	linked := r.linked[strings.ToLower(host)]
	if linked == nil {
		return "", false
	}
	taken := make(map[string]bool) // two virtual proxies can have the same prefix
	for id := range linked {
		taken[r.prefixes[id]] = true
	}
	for id, prefix := range r.prefixes {
		if linked[id] || taken[prefix] {
			continue
		}
		if name, err := qlik.ParseVirtualProxy(prefix); err == nil && name != "/" {
			return strings.Trim(name, "/"), true
		}
	}
	return "", false
}

// The data connections and the apps that Qlik delivers (docs/qlik.md, "Service
// accounts").
const (
	connectionName   = "monitor_apps_REST_"
	monitoringStream = "Monitoring apps"
)

// askRepository asks what filters the repository understands.
func (s *site) askRepository(ctx context.Context) {
	r := &s.repository
	r.accounts, r.enginePorts = make(forms), make(map[string]string)
	answer := s.ask(ctx, "engineservice/full", "", elements(func(e element) {
		ports := e.object("settings").field("listenerPorts")
		var all []int
		switch {
		case ports == nil:
			r.listensAt = "missing"
		case json.Unmarshal(ports, &all) != nil || len(all) == 0 || all[0] < 1 || all[0] > 65535:
			r.listensAt = other
		default:
			host := e.object("serverNodeConfiguration").text("hostName")
			if len(host) < maxName && len(r.enginePorts) < maxLinks {
				r.enginePorts[host] = fmt.Sprint(all[0])
			}
			r.listensAt = "listed"
		}
	}))
	if !answer.ok() {
		r.listensAt = ""
	}

	listed, strange := 0, 0
	answer = s.ask(ctx, "dataconnection/full", "name sw '"+connectionName+"'", elements(func(e element) {
		if !strings.HasPrefix(strings.ToLower(e.text("name")), strings.ToLower(connectionName)) {
			strange++
			return
		}
		listed++
		account := form(e.field("username"))
		if account == "text" {
			account = "id_only"
			if strings.Contains(e.text("username"), `\`) {
				account = "directory_and_id"
			}
		}
		r.accounts[account] = true
	}))
	r.connections = filtered(answer, listed, strange)

	listed, strange = 0, 0
	answer = s.ask(ctx, "reloadtask/full", "app.stream.name eq '"+monitoringStream+"'", elements(func(e element) {
		if !strings.EqualFold(e.object("app").object("stream").text("name"), monitoringStream) {
			strange++
			return
		}
		listed++
		if id := e.text("id"); len(id) == 36 && strings.Trim(id, "0123456789abcdefABCDEF-") == "" {
			r.reloadTaskID = id
		}
	}))
	r.streams = filtered(answer, listed, strange)

	task := r.reloadTaskID
	if task == "" {
		task = "00000000-0000-0000-0000-000000000000"
	}
	since := s.Qlik.Now().Add(-24 * time.Hour).UTC().Format("2006-01-02T15:04:05.000Z")
	counted := -1.0
	answer = s.ask(ctx, "executionresult/count", fmt.Sprintf("startTime ge '%s' and (taskId eq %s)", since, task), single(func(e element) {
		if json.Unmarshal(e.field("value"), &counted) != nil {
			counted = -1
		}
	}))
	r.executions = answer.outcome()
	if answer.status == http.StatusOK {
		r.executions = other
		if none := r.reloadTaskID == ""; answer.ok() && (none && counted == 0 || !none && counted >= 0) {
			r.executions = "works"
		}
	}

	answer = s.ask(ctx, "user", "userId eq 'qlik_exporter''facts'", nil)
	r.quote = answer.outcome()
	if answer.status == http.StatusOK && answer.body == emptyList { // nobody has this id
		r.quote = "accepted"
	}

	r.roles = make(forms)
	if filter := s.proxy.rolesFilter(); filter != "" {
		s.ask(ctx, "user/full", filter, elements(func(e element) {
			var roles []jsontext.Value
			if json.Unmarshal(e.field("roles"), &roles) != nil {
				r.roles[other] = true
			}
			for _, role := range roles {
				switch {
				case form(role) == "text":
					r.roles["texts"] = true
				case len(role) > 0 && role[0] == '{':
					r.roles["objects"] = true
				default:
					r.roles[other] = true
				}
			}
		}))
	}
}

// filtered returns how a filter worked, of which all elements should have been.
func filtered(answer response, listed, strange int) string {
	switch {
	case answer.status != http.StatusOK:
		return answer.outcome()
	case !answer.whole:
		return other
	case strange > 0:
		return "ignored"
	case listed > 0:
		return "works"
	}
	return "" // nothing to find
}

// licenses is what the lists of accesses and the license answered.
type licenses struct {
	neverUsed forms        // forms of lastUsed that stand for never
	holders   map[key]bool // users who hold an access
	ends      *qlik.LicenseEnds
}

// accesses are the lists of accesses that have a last use.
var accesses = []string{"professional", "analyzer", "user"}

func (s *site) readLicenses(ctx context.Context) {
	s.licenses.neverUsed, s.licenses.holders = make(forms), make(map[key]bool)
	for _, kind := range accesses {
		s.ask(ctx, "license/"+kind+"accesstype/full", "", elements(func(e element) {
			if user := e.object("user"); user != nil && len(s.licenses.holders) < maxRows {
				s.licenses.holders[userKey(user.text("userDirectory"), user.text("userId"))] = true
			}
			used := form(e.field("lastUsed"))
			if used == "text" {
				at := e.time("lastUsed")
				switch year := at.Year(); {
				case at.IsZero() && !strings.HasPrefix(e.text("lastUsed"), "0001-01-01"):
					used = other
				case year == 1, year == 1753:
					used = fmt.Sprintf("%04d", year)
				case year < 2000:
					used = other
				default:
					return // it was used
				}
			}
			s.licenses.neverUsed[used] = true
		}))
	}
	s.ask(ctx, "license", "", single(func(e element) {
		if e == nil {
			return
		}
		ends := qlik.LicenseEndForms(e.text("lef"), e.text("keyDetails"))
		s.licenses.ends = &ends
	}))
}

// endDate returns the form of the dates of the license ends.
func (l *licenses) endDate() string {
	if l.ends == nil {
		return ""
	}
	seen := make(forms)
	for _, one := range slices.Concat(l.ends.LEF, l.ends.Key) {
		seen[one] = true
	}
	return seen.one()
}

func (l *licenses) endIn() string {
	switch {
	case l.ends == nil:
		return ""
	case len(l.ends.LEF) > 0 && len(l.ends.Key) > 0:
		return "both"
	case len(l.ends.LEF) > 0:
		return "license_file"
	case len(l.ends.Key) > 0:
		return "key_details"
	}
	return "neither"
}
