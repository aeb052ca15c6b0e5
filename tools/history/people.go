package main

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// person is someone who works for the company for some time.
type person struct {
	number          int
	directory, id   string
	license         qliktest.License
	admin, service  bool
	joined, left    int64   // days since 1970
	released        int64   // day on which the seat is released
	keen            float64 // probability that the person works on a day
	second, logsOut float64 // probability that a visit needs a second place, and ends with a logout
	embeds, hoards  bool    // uses the intranet page; leaves windows open everywhere
	places          [6]int  // virtual proxies, each on another device
	appFrom         int64   // day since which the person uses the mobile app
	losesCookie     bool    // has a phone on which the app loses its cookies
	hours           uint32  // hours of the current day with license use, one bit per hour
	lastUsed        int64   // hours since 1970; 0 is never
	recent          []seen  // last days, starting at history.userBegin
	refused         []refusedLogin
}

// refusedLogin is a refused login of a person, as the exporter counts it.
type refusedLogin struct {
	step   int   // in history.steps, when the exporter knows of it
	at     int64 // in seconds since 1970
	reason int
}

// seen is what the exporter knows about a user at one point in time.
type seen struct {
	proxies           [proxies]uint8 // sessions
	held, cools       [proxies]uint8 // slots of sessions, and cooling slots
	sessions, cooling uint8
	taken             uint8    // slots
	near, reached     bool     // states that the rules hold
	over              bool     // state that the rules hold
	exceeds           bool     // has been over the limit since the last slot was taken
	cause             uint8    // index in causeNames plus 1; 0 for none
	denied            [2]uint8 // lines of the audit logs in the last five minutes, by reason
	// Minutes of the day: when the oldest session began, when the next slot becomes free,
	// and when the last refusal was, by reason.
	oldest, next int
	deniedAt     [2]int
}

// session is a session of a person. Its times are minutes of a day.
type session struct {
	place      int
	begin, end int
	refused    bool // holds no slot
	logsOut    bool // ends with a logout instead of a timeout
	uses       []visit
}

// refusal is a line of an audit log.
type refusal struct{ minute, reason int }

// step returns the step of the day at which the exporter knows of the refusal.
func (r *refusal) step() int { return (r.minute + 4) / 5 }

// visit is a use of a place. A page that loses its cookie begins a new session each time.
type visit struct {
	place, begin, minutes int
	losesCookie           bool
}

// popular lists the virtual proxies that people use; frequent entries are more
// popular. The last virtual proxy is missing, because nobody logs in to it, and that of
// the mobile app, which is a place of its own.
var popular = [...]int{0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 3, 5, 5, 6}

// employ hires as many people as the company needed at each time.
func (h *history) employ(users []qliktest.User) {
	r := h.draw(drawPeople, 0)
	order := r.Perm(len(users))
	for number, user := range users {
		p := &person{
			number: number, directory: user.Directory, id: user.ID, license: user.License, admin: user.Admin,
			service: user.ID == qliktest.CompanyServiceAccount,
			left:    math.MaxInt64, released: math.MaxInt64,
			keen:   0.45 + 0.5*math.Sqrt(r.Float64()),
			second: 0.35 * r.Float64(), logsOut: 0.5 * r.Float64(),
			embeds: r.Float64() < 0.35, hoards: r.Float64() < 0.04,
		}
		switch {
		case p.license == qliktest.Unlicensed && !p.admin:
			p.license = h.withoutSeat()
			p.keen *= 0.4
		case p.license != qliktest.Unlicensed && h.Tokens:
			p.license = qliktest.UserAccess
		}
		age := int64(365 / growth * -math.Log((float64(order[number])+0.5)/float64(len(users))))
		p.joined = h.finalDay - age
		if r.Float64() < leaves && !p.admin && !p.service {
			p.left = h.finalDay - int64(r.Float64()*float64(age))
			for p.released = h.finalDay - cleanUp; p.released-365 >= p.left+releaseAfter; {
				p.released -= 365
			}
			for p.released < p.left+releaseAfter {
				p.released += 365
			}
		}
		for device := range p.places {
			p.places[device] = popular[r.IntN(len(popular))]
		}
		if p.admin || p.service {
			p.places[0] = 0
		}
		h.people = append(h.people, p)
	}
	h.installApp()
}

