package qliktest

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Office simulates people who reach the limit by windows that they forget. During a working day they open windows in several places,
// switch between them, return to some of them, and log out rarely. A login that is refused is tried again a few times.
//
// What people intend does not depend on what the site answers: places, times, and delays are drawn in advance, from a separate source of
// random numbers for each person. The same week with a shorter timeout, or with something that ends sessions, has the same intentions.
//
// Office is not safe for concurrent use.
type Office struct {
	site    *Site
	agenda  queue[func(now time.Time)]
	workers []*worker

	logins, refused int
}

// worker is a person of an Office.
type worker struct {
	User
	random *rand.Rand
	places []place // in the order of use
	// switches is the chance to go on to the next place when a visit ends. Otherwise the person does something else for a while, about away
	// long. Most people rarely go on, and a few do so most of the time: these reach the limit.
	switches float64
	away     time.Duration
	pace     time.Duration // mean length of a visit

	windows []*window // windows that were opened and not closed
}

// window is a window of a worker. There is at most one for each place.
type window struct {
	place
	session  string
	granted  bool
	lastUsed time.Time
}

// stay is the intention to use a place for a while.
type stay struct {
	who   *worker
	where place
	from  time.Time
	until time.Time
	uses  []time.Time // activity after the start
	// logsOut ends the stay with a logout. Without it the window stays open.
	logsOut bool
	// retries are the times between the attempts of a login that is refused. After the last one the person gives up: they use a window that
	// is open instead, or do something else.
	retries []time.Duration
	instead bool

	window  *window // nil while the stay has no window
	attempt int     // number of attempts after the first one
	gaveUp  bool
}

// Behavior of the people of an Office. With these values, one in 35 logins is refused: of 400 people on a working day, about 113 of 3,900.
const (
	officeOpens  = 8 * time.Hour
	officeCloses = 18 * time.Hour

	fewestPlaces, mostPlaces    = 6, 8
	leastSwitches, mostSwitches = 0.2, 0.9
	leastAway, mostAway         = 45 * time.Minute, 80 * time.Minute
	leastStay, mostStay         = 9 * time.Minute / 2, 9 * time.Minute
	leastPause, mostPause       = time.Minute, 4 * time.Minute // between two uses of a window
	fewSwitchOften              = 7
	leaveWindows                = 0.95 // do not log out
	worksOnWeekend              = 0.02
	absent                      = 0.1
	fewestRetries, mostRetries  = 1, 3
	leastRetry, mostRetry       = 10 * time.Second, 80 * time.Second
	usesOpenWindow              = 0.6
	returnsToLast               = 0.5 // after doing something else
)

// NewOffice simulates the people with a license in the configuration of a site, except administrators and the service account of a
// Company. They start on the day of the site's clock, at its time.
func NewOffice(site *Site, seed uint64) *Office {
	o := &Office{site: site}
	var prefixes []string
	for _, v := range site.VirtualProxies() {
		if v.AnonymousAccess == 0 && (v.Nodes == nil || len(v.Nodes) > 0) {
			prefixes = append(prefixes, v.Prefix)
		}
	}
	for i, u := range site.config.Users {
		if len(prefixes) == 0 || u.License == Unlicensed || u.Admin || u.Away || u.ID == CompanyServiceAccount {
			continue
		}
		who := &worker{User: u, random: rand.New(rand.NewPCG(seed, uint64(i)))}
		who.settle(prefixes)
		o.workers = append(o.workers, who)
	}
	now := site.now()
	midnight := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location())
	o.agenda.push(now, func(time.Time) { o.planDay(midnight, now) })
	return o
}

// Advance simulates the time until t and moves the clock along. The clock must be the one in the site's Config.Now.
func (o *Office) Advance(clock *Clock, until time.Time) {
	for {
		at, do, ok := o.agenda.pop(until)
		if !ok {
			break
		}
		clock.Set(at)
		do(at)
	}
	clock.Set(until)
}

// Next returns the time of the next action.
func (o *Office) Next() (at time.Time, ok bool) { return o.agenda.next() }

// Logins returns the number of logins: windows that were opened without a session to return to.
func (o *Office) Logins() int { return o.logins }

// Refused returns the number of logins that were refused. A login that is tried again in the same window is the same one, as long as its
// refused session exists.
func (o *Office) Refused() int { return o.refused }

// settle chooses how a person works.
func (w *worker) settle(prefixes []string) {
	want := min(fewestPlaces+w.random.IntN(mostPlaces-fewestPlaces+1), len(devices)*len(prefixes))
	for len(w.places) < want {
		where := place{devices[w.random.IntN(len(devices))], prefixes[w.random.IntN(len(prefixes))]}
		if !slices.Contains(w.places, where) {
			w.places = append(w.places, where)
		}
	}
	w.switches = leastSwitches + math.Pow(w.random.Float64(), fewSwitchOften)*(mostSwitches-leastSwitches)
	w.away = between(w.random, leastAway, mostAway)
	w.pace = between(w.random, leastStay, mostStay)
}

