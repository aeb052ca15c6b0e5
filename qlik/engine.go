package qlik

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// enginePort is the default port of engines (docs/qlik.md, "Engine health").
const enginePort = "4747"

// Engine is the engine of a node.
type Engine struct {
	Node    string // as in Link; the registered host name if the node has no link
	Address string // registered host name and port of the engine as host:port
}

// EngineHealth is what the health check of an engine says, in base units. A number is
// nil if the answer does not have it. Sessions are engine sessions, to which the session
// limit does not apply (docs/qlik.md, "Words").
type EngineHealth struct {
	Version   string    // "" if unknown
	Started   time.Time // zero if unknown
	Saturated *bool     // the engine uses much of its resources

	Sessions, ActiveSessions *float64
	Users, ActiveUsers       *float64 // distinct users of the sessions

	ActiveApps, LoadedApps, AppsInMemory *float64 // active: somebody works in it; loaded: somebody has it open

	// Since the engine started.
	Calls, Selections                                                   *float64
	CacheHits, CacheLookups, CacheAdded, CacheReplaced, CacheAddedBytes *float64

	CPU *float64 // part of the processors in use in the last 30 seconds, from 0 to 1

	// Bytes. Committed is a part of allocated. Free is the smaller one of virtual and
	// physical memory. Old releases do not have Physical.
	MemoryCommitted, MemoryAllocated, MemoryFree, MemoryPhysical *float64
}

// enginePaths are the paths of the health check. The first one has been used in
// production, the second one is in documentation (docs/qlik.md, "Engine health"). An
// engine may answer only one of them.
var enginePaths = []string{"/engine/healthcheck/", "/engine/healthcheck"}

// Engines returns the engines of the site in the order of their nodes: those that are not
// disabled, according to the services in the repository. Without a repository, it returns
// one for the node of each configured proxy.
func (c *Client) Engines(services []ServiceState) []Engine {
	var engines []Engine
	add := func(node, host string) {
		address := net.JoinHostPort(host, c.config.enginePort(host))
		known := slices.ContainsFunc(engines, func(e Engine) bool { return strings.EqualFold(e.Address, address) })
		if isHost(host) && !known {
			engines = append(engines, Engine{Node: node, Address: address})
		}
	}
	for i := range services {
		if s := &services[i]; s.Service == ServiceEngine && s.State != StateDisabled {
			add(cmp.Or(s.Node, s.Host), s.Host)
		}
	}
	if len(c.config.Hosts) == 0 {
		for _, address := range c.config.Proxies {
			if host, port, err := net.SplitHostPort(address); err == nil { // validated by Config
				link := newLink(host, port, "")
				add(link.Node, host)
			}
		}
	}
	slices.SortStableFunc(engines, func(a, b Engine) int { return strings.Compare(a.Node, b.Node) })
	return engines
}

// enginePort returns the port of the engine of a node.
func (c Config) enginePort(host string) string {
	for node, port := range c.EnginePorts {
		if node != "" && strings.EqualFold(node, host) {
			return port
		}
	}
	return cmp.Or(c.EnginePorts[""], enginePort)
}

// EngineNotInTime returns the error for a health check that was not answered before the
// deadline of the caller.
func EngineNotInTime(engine *Engine) error {
	return &Error{Op: http.MethodGet, Target: "https://" + engine.Address + enginePaths[0], Kind: KindTimeout, Err: errNotInTime}
}

// EngineHealth asks an engine for its health. It calls begun, which may be nil, when the
// response begins to arrive.
func (c *Client) EngineHealth(ctx context.Context, engine *Engine, begun func()) (health *EngineHealth, answer Answer, err error) {
	// The nodes of a site have the same release. A release with only the second path would
	// otherwise cause an error in every scrape.
	first := int(c.healthPath.Load())
	for i := range enginePaths {
		path := (first + i) % len(enginePaths)
		var left leftOut
		q := get(APIEngine, engine.Address, enginePaths[path], nil)
		q.begun = begun
		answer, err = c.send(ctx, q, func(body io.Reader) error {
			left = make(leftOut)
			record, err := decodeObject[healthRecord](body, left.count())
			if err != nil {
				return err
			}
			if health = record.health(); health == nil {
				return errNoHealth
			}
			return nil
		})
		if notFound(err) {
			continue
		}
		ofEngine := make(leftOut)
		ofEngine.merge(left, "healthcheck")
		c.skipped.recordOf(SourceEngines, engine.Address, ofEngine, err)
		if err == nil {
			c.healthPath.Store(int64(path))
		}
		break
	}
	if err != nil {
		return nil, answer, err
	}
	return health, answer, nil
}

var errNoHealth = otherShapef("the response has none of the numbers of a health check")

