package main

import (
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

// HistoryOptions says which past to write.
type HistoryOptions struct {
	End   time.Time // of the last sample, or up to five minutes after it
	Days  int
	Users int    // how many people there are at the end
	Site  string // the target label site; "" is none
}

// How the past is written.
const (
	stepSeconds = 300
	daySeconds  = 86400
	daySteps    = daySeconds / stepSeconds
	hourSteps   = 3600 / stepSeconds

	userDays   = 2  // as long there are series of users
	detailDays = 31 // as long there is what nobody needs for a year
	warmUpDays = 91 // of which only remains when licenses were used last
	maxDays    = 3660
	maxUsers   = 9999 // so that counts fit into 16 bits
)

// The company has grown to what it is, and will have to buy seats again.
const (
	limit        = 5
	growth       = 0.35 // by year, as an exponent
	coolingSteps = 1
	leaves       = 0.15              // of the people, some time after they came
	releaseAfter = 90                // days; then a clean-up gives the seat of one who left to others
	cleanUp      = 150               // days before the end, and every year before that
	portalBegins = 200               // days before the end: a new intranet page loses its cookies ...
	portalEnds   = portalBegins - 12 // ... until somebody mends it
	licenseLeft  = 75                // days at the end until the license ends, which is renewed every year
	renewedAhead = 20                // days
)

// The company has so many virtual proxies, and so many links.
const (
	proxies  = 8
	maxLinks = 14
)

// activeWindows are those of qlik_license_users_active, in days.
var activeWindows = [...]int64{1, 7, 30, 90}

// history is the past of a company, in steps of five minutes. A year of 500
// people takes some 20 MB: OpenMetrics wants series after series, so all of it must
// be known before the first is written.
type history struct {
	HistoryOptions
	seed    uint64
	source  *rand.PCG
	random  *rand.Rand
	nodes   []string
	proxies []string // as in the label virtual_proxy
	links   []link
	served  [][]int // by virtual proxy: its links
	portal  int     // the virtual proxy of embedded apps
	finance int
	people  []*person

	begin    int64 // of the first step, in seconds since 1970
	finalDay int64 // days since 1970
	steps    []step
}

// link is a virtual proxy served by a node.
type link struct{ node, proxy int }

// step is what the exporter sees of the site at one moment.
type step struct {
	down           uint8             // nodes that do not answer, one bit each
	users          [limit + 2]uint16 // by headroom; the last one: over
	withSeries     uint16
	reached, near  uint16 // users held at the limit, and near it
	sessions       [maxLinks]uint16
	linkUsers      [maxLinks]uint16
	started, ended [proxies]uint16
	denied         [2]uint16 // by reason: session_limit, no_license
	seats          [2]seats
}

// seats of a license.
type seats struct {
	bought, allocated, used uint16
	active                  [len(activeWindows)]uint16
}

var seatLicenses = [2]qliktest.License{qliktest.Professional, qliktest.Analyzer}

// WriteHistory writes a plausible past of a company, which the demo is the
// present of, as OpenMetrics text for promtool tsdb create-blocks-from. All of it
// follows from the options.
//
// For all days there is what the recording rules leave of the site, and what the
// exporter says of it in few series; for the last 31 days also the links and the
// seats, and for the last two the users. What the exporter says of itself
// (requests, durations) is left out.
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
		seed:           seed ^ hash.Sum64(),
		source:         source,
		random:         rand.New(source), //nolint:gosec // draws people, not keys
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
		case "finance":
			h.finance = proxy
		}
	}
	h.employ(company.Users)
	return h
}

// draw makes h.random begin anew, with numbers that belong to one thing on one
// day whenever they are drawn.
func (h *history) draw(thing int, day int64) *rand.Rand {
	h.source.Seed(h.seed+uint64(thing)<<32, uint64(day)) //nolint:gosec // any number will do
	return h.random
}

// simulate lets all days pass.
func (h *history) simulate() {
	first := h.begin/daySeconds - warmUpDays
	var bought [len(seatLicenses)]uint16
	for day := first; day <= h.finalDay; day++ {
		h.outages(day)
		h.visit(day)
		for _, p := range h.people {
			h.live(p, day)
		}
		h.count(day, &bought)
	}
}

// at returns the step of a day, or nil if it is not part of the history.
func (h *history) at(day int64, k int) *step {
	if i := h.index(day, k); i >= 0 && i < len(h.steps) {
		return &h.steps[i]
	}
	return nil
}

func (h *history) index(day int64, k int) int {
	return int((day*daySeconds + int64(k)*stepSeconds - h.begin) / stepSeconds)
}

// time returns when a step is, in seconds since 1970.
func (h *history) time(i int) int64 { return h.begin + int64(i)*stepSeconds }

// What nobody does, as things of draw.
const (
	drawOutage = -1 - iota
	drawVisitors
	drawPeople
)

// outages takes nodes away: now and then one for half an hour of a working day,
// and once in a quarter all of them on a Sunday night, to upgrade Qlik Sense.
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

// visit lets anonymous visitors come to the public virtual proxy.
func (h *history) visit(day int64) {
	r := h.draw(drawVisitors, day)
	busy := float64(h.Users) / 20 * (0.3 + 0.7*busyness(day))
	public := len(h.links) - 1
	for k := range daySteps {
		visitors := uint16(busy * officeHours(k) * (0.7 + 0.6*r.Float64()))
		if s := h.at(day, k); s != nil && s.down&(1<<h.links[public].node) == 0 {
			s.sessions[public], s.linkUsers[public] = visitors, visitors // each browser is a user
		}
	}
}

// officeHours is how many of all visitors come at a time of day.
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

// count fills in what concerns licenses on a day, and buys more.
func (h *history) count(day int64, bought *[len(seatLicenses)]uint16) {
	date := time.Unix(day*daySeconds, 0).UTC()
	newQuarter := date.Day() == 1 && date.Month()%3 == 1
	for number, license := range seatLicenses {
		var hours [24]seats
		for _, p := range h.people {
			if p.license == license && p.joined <= day && day < p.released {
				p.countSeat(day, &hours)
			}
			if p.license == license && p.hours != 0 {
				p.lastUsed = day*24 + int64(bits.Len32(p.hours)) - 1
			}
		}
		allocated := hours[0].allocated
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
			}
		}
	}
	for _, p := range h.people {
		p.hours = 0
	}
}

// target are the labels that Prometheus gives to what it scrapes, and record
// those that recording rules leave of them.
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
