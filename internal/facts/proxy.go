package facts

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"hash/maphash"
	"io"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// key is a hash of an id or a name. It identifies it without keeping it.
type key uint64

var seed = maphash.MakeSeed()

func keyOf(text string) key { return key(maphash.String(seed, text)) }

// proxy is what the proxies of a site answered.
type proxy struct {
	base  string // URL of the first link that listed sessions, without "session"; "" without any
	root  string // the same without the prefix
	host  string // of its proxy
	tls   uint16
	links []sessionList
	rest  int // sessions for which there is still room

	contentTypes, boms, names, userNames, attributes forms
	filter                                           []string // for the roles of users with sessions

	unknownPrefix, unlinkedPrefix, unknownSession, noSessions, noCertificate, shortKey, description string
}

// sessionList is the list of a link.
type sessionList struct {
	link     qlik.Link
	sessions []session // in the order of the list
	sorted   bool      // by id
	whole    bool
}

// session is a session of a list.
type session struct{ id, user key }

// readSessions reads the lists of all links, each once.
func (s *site) readSessions(ctx context.Context) {
	p := &s.proxy
	p.contentTypes, p.boms, p.names, p.userNames, p.attributes = make(forms), make(forms), make(forms), make(forms), make(forms)
	p.rest = maxSessions
	links := s.client.ConfiguredLinks()
	if links == nil && s.repository.address != "" {
		if s.client.Reload() == nil { // the typed client joins the topology
			links, _ = s.client.On(s.repository.address).Topology(ctx)
		}
	}
	for i := range links[:min(len(links), maxLinks)] {
		if links[i].Unread {
			continue
		}
		read, answer := s.list(ctx, &links[i], p.rest, p.see)
		p.rest -= len(read.sessions)
		if answer.status != http.StatusOK || !answer.whole {
			continue
		}
		if p.base == "" {
			p.base, p.host, p.tls = strings.TrimSuffix(links[i].URL(), "session"), links[i].Host(), answer.tls
			p.root = "https://" + links[i].Address + "/qps/"
		}
		p.contentTypes[contentType(answer.contentType)] = true
		p.boms[yesNo(answer.bom)] = true
		p.links = append(p.links, read)
	}
}

// list reads the sessions of a link, up to a number. It passes each of them to see, which
// may be nil.
func (s *site) list(ctx context.Context, link *qlik.Link, room int, see func(element)) (sessionList, response) {
	read, last := sessionList{link: *link, sorted: true}, ""
	answer := s.get(ctx, request{url: link.URL()}, elements(func(e element) {
		id := e.text("SessionId")
		if id == "" || len(read.sessions) >= room {
			return
		}
		read.sessions = append(read.sessions, session{keyOf(id), userKey(e.text("UserDirectory"), e.text("UserId"))})
		read.sorted = read.sorted && last < id
		last = id
		if see != nil {
			see(e)
		}
	}))
	read.whole = answer.ok()
	return read, answer
}