// installApp gives most people the mobile app, one after another since it went live. Each
// chart of the app has a session of its own on phones where it loses its cookies.
func (h *history) installApp() {
	r := h.draw(drawApp, 0)
	for _, p := range h.people {
		p.appFrom = math.MaxInt64
		if r.Float64() < 0.6 && !p.admin && !p.service {
			p.appFrom = h.appLive() + r.Int64N(appBegins)
		}
		p.losesCookie = r.Float64() < 0.3
	}
}

// appLive returns the day on which the mobile app goes live.
func (h *history) appLive() int64 { return h.finalDay - appBegins }

// closing reports whether the finance department is closing the books of a month.
func closing(day int64) bool { return time.Unix(day*daySeconds, 0).UTC().Day() <= 5 }

// live simulates a day of a person, and adds to the steps what the exporter sees
// of it.
func (h *history) live(p *person, day int64) {
	var today [daySteps]seen
	sessions, refused := h.spend(p, day, h.capacity.usedUp)
	for _, s := range sessions {
		h.show(p, day, s, &today)
	}
	if len(sessions) > 0 {
		logins := h.refuse(day, refused, &today)
		h.hold(p, day, &today)
		h.judge(p, day, sessions, refused, &today)
		h.countRefused(p, day, logins, &today)
		for k := range today {
			if s := h.at(day, k); s != nil {
				h.add(p, &today[k], s)
			}
		}
	}
	if h.index(day, daySteps-1) < h.userBegin() {
		return
	}
	for k := range today {
		if h.index(day, k) >= h.userBegin() && h.index(day, k) < len(h.steps) {
			p.recent = append(p.recent, today[k])
		}
	}
}

// refuse adds the lines of a person to the audit logs, and returns the refused logins.
// Refusals within two minutes are the same login, which was tried again.
func (h *history) refuse(day int64, refused []refusal, today *[daySteps]seen) (logins []refusal) {
	const sameLogin = 2 // minutes
	slices.SortFunc(refused, func(a, b refusal) int { return a.minute - b.minute })
	for i, r := range refused {
		k := r.step()
		today[k].denied[r.reason]++
		today[k].deniedAt[r.reason] = r.minute
		if s := h.at(day, k); s != nil {
			s.denied[r.reason]++
		}
		if i == 0 || r.minute-refused[i-1].minute > sameLogin {
			logins = append(logins, r)
		}
	}
	return logins
}

// userBegin returns the first step with per-user series.
func (h *history) userBegin() int { return max(0, len(h.steps)-userDays*daySteps) }

// spend returns the sessions of a person on a day, and the refusals. There is no analyzer
// capacity after a minute of the day.
func (h *history) spend(p *person, day int64, usedUp int) (sessions []session, refused []refusal) {
	if day < p.joined || day >= p.left {
		return nil, nil
	}
	r := h.draw(p.number, day)
	busy := busyness(day)
	if p.occasional() {
		busy = h.occasion(day)
	}
	switch {
	case p.service: // reloads, night and day, and never logs out
		for begin := r.IntN(10); begin < 24*60; begin += 12 {
			sessions = append(sessions, session{begin: begin, end: min(begin+timeout, 24*60)})
		}
		for range 2 { // of a night
			sessions = append(sessions, session{begin: 3 * 60, end: 3*60 + timeout})
		}
		return sessions, nil
	case r.Float64() > p.keen*busy:
		return nil, nil
	case p.admin: // has a window for everything
		for range limit + 1 {
			begin, end := 8*60+r.IntN(30), 17*60+r.IntN(30)
			sessions = append(sessions, session{begin: begin, end: end, uses: []visit{{begin: begin, minutes: end - begin}}})
		}
		return sessions, nil
	}
	d := &workday{person: p, random: r, usedUp: lastMinute + 1}
	if p.license == qliktest.AnalyzerCapacity {
		d.usedUp = usedUp
	}
	d.work(h.plan(p, day, r))
	return d.sessions, d.refused
}

