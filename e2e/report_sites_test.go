package e2e

import (
	"fmt"
	"math"
	"time"
)

// Weeks that a report compares with.
const weeksBefore = 12

// Causes and reasons of refused logins.
const (
	forgotten      = "forgotten_windows"
	severalWindows = "several_windows"
	noLicense      = "no_license"
	sessionLimit   = "session_limit"
)

// refused is a login that Qlik refused because of the session limit.
func refused(at time.Time, count float64, id, cause string) pastRefusal {
	return pastRefusal{at: at, reason: sessionLimit, cause: cause, directory: "CORP", id: id, count: count}
}

// pastSites are sites whose week is known exactly.
func pastSites() []*pastSite {
	usually := []pastSeries{
		{name: "qlik_sessions", value: during(20, 57, span{on(2, 10, 0), on(2, 10, 20)})},
		{name: "qlik_users", labels: `headroom="3",`, value: during(12, 31, span{on(2, 10, 0), on(2, 10, 20)})},
		{name: "qlik_users", labels: `headroom="0",`, value: always(2)},
	}
	newSite := func(name string, refusals ...pastRefusal) *pastSite {
		return &pastSite{
			job: "qlik", site: name, began: on(-8, 0, 0), finely: on(-1, 0, 0), users: true,
			exporters: []pastExporter{{instance: "a:9999", second: 17}}, refusals: refusals, counts: usually,
		}
	}

	plain := newSite("plain",
		refused(on(-1, 22, 0), 2, "zz-eve", forgotten), // belongs to the week before, and is recorded for hours
		refused(on(0, 9, 15), 3, "zz-anna", forgotten),
		refused(on(1, 14, 2), 5, "zz-ben", severalWindows),
		refused(on(3, 10, 20), 2, "zz-carl", forgotten),
		pastRefusal{at: on(4, 8, 0), reason: noLicense, cause: noLicense, directory: "CORP", id: "zz-dora", count: 2},
		refused(on(4, 16, 0), 1, "zz-anna", forgotten),
		refused(on(6, 23, 50), 1, "zz-fred", "unknown"),
	)
	plain.began = on(-7*weeksBefore-1, 0, 0)
	for ago := range weeksBefore {
		plain.refusals = append(plain.refusals, refused(on(-7*(ago+1)+2, 9, 30), float64(4+ago), "zz-anna", forgotten))
	}
	plain.series = []pastSeries{
		{name: "qlik_slots_at_limit", labels: `virtual_proxy="/",`, value: during(0, 5, span{on(0, 9, 0), on(0, 11, 0)})},
		{name: "qlik_slots_at_limit", labels: `virtual_proxy="/sales",`, value: during(0, 10, span{on(1, 12, 0), on(1, 15, 0)})},
		{name: "qlik_reclaimable_slots", labels: `virtual_proxy="/",`, value: always(0)},
		{name: "qlik_reclaimable_slots", labels: `virtual_proxy="/sales",`, value: during(0, 4, span{on(1, 12, 0), on(1, 14, 0)})},
		{name: "qlik_virtual_proxy_session_inactivity_timeout_seconds", labels: `qlik_node="qlik1",virtual_proxy="/",`, value: atTheEnd(1800)},
		{name: "qlik_virtual_proxy_session_inactivity_timeout_seconds", labels: `qlik_node="qlik1",virtual_proxy="/sales",`, value: atTheEnd(3600)},
	}
	for _, bucket := range []struct {
		le    string
		count float64
	}{{"780", 2}, {"1080", 4}, {"1380", 6}, {"1680", 8}, {"+Inf", 10}} {
		plain.series = append(plain.series, pastSeries{
			name: "qlik_limit_reached_longest_idle_seconds_bucket", labels: fmt.Sprintf("le=%q,", bucket.le), value: increasing(bucket.count, on(1, 13, 0)),
		})
	}

	restart := newSite("restart",
		refused(on(0, 9, 15), 3, "zz-anna", forgotten), refused(on(0, 9, 45), 4, "zz-ben", forgotten),
		refused(on(1, 13, 50), 2, "zz-anna", forgotten), refused(on(1, 14, 10), 5, "zz-ben", forgotten), refused(on(1, 14, 40), 1, "zz-anna", forgotten),
		refused(on(2, 23, 50), 2, "zz-carl", severalWindows), refused(on(3, 0, 10), 2, "zz-carl", severalWindows),
	)
	restart.exporters[0].restarts = []time.Time{on(0, 9, 30), on(1, 14, 1), on(1, 14, 30), on(3, 0, 1)}

	pair := newSite("pair",
		refused(on(0, 9, 15), 3, "zz-anna", forgotten), refused(on(3, 11, 0), 6, "zz-ben", forgotten), // only a
		refused(on(6, 2, 0), 3, "zz-carl", severalWindows), // only b
		refused(on(6, 12, 0), 2, "zz-anna", forgotten),
	)
	pair.exporters = []pastExporter{
		{instance: "a:9999", second: 17, away: []span{{on(6, 1, 0), on(6, 3, 0)}}, restarts: []time.Time{on(6, 3, 0)}},
		{instance: "b:9999", second: 41, away: []span{{on(2, 10, 0), on(5, 22, 0)}}, restarts: []time.Time{on(5, 22, 0)}},
	}
	pair.series = []pastSeries{{name: "qlik_slots_at_limit", labels: `virtual_proxy="/",`, value: during(0, 5, span{on(0, 9, 0), on(0, 11, 0)})}}

	gap := newSite("gap", refused(on(1, 9, 0), 4, "zz-gina", forgotten), refused(on(6, 9, 0), 1, "zz-gina", forgotten))
	lost := refused(on(3, 12, 0), 5, "zz-hans", forgotten)
	lost.lost = true
	gap.refusals = append(gap.refusals, lost)
	gap.exporters[0].away = []span{{on(2, 10, 0), on(5, 22, 0)}}
	gap.counts = []pastSeries{{name: "qlik_sessions", value: during(20, 33, span{on(0, 10, 0), on(0, 10, 20)}, span{on(3, 10, 0), on(3, 10, 20)})}}
	gap.series = []pastSeries{{name: "qlik_slots_at_limit", labels: `virtual_proxy="/",`, value: during(0, 5, span{on(2, 8, 0), on(2, 10, 0)})}}

	// The exporter runs, and counts refusals in the audit logs.
	down := newSite("down", refused(on(2, 9, 0), 2, "zz-anna", forgotten), refused(on(3, 9, 0), 1, "zz-anna", "unknown"), refused(on(4, 9, 0), 3, "zz-ben", forgotten))
	down.exporters[0].blind = []span{{on(3, 0, 0), on(4, 0, 0)}}

	partly := newSite("partly", refused(on(2, 9, 0), 2, "zz-anna", forgotten))
	partly.exporters[0].partly = []span{{on(3, 8, 0), on(3, 20, 0)}}

	wednesday := newSite("wednesday", refused(on(2, 10, 0), 2, "zz-anna", forgotten), refused(on(4, 9, 0), 3, "zz-ben", forgotten))
	wednesday.began = on(2, 8, 0)

	upgraded := newSite("upgraded", refused(on(0, 9, 0), 5, "zz-anna", forgotten), refused(on(3, 9, 0), 3, "zz-ben", severalWindows))
	upgraded.upgraded = on(2, 8, 0)
	upgraded.exporters[0].restarts = []time.Time{upgraded.upgraded}

	hidden := newSite("hidden", refused(on(-4, 9, 0), 2, "zz-anna", forgotten), refused(on(0, 9, 0), 5, "zz-anna", forgotten))
	hidden.users = false

	odd := newSite(`odd "<i>&`)
	for i, user := range [][2]string{
		{"", "h:1f4e6a0c9b"}, {"Österreich", `zz-o'brien "<b>&`}, {`zz\dir`, `back\slash`}, {"CORP", "zz-名前"}, {"CORP", "zz {{.}} $1 %s"},
	} {
		odd.refusals = append(odd.refusals, pastRefusal{at: on(i, 9, 0), reason: sessionLimit, cause: severalWindows, directory: user[0], id: user[1], count: 1})
	}

	guard := newSite("guard", refused(on(0, 9, 0), 8, "zz-anna", forgotten))
	guard.series = []pastSeries{
		{name: "qlik_guard_ended_sessions_total", labels: `mode="dry-run",`, value: increasing(3, on(-5, 9, 0), on(0, 8, 0), on(1, 8, 0))},
		{name: "qlik_guard_returned_sessions_total", value: increasing(1, on(1, 9, 0))},
		{name: "qlik_guard_prevented_refusals_total", labels: `reading="at_limit",`, value: increasing(5, on(0, 9, 0))},
		{name: "qlik_guard_prevented_refusals_total", labels: `reading="always",`, value: increasing(2, on(0, 9, 0))},
	}
	guarded := newSite("guarded", refused(on(0, 9, 0), 1, "zz-anna", forgotten))
	guarded.series = []pastSeries{
		{name: "qlik_guard_ended_sessions_total", labels: `mode="on",`, value: increasing(4, on(-5, 9, 0), on(0, 8, 0), on(1, 8, 0))},
	}

	seats := newSite("seats", refused(on(0, 9, 0), 1, "zz-anna", forgotten))
	recorded := func(name, labels string, value float64) pastSeries {
		return pastSeries{name: name, labels: labels, value: atTheEnd(value)}
	}
	unix := func(days int) float64 { return float64(on(7+days, 0, 0).Unix()) }
	seats.series = []pastSeries{
		recorded("qlik_license_seats", `license="professional",`, 100), recorded("qlik_license_seats_allocated", `license="professional",`, 90),
		recorded("qlik_license_seats_available", `license="professional",`, 8), // two are in quarantine
		recorded("qlik_license_users_active", `license="professional",window="90d",`, 70), recorded("qlik_license_users_active", `license="professional",window="7d",`, 50),
		recorded("license:qlik_license_seats_used_up:timestamp", `license="professional",`, unix(60)),
		recorded("license:qlik_license_seats_used_up_earliest:timestamp", `license="professional",`, unix(40)),
		recorded("license:qlik_license_seats_used_up_latest:timestamp", `license="professional",`, math.Inf(1)),
		recorded("qlik_license_seats", `license="analyzer",`, 50), recorded("qlik_license_seats_allocated", `license="analyzer",`, 50),
		recorded("qlik_license_seats_available", `license="analyzer",`, 0), recorded("qlik_license_users_active", `license="analyzer",window="90d",`, 50),
		recorded("qlik_license_valid", "", 1), recorded("qlik_license_expiry_timestamp_seconds", "", unix(100)),
		recorded("qlik_license_capacity_seconds", `state="allocated",`, 6000*60), recorded("qlik_license_capacity_seconds", `state="used",`, 1500*60),
		recorded("site:qlik_license_capacity_used_up:timestamp", "", unix(10)),
		recorded("site:qlik_license_capacity_used_up_earliest:timestamp", "", unix(5)),
		recorded("site:qlik_license_capacity_used_up_latest:timestamp", "", unix(30)),
		recorded("site:qlik_license_capacity_period_end:timestamp", "", unix(17)),
	}
	tokens := newSite("tokens")
	tokens.series = []pastSeries{
		recorded("qlik_license_tokens", `state="total",`, 40), recorded("qlik_license_tokens", `state="user_access",`, 25),
		recorded("qlik_license_tokens", `state="available",`, 14), recorded("qlik_license_valid", "", 0),
		recorded("site:qlik_license_tokens_used_up:timestamp", "", unix(700)),
	}

	nodes := newSite("nodes", refused(on(0, 9, 0), 1, "zz-anna", forgotten))
	nodes.series = []pastSeries{
		{name: "qlik_virtual_proxy_sessions", labels: `qlik_node="qlik1",virtual_proxy="/",`, value: during(20, 35, span{on(1, 11, 0), on(1, 11, 20)})},
		{name: "qlik_virtual_proxy_sessions", labels: `qlik_node="qlik1",virtual_proxy="/sales",`, value: always(10)},
		{
			name: "qlik_virtual_proxy_sessions", labels: `qlik_node="qlik2",virtual_proxy="/",`,
			value: during(5, 60, span{on(4, 15, 0), on(4, 15, 20)}, span{on(-3, 15, 0), on(-3, 15, 20)}),
		},
	}

	alone := newSite("", refused(on(0, 9, 0), 7, "zz-anna", forgotten)) // without the label site
	alone.job = "qlik-test"

	return []*pastSite{
		plain, restart, pair, gap, down, partly, wednesday, upgraded, hidden, odd, guard, guarded, seats, tokens, nodes, alone, newSite("nothing"),
		newSite("norules", refused(on(0, 9, 0), 6, "zz-anna", forgotten), refused(on(2, 9, 0), 1, "zz-ben", forgotten)),
		// A database for years has only what rules recorded.
		newSite("old", refused(on(0, 9, 0), 6, "zz-anna", forgotten), refused(on(2, 9, 0), 1, "zz-ben", severalWindows)),
	}
}
