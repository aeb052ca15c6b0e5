package qliktest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
)

// sessionData is an element of the session list (docs/qlik.md, "Session list").
type sessionData struct {
	UserDirectory string
	UserID        string `json:"UserId"`
	Attributes    []map[string]string
	SessionID     string          `json:"SessionId"`
	UserName      json.RawMessage `json:",omitempty"`
}

// proxyEndpoints is the response to /qps/about/description: the endpoints of the simulated proxy.
var proxyEndpoints = []string{
	"GET /qps/about/description", "GET /qps/alive", "GET /qps/health",
	"GET /qps/session", "POST /qps/session", "GET /qps/session/{id}", "DELETE /qps/session/{id}",
	"GET /qps/user/{directory}/{id}", "DELETE /qps/user/{directory}/{id}",
	"POST /qps/ticket",
	"GET /qps/{virtual proxy}/session", "POST /qps/{virtual proxy}/session", "GET /qps/{virtual proxy}/session/{id}", "DELETE /qps/{virtual proxy}/session/{id}",
	"GET /qps/{virtual proxy}/user/{directory}/{id}", "DELETE /qps/{virtual proxy}/user/{directory}/{id}",
	"POST /qps/{virtual proxy}/ticket",
}

// proxyPath is a parsed path of the administrative interface.
type proxyPath struct {
	prefix   string
	resource string   // alive, health, about/description, session, user, ticket
	values   []string // id; directory and id
}

// isList reports whether the path is a session list.
func (p proxyPath) isList() bool { return p.resource == "session" && len(p.values) == 0 }

// parseProxyPath parses a path from its end, because prefixes and resource names can contain slashes. It ignores empty segments:
// /qps//session is the default virtual proxy (docs/qlik.md, "Ports and addressing").
func parseProxyPath(escaped string) (proxyPath, bool) {
	var segments []string
	for segment := range strings.SplitSeq(escaped, "/") {
		if segment != "" {
			segments = append(segments, segment)
		}
	}
	if len(segments) < 2 || !strings.EqualFold(segments[0], "qps") {
		return proxyPath{}, false
	}
	segments = segments[1:]
	last := len(segments) - 1
	prefix := func(n int) string { return strings.Join(segments[:n], "/") }
	value := func(i int) string {
		// Keep an id that cannot be unescaped; it is unknown anyway.
		if v, err := url.PathUnescape(segments[i]); err == nil {
			return v
		}
		return segments[i]
	}
	is := func(i int, name string) bool { return i >= 0 && strings.EqualFold(segments[i], name) }
	switch {
	case len(segments) == 1 && is(0, "alive"):
		return proxyPath{resource: "alive"}, true
	case len(segments) == 1 && is(0, "health"):
		return proxyPath{resource: "health"}, true
	case len(segments) == 2 && is(0, "about") && is(1, "description"):
		return proxyPath{resource: "about/description"}, true
	case is(last, "ticket"):
		return proxyPath{prefix(last), "ticket", nil}, true
	case is(last, "session"):
		return proxyPath{prefix(last), "session", nil}, true
	case is(last-1, "session"):
		return proxyPath{prefix(last - 1), "session", []string{value(last)}}, true
	case is(last-2, "user"):
		return proxyPath{prefix(last - 2), "user", []string{value(last - 1), value(last)}}, true
	}
	return proxyPath{}, false
}

// allows reports whether a path has a method.
func (p proxyPath) allows(method string) bool {
	switch {
	case p.resource == "ticket":
		return method == http.MethodPost
	case p.isList():
		return method == http.MethodGet || method == http.MethodPost
	case len(p.values) > 0:
		return method == http.MethodGet || method == http.MethodDelete
	}
	return method == http.MethodGet
}

func (s *Site) proxyService(n *node) service {
	return service{s.answerProxy(n), s.requests.countProxy, &s.requests.proxyConnections}
}

// answerProxy returns the administrative interface of the proxy of a node (docs/qlik.md, "Session list", "Ending sessions" and
// "Adding sessions").
func (s *Site) answerProxy(n *node) func(*http.Request) answer {
	return func(r *http.Request) answer {
		path, found := parseProxyPath(r.URL.EscapedPath())
		if !found {
			return text(http.StatusNotFound, "Not found")
		}
		if !path.allows(r.Method) {
			return text(http.StatusMethodNotAllowed, "Method not allowed")
		}
		switch path.resource {
		case "alive":
			return answer{http.StatusOK, contentJSON, []byte(`{"value":true}`)}
		case "health":
			return answer{http.StatusOK, contentJSON, []byte(`{}`)} // clients use only the status
		case "about/description":
			return ok(proxyEndpoints)
		}
		var user authenticated
		if r.Method == http.MethodPost {
			if user, found = readAuthenticated(r); !found {
				return text(http.StatusBadRequest, "The body needs a UserDirectory and a UserId without backslashes.")
			}
		}

		s.mu.Lock()
		defer s.mu.Unlock()
		now := s.advance()
		if body, set := n.answers[path.prefix]; set && path.isList() && r.Method == http.MethodGet {
			return answer{http.StatusOK, contentJSON, body}
		}
		l := n.links[path.prefix]
		if l == nil {
			if r.Method == http.MethodPost {
				return text(http.StatusNotFound, "Not found")
			}
			return s.missingLink(path)
		}
		deletes := r.Method == http.MethodDelete
		switch {
		case path.resource == "ticket":
			return s.addTicket(l, user, now)
		case r.Method == http.MethodPost:
			return s.addSession(l, user, now)
		case path.isList():
			return s.listed(l)
		case path.resource == "session":
			each := s.sessions[path.values[0]]
			if each == nil || each.link != l {
				if a, told := s.config.facts.response("unknown_session"); told {
					return a
				}
				return text(http.StatusNotFound, "Not found")
			}
			if deletes {
				s.end(each, now, endByItself)
			}
			return answer{http.StatusOK, contentJSON, each.json}
		default:
			all := s.sessionsOfUser(path.values[0], path.values[1], l)
			if deletes {
				s.endAll(all, now, endByItself)
			}
			return listOf(all)
		}
	}
}

// sessionsOfUser returns the sessions of a user on a link, oldest first.
func (s *Site) sessionsOfUser(directory, id string, l *link) []*session {
	a := s.accounts[accountKey(directory, id)]
	if a == nil {
		return nil
	}
	var all []*session
	for _, each := range a.cookies {
		if each.link == l {
			all = append(all, each)
		}
	}
	sortByAge(all)
	return all
}

// listLink responds with all sessions of a link, oldest first. It only copies prepared texts, so that a list of ten thousand sessions
// costs the simulation less than the client.
func listLink(l *link) answer {
	var body bytes.Buffer
	size := 2
	for each := range values[*session](l.sessions) {
		size += len(each.json) + 1
	}
	body.Grow(size)
	body.WriteByte('[')
	for each := range values[*session](l.sessions) {
		if body.Len() > 1 {
			body.WriteByte(',')
		}
		body.Write(each.json)
	}
	body.WriteByte(']')
	return answer{http.StatusOK, contentJSON, body.Bytes()}
}

func listOf(all []*session) answer {
	texts := make([]json.RawMessage, 0, len(all))
	for _, each := range all {
		texts = append(texts, each.json)
	}
	return ok(texts)
}
