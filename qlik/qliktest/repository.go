package qliktest

import (
	"maps"
	"net/http"
	"strings"
	"time"
)

// services are the services of a node with their codes (docs/qlik.md, "Service states").
var services = []struct {
	name string
	code int
}{{"Repository", 0}, {"Proxy", 1}, {"Scheduler", 2}, {"Engine", 3}, {"Printing", 5}}

// States of a service (docs/qlik.md, "Service states").
const (
	stateRunning         = 2
	stateNoCommunication = 3
)

const (
	// noDate is the text of a date that was never set: the minimum of some databases. It is a guess based on other entities.
	noDate     = "1753-01-01T00:00:00.000Z"
	dateLayout = "2006-01-02T15:04:05.000Z" // docs/qlik.md, "Repository"
	creator    = `INTERNAL\sa_repository`
)

func date(t time.Time) string {
	if t.IsZero() {
		return noDate
	}
	return t.UTC().Format(dateLayout)
}

// object is an entity of the repository.
type object map[string]any

// with adds fields.
func (o object) with(more object) object {
	maps.Copy(o, more)
	return o
}

// envelope returns the fields that all entities have.
func envelope(id string, created, modified time.Time) object {
	return object{
		"id": id, "createdDate": date(created), "modifiedDate": date(modified), "modifiedByUserName": creator,
		"privileges": nil,
	}
}

func (s *Site) repositoryService(n *node) service {
	answer := func(r *http.Request) answer { return s.answerRepository(n, r) }
	return service{answer, s.requests.countRepository, &s.requests.repositoryConnections}
}

const readOnly = "The simulated repository is read-only."

// maxQuery is the maximum length of a query. Web servers of Windows accept 16 KB by default.
const maxQuery = 16 << 10

// answerRepository responds to a request to the repository of a node. All repositories share one database, so all of them respond alike,
// except for what is local. Paths ignore case (docs/qlik.md, "Repository").
func (s *Site) answerRepository(n *node, r *http.Request) answer {
	path := strings.TrimSuffix(strings.ToLower(r.URL.Path), "/")
	if len(r.URL.RawQuery) > maxQuery {
		return text(http.StatusRequestURITooLong, "The URL is too long.")
	}
	if body, set := s.repositoryAnswer(path); set && r.Method == http.MethodGet {
		return answer{http.StatusOK, contentJSON, body}
	}
	name, found := strings.CutPrefix(path, "/qrs/")
	if !found {
		return text(http.StatusNotFound, "Not found")
	}
	if a, found := s.preparedAnswer(r, name); found {
		return a
	}
	if a, found := s.entityAnswer(n, r, name); found {
		return a
	}
	if r.Method != http.MethodGet {
		return text(http.StatusMethodNotAllowed, readOnly)
	}
	if parameter(r, "filter") != "" {
		// Returning everything would hide that nothing is filtered here.
		return text(http.StatusBadRequest, "400::The simulated repository does not filter this list")
	}
	switch name {
	case "about":
		return ok(object{
			"buildVersion": productVersion, "buildDate": "9/20/2013 10:09:00 AM", "databaseProvider": "Devart.Data.PostgreSql",
			"nodeType": 1, "sharedPersistence": true, "requiresBootstrap": false, "singleNodeOnly": false, "schemaPath": "About",
		})
	case "license":
		return ok(s.licenseObject())
	case "license/accesstypeoverview":
		return ok(s.overviewObject())
	case "license/accesstypeinfo":
		return ok(s.tokenInfo())
	}
	return text(http.StatusNotFound, "Not found")
}

// preparedAnswer responds with a list that can be long: all usage rows of a license. Their texts are ready.
func (s *Site) preparedAnswer(r *http.Request, name string) (answer, bool) {
	entity, full := strings.CutSuffix(name, "/full")
	license := usageRowsOf[entity]
	if r.Method != http.MethodGet || !full || license == Unlicensed || parameter(r, "filter") != "" || parameter(r, "orderby") != "" {
		return answer{}, false
	}
	return answer{http.StatusOK, contentJSON, s.usageAnswer(license)}, true
}

func (s *Site) repositoryAnswer(path string) (body []byte, set bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, set = s.repositoryAnswers[path]
	return body, set
}