// healthRecord is the answer of a health check. Memory is in megabytes, and the processor
// in percent (docs/qlik.md, "Engine health").
type healthRecord struct {
	Version   optional[label]     `json:"version"`
	Started   optional[startTime] `json:"started"`
	Saturated optional[bool]      `json:"saturated"`
	Memory    optional[struct {
		Committed     optional[amount] `json:"committed"`
		Misspelled    optional[amount] `json:"comitted"` //nolint:misspell // so in an old example by Qlik
		Allocated     optional[amount] `json:"allocated"`
		Free          optional[amount] `json:"free"`
		TotalPhysical optional[amount] `json:"totalPhysical"`
	}] `json:"mem"`
	CPU optional[struct {
		Total optional[amount] `json:"total"`
	}] `json:"cpu"`
	Session optional[totalRecord] `json:"session"`
	Users   optional[totalRecord] `json:"users"`
	Apps    optional[struct {
		Active     optional[length] `json:"active_docs"`
		Loaded     optional[length] `json:"loaded_docs"`
		InMemory   optional[length] `json:"in_memory_docs"`
		Calls      optional[amount] `json:"calls"`
		Selections optional[amount] `json:"selections"`
	}] `json:"apps"`
	Cache optional[struct {
		Hits       optional[amount] `json:"hits"`
		Lookups    optional[amount] `json:"lookups"`
		Added      optional[amount] `json:"added"`
		Replaced   optional[amount] `json:"replaced"`
		BytesAdded optional[amount] `json:"bytes_added"`
	}] `json:"cache"`
}

type totalRecord struct {
	Active optional[amount] `json:"active"`
	Total  optional[amount] `json:"total"`
}

// health returns the health in base units, or nil if the record has no number.
func (r *healthRecord) health() *EngineHealth {
	if r == nil {
		return nil
	}
	known := false
	number := func(value *float64, unit float64) *float64 {
		if value == nil {
			return nil
		}
		known = true
		inUnit := *value * unit
		return &inUnit
	}
	of := func(a *optional[amount], unit float64) *float64 { return number((*float64)(a.pointer()), unit) }
	apps := func(a *optional[length]) *float64 { return number((*float64)(a.pointer()), 1) }
	const one, megabyte, percent = 1, 1 << 20, 0.01
	memory, cache, inEngine := &r.Memory.value, &r.Cache.value, &r.Apps.value
	committed := &memory.Committed
	if !committed.known {
		committed = &memory.Misspelled
	}
	health := &EngineHealth{
		Version: string(r.Version.value), Started: time.Time(r.Started.value), Saturated: r.Saturated.pointer(),
		Sessions: of(&r.Session.value.Total, one), ActiveSessions: of(&r.Session.value.Active, one),
		Users: of(&r.Users.value.Total, one), ActiveUsers: of(&r.Users.value.Active, one),
		ActiveApps: apps(&inEngine.Active), LoadedApps: apps(&inEngine.Loaded), AppsInMemory: apps(&inEngine.InMemory),
		Calls: of(&inEngine.Calls, one), Selections: of(&inEngine.Selections, one),
		CacheHits: of(&cache.Hits, one), CacheLookups: of(&cache.Lookups, one), CacheAdded: of(&cache.Added, one),
		CacheReplaced: of(&cache.Replaced, one), CacheAddedBytes: of(&cache.BytesAdded, one),
		CPU:             of(&r.CPU.value.Total, percent),
		MemoryCommitted: of(committed, megabyte), MemoryAllocated: of(&memory.Allocated, megabyte),
		MemoryFree: of(&memory.Free, megabyte), MemoryPhysical: of(&memory.TotalPhysical, megabyte),
	}
	if !known {
		return nil
	}
	return health
}

// amount is a number that cannot be negative.
type amount float64

// maxAmount is more than any counter or size.
const maxAmount = 1e18

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (a *amount) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	var number float64
	if err := json.UnmarshalDecode(d, &number); err != nil {
		return err
	}
	if number < 0 || number > maxAmount {
		return errRange
	}
	*a = amount(number)
	return nil
}

// length is the number of elements of a list.
type length float64

var errList = errors.New("not a list")

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (l *length) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if d.PeekKind() != jsontext.KindBeginArray {
		return errList
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for *l = 0; d.PeekKind() != jsontext.KindEndArray; *l++ {
		if err := d.SkipValue(); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}

// startTime is the time when an engine started.
type startTime time.Time

var startLayouts = []string{"20060102T150405Z0700", "20060102T150405Z07:00", time.RFC3339}

var errTime = errors.New("not a time")

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (s *startTime) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	var text string
	if err := json.UnmarshalDecode(d, &text); err != nil {
		return err
	}
	for _, layout := range startLayouts {
		if at, err := time.Parse(layout, text); err == nil && at.Year() >= firstYear {
			*s = startTime(at)
			return nil
		}
	}
	return errTime
}