func userKey(directory, id string) key { return keyOf(strings.ToLower(directory + `\` + id)) }

// see records the form of an element.
func (p *proxy) see(e element) {
	switch {
	case e["SessionId"] != nil && e["UserDirectory"] != nil && e["UserId"] != nil:
		p.names["pascal_case"] = true
	case e["sessionId"] != nil && e["userDirectory"] != nil && e["userId"] != nil:
		p.names["camel_case"] = true
	default:
		p.names[other] = true
	}
	p.userNames[form(e.field("UserName"))] = true
	p.attributes[attributesOf(e.field("Attributes"))] = true
	if user := e.text("UserId"); user != "" && len(user) <= 60 && !strings.Contains(user, "'") && len(p.filter) < 20 {
		p.filter = append(p.filter, "userId eq '"+user+"'")
	}
}

// rolesFilter returns a filter for users with sessions, or "" without any. Their roles
// are read, and nothing else of them.
func (p *proxy) rolesFilter() string { return strings.Join(p.filter, " or ") }

// attributesOf returns the form of the attributes of a session.
func attributesOf(value jsontext.Value) string {
	var all []map[string]jsontext.Value
	switch {
	case value == nil || string(value) == jsonNull:
		return form(value)
	case json.Unmarshal(value, &all) != nil:
		return other
	case len(all) == 0:
		return "empty"
	}
	for _, one := range all {
		if len(one) != 1 {
			return other
		}
	}
	return "one_key_objects"
}

func (p *proxy) attributeForm() string {
	if p.attributes["empty"] && len(p.attributes) > 1 {
		seen := make(forms)
		for form := range p.attributes {
			if form != "empty" {
				seen[form] = true
			}
		}
		return seen.one() // an empty list has the form of any other list
	}
	return p.attributes.one()
}

func contentType(text string) string {
	kind, parameters, _ := strings.Cut(strings.ToLower(text), ";")
	switch kind = strings.TrimSpace(kind); {
	case kind == "":
		return "none"
	case kind == "application/json" && strings.Contains(parameters, "charset"):
		return "json_with_charset"
	case kind == "application/json":
		return "json"
	case kind == "text/plain":
		return "text"
	}
	return other
}

// askProxy sends the requests that only one proxy gets: those for what does not exist,
// and those that are not as they should be.
func (s *site) askProxy(ctx context.Context) {
	p := &s.proxy
	if p.base == "" {
		return
	}
	random := func() string { return strings.ToLower(rand.Text()) }
	outcome := func(url string) string {
		answer := s.get(ctx, request{url: url}, nil)
		return answer.outcome()
	}
	p.unknownPrefix = outcome(p.root + random() + "/session")
	if prefix, ok := s.repository.unlinked(p.host); ok {
		p.unlinkedPrefix = outcome(p.root + escaped(prefix) + "/session")
	}
	// The default virtual proxy may not be linked to this proxy.
	p.unknownSession = outcome(p.base + "session/" + uuid())
	p.noSessions = outcome(p.base + "user/" + random() + "/" + random())

	answer := s.get(ctx, request{url: p.base + "session", client: s.noCert}, nil)
	p.noCertificate = answer.answered()
	answer = s.get(ctx, request{url: p.base + "session", key: "0123456789abcde"}, nil)
	p.shortKey = answer.answered()

	answer = s.get(ctx, request{url: p.root + "about/description"}, nil)
	p.description = answer.outcome()
	if answer.status == http.StatusOK && (answer.body == list || answer.body == object) {
		p.description = "offered"
	}
}

// escaped escapes the elements of a prefix, but not the slashes between them.
func escaped(prefix string) string {
	link := qlik.Link{VirtualProxy: "/" + prefix}
	return strings.TrimSuffix(strings.TrimPrefix(link.URL(), "https:///qps/"), "/session")
}

// uuid returns an id in the form of session ids, which no session has.
func uuid() string {
	var b [16]byte
	_, _ = io.ReadFull(rand.Reader, b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// defaultList returns whether the list without prefix has the sessions of other virtual
// proxies of the same node.
func (p *proxy) defaultList() string {
	answer := ""
	for i := range p.links {
		if p.links[i].link.VirtualProxy != "/" {
			continue
		}
		inDefault := make(map[key]bool)
		for _, each := range p.links[i].sessions {
			inDefault[each.id] = true
		}
		for j := range p.links {
			if i == j || p.links[j].link.Address != p.links[i].link.Address {
				continue
			}
			for _, each := range p.links[j].sessions {
				if inDefault[each.id] {
					return "all_sessions"
				}
				answer = "own_sessions"
			}
		}
	}
	return answer
}

// shared returns whether two proxies list the same session.
func (p *proxy) shared() string {
	of, proxies := make(map[key]string), make(map[string]bool)
	for i := range p.links {
		for _, each := range p.links[i].sessions {
			address := p.links[i].link.Address
			proxies[address] = true
			if before := of[each.id]; before != "" && before != address {
				return yes
			}
			of[each.id] = address
		}
	}
	if len(proxies) < 2 {
		return ""
	}
	return no
}

// minOrdered is the minimum number of sessions of a list that tells its order. It is
// unlikely that so many are in an order by chance.
const minOrdered = 6

// order returns the order of session lists, compared with the start of usage rows.
func (s *site) order() string {
	seen := make(forms)
	for i := range s.proxy.links {
		list := &s.proxy.links[i]
		older, newer, last := 0, 0, (row{})
		for _, each := range list.sessions {
			row, ok := s.usage.started(each.id)
			if !ok {
				continue
			}
			switch cmp.Compare(row.started.UnixMilli(), last.started.UnixMilli()) {
			case 1:
				if !last.started.IsZero() {
					older++
				}
			case -1:
				newer++
			}
			last = row
		}
		const nearly = 10 // a session that was refused first has a later row
		switch {
		case len(list.sessions) >= minOrdered && list.sorted:
			seen["by_id"] = true
		case older+newer < minOrdered-1:
		case newer*nearly <= older:
			seen["oldest_first"] = true
		case older*nearly <= newer:
			seen["newest_first"] = true
		default:
			seen[other] = true
		}
	}
	return seen.one()
}