// condensed returns the short form of a node in other entities.
func (n *node) condensed() object {
	return object{
		"id": n.id, "name": n.Name, "hostName": n.Name, "isCentral": n.Central, "nodePurpose": 0,
		"engineEnabled": true, "proxyEnabled": true, "printingEnabled": true, "schedulerEnabled": n.Central,
		"failoverCandidate": n.Central, "temporaryfilepath": "", "serviceCluster": nil, "roles": nil, "privileges": nil,
	}
}

func (s *Site) nodeEntities() []*entity {
	short := map[string]object{}
	for _, n := range s.nodes {
		short[n.id] = n.condensed()
	}
	return builtEntities(s.nodeObjects(), func(full object) object {
		id, _ := full["id"].(string)
		return short[id]
	})
}

func (s *Site) nodeObjects() []object {
	all := []object{}
	for _, n := range s.nodes {
		all = append(all, envelope(n.id, s.started, s.started).with(n.condensed()).with(object{
			"serviceCluster":   object{"id": stableID("cluster", ""), "name": "ServiceCluster", "privileges": nil},
			"roles":            []object{{"id": stableID("role", n.Name), "definition": 0, "privileges": nil}},
			"customProperties": []object{}, "tags": []object{n.tag()},
			"schemaPath": "ServerNodeConfiguration",
		}))
	}
	return all
}

// tag returns the tag that says what a node is for.
func (n *node) tag() object {
	purpose := "Central node"
	if !n.Central {
		purpose = "Rim node"
	}
	return object{"id": stableID("tag", purpose), "name": purpose, "privileges": nil}
}

func (s *Site) statusObjects() []object {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	all := []object{}
	for _, n := range s.nodes {
		for _, service := range services {
			all = append(all, envelope(stableID("status", n.Name+service.name), s.started, now).with(object{
				"serverNodeConfiguration": n.condensed(), "serviceType": service.code, "serviceState": n.states[service.name],
				"timestamp": date(now), "schemaPath": "ServiceStatus",
			}))
		}
	}
	return all
}

func (s *Site) proxyObjects() []object {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []object{}
	for _, n := range s.nodes {
		linked := []object{}
		for _, v := range s.virtualProxies {
			if l := n.links[v.Prefix]; l != nil && l.virtualProxy == v {
				linked = append(linked, v.condensed())
			}
		}
		id := stableID("proxy", n.Name)
		all = append(all, envelope(id, s.started, s.started).with(object{
			"customProperties": []object{}, "tags": []object{}, "serverNodeConfiguration": n.condensed(),
			"settings": envelope(stableID("proxy settings", n.Name), s.started, s.started).with(object{
				"listenPort": 443, "allowHttp": false, "unencryptedListenPort": 80, "authenticationListenPort": 4244,
				"kerberosAuthentication": false, "unencryptedAuthenticationListenPort": 4248,
				"sslBrowserCertificateThumbprint": "", "keepAliveTimeoutSeconds": 10, "maxHeaderSizeBytes": 16384,
				"maxHeaderLines": 100,
				"logVerbosity": object{
					"logVerbosityAuditActivity": 4, "logVerbosityAuditSecurity": 4, "logVerbosityService": 4, "logVerbosityAudit": 4,
					"logVerbosityPerformance": 4, "logVerbositySecurity": 4, "logVerbositySystem": 4, "schemaPath": "ProxyService.Settings.LogVerbosity",
				},
				"useWsTrace": false, "performanceLoggingInterval": 5, "restListenPort": n.RESTListenPort, "virtualProxies": linked,
				"formAuthenticationPageTemplate": "", "loggedOutPageTemplate": "", "errorPageTemplate": "",
				"schemaPath": "ProxyService.Settings",
			}),
			"schemaPath": "ProxyService",
		}))
	}
	return all
}

