package alerts

import (
	"cmp"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"go.yaml.in/yaml/v2"

	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// TestTextsOfCauses checks that each cause has its own sentence and remedy in the texts
// about a user, and that title and text have at most 600 characters, links not counted,
// with long names.
func TestTextsOfCauses(t *testing.T) {
	t.Parallel()
	promtool := needPromtool(t)
	directory, site := strings.Repeat("d", 20), strings.Repeat("s", 20)
	var series, checks []any
	add := func(metric, labels, value string) {
		name := fmt.Sprintf("%s{job=\"qlik\",site=%q%s}", metric, site, labels)
		series = append(series, yaml.MapSlice{{Key: "series", Value: name}, {Key: "values", Value: value + "x4"}})
	}
	add("qlik_sessions_complete", "", "1")
	add("qlik_session_limit", "", "5")
	add("qlik_users", `,headroom="4"`, "1000") // so that the others are not many
	causes := headroom.Causes()
	id := func(cause int, kind string) string {
		return fmt.Sprintf("%02d%s%s", cause, kind, strings.Repeat("u", 57))
	}
	for i, cause := range causes {
		for kind, metrics := range map[string]map[string]string{
			"a": { // refused according to the audit log too
				"qlik_user_effective_headroom": "0", "qlik_session_limit_headroom": "-1", "qlik_user_last_access_denied_timestamp_seconds": "0",
			},
			"b": {"qlik_user_last_access_denied_timestamp_seconds": "0"}, // Qlik counts differently
			"c": {"qlik_user_effective_headroom": "0", "qlik_session_limit_headroom": "-1", "qlik_user_license_info": "1"},
			"d": {"qlik_user_effective_headroom": "1", "qlik_session_limit_headroom": "1"},
		} {
			user := fmt.Sprintf(",user_directory=%q,user_id=%q", directory, id(i, kind))
			add("qlik_user_limit_cause", fmt.Sprintf("%s,cause=%q", user, cause), "1")
			add("qlik_user_next_slot_timestamp_seconds", user, "86400")
			for metric, value := range metrics {
				add(metric, user+map[string]string{
					"qlik_user_last_access_denied_timestamp_seconds": `,reason="session_limit"`,
					"qlik_user_license_info":                         `,license="analyzer_capacity"`,
				}[metric], value)
			}
		}
	}
	for _, alert := range []string{"QlikUserLockedOut", "QlikUserSessionLimitReached", "QlikUserSessionsNearLimit"} {
		checks = append(checks, yaml.MapSlice{{Key: "alertname", Value: alert}, {Key: "eval_time", Value: "1m"}})
	}
	test := unitTest{"texts", "15s", yaml.MapSlice{{Key: "interval", Value: "15s"}, {Key: "input_series", Value: series}, {Key: "alert_rule_test", Value: checks}}}
	path := test.write(t, t.TempDir(), test.rules(t, parseRules(t, read(t, rulesFile))))
	// promtool prints the alerts, because the test expects none.
	output, err := exec.CommandContext(t.Context(), promtool, "test", "rules", path).CombinedOutput()
	if err == nil {
		t.Fatal("no alert fires")
	}
	table := sentences(t)
	sentence := make(map[string]string) // of a user who is told with the cause
	alerts := regexp.MustCompile(`Labels:\{alertname=("[^"]*").* user_id=("[^"]*")\}\n.* description=("(?:[^"\\]|\\.)*").* summary=("(?:[^"\\]|\\.)*")\}`).FindAllStringSubmatch(string(output), -1)
	for _, alert := range alerts {
		var parts [4]string
		for i := range parts {
			if parts[i], err = strconv.Unquote(alert[i+1]); err != nil {
				t.Fatal(err)
			}
		}
		name, user, description, summary := parts[0], parts[1], parts[2], parts[3]
		if length := utf8.RuneCountInString(summary + "\n" + description); length > 600 {
			t.Errorf("%s has %d characters: %s\n%s", name, length, summary, description)
		}
		if name != "QlikUserSessionLimitReached" { // tells no cause beside QlikUserLockedOut
			sentence[user] = description
		}
	}
	if want := len(causes) * 6; len(alerts) != want {
		t.Errorf("%d alerts, want %d", len(alerts), want)
	}
	told := make(map[string]headroom.Cause)
	for i, cause := range causes {
		text, ok := table[string(cause)]
		if other, twice := told[text]; !ok || twice {
			t.Errorf("%s has no sentence of its own (but that of %q)", cause, other)
		}
		told[text] = cause
		for _, kind := range []string{"a", "b", "c", "d"} {
			if got := sentence[id(i, kind)]; !strings.Contains(got, text) {
				t.Errorf("%s: the text is\n%s\nwant\n%s", cause, got, text)
			}
		}
	}
}

// sentences returns what the texts about a user say of each cause.
func sentences(t *testing.T) map[string]string {
	t.Helper()
	table := make(map[string]string)
	for _, r := range readRules(t, rulesFile) {
		if r.Alert == "QlikUserLockedOut" {
			for _, row := range regexp.MustCompile(`\{\{- (?:else )?(?:if eq \$cause "(\w+)" )?-\}\}\n([^\n{]*\nWhat to do now: [^\n{]*)\n`).FindAllStringSubmatch(r.Annotations["description"], -1) {
				table[cmp.Or(row[1], "unknown")] = row[2]
			}
		}
	}
	return table
}
