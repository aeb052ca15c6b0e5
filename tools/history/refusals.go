package main

import (
	"fmt"
	"slices"

	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// refusalReasons are the values of the label reason. noLicense is the index of the second.
var refusalReasons = [2]string{"session_limit", "no_license"}

const noLicense = 1

// countRefused counts the refused logins of a person on a day, by reason and by cause.
func (h *history) countRefused(p *person, day int64, logins []refusal, today *[daySteps]seen) {
	for i := range logins {
		login := &logins[i]
		k := login.step()
		at := h.at(day, k)
		if at == nil {
			continue
		}
		at.refused[login.reason]++
		cause := int(today[k].cause) - 1
		if cause < 0 && login.reason == noLicense {
			cause = slices.Index(causeNames, headroom.CauseNoLicense)
		} else if cause < 0 { // no node answered
			cause = slices.Index(causeNames, headroom.CauseUnknown)
		}
		at.refusedCauses[cause]++
		p.refused = append(p.refused, refusedLogin{h.index(day, k), minuteOf(day, login.minute).Unix(), login.reason})
	}
}

// total returns a function of a step: the sum of a value up to it.
func (h *history) total(value func(s *step) uint16) func(i int) int {
	total := make([]int, len(h.steps))
	for i := range h.steps {
		total[i] = total[max(0, i-1)] + int(value(&h.steps[i]))
	}
	return func(i int) int { return total[i] }
}

// detailedRefusals writes the exporter's counters of refused logins.
func (t *text) detailedRefusals(from int) {
	for _, m := range []struct {
		name  string
		value func(s *step) [2]uint16
	}{
		{"qlik_access_denied_total", func(s *step) [2]uint16 { return s.denied }},
		{"qlik_logins_refused_total", func(s *step) [2]uint16 { return s.refused }},
	} {
		t.family(m.name, "counter")
		for number, reason := range refusalReasons {
			total := t.total(func(s *step) uint16 { return m.value(s)[number] })
			t.series(m.name, fmt.Sprintf("reason=%q,%s", reason, t.target()), from, always(total))
		}
	}
	t.family("qlik_refusal_causes_total", "counter")
	for number, cause := range causeNames {
		total := t.total(func(s *step) uint16 { return s.refusedCauses[number] })
		t.series("qlik_refusal_causes_total", fmt.Sprintf("cause=%q,%s", cause, t.target()), from, always(total))
	}
}

// refusalRecords writes the refused logins of the last day.
func (t *text) refusalRecords() {
	t.family("reason:qlik_logins_refused:increase1d", "gauge")
	for number, reason := range refusalReasons {
		total := t.total(func(s *step) uint16 { return s.refused[number] })
		t.series("reason:qlik_logins_refused:increase1d", fmt.Sprintf("reason=%q,%s", reason, t.record()), 1, inDay(total))
	}
	t.family("cause:qlik_refusal_causes:increase1d", "gauge")
	for number, cause := range causeNames {
		total := t.total(func(s *step) uint16 { return s.refusedCauses[number] })
		t.series("cause:qlik_refusal_causes:increase1d", fmt.Sprintf("cause=%q,%s", cause, t.record()), 1, inDay(total))
	}
}

// refusedRecords writes when people were last refused, within six hours.
func (t *text) refusedRecords() {
	const name, recorded = "user:qlik_user_last_login_refused:timestamp", 6 * 3600
	t.family(name, "gauge")
	t.eachRefused(func(p *person, reason int, logins []refusedLogin) {
		t.begin(name, refusedLabels(p, reason, t.record()))
		for i, login := range logins {
			end := len(t.steps)
			if i+1 < len(logins) {
				end = logins[i+1].step
			}
			for step := login.step; step < end && t.time(step)-login.at < recorded; step++ {
				t.sample(float64(login.at), t.time(step))
			}
		}
	})
}

// lastRefused writes when users were last refused, within a day.
func (t *text) lastRefused(target string) {
	const name = "qlik_user_last_login_refused_timestamp_seconds"
	t.family(name, "gauge")
	t.eachRefused(func(p *person, reason int, logins []refusedLogin) {
		next := 0
		t.series(name, refusedLabels(p, reason, target), t.userBegin(), func(i int) (float64, bool) {
			for next < len(logins) && logins[next].step <= i {
				next++
			}
			if next == 0 {
				return 0, false
			}
			last := logins[next-1].at
			return float64(last), t.time(i)-last < daySeconds
		})
	})
}

// eachRefused calls a function for each person and reason with the refused logins, oldest
// first.
func (t *text) eachRefused(do func(p *person, reason int, logins []refusedLogin)) {
	for _, p := range t.people {
		for reason := range refusalReasons {
			logins := slices.DeleteFunc(slices.Clone(p.refused), func(login refusedLogin) bool { return login.reason != reason })
			if len(logins) > 0 {
				do(p, reason, logins)
			}
		}
	}
}

func refusedLabels(p *person, reason int, labels string) string {
	return fmt.Sprintf("reason=%q,%s", refusalReasons[reason], labelsOf(p, labels))
}
