package headroom

import (
	"cmp"
	"slices"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// Cause is why a user is near the session limit or was refused. It is the value of a
// label, and each cause has a section in alerts/runbook.md.
type Cause string

// The causes, in the order in which they are looked for. The first one that the facts
// show is the cause.
const (
	CauseNoLicense             Cause = "no_license"              // was refused because the user holds no license
	CauseLicenseService        Cause = "license_service"         // was refused although the user holds a license
	CauseServiceAccount        Cause = "service_account"         // runs programs, not browsers
	CauseLeftoverRows          Cause = "leftover_rows"           // usage rows without a session hold the slots
	CauseProxyRestart          Cause = "proxy_restart"           // slots of a restarted proxy cool
	CauseCooling               Cause = "cooling"                 // slots of ended sessions cool
	CauseProgram               Cause = "program"                 // a program starts sessions and does not use them
	CauseRunaway               Cause = "runaway"                 // sessions start without end
	CauseEmbeddedPage          Cause = "embedded_page"           // a page started several sessions at once
	CauseSharedAccount         Cause = "shared_account"          // several people or programs share the account
	CauseForgottenWindows      Cause = "forgotten_windows"       // sessions are idle
	CauseSeveralVirtualProxies Cause = "several_virtual_proxies" // sessions in use on several virtual proxies
	CauseNotSticky             Cause = "not_sticky"              // the load balancer spreads the user over nodes
	CauseSeveralWindows        Cause = "several_windows"         // none of the others
	CauseUnknown               Cause = "unknown"                 // the facts do not tell, or contradict each other
)

// Causes lists all causes in the order in which they are looked for.
func Causes() []Cause {
	return []Cause{
		CauseNoLicense, CauseLicenseService, CauseServiceAccount, CauseLeftoverRows, CauseProxyRestart, CauseCooling, CauseProgram, CauseRunaway,
		CauseEmbeddedPage, CauseSharedAccount, CauseForgottenWindows, CauseSeveralVirtualProxies, CauseNotSticky, CauseSeveralWindows, CauseUnknown,
	}
}

// Certainty is how sure a cause is.
type Certainty string

// The certainties.
const (
	Certain   Certainty = "certain"
	Likely    Certainty = "likely"
	Uncertain Certainty = "unknown"
)

// Judgment is the cause of a user.
type Judgment struct {
	Cause     Cause
	Certainty Certainty
	Since     time.Time // when it began; zero if unknown
}

// The rules of the causes.
const (
	// RecentRefusal is how long a refused login tells something about now.
	RecentRefusal = 15 * time.Minute
	// IdleTime is how long a session without activity is not in use.
	IdleTime = 10 * time.Minute
	// closeRounds is the longest pause between two rounds for which the time of a start is
	// known well enough.
	closeRounds = time.Minute
	// afterRestart is how long after a restart of a proxy the starts on its node say
	// nothing: everybody comes back at once.
	afterRestart = 10 * time.Minute
	// burst is the time in which a page starts its sessions, and burstSessions their
	// minimum number.
	burst         = 2 * time.Minute
	burstSessions = 3
	// programStarts is the minimum number of starts within programTime that show a
	// program, each more than burst after the one before.
	programStarts = 4
	programTime   = time.Hour
	// programGranted is how many of these sessions Qlik granted at least: a person who is
	// refused tries again and again, too.
	programGranted = 2
	// unusedTime is how long after its start the activity of a session belongs to the start.
	unusedTime = time.Minute
	// sharedTimes is how many times the limit shows a shared account after sharedTime.
	sharedTimes = 3
	sharedTime  = 15 * time.Minute
	// usedVirtualProxies is the minimum number of virtual proxies in use.
	usedVirtualProxies = 3
)

// ServiceAccount is how a user is known to run programs.
type ServiceAccount int

// The kinds of service accounts, the surest last.
const (
	NoServiceAccount    ServiceAccount = iota
	ConnectsReloads                    // a data connection of the monitoring apps logs in as the user
	RunsServices                       // Qlik's services run as the user
	NamedServiceAccount                // named in the configuration, or of the directory INTERNAL
)

// SlotState is what a slot, or a session without one, does.
type SlotState string

// The states of slots.
const (
	SlotActive   SlotState = "active"   // its session was used within IdleTime, or it is unknown whether
	SlotIdle     SlotState = "idle"     // its session was not used within IdleTime
	SlotRefused  SlotState = "refused"  // Qlik refused its session, which holds no slot
	SlotCooling  SlotState = "cooling"  // its session has ended, and it becomes free by itself
	SlotLeftover SlotState = "leftover" // a usage row without session for longer than timeout and cooling
	SlotEnded    SlotState = "ended"    // a usage row without session of which it is unknown whether it cools or is left over
)

// Slot is a session or a slot of a user.
type Slot struct {
	Session            qlik.SessionKey // hash of the id of its session
	VirtualProxy, Node string          // "" if unknown

	State      SlotState
	FirstSeen  time.Time // zero if no session was seen
	Granted    time.Time // when Qlik granted it; zero if no usage row tells
	Started    time.Time // when the session started, if that was seen closely; else zero
	LastActive time.Time // zero if unknown
	Ended      time.Time // when its session ended at the latest; zero if it exists
	UsedLater  bool      // its session was certainly used later than LastActive, so it is not idle as far as is known
	FreesAt    time.Time // when it becomes free by itself if the user stays inactive; zero if unknown
	Restart    bool      // its session ended with a restart of its proxy
}

// Taken reports whether the slot counts against the limit.
func (s *Slot) Taken() bool { return s.State != SlotRefused }

// live reports whether the session of the slot exists.
func (s *Slot) live() bool { return s.Ended.IsZero() && s.State != SlotLeftover }

// Start is a start of a session that was seen closely: between two rounds at most a minute
// apart, and not after a restart of the proxy. The session may have ended since.
type Start struct {
	At           time.Time
	VirtualProxy string
	// Used is whether the session was active after its start. Nil if that is unknown.
	Used *bool
	// Refused means that Qlik refused the session, so that nobody could use it.
	Refused bool
}

// Facts are what is known of a user at a time.
type Facts struct {
	Now               time.Time
	Limit             int
	EffectiveHeadroom int
	Complete          bool // every link answered, so no session is missing
	RowsKnown         bool // usage rows decide effective headroom and show activity

	ActivityInterval time.Duration // as in the snapshot; 0 if unknown

	License        string // one of the license constants; "" if licenses were not read
	Unusable       bool   // the license is quarantined, or more are allocated than there are
	Administrator  bool   // has an administrator's role, which needs no license
	RolesKnown     bool   // whether Administrator is known
	ServiceAccount ServiceAccount
	Refusals       []qlik.Refusal // of the last day, the last one first
	LastGranted    time.Time      // when Qlik last granted a slot to anybody; zero if unknown

	Slots      []Slot
	Starts     []Start         // of the last hour, oldest first
	AboveSince time.Time       // since when the user has had more than three times the limit; zero if not
	NotSticky  map[string]bool // virtual proxies whose users are spread over nodes
	Reached    time.Time       // when the user last reached the limit; zero if that was not seen
}

// Judge returns the cause. It is CauseUnknown if the facts do not tell it. The caller asks
// only about users near the limit, or refused within RecentRefusal.
func (f *Facts) Judge() Judgment {
	for _, judge := range []func() Judgment{
		f.license, f.serviceAccount, f.goneSessions, f.program, f.bursts, f.shared, f.windows,
	} {
		if j := judge(); j.Cause != "" {
			return j
		}
	}
	return Judgment{CauseUnknown, Uncertain, time.Time{}}
}

var unknownCause = Judgment{Cause: CauseUnknown, Certainty: Uncertain}

// license judges refusals for want of a license. Only the latest refusal counts.
func (f *Facts) license() Judgment {
	last, since := f.lastRefusal()
	if last == nil || last.Reason != qlik.RefusedNoLicense || f.grantedSince(last.At) {
		return Judgment{}
	}
	switch {
	case f.License == qlik.LicenseNone && f.Administrator:
		return Judgment{} // an administrator is refused the hub, and works in the QMC
	case f.License == qlik.LicenseNone && !f.RolesKnown:
		return Judgment{CauseNoLicense, Likely, since}
	case f.License == qlik.LicenseNone:
		return Judgment{CauseNoLicense, Certain, since}
	case !Holds(f.License) || f.Unusable:
		return unknownCause
	case !Holds(last.License):
		return Judgment{} // the license may have been given after the refusal
	default:
		return Judgment{CauseLicenseService, Certain, since}
	}
}

// IdleKnown reports whether a session that looks idle is certainly not in use; see
// Snapshot.IdleKnown.
func (f *Facts) IdleKnown() bool { return idleKnown(f.ActivityInterval, IdleTime) }

// RefusedLately reports whether a login of the user was refused within RecentRefusal.
func (f *Facts) RefusedLately() bool {
	last, _ := f.lastRefusal()
	return last != nil
}

// grantedSince reports whether the user has passed the license check after a time.
func (f *Facts) grantedSince(at time.Time) bool {
	return slices.ContainsFunc(f.Slots, func(s Slot) bool { return s.Granted.After(at) })
}

// LicenseDoubtful reports whether Qlik refused the user lately for want of a license, and
// nothing tells whether it would do so again.
func (f *Facts) LicenseDoubtful() bool {
	last, _ := f.lastRefusal()
	switch {
	case last == nil, last.Reason != qlik.RefusedNoLicense, f.grantedSince(last.At):
		return false
	case f.License == qlik.LicenseNone:
		return false // certainly none
	case Holds(f.License) && !f.Unusable && last.License == qlik.LicenseNone:
		return false // the license was given after the refusal
	default:
		return true
	}
}

// NeedsNoSlot reports whether a session without a slot was granted all the same, as far as
// is known: the user is not known to hold a license, like most administrators, and no login
// was refused since the session started.
func (f *Facts) NeedsNoSlot(s *Slot) bool {
	return !Holds(f.License) && (len(f.Refusals) == 0 || f.Refusals[0].At.Before(s.FirstSeen.Add(-closeRounds)))
}

// Holds reports whether a license is one that a user holds.
func Holds(license string) bool {
	return license != "" && license != qlik.LicenseNone && license != qlik.LicenseUnknown
}

// lastRefusal returns the latest refusal if it is recent, and when the recent refusals for
// its reason began.
func (f *Facts) lastRefusal() (last *qlik.Refusal, since time.Time) {
	for i := range f.Refusals {
		refusal := &f.Refusals[i]
		if f.Now.Sub(refusal.At) >= RecentRefusal || last != nil && refusal.Reason != last.Reason {
			break
		}
		if last == nil {
			last = refusal
		}
		since = refusal.At
	}
	return last, since
}

func (f *Facts) serviceAccount() Judgment {
	switch f.ServiceAccount {
	case NamedServiceAccount, RunsServices:
		return Judgment{CauseServiceAccount, Certain, f.Reached}
	case ConnectsReloads:
		return Judgment{CauseServiceAccount, Likely, f.Reached}
	default:
		return Judgment{}
	}
}

// goneSessions judges slots that are taken without a session: without those of a kind
// there would be a free slot.
func (f *Facts) goneSessions() Judgment {
	if f.EffectiveHeadroom > 0 {
		return Judgment{}
	}
	for _, kind := range []struct {
		cause    Cause
		is       func(s *Slot) bool
		complete bool // a session that is not listed could be on a link that failed
	}{
		{CauseLeftoverRows, func(s *Slot) bool { return s.State == SlotLeftover }, true},
		{CauseProxyRestart, func(s *Slot) bool { return s.State == SlotCooling && s.Restart }, false},
		{CauseCooling, func(s *Slot) bool { return s.State == SlotCooling }, false},
	} {
		if kind.complete && !f.Complete {
			continue
		}
		slots, since := 0, time.Time{}
		for i := range f.Slots {
			if s := &f.Slots[i]; kind.is(s) {
				slots++
				since = earliest(since, s.Ended)
			}
		}
		if slots > 0 && f.EffectiveHeadroom+slots > 0 {
			certainty := Likely // which slots cool is assumed (docs/qlik.md, "Five-minute tail")
			if f.RowsKnown {
				certainty = Certain
			}
			return Judgment{kind.cause, certainty, since}
		}
	}
	if n := f.MayCool(); n > 0 && f.EffectiveHeadroom+n > 0 {
		return unknownCause
	}
	return Judgment{}
}

// MayCool returns the number of slots of which it is unknown whether they cool or are left
// over, because nobody saw their sessions end.
func (f *Facts) MayCool() (n int) {
	for i := range f.Slots {
		if s := &f.Slots[i]; s.State == SlotEnded && !s.FreesAt.IsZero() {
			n++
		}
	}
	return n
}

// program judges sessions that start again and again and are not used.
func (f *Facts) program() Judgment {
	if f.ActivityInterval > 0 && !f.IdleKnown() {
		return Judgment{} // a session may have been used without a trace
	}
	var first, last, lastGranted time.Time
	starts, granted := 0, 0
	for i := range f.Starts {
		start := &f.Starts[i]
		switch {
		case f.Now.Sub(start.At) > programTime || f.Now.Sub(start.At) <= unusedTime:
			continue // too old, or too new to know
		case !start.Refused && (start.Used == nil || *start.Used):
			return Judgment{}
		}
		if starts == 0 || start.At.Sub(last) > burst {
			starts++
			last = start.At
			first = earliest(first, start.At)
		}
		if !start.Refused && (granted == 0 || start.At.Sub(lastGranted) > burst) {
			granted++
			lastGranted = start.At
		}
	}
	if starts < programStarts || granted < programGranted {
		return Judgment{}
	}
	return Judgment{CauseProgram, Likely, first}
}

// bursts judges sessions that start faster than a person starts them.
func (f *Facts) bursts() Judgment {
	byVirtualProxy := make(map[string][]time.Time)
	for i := range f.Starts {
		start := &f.Starts[i]
		byVirtualProxy[start.VirtualProxy] = append(byVirtualProxy[start.VirtualProxy], start.At)
	}
	var runaway time.Time
	for _, starts := range byVirtualProxy {
		recent := slices.DeleteFunc(slices.Clone(starts), func(at time.Time) bool { return f.Now.Sub(at) > burst })
		if growing := len(recent) > 0 && f.Now.Sub(recent[len(recent)-1]) <= closeRounds; growing && len(recent) > f.Limit {
			runaway = earliest(runaway, beginning(starts))
		}
	}
	if !runaway.IsZero() {
		return Judgment{CauseRunaway, Certain, runaway}
	}
	// Only sessions that still hold slots explain why there is none.
	held := make(map[string][]time.Time)
	for i := range f.Slots {
		if s := &f.Slots[i]; s.live() && !s.Started.IsZero() {
			held[s.VirtualProxy] = append(held[s.VirtualProxy], s.Started)
		}
	}
	var page time.Time
	for _, starts := range held {
		slices.SortFunc(starts, time.Time.Compare)
		for i := burstSessions - 1; i < len(starts); i++ {
			if first := starts[i-burstSessions+1]; starts[i].Sub(first) <= burst {
				page = earliest(page, first)
				break
			}
		}
	}
	if page.IsZero() {
		return Judgment{}
	}
	return Judgment{CauseEmbeddedPage, Likely, page}
}

// beginning returns the start of the series of starts that goes on until the last one,
// without a pause of more than burst.
func beginning(starts []time.Time) time.Time {
	first := starts[len(starts)-1]
	for i := len(starts) - 2; i >= 0 && first.Sub(starts[i]) <= burst; i-- {
		first = starts[i]
	}
	return first
}

func (f *Facts) shared() Judgment {
	if f.AboveSince.IsZero() || f.Now.Sub(f.AboveSince) < sharedTime {
		return Judgment{}
	}
	return Judgment{CauseSharedAccount, Likely, f.AboveSince}
}

// windows judges the sessions that exist by their use and place.
func (f *Facts) windows() Judgment {
	var idle []time.Time
	used := make(map[string]bool)    // virtual proxies with a session in use
	nodes := make(map[string]string) // node by virtual proxy
	notSticky, unseen, unknown, held := false, 0, false, 0
	for i := range f.Slots {
		s := &f.Slots[i]
		if !s.live() {
			continue
		}
		switch {
		case s.LastActive.IsZero():
			unknown = unknown || s.Taken()
		case s.State == SlotIdle:
			idle = append(idle, s.LastActive)
		case s.State == SlotActive:
			used[s.VirtualProxy] = true
		}
		if s.Started.IsZero() {
			unseen++
		}
		if s.Taken() {
			held++
		}
		if node, again := nodes[s.VirtualProxy]; again && node != s.Node && f.NotSticky[s.VirtualProxy] {
			notSticky = true
		}
		nodes[s.VirtualProxy] = s.Node
	}
	slices.SortFunc(idle, time.Time.Compare)
	switch {
	case len(idle) >= 2:
		certainty := Likely // what looks idle may be in use
		if f.IdleKnown() {
			certainty = Certain
		}
		return Judgment{CauseForgottenWindows, certainty, idle[1].Add(IdleTime)}
	case len(used) >= usedVirtualProxies:
		return Judgment{CauseSeveralVirtualProxies, Likely, f.Reached}
	case notSticky:
		return Judgment{CauseNotSticky, Likely, f.Reached}
	case !f.Complete || unknown || unseen >= burstSessions || held < f.Limit-1:
		return Judgment{} // another cause is possible that the facts would not show
	default:
		return Judgment{CauseSeveralWindows, Likely, f.Reached}
	}
}

// earliest returns the earlier of two times. The zero time is unknown.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// latestFirst orders slots for people: sessions in use first, then by last activity.
func latestFirst(a, b Slot) int {
	return cmp.Or(b.LastActive.Compare(a.LastActive), b.FirstSeen.Compare(a.FirstSeen), cmp.Compare(a.VirtualProxy, b.VirtualProxy), cmp.Compare(a.Node, b.Node))
}