// plan returns what a person wants to use on a day.
func (h *history) plan(p *person, day int64, r *rand.Rand) (visits []visit) {
	second := p.second * (0.7 + 0.3*h.progress(day))
	if p.places[0] == h.finance && closing(day) {
		second *= 2
	}
	broken := p.embeds && day >= h.finalDay-portalBegins && day < h.finalDay-portalEnds
	minute := 8*60 + 25 + int(40*r.NormFloat64())
	leaving := min(minute+8*60+int(50*r.NormFloat64()), 22*60)
	minute = max(minute, 6*60)
	if p.occasional() {
		leaving = min(minute+100, leaving)
	}
	for minute < leaving {
		work := 5 + int(30*r.ExpFloat64())
		visits = append(visits, visit{place: 0, begin: minute, minutes: work})
		if r.Float64() < second {
			visits = append(visits, visit{place: 1 + r.IntN(2), begin: minute + r.IntN(10), minutes: work})
		}
		if p.hoards {
			for range 2 {
				visits = append(visits, visit{place: 1 + r.IntN(len(p.places)-1), begin: minute + r.IntN(20), minutes: 2 * work})
			}
		}
		if broken { // each app of the page begins a session
			view := minute + r.IntN(work)
			for range 1 + r.IntN(3) {
				visits = append(visits, visit{place: portalPlace, begin: view + r.IntN(2), minutes: 3, losesCookie: true})
			}
		}
		if day >= p.appFrom && r.Float64() < 0.5 {
			look := visit{place: appPlace, begin: minute + r.IntN(work), minutes: 3, losesCookie: p.losesCookie}
			visits = append(visits, look)
			if p.losesCookie {
				visits = append(visits, look, look)
			}
		}
		minute += work + int(55*r.ExpFloat64())
	}
	return visits
}

// progress returns 0 for a year before the end, and 1 for the end.
func (h *history) progress(day int64) float64 {
	return max(0, 1-float64(h.finalDay-day)/365)
}

// workday is what a person does on a day.
type workday struct {
	person   *person
	random   *rand.Rand
	sessions []session
	refused  []refusal
	usedUp   int // minute after which there is no analyzer capacity
}

const (
	timeout     = 30 // minutes of inactivity
	cooling     = coolingSteps * stepSeconds / 60
	lastMinute  = 23 * 60
	portalPlace = -1
	appPlace    = -2
)

// work makes the visits in the order of time: each in the open session of its place, or in
// a new one.
func (d *workday) work(visits []visit) {
	slices.SortStableFunc(visits, func(a, b visit) int { return a.begin - b.begin })
	for _, v := range visits {
		v.begin = min(v.begin, lastMinute)
		if v.begin < d.usedUp {
			v.minutes = min(v.minutes, d.usedUp-v.begin)
		}
		if i := slices.IndexFunc(d.sessions, func(s session) bool { return s.place == v.place && v.begin < s.end && !s.refused }); i >= 0 && !v.losesCookie {
			s := &d.sessions[i]
			if v.begin >= d.usedUp {
				d.refuse(v, noLicense)
				continue
			}
			s.end = min(max(s.end, v.begin+v.minutes+timeout), lastMinute)
			s.uses = append(s.uses, v)
			continue
		}
		d.logIn(v)
	}
}

// logIn begins a session. The login is refused if the limit is reached or no analyzer
// capacity is left. A refused session stays until it times out.
func (d *workday) logIn(v visit) {
	taken, ended, gaveUp := 0, 0, false
	for _, s := range d.sessions {
		switch open := v.begin < s.end; {
		case s.refused:
			gaveUp = gaveUp || open
		case open:
			taken++
		case v.begin < s.end+cooling:
			ended++
		}
	}
	s := session{place: v.place, begin: v.begin, end: v.begin + v.minutes + timeout, uses: []visit{v}}
	switch {
	case v.begin >= d.usedUp || taken+ended >= limit:
		if gaveUp {
			return
		}
		s.refused, s.end = true, v.begin+timeout
		d.refuse(v, boolToInt(v.begin >= d.usedUp))
	case d.random.Float64() < d.person.logsOut:
		s.logsOut, s.end = true, v.begin+v.minutes
	}
	s.end = min(s.end, lastMinute)
	d.sessions = append(d.sessions, s)
}

// refuse adds the lines of a refusal to the audit log. Some people try again at once.
func (d *workday) refuse(v visit, reason int) {
	for try := range 1 + d.random.IntN(2) {
		d.refused = append(d.refused, refusal{min(v.begin+try, lastMinute), reason})
	}
}

// proxy returns the virtual proxy of a place.
func (h *history) proxy(p *person, place int) int {
	switch place {
	case portalPlace:
		return h.portal
	case appPlace:
		return h.mobile
	default:
		return p.places[place]
	}
}

// link returns the link to which the load balancer sends a person who opens a
// virtual proxy.
func (h *history) link(p *person, proxy int) int {
	served := h.served[proxy]
	return served[p.number%len(served)]
}

