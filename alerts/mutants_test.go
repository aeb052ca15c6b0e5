package alerts

import (
	"flag"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var mutate = flag.Bool("mutants", false, "run TestMutants, which takes many minutes (.ci/slow)")

// A mutant changes one threshold, window or operator of the rules. The replaced text
// must be in the rules; without a rule, its first occurrence counts.
type mutant struct {
	rule, old, changed string
}

var mutants = []mutant{
	{"site:qlik_sessions_complete:last1h", "[1h]", "[5m]"},
	{"site:qlik_sessions_complete:last1h", "[2h]", "[5m]"},
	{"user:qlik_user_unlicensed:last15m", "[15m]", "[1m]"},
	{"user:qlik_user_effective_headroom_watched:min", "                or\n              user:qlik_session_limit_headroom:min\n", ""},
	{"user:qlik_user_effective_headroom_watched:min", "                or\n              user:qlik_user_access_denied:timestamp\n", ""},
	{"user:qlik_user_effective_headroom_watched:min", "                or\n              user:qlik_session_limit_headroom:min\n", "                or\n              qlik_user_effective_headroom\n"},
	{"user:qlik_user_effective_headroom:min", "<= 1", "<= 2"},
	{"user:qlik_user_effective_headroom:min", "<= 1", "<= 0"},
	{"user:qlik_user_sessions_over_limit:max", "< 0", "<= 0"},
	{"user:qlik_user_access_denied:timestamp", "3600", "60"},
	{"user:qlik_limit_state:timestamp", "<= 1", "<= 0"},
	{"state: near", "<= 0", "<= 1"},
	{"user:qlik_limit_reached_since:timestamp", "<= 0", "<= 1"},
	{"state: reached", "(user:qlik_user_effective_headroom:min <= 0) * 0 + time()", "(user:qlik_user_effective_headroom:min <= 0) * 0"},
	{"because there are more sessions than the limit and no slot", "held{state=\"over\"}", "held{state=\"none\"}"},
	{"state: over", "since:timestamp - 60", "since:timestamp - 600"},
	{"state: over", "held{state=\"denied\"}", "held{state=\"none\"}"},
	{"state: over", "                > on (job, site)", "                < on (job, site)"},
	{"state: denied", "time() - 600", "time() - 60"},
	{"state: denied", "[10m]", "[1m]"},
	{"state: denied", "time() - 300", "time() - 30"},
	{"state: differs", "> on (job, site)", ">= on (job, site)"},
	{"state: differs", "2 * max", "1 * max"},
	{"state: denied", "[11m]", "[1m]"},
	{"user:qlik_limit_state:held", "[1h]", "[5m]"},
	{"user:qlik_limit_state:held", ">= on", "<= on"},
	{"site:qlik_users_limit_reached_usual:max", "offset 335h30m", "offset 167h30m"},
	{"site:qlik_many_users_begin:bool", ">= bool 10)", ">= bool 9)"},
	{"site:qlik_many_users_begin:bool", ">= bool 10)", ">= bool 11)"},
	{"site:qlik_many_users_begin:bool", "> bool 0.05)", "> bool 0.09)"},
	{"way: reached", ":count[15m])", ":count[5m])"},
	{"way: reached", ">= bool 10)", ">= bool 11)"},
	{"way: near", "> bool 25)", "> bool 26)"},
	{"way: near", "bool 3 *", "bool 2 *"},
	{"way: near", "bool 3 *", "bool 4 *"},
	{"site:qlik_many_users_half:bool", ">= bool 0.5 * 10)", ">= bool 0.3 * 10)"},
	{"site:qlik_many_users_half:bool", ">= bool 0.5 * 10)", ">= bool 0.6 * 10)"},
	{"site:qlik_many_users_near_limit:bool", "[15m]", "[5m]"},
	{"site:qlik_many_users_near_limit:bool", "count[5m]) > bool 0)", "count[5m]) >= bool 0)"},
	{"site:qlik_many_users_near_limit_critical:bool", ">= bool 10)", ">= bool 11)"},
	{"user:qlik_limit_state_higher:bool", "reached|over|denied", "over|denied"},
	{"user:qlik_limit_state_higher:bool", "(site:qlik_many_users_near_limit:bool or", "(site:qlik_many_users_near_limit:bool * 0 or"},
	{"user:qlik_limit_state_higher:bool", "(user:qlik_limit_state_higher:bool == 1)", "(user:qlik_limit_state_higher:bool == 2)"},
	{"user:qlik_limit_state_higher:bool", "or site:qlik_sessions_complete:last1h * 0", ""},
	{"user:qlik_user_next_slot_minutes:max", "/ 60), 1)", "/ 61), 1)"},
	{"alert: QlikSharedAccount", "for: 10m", "for: 5m"},
	{"alert: QlikUserLockedOut", "over|denied|differs", "over|denied"},
	{"alert: QlikUserSessionsNearLimit", "for: 1m", "for: 0s"},
	{"alert: QlikUserSessionBurst", ">= 3 #", ">= 4 #"},
	{"alert: QlikUserSessionBurst", ">= 3 #", ">= 2 #"},
	{"alert: QlikUserSessionBurst", "            unless\n          (\n            user:", "            and\n          (\n            user:"},
	{"alert: QlikLicenseServiceFailing", "time() - 600", "time() - 660"},
	{"alert: QlikLicenseServiceFailing", ">= 2", ">= 1"},
	{"alert: QlikLeftoverUsageRows", "for: 1h", "for: 30m"},
	{"alert: QlikSessionRunaway", "10 # assets", "9 # assets"},
	{"alert: QlikSessionRunaway", "> 100 #", "> 90 #"},
	{"alert: QlikSessionRunaway", "beyond=\"2\"", "beyond=\"1\""},
	{"alert: QlikVirtualProxySessionBurst", ">= 20", ">= 10"},
	{"alert: QlikVirtualProxySessionBurst", "> 2 *", "> 1.5 *"},
	{"alert: QlikLoadBalancerNotSticky", "> 0.2 *", "> 0.1 *"},
	{"alert: QlikSessionRefusalBudget", "14.4", "6"},
	{"alert: QlikSessionRefusalBudget", ">= 10", ">= 5"},
	{"the budget of a month is used up within ten days.", "> 3 *", "> 15 *"},
	{"license:qlik_license_seats_used_up:timestamp", "> 0) - 0.5", "> 0) - 0"},
	{"license:qlik_license_seats_used_up:timestamp", "clamp_min(license:qlik_license_seats_allocated:growth90d, 0)", "license:qlik_license_seats_allocated:growth90d"},
	{"license:qlik_license_seats_allocated:growth90d", "quantile_over_time(0.35", "quantile_over_time(0.25"},
	{"license:qlik_license_seats_allocated:growth90d", "quantile_over_time(0.5", "quantile_over_time(0.9"},
	{"license:qlik_license_seats_allocated:predict90d", "offset 56d", "offset 28d"},
	{"license:qlik_license_seats_allocated:predict90d_error", "0.09 *", "0.2 *"},
	{"license:qlik_license_seats_allocated:predict90d_error", "1.1 *", "1.5 *"},
	{"license:qlik_license_seats_used_up_earliest:timestamp", "growth90d + ", "growth90d + 0 * "},
	{"license:qlik_license_seats_used_up_latest:timestamp", "growth90d - ", "growth90d - 0 * "},
	{"site:qlik_users:weekly_max_p75", "0.75", "0.5"},
	{"site:qlik_users:weekly_max_p75", "offset 28d", "offset 1d"},
	{"site:qlik_sessions:weekly_max_low", " and last_over_time(site:qlik_sessions:max[1d] offset 6d)", ""},
	{"qlik_node:qlik_virtual_proxy_sessions:weekly_max_predict90d", ">= 30", ">= 20"},
	{"site:qlik_users:weekly_max_predict90d", "1.25 - 0.25", "1.5 - 0.5"},
	{"site:qlik_users:weekly_max_predict90d", "offset 385d", "offset 364d"},
	{"site:qlik_users:weekly_max_predict90d_error", "quantile_over_time(0.9", "quantile_over_time(1"},
	{"site:qlik_users:weekly_max_predict90d_error", "0.65 *", "1 *"},
	{"reason:qlik_logins_refused:weekly_median", "0.5", "0.9"},
	{"reason:qlik_logins_refused:weekly_low", "offset 6d", "offset 1d"},
	{"reason:qlik_logins_refused:weekly_high", "[6d23h59m59s:1d]", "[13d23h59m59s:1d]"},
	{"le:qlik_limit_reached_longest_idle_seconds_bucket:increase1d", "max by", "sum by"},
	{"cause:qlik_refusal_causes:increase1d", "max by", "sum by"},
	{"user:qlik_user_last_login_refused:timestamp", "max by", "min by"},
	{"user:qlik_user_last_login_refused:timestamp", "6 * 3600", "7 * 3600"},
	{"user:qlik_user_last_login_refused:timestamp", "6 * 3600", "5 * 3600"},
	{"timeout:qlik_logins_refused:prevented28d", "[27d23h59m59s:1d]", "[28d:1d]"},
	{"timeout:qlik_logins_refused:prevented28d", "|1380[.]0", ""},
	{"timeout:qlik_logins_refused:prevented28d", "{reason=\"session_limit\"}", ""},
	{"timeout:qlik_logins_refused:prevented28d", "> 0", ">= 0"},
	{"site:qlik_license_tokens_used_up:timestamp", "> 0) - 0.5", "> 0) - 0"},
	{"alert: QlikExporterDown", "[1d]", "[1m]"},
	{"alert: QlikExporterDown", "for: 5m", "for: 1m"},
	{"alert: QlikCertificateRejected", "0.9", "0.5"},
	{"alert: QlikSessionCountIncomplete", "[5m]", "[1m]"},
	{"alert: QlikCertificateExpiring", "30 * 86400", "20 * 86400"},
	{"alert: QlikServiceNotRunning", "for: 5m", "for: 1m"},
	// Many users near the limit, of whom nobody is without a slot.
	{"way: reached", "> bool 0.05)", "> bool 0.09)"},
	{"way: reached", ":ratio[15m])", ":ratio[1m])"},
	{"way: reached", "count offset 15m", "count offset 1m"},
	{"site:qlik_many_users_half:bool", "> bool 0.5 * 0.05)", "> bool 0.05)"},
	{"site:qlik_many_users_near_limit_critical:bool", "              > bool 0)", "              > bool 1)"},
	{"site:qlik_many_users_near_limit_critical:bool", "max by (job, site) (site:qlik_many_users_begin:bool{way=\"near\"})", "max by (job, site) (site:qlik_many_users_begin:bool)"},
	{"site:qlik_many_users_near_limit_critical:bool", "(site:qlik_many_users_near_limit_critical:bool or last", "(last"},
	// Analyzer capacity.
	{"site:qlik_license_capacity_period_start:timestamp", "< 0.5 *", "< 0.9 *"},
	{"site:qlik_license_capacity_period_start:timestamp", "< 0.5 *", "< 0.1 *"},
	{"site:qlik_license_capacity_period_start:timestamp", "[1h] offset 1m", "[1m] offset 1m"},
	{"site:qlik_license_capacity_period_start:timestamp", "timestamp[7d]) >", "timestamp[1h]) >"},
	{"site:qlik_license_capacity_period_start:timestamp", "32 * 86400", "40 * 86400"},
	{"site:qlik_license_capacity_period_start:timestamp", "max[7d] offset 1m", "max[1h] offset 1m"},
	{"site:qlik_license_capacity_period_end:timestamp", "14 * 3600", "26 * 3600"},
	{"site:qlik_license_capacity_period_end:timestamp", "14 * 3600", "2 * 3600"},
	{"site:qlik_license_capacity_used_up:timestamp", "clamp_min(site:qlik_license_capacity_allocated_seconds:max - site:qlik_license_capacity_used_seconds:max, 0)", "(site:qlik_license_capacity_allocated_seconds:max - site:qlik_license_capacity_used_seconds:max)"},
	{"site:qlik_license_capacity_used_seconds:rate28d", "[1d] offset 28d", "[1h] offset 28d"},
	{"site:qlik_license_capacity_used_seconds:rate28d", "> time() - 28 * 86400", "> time() - 14 * 86400"},
	{"site:qlik_license_capacity_used_seconds:rate28d", "period_start:timestamp, 7 * 86400", "period_start:timestamp, 1 * 86400"},
	{"site:qlik_license_capacity_used_seconds:rate28d", "bool[28d]), 1)", "bool[28d]) * 0 + 28, 1)"},
	{"site:qlik_license_capacity_used_seconds:predict_end_low", "0.8 *", "0.9 *"},
	{"site:qlik_license_capacity_used_seconds:predict_end_high", "1.2 *", "1.1 *"},
	{"site:qlik_license_capacity_used_up_earliest:timestamp", "/ 1.15", "/ 1.2"},
	{"site:qlik_license_capacity_used_up_latest:timestamp", "/ 0.85", "/ 0.8"},
	{"site:qlik_license_capacity_used_before_seconds:max", "> 2 *", "> 99 *"},
	{"site:qlik_license_capacity_running_out:bool", "1.5 * 86400", "0 * 86400"},
	{"site:qlik_license_capacity_running_out:bool", "- 0.5 * 86400", "- 5 * 86400"},
	{"site:qlik_license_capacity_running_out:bool", "[1d]", "[1m]"},
	{"alert: QlikAnalyzerCapacityRunningOut", ">= 360", ">= 1"},
	{"alert: QlikAnalyzerCapacityRunningOut", "              < 360", "              < 3600"},
	{"alert: QlikAnalyzerCapacityRunningOut", "max[1h]) > 0", "max[1h]) >= 0"},
	// Seats and tokens.
	{"license:qlik_license_seats_used_up:timestamp", "offset 28d", "offset 7d"},
	{"site:qlik_license_tokens_used_up:timestamp", "offset 28d", "offset 7d"},
	{"alert: QlikLicenseSeatsRunningOut", "30 * 86400", "60 * 86400"},
	{"alert: QlikTokensRunningOut", "30 * 86400", "60 * 86400"},
	{"alert: QlikTokensRunningOut", ">= 1", ">= 0"},
	{"alert: QlikLicenseExpiring", "< 60 * 86400", "< 50 * 86400"},
	{"alert: QlikLicenseExpiring", ">= 14 * 86400", ">= 10 * 86400"},
	// The budget of refused logins.
	{"site:qlik_logins_refused:increase5m", "[5m]", "[15m]"},
	{"site:qlik_logins_refused:ratio5m", "[5m]", "[1h]"},
	{"site:qlik_logins_refused:increase1h", "[1h]", "[2h]"},
	{"site:qlik_logins_refused:ratio1h", "[1h]", "[2h]"},
	{"site:qlik_logins_refused:increase2h", "[2h]", "[6h]"},
	{"site:qlik_logins_refused:ratio2h", "[2h]", "[6h]"},
	{"site:qlik_logins_refused:increase1d", "[1d]", "[3d]"},
	{"site:qlik_logins_refused:ratio1d", "[1d]", "[3d]"},
	{"alert: QlikSessionRefusalBudget", "ratio5m\n              > 14.4", "ratio5m\n              > 3"},
	{"the budget of a month is used up within ten days.", "ratio2h\n              > 3 *", "ratio2h\n              > 15 *"},
	{"the budget of a month is used up within ten days.", ">= 10", ">= 5"},
	// The site and the exporter.
	{"virtual_proxy:qlik_virtual_proxy_sessions_per_user:ratio7d", "[6d] offset 1d", "[6d] offset 1h"},
	{"alert: QlikVirtualProxySessionBurst", "for: 10m", "for: 0s"},
	{"alert: QlikLoadBalancerNotSticky", ">= 3", ">= 2"},
	{"alert: QlikLoadBalancerNotSticky", "for: 1h", "for: 30m"},
	{"alert: QlikCertificateRejected", "tls|forbidden", "tls"},
	{"alert: QlikCertificateRejected", "for: 2m", "for: 1m"},
	{"alert: QlikProxyDown", "for: 2m", "for: 1m"},
	{"alert: QlikVirtualProxyDown", "for: 5m", "for: 1m"},
	{"alert: QlikServiceNotRunning", "Running|Disabled\"}[5m])) == 1\n            unless\n          label", "Running\"}[5m])) == 1\n            unless\n          label"},
	{"alert: QlikServiceNotRunning", "qlik_engine_up[5m])) == 1", "qlik_engine_up[5m])) == 2"},
	{"alert: QlikEngineDown", "for: 2m", "for: 1m"},
	{"alert: QlikEngineDown", "          max by (job, site) (last", "          min by (job, site) (last"},
	{"nobody can work in an app.", "for: 5m", "for: 2m"},
	{"nobody can work in an app.", "max by (job, site, qlik_node) (last", "min by (job, site, qlik_node) (last"},
	{"nobody can work in an app.", "[5m]", "[1m]"},
	{"alert: QlikEngineSaturated", "[10m]", "[1m]"},
	{"alert: QlikEngineSaturated", "> 0.5", "> 0.8"},
	{"alert: QlikEngineSaturated", "> 0.5", "> 0.3"},
	{"alert: QlikEngineSaturated", "for: 10m", "for: 5m"},
	{"alert: QlikRepositoryDown", "for: 5m", "for: 1m"},
	{"alert: QlikCollectorFailed", "for: 10m", "for: 5m"},
	{"alert: QlikDenialsNotObserved", "for: 15m", "for: 5m"},
	{"alert: QlikServiceAccountLicensed", "for: 15m", "for: 5m"},
	{"certificate:qlik_certificate_expiry_timestamp_seconds:min", "server_certificate_expiry_timestamp_seconds[1h]", "server_certificate_expiry_timestamp_seconds[1m]"},
	{"alert: QlikCertificateExpiring", ">= 7 * 86400", ">= 5 * 86400"},
	{"alert: QlikSeriesDropped", "> 0", "> 10"},
	{"alert: QlikConfigReloadFailed", "min by", "max by"},
}

// TestMutants checks that a unit test fails for each mutant. It runs only tests in which
// the changed rule can matter, the quick ones first.
func TestMutants(t *testing.T) {
	t.Parallel()
	if !*mutate {
		t.Skip("takes many minutes; run with -mutants")
	}
	promtool := needPromtool(t)
	text := read(t, rulesFile)
	rules := parseRules(t, text)
	tests := []unitTest{capacityMonths(t)}
	for _, path := range unitTests(t) {
		tests = append(tests, readUnitTests(t, path)...)
	}
	cost := make(map[string]int)
	for _, test := range tests {
		for _, group := range test.rules(t, rules).Groups {
			cost[test.name] += test.steps(t, test.interval) * len(group.Rules)
		}
	}
	slices.SortStableFunc(tests, func(a, b unitTest) int { return cost[a.name] - cost[b.name] })
	for _, m := range mutants {
		t.Run(m.rule+": "+m.old+" to "+m.changed, func(t *testing.T) {
			t.Parallel()
			before, after, found := strings.Cut(text, m.rule+"\n")
			if !found || !strings.Contains(after, m.old) {
				t.Fatalf("the rules lack %q after %q", m.old, m.rule)
			}
			mutated := parseRules(t, before+m.rule+"\n"+strings.Replace(after, m.old, m.changed, 1))
			for _, test := range tests {
				changed := test.rules(t, mutated)
				if reflect.DeepEqual(changed, test.rules(t, rules)) {
					continue
				}
				if output, ok := promtoolTest(t, promtool, test.write(t, t.TempDir(), changed)); !ok {
					t.Logf("killed by: %s", test.name)
					if strings.Contains(output, "parse error") {
						t.Errorf("%s", output)
					}
					return
				}
			}
			t.Error("no test fails")
		})
	}
}
