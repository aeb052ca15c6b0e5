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

func (s *Site) repositoryService() service {
	return service{s.answerRepository, s.requests.countRepository, &s.requests.repositoryConnections}
}

// answerRepository responds to a request to a repository. All repositories share one database, so all of them respond alike. Paths
// ignore case (docs/qlik.md, "Repository").
func (s *Site) answerRepository(r *http.Request) answer {
	if r.Method != http.MethodGet {
		return text(http.StatusMethodNotAllowed, "Method not allowed")
	}
	path := strings.ToLower(r.URL.Path)
	if body, set := s.repositoryAnswer(path); set {
		return answer{http.StatusOK, contentJSON, body}
	}
	expression := filterOf(r)
	switch entity, full := strings.CutSuffix(path, "/full"); {
	case path == "/qrs/executionresult/count":
		return s.countExecutions(expression)
	case entity == "/qrs/user", entity == "/qrs/dataconnection", entity == "/qrs/reloadtask":
		matches, readable := parseFilter(expression)
		if !readable {
			return text(http.StatusBadRequest, "400::Cannot parse the expression: "+expression) // docs/qlik.md, "Error bodies"
		}
		switch entity {
		case "/qrs/user":
			return ok(s.userObjects(matches, full))
		case "/qrs/reloadtask":
			return ok(s.reloadTaskObjects(matches, full))
		default:
			return ok(s.dataConnectionObjects(matches, full))
		}
	case expression != "":
		// Returning all entities would hide that filters are not supported here.
		return text(http.StatusBadRequest, "400::The simulated repository does not filter this list")
	}
	switch path {
	case aboutPath:
		return ok(object{
			"buildVersion": productVersion, "buildDate": "9/20/2013 10:09:00 AM", "databaseProvider": "Devart.Data.PostgreSql",
			"nodeType": 1, "sharedPersistence": true, "requiresBootstrap": false, "singleNodeOnly": false, "schemaPath": "About",
		})
	case "/qrs/servernodeconfiguration/full":
		return ok(s.nodeObjects())
	case "/qrs/servicestatus/full":
		return ok(s.statusObjects())
	case "/qrs/proxyservice/full":
		return ok(s.proxyObjects())
	case "/qrs/virtualproxyconfig/full":
		return ok(s.virtualProxyObjects())
	}
	if a, found := s.licenseAnswer(path); found {
		return a
	}
	return text(http.StatusNotFound, "Not found")
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

func (s *Site) nodeObjects() []object {
	all := []object{}
	for _, n := range s.nodes {
		purpose := "Central node"
		if !n.Central {
			purpose = "Rim node"
		}
		all = append(all, envelope(n.id, s.started, s.started).with(n.condensed()).with(object{
			"serviceCluster":   object{"id": stableID("cluster", ""), "name": "ServiceCluster", "privileges": nil},
			"roles":            []object{{"id": stableID("role", n.Name), "definition": 0, "privileges": nil}},
			"customProperties": []object{}, "tags": []object{{"id": stableID("tag", purpose), "name": purpose, "privileges": nil}},
			"schemaPath": "ServerNodeConfiguration",
		}))
	}
	return all
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

func (s *Site) userObjects(matches func(object) bool, full bool) []object {
	all := []object{}
	for _, u := range s.users() {
		condensed := u.condensed()
		if !matches(object{"inactive": u.Inactive, "removedExternally": u.RemovedExternally}.with(condensed)) {
			continue
		}
		if !full {
			all = append(all, condensed)
			continue
		}
		roles := []string{}
		if u.Admin {
			roles = append(roles, "RootAdmin")
		}
		all = append(all, envelope(u.id, u.created, u.created).with(condensed).with(object{
			"customProperties": []object{}, "roles": roles, "inactive": u.Inactive, "removedExternally": u.RemovedExternally, "blacklisted": false,
			"deleteProhibited": false, "tags": []object{}, "schemaPath": "User",
			"attributes": []object{{
				"id": stableID("attribute", u.id), "attributeType": "email", "attributeValue": strings.ToLower(u.ID) + "@example.com",
				"externalId": "", "createdDate": date(u.created), "modifiedDate": date(u.created), "schemaPath": "UserAttribute",
			}},
		}))
	}
	return all
}
