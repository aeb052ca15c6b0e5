package qliktest

import (
	"fmt"
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
	switch {
	case path == "/qrs/user", path == "/qrs/user/full":
		matches, readable := parseFilter(expression)
		if !readable {
			return text(http.StatusBadRequest, "400::Cannot parse the expression: "+expression) // docs/qlik.md, "Error bodies"
		}
		return ok(s.userObjects(matches, path == "/qrs/user/full"))
	case expression != "":
		// Returning all entities would hide that filters are not supported here.
		return text(http.StatusBadRequest, "400::The simulated repository filters users only")
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
	case "/qrs/license":
		return ok(s.licenseObject())
	case "/qrs/license/accesstypeoverview":
		return ok(s.overviewObject())
	case "/qrs/license/professionalaccesstype/full":
		return ok(s.accessObjects(Professional))
	case "/qrs/license/analyzeraccesstype/full":
		return ok(s.accessObjects(Analyzer))
	case "/qrs/license/professionalaccessusage/full":
		return answer{http.StatusOK, contentJSON, s.usageAnswer(Professional)}
	case "/qrs/license/analyzeraccessusage/full":
		return answer{http.StatusOK, contentJSON, s.usageAnswer(Analyzer)}
	case "/qrs/license/useraccesstype/full", "/qrs/license/loginaccesstype/full", "/qrs/license/analyzertimeaccesstype/full",
		"/qrs/license/useraccessusage/full", "/qrs/license/loginaccessusage/full", "/qrs/license/analyzertimeaccessusage/full":
		// Licenses with tokens or capacity do not include professional and analyzer access.
		return answer{http.StatusOK, contentJSON, []byte("[]")}
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

func (s *Site) licenseObject() object {
	expiry := s.config.LicenseExpiry
	professional, analyzer := s.seats()
	expired := !s.now().Before(expiry)
	reason := ""
	if expired {
		reason = "License has expired"
	}
	return envelope(stableID("license", ""), s.started, s.started).with(object{
		"lef": "", "serial": "9999000000001000", "check": "", "name": "Acme", "organization": "Acme", "product": 1, "numberOfCores": -1,
		// docs/qlik.md, "Licenses"
		"key": "eyJ.simulated.key", "keyDetails": fmt.Sprintf("License Number: 9999000000001000\r\nValid From: 0001-01-01 12:00:00 AM\r\nValid To: %s 12:00:00 AM\r\n"+
			"Allotment professional:%d; overage:0;\r\nAllotment analyzer:%d; overage:0;\r\n",
			expiry.UTC().Format(time.DateOnly), professional.total, analyzer.total),
		"isExpired": expired, "expiredReason": reason, "isBlacklisted": false, "isInvalid": false, "isSubscription": true,
		"isCloudServices": false, "isElastic": false, "updated": date(s.started), "schemaPath": "License",
	})
}

// seatCount holds the numbers of purchased and allocated seats of one kind of access.
type seatCount struct{ total, allocated, used int }

func (s *Site) seats() (professional, analyzer seatCount) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.accountOrder {
		var c *seatCount
		switch a.License {
		case Unlicensed:
			continue
		case Professional:
			c = &professional
		case Analyzer:
			c = &analyzer
		}
		c.allocated++
		if !a.lastUsed.IsZero() {
			c.used++
		}
	}
	for _, c := range []struct {
		count  *seatCount
		bought int
	}{{&professional, s.config.ProfessionalSeats}, {&analyzer, s.config.AnalyzerSeats}} {
		c.count.total = c.bought
		if c.bought == 0 {
			c.count.total = (c.count.allocated + 9) / 10 * 10
		}
	}
	return professional, analyzer
}

func (s *Site) overviewObject() object {
	professional, analyzer := s.seats()
	access := func(c seatCount) object {
		return object{
			"enabled": true, "total": c.total, "allocated": c.allocated, "used": c.used,
			"available": max(0, c.total-c.allocated), "excess": max(0, c.allocated-c.total), "quarantined": 0,
		}
	}
	return object{
		"professionalAccess": access(professional), "analyzerAccess": access(analyzer),
		"userAccess":         object{"enabled": false, "tokenCost": 1, "allocatedTokens": 0, "usedTokens": 0, "quarantinedTokens": 0},
		"loginAccess":        object{"enabled": false, "tokenCost": 0.1, "allocatedTokens": 0, "usedTokens": 0, "unavailableTokens": 0},
		"analyzerTimeAccess": object{"enabled": false, "allocatedMinutes": 0, "usedMinutes": 0, "unavailableMinutes": 0},
		"tokensEnabled":      false, "totalTokens": 0, "availableTokens": 0, "schemaPath": "AccessTypeOverview",
	}
}

// userData is a copy of the data of an account, so that responses are rendered without the lock.
type userData struct {
	User
	id                string
	created, lastUsed time.Time
}

func (s *Site) users() []userData {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]userData, 0, len(s.accountOrder))
	for _, a := range s.accountOrder {
		all = append(all, userData{a.User, a.id, a.created, a.lastUsed})
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
		if !matches(condensed) {
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
			"customProperties": []object{}, "roles": roles, "inactive": false, "removedExternally": false, "blacklisted": false,
			"deleteProhibited": false, "tags": []object{}, "schemaPath": "User",
			"attributes": []object{{
				"id": stableID("attribute", u.id), "attributeType": "email", "attributeValue": strings.ToLower(u.ID) + "@example.com",
				"externalId": "", "createdDate": date(u.created), "modifiedDate": date(u.created), "schemaPath": "UserAttribute",
			}},
		}))
	}
	return all
}

func (s *Site) accessObjects(license License) []object {
	all := []object{}
	for _, u := range s.users() {
		if u.License != license {
			continue
		}
		all = append(all, envelope(stableID("access", u.id), u.created, u.lastUsed).with(object{
			"user": u.condensed(), "deletedUserId": "", "deletedUserDirectory": "", "lastUsed": date(u.lastUsed),
			"excess": false, "quarantined": false, "quarantineEnd": noDate,
			"schemaPath": "License." + string(license) + "AccessType",
		}))
	}
	return all
}