// planDay plans what everybody does on a day from a time on.
func (o *Office) planDay(midnight, from time.Time) {
	for _, who := range o.workers {
		for _, s := range who.day(midnight) {
			if !s.from.Before(from) {
				o.agenda.push(s.from, func(now time.Time) { o.begin(s, now) })
			}
		}
	}
	next := midnight.AddDate(0, 0, 1)
	o.agenda.push(next, func(now time.Time) { o.planDay(next, now) })
}

// day draws the stays of a working day.
func (w *worker) day(midnight time.Time) []*stay {
	works := 1 - absent
	if day := midnight.Weekday(); day == time.Saturday || day == time.Sunday {
		works = worksOnWeekend
	}
	if w.random.Float64() >= works {
		return nil
	}
	at := midnight.Add(officeOpens + between(w.random, 0, 90*time.Minute))
	end := midnight.Add(officeCloses - between(w.random, 0, 90*time.Minute))
	var stays []*stay
	for last := 0; at.Before(end); {
		stays = append(stays, w.stay(w.places[last], at, end))
		at = stays[len(stays)-1].until
		goesOn := w.random.Float64() < w.switches
		if !goesOn {
			at = at.Add(about(w.random, w.away))
		}
		if returns := w.random.Float64() < returnsToLast; goesOn || !returns {
			last = (last + 1) % len(w.places)
		}
	}
	return stays
}

// stay draws a stay in a place.
func (w *worker) stay(where place, from, end time.Time) *stay {
	s := &stay{who: w, where: where, from: from, until: from.Add(time.Duration((0.75 + 0.5*w.random.Float64()) * float64(w.pace)))}
	if s.until.After(end) {
		s.until = end
	}
	for at := from.Add(between(w.random, leastPause, mostPause)); at.Before(s.until); at = at.Add(between(w.random, leastPause, mostPause)) {
		s.uses = append(s.uses, at)
	}
	s.logsOut = w.random.Float64() >= leaveWindows
	for range fewestRetries + w.random.IntN(mostRetries-fewestRetries+1) {
		s.retries = append(s.retries, between(w.random, leastRetry, mostRetry))
	}
	s.instead = w.random.Float64() < usesOpenWindow
	return s
}

// begin begins a stay.
func (o *Office) begin(s *stay, now time.Time) {
	for _, at := range s.uses {
		o.agenda.push(at, func(now time.Time) { o.use(s, now) })
	}
	o.agenda.push(s.until, func(time.Time) { o.leave(s) })
	o.open(s, now)
}

// open opens the window of a stay, or tries again if the login was refused.
func (o *Office) open(s *stay, now time.Time) {
	before := s.who.window(s.where)
	session, err := o.site.Login(s.who.Directory, s.who.ID, s.where.device, s.where.prefix, "")
	if err != nil {
		s.giveUp(nil) // no node serves this virtual proxy now
		return
	}
	if before == nil || before.session != session.ID {
		o.logins++
		if !session.Granted {
			o.refused++
		}
	}
	w := &window{place: s.where, session: session.ID, granted: session.Granted, lastUsed: now}
	s.who.windows = slices.DeleteFunc(s.who.windows, func(w *window) bool { return w.place == s.where })
	s.who.windows = append(s.who.windows, w)
	if session.Granted {
		s.window = w
		return
	}
	if s.attempt >= len(s.retries) || !now.Add(s.retries[s.attempt]).Before(s.until) {
		s.giveUp(s.who.recent())
		return
	}
	o.agenda.push(now.Add(s.retries[s.attempt]), func(now time.Time) { o.open(s, now) })
	s.attempt++
}

// giveUp ends the attempts to open the window of a stay. The person may use another window.
func (s *stay) giveUp(other *window) {
	s.gaveUp = true
	if s.instead {
		s.window = other
	}
}

// use uses the window of a stay. If its session has ended, the person opens it again.
func (o *Office) use(s *stay, now time.Time) {
	switch {
	case s.window == nil:
	case o.site.Touch(s.window.session):
		s.window.lastUsed = now
	case s.gaveUp:
		s.window = nil
	default:
		s.window = nil
		o.open(s, now)
	}
}

// leave ends a stay.
func (o *Office) leave(s *stay) {
	if s.window == nil || !s.logsOut || s.gaveUp {
		return
	}
	o.site.Logout(s.window.session)
	s.who.windows = slices.DeleteFunc(s.who.windows, func(w *window) bool { return w == s.window })
}

// window returns the person's window in a place, or nil.
func (w *worker) window(where place) *window {
	i := slices.IndexFunc(w.windows, func(w *window) bool { return w.place == where })
	if i < 0 {
		return nil
	}
	return w.windows[i]
}

// recent returns the most recently used window that was granted, or nil.
func (w *worker) recent() *window {
	var last *window
	for _, each := range w.windows {
		if each.granted && (last == nil || each.lastUsed.After(last.lastUsed)) {
			last = each
		}
	}
	return last
}

// between returns a uniformly distributed duration between two durations.
func between(random *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(random.Float64()*float64(most-least))
}

// about returns a random duration with a mean: mostly shorter, sometimes much longer.
func about(random *rand.Rand, mean time.Duration) time.Duration {
	return time.Duration(min(random.ExpFloat64(), 4) * float64(mean))
}
