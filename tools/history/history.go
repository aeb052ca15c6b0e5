package main

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"io"
	"math/bits"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// HistoryOptions selects the past to write.
type HistoryOptions struct {
	End   time.Time // time of the last sample, or up to five minutes after it
	Days  int
	Users int    // number of people at the end
	Site  string // target label site; "" for none
	Seed  uint64 // of the random numbers
	// Tokens is a license with tokens instead of one with seats and analyzer capacity.
	Tokens bool
}

// Resolution and extent of the history.
const (
	stepSeconds = 300
	daySeconds  = 86400
	daySteps    = daySeconds / stepSeconds
	hourSteps   = 3600 / stepSeconds

	userDays   = 2  // days with per-user series
	detailDays = 31 // days with series that are not needed for a year
	warmUpDays = 91 // simulated but not written; only sets when licenses were last used
	maxDays    = 3660
	maxUsers   = 9999 // so that counts fit into 16 bits
)

// The company has grown to its current size and will need more seats.
const (
	limit        = 5
	growth       = 0.35 // per year, as an exponent
	coolingSteps = 1
	leaves       = 0.15              // share of the people who leave some time after they joined
	releaseAfter = 90                // days after which a clean-up releases the seat of a person who left
	cleanUp      = 150               // days before the end, and each year before that
	portalBegins = 200               // days before the end: a new intranet page loses its cookies ...
	portalEnds   = portalBegins - 12 // ... until it is fixed
	appBegins    = 130               // days before the end: the mobile app and its virtual proxy go live
	licenseLeft  = 75                // days from the end until the license expires; it is renewed every year
	renewedAhead = 20                // days
)

// usualTimeout is the inactivity timeout of a virtual proxy for which nobody has set another.
const usualTimeout = 30 * time.Minute

// Number of virtual proxies, and maximum number of links, of the company.
const (
	proxies  = 8
	maxLinks = 14
)

// activeWindows are the windows of qlik_license_users_active, in days.
var activeWindows = [...]int64{1, 7, 30, 90}

// history is the past of a company, in steps of five minutes. A year of 500
// people takes about 50 MB. OpenMetrics requires the output to be grouped by
// series, so the whole history must be in memory before the first series is
// written.
type history struct {
	HistoryOptions
	seed     uint64
	source   *rand.PCG
	random   *rand.Rand
	nodes    []string
	proxies  []string        // values of the label virtual_proxy
	timeouts []time.Duration // inactivity timeouts by virtual proxy
	links    []link
	served   [][]int // links by virtual proxy
	portal   int     // virtual proxy of embedded apps
	mobile   int     // virtual proxy of the mobile app, which is newer than the others
	finance  int
	people   []*person

	licenses    []qliktest.License // with seats, or with tokens
	capacity    pool
	loginAccess passes

	begin    int64 // time of the first step, in seconds since 1970
	finalDay int64 // days since 1970
	steps    []step
}

// link is a virtual proxy served by a node.
type link struct{ node, proxy int }

// step is what the exporter sees of the site at one point in time.
type step struct {
	down           uint8             // nodes that do not answer, one bit per node
	users          [limit + 2]uint16 // by headroom; the last element is over the limit
	manySessions   uint16            // users with at least three
	reached, near  uint16            // users held at and near the limit
	sessions       [maxLinks]uint16
	linkUsers      [maxLinks]uint16
	causes         [maxCauses]uint16 // people by cause, of those near the limit or refused lately
	started, ended [proxies]uint16
	atLimit        [proxies]uint16 // slots of users without a free one
	idle           [proxies]uint16 // idle slots of users with at most one free one
	// reachedIdle are the times at which users reached the limit, by how long the longest idle
	// session had been idle, and reachedMinutes is the sum.
	reachedIdle    [len(idleBounds) + 1]uint16
	reachedMinutes uint16
	denied         [2]uint16 // lines of the audit logs, by reason
	refused        [2]uint16 // refused logins, each once, by reason
	refusedCauses  [maxCauses]uint16
	seats          [2]seats // by license; with tokens only the first, whose seats bought are tokens
	loginAccess    uint16   // tokens allocated to login access
	capacity       minutes
}

