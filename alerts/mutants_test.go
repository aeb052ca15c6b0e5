package alerts

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
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
	{"user:qlik_user_unlicensed:last15m", "[15m]", "[1m]"},
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
	{"state: over", "                unless\n", "                and\n"},
	{"state: denied", "time() - 600", "time() - 60"},
	{"state: denied", "[10m]", "[1m]"},
	{"state: denied", "time() - 300", "time() - 30"},
	{"state: differs", "> on (job, site)", ">= on (job, site)"},
	{"state: differs", "2 * max", "1 * max"},
	{"user:qlik_limit_state:held", "[1h]", "[5m]"},
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
	{"user:qlik_limit_state_higher:bool", "group_left ()\n                site:qlik_many_users_near_limit:bool", "group_left ()\n                site:qlik_many_users_near_limit:bool * 0"},
	{"user:qlik_user_next_slot_minutes:max", "/ 60), 1)", "/ 61), 1)"},
	{"alert: QlikSharedAccount", "for: 10m", "for: 5m"},
	{"alert: QlikUserLockedOut", "over|denied|differs", "over|denied"},
	{"alert: QlikUserSessionsNearLimit", "for: 1m", "for: 0s"},
	{"alert: QlikUserSessionBurst", ">= 3 #", ">= 4 #"},
	{"alert: QlikUserSessionBurst", ">= 3 #", ">= 2 #"},
	{"alert: QlikUserSessionBurst", "            unless\n          (\n            min by", "            and\n          (\n            min by"},
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
	{"license:qlik_license_seats_used_up:timestamp", "> 1 / (28", "> 0 / (28"},
	{"site:qlik_license_tokens_used_up:timestamp", "> 0) - 0.5", "> 0) - 0"},
	{"alert: QlikExporterDown", "[1d]", "[1m]"},
	{"alert: QlikExporterDown", "for: 5m", "for: 1m"},
	{"alert: QlikCertificateRejected", "0.9", "0.5"},
	{"alert: QlikSessionCountIncomplete", "[5m]", "[1m]"},
	{"alert: QlikCertificateExpiring", "30 * 86400", "20 * 86400"},
	{"alert: QlikServiceNotRunning", "for: 5m", "for: 1m"},
}

// TestMutants checks that a unit test fails for each mutant.
func TestMutants(t *testing.T) {
	t.Parallel()
	if !*mutate {
		t.Skip("takes many minutes; run with -mutants")
	}
	promtool := needPromtool(t)
	rules := read(t, rulesFile)
	// The quick ones first, because the first failure is enough.
	order := []string{"gap", "episodes", "hours", "days", "", "licenses"}
	for _, m := range mutants {
		t.Run(m.rule+": "+m.old+" to "+m.changed, func(t *testing.T) {
			t.Parallel()
			before, after, found := strings.Cut(rules, m.rule+"\n")
			if !found || !strings.Contains(after, m.old) {
				t.Fatalf("the rules lack %q after %q", m.old, m.rule)
			}
			dir := t.TempDir()
			changed := before + m.rule + "\n" + strings.Replace(after, m.old, m.changed, 1)
			if err := os.WriteFile(filepath.Join(dir, rulesFile), []byte(changed), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, part := range order {
				name := strings.ReplaceAll("qlik.rules."+part+".test.yml", "..", ".")
				path := filepath.Join(dir, name)
				if err := os.WriteFile(path, []byte(read(t, name)), 0o600); err != nil {
					t.Fatal(err)
				}
				if err := exec.CommandContext(t.Context(), promtool, "test", "rules", path).Run(); err != nil {
					return
				}
			}
			t.Error("no test fails")
		})
	}
}
