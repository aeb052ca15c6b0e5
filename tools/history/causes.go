package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// causeNames are the values of the label cause.
var causeNames = headroom.Causes()

// maxCauses is the maximum number of causes.
const maxCauses = 15

// judge sets why a person is near the limit, or was refused within 15 minutes.
func (h *history) judge(p *person, day int64, sessions []session, refused []refusal, today *[daySteps]seen) {
	const recent = int(headroom.RecentRefusal / time.Minute)
	for k := range today {
		at := h.at(day, k)
		if at == nil || !h.up(h.index(day, k)) {
			continue
		}
		s, minute := &today[k], k*stepSeconds/60
		lately := slices.ContainsFunc(refused, func(r refusal) bool { return r.minute <= minute && minute-r.minute < recent })
		if !lately && (!s.present() || s.effective() > 1) {
			continue
		}
		f := h.facts(p, day, k, sessions, s)
		for _, r := range slices.Backward(refused) { // the last one first
			if r.minute <= minute && minute-r.minute < recent {
				f.Refusals = append(f.Refusals, qlik.Refusal{At: minuteOf(day, r.minute), Reason: qlik.RefusalReason(refusalReasons[r.reason]), License: f.License})
			}
		}
		if p.limited() && s.effective() <= 1 {
			at.countIdle(h.proxies, f, s.effective() == 0 && h.reaches(day, k, sessions, today))
		}
		s.cause = uint8(1 + slices.Index(causeNames, f.Judge().Cause)) //nolint:gosec // there are maxCauses
		at.causes[s.cause-1]++
	}
}

// reaches reports whether a person without a free slot had one at the step before, and has
// logged in since.
func (h *history) reaches(day int64, k int, sessions []session, today *[daySteps]seen) bool {
	if k == 0 || today[k-1].effective() == 0 || h.at(day, k).down != 0 {
		return false
	}
	return slices.ContainsFunc(sessions, func(s session) bool { return !s.refused && (s.begin+4)/5 == k })
}

// facts returns what the exporter knows of the sessions and slots of a person.
func (h *history) facts(p *person, day int64, k int, sessions []session, s *seen) *headroom.Facts {
	minute := k * stepSeconds / 60
	f := &headroom.Facts{
		Now: minuteOf(day, minute), Limit: limit, EffectiveHeadroom: s.effective(), Complete: h.at(day, k).down == 0, RowsKnown: true,
		License: p.licenseLabel(s), Administrator: p.admin, RolesKnown: true,
	}
	if p.service {
		f.ServiceAccount = headroom.ConnectsReloads
	}
	for i := range sessions {
		session := &sessions[i]
		if session.begin > minute {
			continue
		}
		proxy := h.proxy(p, session.place)
		node := h.links[h.link(p, proxy)].node
		start := headroom.Start{At: minuteOf(day, session.begin), VirtualProxy: h.proxies[proxy], Refused: session.refused}
		if last := session.lastUsed(minute); !session.refused {
			start.Used = new(last > session.begin+1)
		}
		if minute-session.begin < 60 {
			f.Starts = append(f.Starts, start)
		}
		if !session.listed(k) || h.at(day, k).down&(1<<node) != 0 {
			continue
		}
		slot := headroom.Slot{VirtualProxy: h.proxies[proxy], Node: h.nodes[node], State: headroom.SlotActive, FirstSeen: start.At, Started: start.At}
		switch {
		case session.refused || !p.limited():
			slot.State = headroom.SlotRefused
		default:
			slot.Granted, slot.LastActive = start.At, minuteOf(day, session.lastUsed(minute))
			if f.Now.Sub(slot.LastActive) >= headroom.IdleTime {
				slot.State = headroom.SlotIdle
			}
		}
		f.Slots = append(f.Slots, slot)
	}
	for proxy, cools := range s.cools {
		for range cools {
			f.Slots = append(f.Slots, headroom.Slot{VirtualProxy: h.proxies[proxy], State: headroom.SlotCooling, Ended: f.Now, FreesAt: f.Now.Add(cooling * time.Minute)})
		}
	}
	slices.SortFunc(f.Starts, func(a, b headroom.Start) int { return a.At.Compare(b.At) })
	return f
}

func minuteOf(day int64, minute int) time.Time {
	return time.Unix(day*daySeconds+int64(minute)*60, 0)
}

// listed reports whether Qlik lists the session at a step.
func (s *session) listed(k int) bool { return (s.begin+4)/5 <= k && k < (s.end+4)/5 }

// lastUsed returns the last minute up to a minute in which the session was used.
func (s *session) lastUsed(minute int) int {
	last := s.begin
	for _, use := range s.uses {
		if use.begin <= minute {
			last = max(last, min(minute, use.begin+use.minutes))
		}
	}
	return last
}

// causeRecords writes the number of people by cause.
func (t *text) causeRecords() {
	t.family("cause:qlik_user_limit_cause:count", "gauge")
	for number, cause := range causeNames {
		t.series("cause:qlik_user_limit_cause:count", fmt.Sprintf("cause=%q,%s", cause, t.record()), 0, func(i int) (float64, bool) {
			return float64(t.steps[i].causes[number]), t.steps[i].causes[number] > 0
		})
	}
}

// userCauses writes the cause of each person near the limit.
func (t *text) userCauses() {
	t.family("qlik_user_limit_cause", "gauge")
	for _, p := range t.people {
		for number, cause := range causeNames {
			t.user("qlik_user_limit_cause", fmt.Sprintf("cause=%q,%s", cause, labelsOf(p, t.target())), p, func(s *seen, _ int) (float64, bool) {
				return 1, int(s.cause) == number+1
			})
		}
	}
}
