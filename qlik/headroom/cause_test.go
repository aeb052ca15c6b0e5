package headroom

import (
	"fmt"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// ago returns a time before the facts.
func ago(minutes float64) time.Time {
	return morning.Add(-time.Duration(minutes * float64(time.Minute)))
}

// inUse returns a session that started at a time and was used a minute ago.
func inUse(startedAgo float64) Slot {
	return Slot{VirtualProxy: "/", Node: "n1", State: SlotActive, FirstSeen: ago(startedAgo), Started: ago(startedAgo), LastActive: ago(1)}
}

// idleFor returns a session that started two hours ago and has not been used for some time.
func idleFor(minutes float64) Slot {
	return Slot{VirtualProxy: "/", Node: "n1", State: SlotIdle, FirstSeen: ago(120), Started: ago(120), LastActive: ago(minutes)}
}

// gone returns a slot whose session ended.
func gone(state SlotState, minutes float64) Slot {
	return Slot{State: state, Ended: ago(minutes)}
}

func begun(used bool, minutesAgo ...float64) []Start {
	starts := make([]Start, 0, len(minutesAgo))
	for _, minutes := range minutesAgo {
		starts = append(starts, Start{At: ago(minutes), VirtualProxy: "/", Used: &used})
	}
	return starts
}

// busyUser returns the facts of somebody with five sessions in use, about whom everything
// is known.
func busyUser() Facts {
	return Facts{
		Now: morning, Limit: 5, Complete: true, RowsKnown: true, ActivityInterval: time.Minute,
		License: qlik.LicenseAnalyzer, RolesKnown: true, Reached: ago(20),
		Slots: []Slot{inUse(100), inUse(80), inUse(60), inUse(40), inUse(20)},
	}
}

// situation is a user as administrators describe one.
type situation struct {
	name  string
	facts func(f *Facts)
	want  Judgment
	// otherwise are changes of one fact with the cause that the user has then.
	otherwise []change
}

type change struct {
	what string
	fact func(f *Facts)
	want Cause
}

var noAnswer = Judgment{Cause: CauseUnknown, Certainty: Uncertain}

func situations() []situation {
	refused := func(noLicense bool, minutes ...float64) func(f *Facts) {
		return func(f *Facts) {
			for _, at := range minutes {
				refusal := qlik.Refusal{At: ago(at), Reason: qlik.RefusedSessionLimit, License: f.License}
				if noLicense {
					refusal.Reason = qlik.RefusedNoLicense
				}
				f.Refusals = append([]qlik.Refusal{refusal}, f.Refusals...)
			}
		}
	}
	incomplete := change{"a node does not answer", func(f *Facts) { f.Complete = false }, CauseUnknown}
	return []situation{
		{"five windows of one person", nil, Judgment{CauseSeveralWindows, Likely, ago(20)}, []change{
			incomplete,
			{"the use of a session is unknown", func(f *Facts) { f.Slots[0].LastActive = time.Time{} }, CauseUnknown},
			{"three sessions were there when the exporter started", func(f *Facts) {
				for i := range 3 {
					f.Slots[i].Started = time.Time{}
				}
			}, CauseUnknown},
			{"only three are listed although no slot is free", func(f *Facts) { f.Slots = f.Slots[:3] }, CauseUnknown},
		}},
		{
			"five in use, and one of them ended unseen", func(f *Facts) { f.Slots[0] = Slot{State: SlotEnded, Ended: ago(0), FreesAt: ago(-5)} },
			unknownCause,
			[]change{
				{"its end was seen", func(f *Facts) { f.Slots[0].State = SlotCooling }, CauseCooling},
				{"it cannot cool any more", func(f *Facts) { f.Slots[0].FreesAt = time.Time{} }, CauseSeveralWindows},
				{"a slot is free", func(f *Facts) { f.EffectiveHeadroom = 1 }, CauseSeveralWindows},
			},
		},
		{"four windows, one slot left", func(f *Facts) { f.EffectiveHeadroom, f.Slots = 1, f.Slots[:4] }, Judgment{CauseSeveralWindows, Likely, ago(20)}, []change{incomplete}},
		{
			"two sessions were there when the exporter started", func(f *Facts) { f.Slots[0].Started, f.Slots[1].Started = time.Time{}, time.Time{} },
			Judgment{CauseSeveralWindows, Likely, ago(20)},
			nil,
		},
		{"without usage rows nothing tells whether sessions are used", func(f *Facts) {
			f.RowsKnown = false
			for i := range f.Slots {
				f.Slots[i].LastActive = time.Time{}
			}
		}, noAnswer, nil},

		{
			"a user without license", func(f *Facts) {
				f.License, f.EffectiveHeadroom, f.Slots = qlik.LicenseNone, 5, nil
				refused(true, 12, 2)(f)
			},
			Judgment{CauseNoLicense, Certain, ago(12)},
			[]change{
				{"refused long ago", func(f *Facts) { f.Refusals[0].At, f.Refusals[1].At = ago(16), ago(17) }, CauseUnknown},
				{"refused because of the limit", func(f *Facts) { f.Refusals[0].Reason = qlik.RefusedSessionLimit }, CauseUnknown},
				{"an administrator", func(f *Facts) { f.Administrator = true }, CauseUnknown},
				{"the license is unknown", func(f *Facts) { f.License = qlik.LicenseUnknown }, CauseUnknown},
				{"licenses are not read", func(f *Facts) { f.License = "" }, CauseUnknown},
			},
		},
		{"a user without license whose roles are unknown", func(f *Facts) {
			f.License, f.RolesKnown, f.EffectiveHeadroom, f.Slots = qlik.LicenseNone, false, 5, nil
			refused(true, 12, 2)(f)
		}, Judgment{CauseNoLicense, Likely, ago(12)}, nil},
		{
			"refused once more because of the limit, which counts", func(f *Facts) { f.License = qlik.LicenseNone; refused(true, 9)(f); refused(false, 3)(f) },
			Judgment{CauseSeveralWindows, Likely, ago(20)},
			nil,
		},
		{
			"an administrator without license opens the QMC", func(f *Facts) { f.License, f.Administrator = qlik.LicenseNone, true; refused(true, 1)(f) },
			Judgment{CauseSeveralWindows, Likely, ago(20)},
			[]change{{"no administrator", func(f *Facts) { f.Administrator = false }, CauseNoLicense}},
		},

		{
			"the license service fails", func(f *Facts) { f.EffectiveHeadroom, f.Slots = 5, nil; refused(true, 2, 1)(f) },
			Judgment{CauseLicenseService, Certain, ago(2)},
			[]change{
				{"the licenses were not known then", func(f *Facts) { f.Refusals[0].License = qlik.LicenseUnknown }, CauseUnknown},
				{"the access is quarantined", func(f *Facts) { f.Unusable = true }, CauseUnknown},
				{"it let the user in since", func(f *Facts) { f.Slots = []Slot{{State: SlotActive, Granted: ago(0.5)}} }, CauseUnknown},
				{"it let the user in before", func(f *Facts) { f.Slots = []Slot{{State: SlotActive, Granted: ago(1.5)}} }, CauseLicenseService},
				{"no license", func(f *Facts) { f.License = qlik.LicenseNone }, CauseNoLicense},
			},
		},
		{
			"a license that was given after the refusal", func(f *Facts) { refused(true, 2)(f); f.Refusals[0].License = qlik.LicenseNone },
			Judgment{CauseSeveralWindows, Likely, ago(20)},
			[]change{{"held before", func(f *Facts) { f.Refusals[0].License = qlik.LicenseAnalyzer }, CauseLicenseService}},
		},
		{"denied and licensed: which of the two is true is unknown", func(f *Facts) { f.License = qlik.LicenseUnknown; refused(true, 2)(f) }, noAnswer, nil},
		{"a quarantined access", func(f *Facts) { f.Unusable = true; refused(true, 2)(f) }, noAnswer, nil},

		{
			"a service account named in the configuration", func(f *Facts) { f.ServiceAccount = NamedServiceAccount },
			Judgment{CauseServiceAccount, Certain, ago(20)},
			[]change{{"not a service account", func(f *Facts) { f.ServiceAccount = NoServiceAccount }, CauseSeveralWindows}},
		},
		{"the account of the services", func(f *Facts) { f.ServiceAccount = RunsServices }, Judgment{CauseServiceAccount, Certain, ago(20)}, nil},
		{"the account of data connections", func(f *Facts) { f.ServiceAccount = ConnectsReloads }, Judgment{CauseServiceAccount, Likely, ago(20)}, nil},
		{"a service account whose slots cool", func(f *Facts) { f.ServiceAccount = RunsServices; f.Slots[0] = gone(SlotCooling, 2) }, Judgment{CauseServiceAccount, Certain, ago(20)}, nil},
		{
			"a service account without license", func(f *Facts) { f.ServiceAccount, f.License = RunsServices, qlik.LicenseNone; refused(true, 3)(f) },
			Judgment{CauseNoLicense, Certain, ago(3)},
			nil,
		},

		{"a leftover row holds the last slot", func(f *Facts) { f.Slots[0] = gone(SlotLeftover, 90) }, Judgment{CauseLeftoverRows, Certain, ago(90)}, []change{
			incomplete,
			{"a slot is free", func(f *Facts) { f.EffectiveHeadroom = 1 }, CauseSeveralWindows},
			{"without it, none would be free", func(f *Facts) { f.EffectiveHeadroom = -1 }, CauseSeveralWindows},
			{"it cools", func(f *Facts) { f.Slots[0].State = SlotCooling }, CauseCooling},
			{"it may still end by itself", func(f *Facts) { f.Slots[0].State = SlotEnded }, CauseSeveralWindows},
		}},
		{
			"two leftover rows", func(f *Facts) { f.Slots[0], f.Slots[1] = gone(SlotLeftover, 90), gone(SlotLeftover, 200) },
			Judgment{CauseLeftoverRows, Certain, ago(200)},
			nil,
		},
		{
			"a leftover row and a cooling slot", func(f *Facts) { f.Slots[0], f.Slots[1] = gone(SlotLeftover, 90), gone(SlotCooling, 1) },
			Judgment{CauseLeftoverRows, Certain, ago(90)},
			nil,
		},

		{"the proxy has restarted", func(f *Facts) {
			for i := range 3 {
				f.Slots[i] = gone(SlotCooling, 2)
				f.Slots[i].Restart = true
			}
		}, Judgment{CauseProxyRestart, Certain, ago(2)}, []change{
			{"no restart", func(f *Facts) {
				for i := range f.Slots {
					f.Slots[i].Restart = false
				}
			}, CauseCooling},
			{"without usage rows it is likely", func(f *Facts) { f.RowsKnown = false }, CauseProxyRestart},
			{"a slot is free", func(f *Facts) { f.EffectiveHeadroom = 1 }, CauseUnknown},
		}},
		{"one slot of a restart and one that was closed", func(f *Facts) {
			f.Slots[0], f.Slots[1] = gone(SlotCooling, 2), gone(SlotCooling, 3)
			f.Slots[0].Restart = true
		}, Judgment{CauseProxyRestart, Certain, ago(2)}, nil},
		{"two are needed, and the restart freed one", func(f *Facts) {
			f.EffectiveHeadroom = -1
			f.Slots[0], f.Slots[1] = gone(SlotCooling, 2), gone(SlotCooling, 3)
			f.Slots[0].Restart = true
		}, Judgment{CauseCooling, Certain, ago(3)}, nil},

		{"closed a window at the limit", func(f *Facts) { f.Slots[0] = gone(SlotCooling, 4) }, Judgment{CauseCooling, Certain, ago(4)}, []change{
			{"it has cooled", func(f *Facts) { f.Slots, f.EffectiveHeadroom = f.Slots[1:], 1 }, CauseSeveralWindows},
			{"a node does not answer", func(f *Facts) { f.Complete = false }, CauseCooling},
		}},
		{"all five ended by another tool, and still trying", func(f *Facts) {
			for i := range f.Slots {
				f.Slots[i].State = SlotRefused
				f.Slots = append(f.Slots, gone(SlotCooling, 2))
			}
		}, Judgment{CauseCooling, Certain, ago(2)}, nil},
		{"cooling without usage rows", func(f *Facts) { f.RowsKnown = false; f.Slots[0] = gone(SlotCooling, 4) }, Judgment{CauseCooling, Likely, ago(4)}, nil},

		{"a script that logs in every ten minutes", func(f *Facts) { f.Starts = begun(false, 50, 40, 30, 20, 10) }, Judgment{CauseProgram, Likely, ago(50)}, []change{
			{"it works with its sessions", func(f *Facts) { f.Starts[4].Used = new(true) }, CauseSeveralWindows},
			{"its use is unknown", func(f *Facts) { f.Starts[0].Used = nil }, CauseSeveralWindows},
			{"three times in an hour", func(f *Facts) { f.Starts = f.Starts[2:] }, CauseSeveralWindows},
			{"all but one were refused, as for a person who tries again", func(f *Facts) {
				for i := range f.Starts[1:] {
					f.Starts[1+i].Used, f.Starts[1+i].Refused = nil, true
				}
			}, CauseSeveralWindows},
			{"all but two were refused", func(f *Facts) {
				for i := range f.Starts[2:] {
					f.Starts[2+i].Used, f.Starts[2+i].Refused = nil, true
				}
			}, CauseProgram},
		}},
		{"two windows opened at once, and then refused", func(f *Facts) {
			f.Starts = begun(false, 50, 49, 40, 30, 20)
			for i := range f.Starts[2:] {
				f.Starts[2+i].Used, f.Starts[2+i].Refused = nil, true
			}
		}, Judgment{CauseSeveralWindows, Likely, ago(20)}, []change{
			{"the second one later", func(f *Facts) { f.Starts[1].At = ago(45) }, CauseProgram},
		}},
		{"four starts at once are no series", func(f *Facts) { f.Starts = begun(false, 20, 19.5, 19, 18.5) }, Judgment{CauseSeveralWindows, Likely, ago(20)}, nil},
		{"starts more than an hour ago", func(f *Facts) { f.Starts = begun(false, 100, 80, 70, 61, 50) }, Judgment{CauseSeveralWindows, Likely, ago(20)}, nil},

		{"a page in a loop", func(f *Facts) { f.Starts = begun(false, 1.9, 1.5, 1.2, 0.9, 0.5, 0.2) }, Judgment{CauseRunaway, Certain, ago(1.9)}, []change{
			{"five is the limit", func(f *Facts) { f.Starts = f.Starts[1:] }, CauseSeveralWindows},
			{"it has stopped", func(f *Facts) { f.Now = f.Now.Add(70 * time.Second) }, CauseSeveralWindows},
			{"on several virtual proxies", func(f *Facts) { f.Starts[0].VirtualProxy, f.Starts[2].VirtualProxy = "/a", "/b" }, CauseSeveralWindows},
		}},
		{"a loop that began ten minutes ago", func(f *Facts) {
			f.Starts = begun(true, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1.8, 1.5, 1.2, 0.9, 0.5, 0.2)
		}, Judgment{CauseRunaway, Certain, ago(10)}, nil},

		{
			"a page with three embedded charts", func(f *Facts) {
				f.Slots[2].Started, f.Slots[3].Started, f.Slots[4].Started = ago(30), ago(29.5), ago(29)
			},
			Judgment{CauseEmbeddedPage, Likely, ago(30)},
			[]change{
				{"one of them was not seen to start", func(f *Facts) { f.Slots[3].Started = time.Time{} }, CauseSeveralWindows},
				{"on another virtual proxy", func(f *Facts) { f.Slots[3].VirtualProxy = "/sales" }, CauseSeveralWindows},
				{"over three minutes", func(f *Facts) { f.Slots[4].Started = ago(27) }, CauseSeveralWindows},
				{"one has ended", func(f *Facts) { f.Slots[4] = gone(SlotEnded, 1) }, CauseSeveralWindows},
			},
		},
		{"two windows at once", func(f *Facts) { f.Slots[3].Started, f.Slots[4].Started = ago(30), ago(30) }, Judgment{CauseSeveralWindows, Likely, ago(20)}, nil},
		{"an embedded page whose charts are idle by now", func(f *Facts) {
			for i := range f.Slots {
				f.Slots[i] = idleFor(15)
				f.Slots[i].Started = ago(16)
			}
		}, Judgment{CauseEmbeddedPage, Likely, ago(16)}, nil},

		{"a display account of a call center", func(f *Facts) { f.AboveSince = ago(40) }, Judgment{CauseSharedAccount, Likely, ago(40)}, []change{
			{"not for long", func(f *Facts) { f.AboveSince = ago(14) }, CauseSeveralWindows},
			{"never", func(f *Facts) { f.AboveSince = time.Time{} }, CauseSeveralWindows},
		}},

		{"two browsers that were left open", func(f *Facts) { f.Slots[0], f.Slots[1] = idleFor(25), idleFor(12) }, Judgment{CauseForgottenWindows, Certain, ago(2)}, []change{
			{"one of them is in use", func(f *Facts) { f.Slots[1].State, f.Slots[1].LastActive = SlotActive, ago(3) }, CauseSeveralWindows},
			{"one of them has ended", func(f *Facts) { f.Slots[1] = gone(SlotEnded, 1) }, CauseSeveralWindows},
			{"a node does not answer", func(f *Facts) { f.Complete = false }, CauseForgottenWindows},
		}},
		{"new sessions that look unused, and nobody knows how soon activity is recorded", func(f *Facts) {
			f.Starts, f.ActivityInterval = begun(false, 40, 30, 20, 10), 0
		}, Judgment{CauseProgram, Likely, ago(40)}, []change{
			{"only every six minutes", func(f *Facts) { f.ActivityInterval = 6 * time.Minute }, CauseSeveralWindows},
		}},
		{"two that look idle, on a site that records activity every six minutes", func(f *Facts) {
			f.Slots[0], f.Slots[1], f.ActivityInterval = idleFor(25), idleFor(12), 6*time.Minute
		}, Judgment{CauseForgottenWindows, Likely, ago(2)}, nil},
		{"two that look idle, and nobody knows how soon activity is recorded", func(f *Facts) {
			f.Slots[0], f.Slots[1], f.ActivityInterval = idleFor(25), idleFor(12), 0
		}, Judgment{CauseForgottenWindows, Likely, ago(2)}, nil},
		{"a closed browser, then four windows", func(f *Facts) { f.Slots[0] = idleFor(25) }, Judgment{CauseSeveralWindows, Likely, ago(20)}, nil},
		{"forgotten on the phone before the exporter started", func(f *Facts) {
			f.Slots[0], f.Slots[1] = idleFor(25), idleFor(12)
			f.Slots[0].Started, f.Slots[1].Started = time.Time{}, time.Time{}
		}, Judgment{CauseForgottenWindows, Certain, ago(2)}, nil},

		{"hub, portal and QMC", func(f *Facts) { f.Slots[0].VirtualProxy, f.Slots[1].VirtualProxy = "/portal", "/qmc" }, Judgment{CauseSeveralVirtualProxies, Likely, ago(20)}, []change{
			{"two of them", func(f *Facts) { f.Slots[1].VirtualProxy = "/portal" }, CauseSeveralWindows},
			{"one is idle", func(f *Facts) { f.Slots[1].State, f.Slots[1].LastActive = SlotIdle, ago(11) }, CauseSeveralWindows},
			{"the use of one is unknown", func(f *Facts) { f.Slots[1].LastActive = time.Time{} }, CauseUnknown},
		}},
		{
			"one user on two nodes of a spread virtual proxy", func(f *Facts) { f.Slots[0].Node, f.NotSticky = "n2", map[string]bool{"/": true} },
			Judgment{CauseNotSticky, Likely, ago(20)},
			[]change{
				{"only this user is spread", func(f *Facts) { f.NotSticky = nil }, CauseSeveralWindows},
				{"on one node", func(f *Facts) { f.Slots[0].Node = "n1" }, CauseSeveralWindows},
				{"another virtual proxy is spread", func(f *Facts) { f.NotSticky = map[string]bool{"/sales": true} }, CauseSeveralWindows},
			},
		},

		{"just after a start of the exporter", func(f *Facts) {
			f.Reached = time.Time{}
			for i := range f.Slots {
				f.Slots[i].Started = time.Time{}
			}
		}, noAnswer, []change{{"two of them are idle", func(f *Facts) { f.Slots[0], f.Slots[1] = idleFor(20), idleFor(30) }, CauseForgottenWindows}}},
		{"refused because of the limit, but nothing is taken", func(f *Facts) { f.EffectiveHeadroom, f.Slots = 5, nil; refused(false, 1)(f) }, noAnswer, nil},
		{"no slot is free, but no session is known", func(f *Facts) { f.Slots = nil }, noAnswer, nil},
	}
}

func TestCauses(t *testing.T) {
	all := situations()
	if len(all) < 40 {
		t.Errorf("only %d situations", len(all))
	}
	found := make(map[Cause]bool)
	for _, s := range all {
		facts := func() Facts {
			f := busyUser()
			if s.facts != nil {
				s.facts(&f)
			}
			return f
		}
		f := facts()
		compare(t, s.name, f.Judge(), s.want)
		found[s.want.Cause] = true
		for _, other := range s.otherwise {
			f := facts()
			other.fact(&f)
			compare(t, fmt.Sprintf("%s, but %s", s.name, other.what), f.Judge().Cause, other.want)
		}
	}
	for _, cause := range Causes() {
		if !found[cause] {
			t.Errorf("no situation has the cause %s", cause)
		}
	}
}

// TestLicenseDoubtful checks when it is unknown whether Qlik would refuse a user again for
// want of a license.
func TestLicenseDoubtful(t *testing.T) {
	for _, test := range []struct {
		name string
		fact func(f *Facts)
		want bool
	}{
		{"too few seats, so the license was not sure", func(f *Facts) { f.Refusals[0].License = qlik.LicenseUnknown }, true},
		{"the license service", func(*Facts) {}, true},
		{"in quarantine", func(f *Facts) { f.Unusable, f.Refusals[0].License = true, qlik.LicenseNone }, true},
		{"licenses are not read", func(f *Facts) { f.License = "" }, true},
		{"given since", func(f *Facts) { f.Refusals[0].License = qlik.LicenseNone }, false},
		{"let in since", func(f *Facts) { f.Slots[0].Granted = ago(4) }, false},
		{"let in before", func(f *Facts) { f.Slots[0].Granted = ago(6) }, true},
		{"certainly no license", func(f *Facts) { f.License = qlik.LicenseNone }, false},
		{"because of the limit", func(f *Facts) { f.Refusals[0].Reason = qlik.RefusedSessionLimit }, false},
		{"long ago", func(f *Facts) { f.Refusals[0].At = ago(16) }, false},
		{"never", func(f *Facts) { f.Refusals = nil }, false},
	} {
		f := busyUser()
		f.Refusals = []qlik.Refusal{{At: ago(5), Reason: qlik.RefusedNoLicense, License: qlik.LicenseAnalyzer}}
		test.fact(&f)
		if got := f.LicenseDoubtful(); got != test.want {
			t.Errorf("%s: %t", test.name, got)
		}
	}
}

// TestNeedsNoSlot checks which sessions without a slot were granted.
func TestNeedsNoSlot(t *testing.T) {
	f := busyUser()
	session := Slot{State: SlotRefused, FirstSeen: ago(5)}
	for _, test := range []struct {
		license string
		minutes float64 // since the refusal
		want    bool
	}{
		{qlik.LicenseNone, 30, true},
		{qlik.LicenseUnknown, 30, true},
		{qlik.LicenseAnalyzer, 30, false},
		{qlik.LicenseNone, 5.5, false},
		{qlik.LicenseNone, 2, false},
	} {
		f.License, f.Refusals = test.license, []qlik.Refusal{{At: ago(test.minutes), Reason: qlik.RefusedNoLicense}}
		if got := f.NeedsNoSlot(&session); got != test.want {
			t.Errorf("%+v: got %t", test, got)
		}
	}
}