// minutes are the analyzer capacity of a month.
type minutes struct{ allocated, used uint32 }

// seats are the seat counts of a license.
type seats struct {
	bought, allocated, used uint16
	active                  [len(activeWindows)]uint16
}

var seatLicenses = [2]qliktest.License{qliktest.Professional, qliktest.Analyzer}

// WriteHistory writes a plausible past of the demo's company, as OpenMetrics text
// for promtool tsdb create-blocks-from. The output depends only on the options.
//
// For all days, it contains the series that the recording rules produce for the site
// and for people who were refused, and the few series that the exporter has for the
// site. For the last 31 days, it also contains the links, refusals and licenses, and for
// the last two days the users. It leaves out the exporter's own metrics (requests,
// durations), forecasts, and what only alerts remember.
func WriteHistory(w io.Writer, options HistoryOptions) error {
	if options.Days < 1 || options.Days > maxDays {
		return fmt.Errorf("days of history: must be from 1 to %d, not %d", maxDays, options.Days)
	}
	if options.Users < 1 || options.Users > maxUsers {
		return fmt.Errorf("users in the history: must be from 1 to %d, not %d", maxUsers, options.Users)
	}
	h := newHistory(options)
	h.simulate()
	return h.write(w)
}

func newHistory(options HistoryOptions) *history {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(options.Site))
	source := rand.NewPCG(0, 0)
	h := &history{
		HistoryOptions: options,
		seed:           options.Seed ^ hash.Sum64(),
		source:         source,
		random:         rand.New(source), //nolint:gosec // not used for keys
		steps:          make([]step, options.Days*daySteps),
	}
	end := options.End.Unix() / stepSeconds * stepSeconds
	h.begin = end - int64(len(h.steps)-1)*stepSeconds
	h.finalDay = end / daySeconds

	company := qliktest.Company(options.Users)
	for _, node := range company.Nodes {
		h.nodes = append(h.nodes, node.Name)
	}
	for proxy, v := range company.VirtualProxies {
		h.proxies = append(h.proxies, "/"+v.Prefix)
		h.timeouts = append(h.timeouts, cmp.Or(v.InactivityTimeout, usualTimeout))
		var served []int
		for node, name := range h.nodes {
			if v.Nodes == nil || slices.Contains(v.Nodes, name) {
				served = append(served, len(h.links))
				h.links = append(h.links, link{node, proxy})
			}
		}
		h.served = append(h.served, served)
		switch v.Prefix {
		case "portal":
			h.portal = proxy
		case "mobile":
			h.mobile = proxy
		case "finance":
			h.finance = proxy
		}
	}
	h.licenses = seatLicenses[:]
	if h.Tokens {
		h.licenses = []qliktest.License{qliktest.UserAccess}
	}
	h.employ(company.Users)
	return h
}

// draw restarts h.random with a seed for one thing on one day, so that the
// numbers do not depend on the order of the draws.
func (h *history) draw(thing int, day int64) *rand.Rand {
	h.source.Seed(h.seed+uint64(thing)<<32, uint64(day)) //nolint:gosec // any number is fine
	return h.random
}

// simulate runs through all days.
func (h *history) simulate() {
	first := h.begin/daySeconds - warmUpDays
	h.order(first)
	var bought [len(seatLicenses)]uint16
	for day := first; day <= h.finalDay; day++ {
		h.outages(day)
		h.visit(day)
		h.meter(day)
		for _, p := range h.people {
			h.live(p, day)
		}
		h.count(day, &bought)
	}
}

// at returns a step of a day, or nil if it is not part of the history.
func (h *history) at(day int64, k int) *step {
	if i := h.index(day, k); i >= 0 && i < len(h.steps) {
		return &h.steps[i]
	}
	return nil
}

func (h *history) index(day int64, k int) int {
	return int((day*daySeconds + int64(k)*stepSeconds - h.begin) / stepSeconds)
}