// condensed returns the short form of a virtual proxy in the settings of a proxy.
func (v *virtualProxy) condensed() object {
	return object{
		"id": v.id, "prefix": v.Prefix, "description": v.Description, "authenticationModuleRedirectUri": "",
		"sessionModuleBaseUri": "", "loadBalancingModuleBaseUri": "", "useStickyLoadBalancing": true,
		"loadBalancingServerNodes": []object{}, "authenticationMethod": v.AuthenticationMethod,
		"headerAuthenticationMode": 0, "headerAuthenticationHeaderName": "", "headerAuthenticationStaticUserDirectory": "",
		"headerAuthenticationDynamicUserDirectory": "", "anonymousAccessMode": v.AnonymousAccess,
		"windowsAuthenticationEnabledDevicePattern": "Windows", "sessionCookieHeaderName": v.SessionCookie,
		"sessionCookieDomain": "", "additionalResponseHeaders": "",
		"sessionInactivityTimeout": int(v.InactivityTimeout / time.Minute), "extendedSecurityEnvironment": false,
		"websocketCrossOriginWhiteList": []string{}, "defaultVirtualProxy": v.Prefix == "", "samlMetadataIdP": "",
		"samlHostUri": "", "samlEntityId": "", "samlAttributeUserId": "", "samlAttributeUserDirectory": "",
		"samlAttributeSigningAlgorithm": 0, "samlAttributeMap": []object{}, "samlSlo": false, "jwtAttributeUserId": "",
		"jwtAttributeUserDirectory": "", "jwtAttributeMap": []object{}, "jwtPublicKeyCertificate": "", "oidcConfigurationEndpointUri": "",
		"oidcClientId": "", "oidcScope": "", "oidcAttributeMap": []object{}, "magicLinkHostUri": "", "magicLinkFriendlyName": "",
		"hasSecureAttributeHttps": true, "hasSecureAttributeHttp": false, "sameSiteAttributeHttps": 0, "sameSiteAttributeHttp": 0,
		"enableEngineSaturationCheck": false, "enableEngineHealthCheckData": true, "loadBalancingAlgorithm": 0, "privileges": nil,
	}
}

// virtualProxyEntities returns the virtual proxies. Their short forms have almost all fields.
func (s *Site) virtualProxyEntities() []*entity {
	return builtEntities(s.virtualProxyObjects(), func(full object) object {
		short := maps.Clone(full)
		maps.DeleteFunc(short, func(name string, _ any) bool {
			return inEnvelope[name] || name == "customProperties" || name == "schemaPath"
		})
		return short
	})
}

// inEnvelope are fields that full objects have, but not the short forms.
var inEnvelope = map[string]bool{"createdDate": true, "modifiedDate": true, "modifiedByUserName": true}

func (s *Site) virtualProxyObjects() []object {
	s.mu.Lock()
	defer s.mu.Unlock()
	nodes := []object{}
	for _, n := range s.nodes {
		nodes = append(nodes, n.condensed())
	}
	all := []object{}
	for _, v := range s.virtualProxies {
		all = append(all, envelope(v.id, s.started, s.started).with(v.condensed()).with(object{
			"customProperties": []object{}, "tags": []object{}, "loadBalancingServerNodes": nodes,
			"schemaPath": "VirtualProxyConfig",
		}))
	}
	return all
}

// userData is a copy of the data of an account, so that responses are rendered without the lock.
type userData struct {
	User
	id      string
	created time.Time
}

func (a *account) data() userData { return userData{a.User, a.id, a.created} }

func (s *Site) users() []userData {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]userData, 0, len(s.accountOrder))
	for _, a := range s.accountOrder {
		if !a.Deleted {
			all = append(all, a.data())
		}
	}
	return all
}

func (u *userData) condensed() object {
	return object{
		"id": u.id, "userId": u.ID, "userDirectory": u.Directory, "userDirectoryConnectorName": u.Directory, "name": u.Name,
		"privileges": nil,
	}
}

// userEntities returns the users.
func (s *Site) userEntities() []*entity {
	users := s.users()
	all := make([]*entity, 0, len(users))
	for i := range users {
		u := &users[i]
		all = append(all, &entity{condensed: u.condensed(), quick: u.field, build: u.full})
	}
	return all
}

// field returns a field that clients filter large sites by.
func (u *userData) field(name string) (any, bool) {
	switch name {
	case "userid":
		return u.ID, true
	case "userdirectory":
		return u.Directory, true
	case "name":
		return u.Name, true
	case "inactive":
		return u.Inactive, true
	case "removedexternally":
		return u.RemovedExternally, true
	}
	return nil, false
}

func (u *userData) full() object {
	roles := []string{}
	if u.Admin {
		roles = append(roles, "RootAdmin")
	}
	return envelope(u.id, u.created, u.created).with(u.condensed()).with(object{
		"customProperties": []object{}, "roles": roles, "inactive": u.Inactive, "removedExternally": u.RemovedExternally, "blacklisted": false,
		"deleteProhibited": false, "tags": []object{}, "schemaPath": "User",
		"attributes": []object{{
			"id": stableID("attribute", u.id), "attributeType": "email", "attributeValue": strings.ToLower(u.ID) + "@example.com",
			"externalId": "", "createdDate": date(u.created), "modifiedDate": date(u.created), "schemaPath": "UserAttribute",
		}},
	})
}