// show adds a session to the steps at which the exporter sees it.
func (h *history) show(p *person, day int64, s session, today *[daySteps]seen) {
	proxy := h.proxy(p, s.place)
	node := h.links[h.link(p, proxy)].node
	from, to := (s.begin+4)/5, (s.end+4)/5
	if from >= to {
		return
	}
	for k := from; k < to; k++ {
		at := h.at(day, k)
		if at != nil && at.down&(1<<node) != 0 {
			continue
		}
		seen := &today[k]
		if seen.sessions == 0 {
			seen.oldest = s.begin
		}
		seen.proxies[proxy]++
		seen.sessions++
		seen.oldest = min(seen.oldest, s.begin)
		if !p.limited() || s.refused {
			continue
		}
		p.hours |= 1 << (k / hourSteps)
		if seen.taken == 0 {
			seen.next = s.end + cooling
		}
		seen.held[proxy]++
		seen.taken++
		seen.next = min(seen.next, s.end+cooling)
	}
	if at := h.at(day, from); at != nil && at.down == 0 {
		at.started[proxy]++
	}
	if at := h.at(day, to); at != nil && at.down == 0 {
		at.ended[proxy]++
	}
}

// cool adds the slots that cool after the step before: those of sessions that ended at the
// limit.
func (s *seen) cool(before *seen, k int) {
	if before.taken < limit {
		return
	}
	for proxy := range s.held {
		if ended := before.held[proxy] - min(before.held[proxy], s.held[proxy]); ended > 0 && s.taken < limit {
			ended = min(ended, limit-s.taken)
			s.cools[proxy] = ended
			s.cooling += ended
			s.taken += ended
			s.next = k*stepSeconds/60 + 1
		}
	}
}

// hold adds the cooling slots, and the states that the rules hold.
func (h *history) hold(p *person, day int64, today *[daySteps]seen) {
	complete := -1 // last step at which all nodes answered
	near, reached, over := -1, -1, -1
	for k := range today {
		s := &today[k]
		at := h.at(day, k)
		if at == nil || at.down == 0 {
			if k > 0 && complete == k-1 {
				s.cool(&today[k-1], k)
			}
			complete = k
		}
		if p.limited() && s.present() && s.effective() <= 1 {
			near = k
			if s.effective() <= 0 {
				reached = k
				s.exceeds = s.sessions > limit || k > 0 && today[k-1].over
			}
			if s.exceeds {
				over = k
			}
		}
		held := func(last int) bool { return last >= 0 && last >= complete && k-last < hourSteps }
		s.near, s.reached, s.over = held(near), held(reached), held(over)
	}
}

// limited reports whether the limit applies to a person: one without any license, like an
// administrator, takes no slots.
func (p *person) limited() bool { return p.license != qliktest.Unlicensed }

func (s *seen) present() bool { return s.sessions > 0 || s.cooling > 0 }

// manySessions reports whether the rules record the headroom of the user: enough sessions
// for a burst.
func (s *seen) manySessions() bool { return s.sessions >= 3 }

// effective returns the free slots for the next login.
func (s *seen) effective() int { return max(0, limit-int(s.taken)) }

// add adds a user to the counts of a step.
func (h *history) add(p *person, s *seen, to *step) {
	if s.reached {
		to.reached++
	}
	if s.near {
		to.near++
	}
	if s.manySessions() {
		to.manySessions++
	}
	if s.effective() == 0 {
		for proxy := range s.held {
			to.atLimit[proxy] += uint16(s.held[proxy] + s.cools[proxy])
		}
	}
	if s.sessions == 0 {
		return
	}
	if s.sessions > limit {
		to.users[limit+1]++
	} else {
		to.users[limit-s.sessions]++
	}
	for proxy, sessions := range s.proxies {
		if sessions > 0 {
			link := h.link(p, proxy)
			to.sessions[link] += uint16(sessions)
			to.linkUsers[link]++
		}
	}
}

// countSeat adds the seat of a person to the hourly counts of a day.
func (p *person) countSeat(day int64, hours *[24]seats) {
	for hour := range hours {
		counts := &hours[hour]
		counts.allocated++
		last := p.lastUsed
		if used := p.hours & (1<<(hour+1) - 1); used != 0 {
			last = day*24 + int64(bits.Len32(used)) - 1
		}
		if last == 0 {
			continue
		}
		counts.used++
		for i, days := range activeWindows {
			if day*24+int64(hour)-last < days*24 {
				counts.active[i]++
			}
		}
	}
}

func boolToInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
