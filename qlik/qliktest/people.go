package qliktest

import (
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// People simulates the users of a site during a day. They log in, work, leave without logging out, return, and use a second browser.
// The seed and the clock determine everything that they do. Hurry makes some of them hurried: they open sessions up to and beyond the
// limit and log out again, so that all effects of the limit are visible within two minutes.
//
// People is not safe for concurrent use.
type People struct {
	site     *Site
	random   *rand.Rand
	agenda   queue[func(now time.Time)]
	people   []*person
	hurried  []*person
	hurrying bool
	visitors []string // prefixes of virtual proxies for anonymous users
	hubs     []string // prefixes of the other virtual proxies
	restarts []string // nodes with proxies that restart in turn

	restarted time.Time // time of the last restart
}

// person is a simulated user.
type person struct {
	User
	places  []place // places where an ordinary person opens the hub; the day starts in the first one
	visits  []visit // sessions in use
	leaving time.Time
	working bool
	hurried bool
	embeds  bool // opens an embedding page without cookies, so every view creates a session
	goal    int  // number of sessions that a hurried person wants
	until   time.Time
	opened  int // number of devices used so far by a person with embeds
}

// place is a device and a virtual proxy.
type place struct{ device, prefix string }

// visit is a session in use.
type visit struct {
	place
	session string
	node    string
	granted bool
}

// Behavior of ordinary people. With these values, about three in five have a session at any time.
const (
	meanWork     = 45 * time.Minute
	meanAway     = 60 * time.Minute
	logsOut      = 0.3  // logs out; others only close the browser or the laptop
	opensSecond  = 0.3  // uses a second browser or virtual proxy
	opensThird   = 0.06 // also uses a phone
	writesLoud   = 0.03 // has a name in capitals on some virtual proxy
	onlookers    = 3    // hurried people who stay at the limit or one below, so that there is always an example
	asksAgain    = 0.1  // a refused hurried person tries again in a step
	reloadEvery  = 10 * time.Minute
	meanVisitor  = 40 * time.Second
	firstRestart = 90 * time.Second
)

var devices = []string{"laptop/edge", "laptop/chrome", "phone", "desktop/edge", "laptop/firefox", "tablet", "terminal server", "home/chrome"}

// NewPeople simulates the users in the configuration of a site. Their day starts at the current time of the site's clock.
func NewPeople(site *Site, seed uint64) *People {
	p := &People{site: site, random: rand.New(rand.NewPCG(seed, 0x70656f70))}
	for _, v := range site.VirtualProxies() {
		switch {
		case v.Nodes != nil && len(v.Nodes) == 0:
		case v.AnonymousAccess > 0:
			p.visitors = append(p.visitors, v.Prefix)
		default:
			p.hubs = append(p.hubs, v.Prefix)
		}
	}
	for _, n := range site.nodes {
		if !n.Central {
			p.restarts = append(p.restarts, n.Name)
		}
	}
	now := site.now()
	for _, u := range site.config.Users {
		who := &person{User: u}
		switch {
		case len(p.hubs) == 0:
		case u.Away:
		case u.Admin:
			for _, device := range devices[:min(site.config.SessionLimit+1, len(devices))] {
				who.places = append(who.places, place{device, p.hubs[0]})
			}
			p.plan(now.Add(p.between(0, 10*time.Minute)), func(now time.Time) { p.administrate(who, now) })
		case u.ID == CompanyServiceAccount:
			p.plan(now.Add(p.between(0, reloadEvery)), func(now time.Time) { p.reload(who, now) })
		default:
			p.settle(who)
			p.people = append(p.people, who)
			p.plan(now.Add(p.between(0, meanWork+meanAway/2)), func(now time.Time) { p.arrive(who, now) })
		}
	}
	for _, prefix := range p.visitors {
		p.plan(now, func(now time.Time) { p.visit(prefix, now) })
	}
	return p
}

// settle chooses the places of an ordinary person. Half of all people open the default hub first.
func (p *People) settle(who *person) {
	main := p.hubs[0]
	if p.random.Float64() < 0.5 {
		main = p.hubs[p.random.IntN(len(p.hubs))]
	}
	other := p.hubs[p.random.IntN(len(p.hubs))]
	who.places = []place{{devices[p.random.IntN(2)], main}, {devices[3+p.random.IntN(2)], other}, {"phone", main}}
}

// WarmUp simulates the time until t and moves the clock along, so that hours take milliseconds. The clock must be the one in the site's
// Config.Now.
func (p *People) WarmUp(clock *Clock, until time.Time) {
	for {
		at, do, ok := p.agenda.pop(until)
		if !ok {
			break
		}
		clock.Set(at)
		do(at)
	}
	clock.Set(until)
}

// RunUntil performs all actions that are due up to t. It does not move the site's clock, so for the site they all happen now.
func (p *People) RunUntil(t time.Time) {
	for {
		at, do, ok := p.agenda.pop(t)
		if !ok {
			return
		}
		do(at)
	}
}

// Run simulates the people by the site's clock until the context ends. The clock must follow the wall clock. Run calls Hurry. It
// returns the error of the context.
func (p *People) Run(ctx context.Context) error {
	p.Hurry()
	for {
		now := p.site.now()
		p.RunUntil(now)
		wait := time.Minute
		if at, ok := p.agenda.next(); ok {
			wait = max(at.Sub(now), 0)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// Hurry makes some licensed people hurried from now on. A proxy restarts after a minute and a half and then every half hour. A second
// call has no effect.
func (p *People) Hurry() {
	if p.hurrying {
		return
	}
	p.hurrying = true
	now := p.site.now()
	var licensed []*person
	for _, who := range p.people {
		if who.License != Unlicensed {
			licensed = append(licensed, who)
		}
	}
	p.random.Shuffle(len(licensed), func(i, j int) { licensed[i], licensed[j] = licensed[j], licensed[i] })
	p.hurried = licensed[:min(len(licensed), max(8, min(24, len(p.people)/20)))]
	limit := p.site.config.SessionLimit
	goals := []int{limit - 1, limit, limit + 1}
	for i, who := range p.hurried {
		who.hurried, who.embeds, who.goal = true, i%4 == 3, goals[i%len(goals)]
		p.plan(now.Add(p.between(time.Second, 20*time.Second)), func(now time.Time) { p.step(who, now) })
	}
	if len(p.restarts) > 0 {
		p.plan(now.Add(firstRestart), p.restart)
	}
}

// arrive starts the day of an ordinary person or its next part.
func (p *People) arrive(who *person, now time.Time) {
	if who.hurried {
		return
	}
	who.working, who.visits = true, nil
	who.leaving = now.Add(p.about(meanWork))
	p.open(who, who.places[0])
	chance := p.random.Float64()
	for i, opens := range []float64{opensSecond, opensThird} {
		if chance < opens {
			at := now.Add(p.between(0, who.leaving.Sub(now)))
			p.plan(at, func(time.Time) {
				if who.working && !who.hurried {
					p.open(who, who.places[1+i])
				}
			})
		}
	}
	p.plan(now.Add(p.between(time.Minute, 6*time.Minute)), func(now time.Time) { p.work(who, now) })
}

// work simulates the work with some sheets.
func (p *People) work(who *person, now time.Time) {
	switch {
	case who.hurried:
		return
	case !now.Before(who.leaving):
		p.leave(who, now)
		return
	}
	var alive []visit
	for _, v := range who.visits {
		if p.site.Touch(v.session) {
			alive = append(alive, v)
		}
	}
	who.visits = alive
	if len(alive) == 0 {
		p.open(who, who.places[0])
	}
	p.plan(now.Add(p.between(time.Minute, 6*time.Minute)), func(now time.Time) { p.work(who, now) })
}

func (p *People) leave(who *person, now time.Time) {
	if p.random.Float64() < logsOut {
		for _, v := range who.visits {
			p.site.Logout(v.session)
		}
	}
	who.working, who.visits = false, nil
	p.plan(now.Add(p.about(meanAway)), func(now time.Time) { p.arrive(who, now) })
}

// open opens the hub in a place and reports whether the login was granted.
func (p *People) open(who *person, where place) bool {
	id := who.ID
	if p.random.Float64() < writesLoud {
		id = strings.ToUpper(id)
	}
	session, err := p.site.Login(who.Directory, id, where.device, where.prefix, "")
	if err != nil {
		return false // no node serves this virtual proxy now
	}
	v := visit{where, session.ID, session.Node, session.Granted}
	if i := slices.IndexFunc(who.visits, func(v visit) bool { return v.session == session.ID }); i >= 0 {
		who.visits[i] = v
	} else {
		who.visits = append(who.visits, v)
	}
	return session.Granted
}

// step is one action of a hurried person: open a session, close one, or wait.
func (p *People) step(who *person, now time.Time) {
	p.plan(now.Add(p.between(4*time.Second, 9*time.Second)), func(now time.Time) { p.step(who, now) })
	limit := p.site.config.SessionLimit
	var alive []visit
	for _, v := range who.visits {
		// Activity in a refused session repeats the license check.
		if v.granted && !p.site.Touch(v.session) || !p.site.alive(v.session) {
			continue
		}
		alive = append(alive, v)
	}
	who.visits = alive
	high := len(alive) >= limit-1
	switch {
	case len(alive) < who.goal:
		if p.open(who, p.unused(who)) {
			break
		}
		if who.goal <= limit && p.after(who.goal) <= onlookers {
			break // tries another browser
		}
		// Waits for a while. The refused session is closed when the next goal is lower.
		who.goal = len(who.visits)
		who.until = now.Add(p.between(15*time.Second, 45*time.Second))
	case len(alive) > who.goal:
		// Closes the refused session first.
		i := max(0, slices.IndexFunc(alive, func(v visit) bool { return !v.granted }))
		p.site.Logout(alive[i].session)
		who.visits = slices.Delete(alive, i, i+1)
	case who.until.IsZero() && high:
		who.until = now.Add(p.between(15*time.Second, 90*time.Second))
	case who.until.IsZero():
		// Mostly longer than the cooling time; otherwise nobody would reach the limit again.
		who.until = now.Add(p.between(p.site.config.CoolingTime/2, p.site.config.CoolingTime*5/4))
	case !high && p.after(limit) < onlookers && p.site.UsageRows(who.Directory, who.ID) <= len(alive):
		who.goal, who.until = limit, time.Time{}
	case !high && p.after(limit-1) < onlookers:
		who.goal, who.until = limit-1, time.Time{}
	case len(alive) == limit-1 && p.after(limit) == 0 && p.after(limit-1) > 1:
		who.goal, who.until = limit, time.Time{}
	case now.Before(who.until):
		for _, v := range alive {
			if !v.granted && p.random.Float64() < asksAgain {
				p.open(who, v.place)
			}
		}
	case high && who.goal <= limit && p.after(who.goal) <= onlookers:
		who.until = now.Add(p.between(30*time.Second, 60*time.Second))
	default:
		who.until = time.Time{}
		who.goal = p.nextGoal(high)
	}
}

// nextGoal returns a low goal after a high one, and a high one after a low one.
func (p *People) nextGoal(high bool) int {
	limit := p.site.config.SessionLimit
	if high {
		return max(1, limit-2-p.random.IntN(3))
	}
	switch chance := p.random.Float64(); {
	case chance < 0.4:
		return limit - 1
	case chance < 0.8:
		return limit
	}
	return limit + 1
}

// after counts the hurried people with this goal.
func (p *People) after(sessions int) int {
	n := 0
	for _, who := range p.hurried {
		if who.goal == sessions {
			n++
		}
	}
	return n
}

// unused returns a place in which the person has no session.
func (p *People) unused(who *person) place {
	if who.embeds {
		who.opened++
		prefix := p.hubs[0]
		if slices.Contains(p.hubs, "portal") {
			prefix = "portal"
		}
		return place{"frame " + strconv.Itoa(who.opened), prefix}
	}
	for range 100 {
		where := place{devices[p.random.IntN(len(devices))], p.hubs[p.random.IntN(len(p.hubs))]}
		if !slices.ContainsFunc(who.visits, func(v visit) bool { return v.place == where }) {
			return where
		}
	}
	who.opened++
	return place{"device " + strconv.Itoa(who.opened), p.hubs[0]}
}

// restart restarts the next proxy. People with sessions there log in again within seconds; hurried people do so in their next step.
func (p *People) restart(now time.Time) {
	node := p.restarts[0]
	p.restarted = now
	p.restarts = append(p.restarts[1:], node)
	p.site.RestartProxy(node)
	for _, who := range p.people {
		if !who.working || who.hurried {
			continue
		}
		for _, v := range who.visits {
			if v.node == node {
				p.plan(now.Add(p.between(time.Second, 12*time.Second)), func(time.Time) {
					if who.working && !who.hurried {
						p.open(who, v.place)
					}
				})
			}
		}
	}
	p.plan(now.Add(p.between(25*time.Minute, 35*time.Minute)), p.restart)
}

// administrate simulates the administrator: the QMC and some hubs in more browsers than the limit allows licensed users.
func (p *People) administrate(who *person, now time.Time) {
	for _, where := range who.places {
		p.open(who, where)
	}
	p.plan(now.Add(p.between(4*time.Minute, 6*time.Minute)), func(now time.Time) { p.administrate(who, now) })
}

// reload simulates a monitoring app. Its connection logs in each time and keeps no cookie.
func (p *People) reload(who *person, now time.Time) {
	who.opened++
	p.open(who, place{"reload " + strconv.Itoa(who.opened), p.hubs[0]})
	who.visits = nil
	p.plan(now.Add(reloadEvery), func(now time.Time) { p.reload(who, now) })
}

// visit simulates an anonymous visitor. The proxy creates a user for each one (docs/qlik.md, "Anonymous users").
func (p *People) visit(prefix string, now time.Time) {
	// If no node serves the virtual proxy, the visitor leaves.
	_, _ = p.site.Login("NONE", "anonymous"+randomID(p.random), "browser", prefix, "")
	p.plan(now.Add(p.about(meanVisitor)), func(now time.Time) { p.visit(prefix, now) })
}

// between returns a uniformly distributed duration between two durations.
func (p *People) between(least, most time.Duration) time.Duration {
	return between(p.random, least, most)
}

// about returns a random duration with a mean: mostly shorter, sometimes much longer.
func (p *People) about(mean time.Duration) time.Duration {
	return about(p.random, mean)
}

// plan schedules an action of a person.
func (p *People) plan(at time.Time, do func(now time.Time)) { p.agenda.push(at, do) }