// time returns the time of a step, in seconds since 1970.
func (h *history) time(i int) int64 { return h.begin + int64(i)*stepSeconds }

// Values of thing in draw that do not stand for people.
const (
	drawOutage = -1 - iota
	drawVisitors
	drawPeople
	drawApp
)

// outages takes nodes down: occasionally one node for half an hour on a workday,
// and once a quarter all nodes on a Sunday night, for an upgrade of Qlik Sense.
func (h *history) outages(day int64) {
	date := time.Unix(day*daySeconds, 0).UTC()
	if date.Weekday() == time.Sunday && date.Month()%3 == 2 && date.Day() > 7 && date.Day() <= 14 {
		h.takeDown(day, 2*hourSteps, 5*hourSteps, 1<<len(h.nodes)-1)
		return
	}
	r := h.draw(drawOutage, day)
	if date.Weekday() != time.Saturday && date.Weekday() != time.Sunday && r.Float64() < 0.04 {
		from := 9*hourSteps + r.IntN(7*hourSteps)
		h.takeDown(day, from, from+3+r.IntN(6), 1<<(1+r.IntN(len(h.nodes)-1)))
	}
}

func (h *history) takeDown(day int64, from, to int, nodes uint8) {
	for k := from; k < to; k++ {
		if s := h.at(day, k); s != nil {
			s.down = nodes
		}
	}
}

// visit adds the anonymous visitors of the public virtual proxy.
func (h *history) visit(day int64) {
	r := h.draw(drawVisitors, day)
	busy := float64(h.Users) / 20 * (0.3 + 0.7*busyness(day))
	public := len(h.links) - 1
	for k := range daySteps {
		visitors := uint16(busy * officeHours(k) * (0.7 + 0.6*r.Float64()))
		if s := h.at(day, k); s != nil && s.down&(1<<h.links[public].node) == 0 {
			s.sessions[public], s.linkUsers[public] = visitors, visitors // each browser counts as a user
		}
	}
}

// officeHours returns the number of visitors at a time of day, relative to the busiest
// hours.
func officeHours(k int) float64 {
	hour := float64(k) / hourSteps
	switch {
	case hour < 6 || hour > 21:
		return 0.1
	case hour < 9:
		return 0.1 + 0.3*(hour-6)
	case hour < 16:
		return 1
	default:
		return 1 - 0.18*(hour-16)
	}
}

// count fills in the license data of a day, and buys more seats.
func (h *history) count(day int64, bought *[len(seatLicenses)]uint16) {
	date := time.Unix(day*daySeconds, 0).UTC()
	newQuarter := date.Day() == 1 && date.Month()%3 == 1
	loginAccess := h.loginAccess.count(h.people)
	for number, license := range h.licenses {
		var hours [24]seats
		for _, p := range h.people {
			if p.license == license && p.joined <= day && day < p.released {
				p.countSeat(day, &hours)
			}
			if p.license == license && p.hours != 0 {
				p.lastUsed = day*24 + int64(bits.Len32(p.hours)) - 1
			}
		}
		allocated := hours[0].allocated + loginAccess
		pack := uint16(max(10, h.Users/20)) //nolint:gosec // there are at most maxUsers
		if license == qliktest.Professional {
			pack /= 5
		}
		for bought[number] <= allocated || newQuarter && bought[number]-allocated < allocated/20 {
			bought[number] += pack
		}
		for k := range daySteps {
			if s := h.at(day, k); s != nil {
				s.seats[number] = hours[k/hourSteps]
				s.seats[number].bought = bought[number]
				s.loginAccess = loginAccess
			}
		}
	}
	for _, p := range h.people {
		p.hours = 0
	}
}

// target returns the labels that Prometheus adds to scraped series; record
// returns those that recording rules keep.
func (h *history) target() string {
	return `instance="` + net.JoinHostPort("localhost", "9986") + `",` + h.record()
}

func (h *history) record() string {
	labels := `job="qlik"`
	if h.Site != "" {
		labels += `,site="` + escape.Replace(h.Site) + `"`
	}
	return labels
}

var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
