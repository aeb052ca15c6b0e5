package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Every alert and its receivers.
var alertRoutes = []struct {
	alertname, severity, scope, receiver string
}{
	{"QlikUserSessionsNearLimit", "warning", "user", "service-desk-chat"},
	{"QlikUserSessionLimitReached", "critical", "user", "service-desk"},
	{"QlikUserSessionLimitReached", "warning", "user", "service-desk-chat"}, // assets --reached-severity=warning, and users of analyzer capacity
	{"QlikUserLockedOut", "critical", "user", "service-desk"},
	{"QlikUserLockedOut", "warning", "user", "service-desk-chat"}, // users of analyzer capacity
	{"QlikUserAccessDeniedNoLicense", "info", "user", "service-desk-chat"},
	{"QlikUserSessionBurst", "warning", "user", "service-desk-chat"},
	{"QlikUsersAtLimit", "critical", "site", "on-call"},
	{"QlikManyUsersNearLimit", "critical", "site", "on-call"},
	{"QlikManyUsersNearLimit", "warning", "site", "on-call-chat"},
	{"QlikVirtualProxySessionBurst", "warning", "site", "on-call-chat"},
	{"QlikSharedAccount", "warning", "user", "service-desk-chat"},
	{"QlikLoadBalancerNotSticky", "info", "site", "on-call-mail"},
	{"QlikSessionRunaway", "critical", "site", "on-call"},
	{"QlikSessionRefusalBudget", "critical", "site", "on-call"},
	{"QlikSessionRefusalBudget", "warning", "site", "on-call-chat"},
	{"QlikLeftoverUsageRows", "info", "site", "on-call-mail"},
	{"QlikLicenseServiceFailing", "critical", "site", "on-call"},
	{"QlikServiceAccountLicensed", "warning", "site", "on-call-chat"},
	{"QlikProxyDown", "critical", "site", "on-call"},
	{"QlikVirtualProxyDown", "warning", "site", "on-call-chat"},
	{"QlikSessionCountIncomplete", "warning", "site", "on-call-chat"},
	{"QlikEngineDown", "critical", "site", "on-call"},
	{"QlikEngineDown", "warning", "site", "on-call-chat"},
	{"QlikEngineSaturated", "warning", "site", "on-call-chat"},
	{"QlikServiceNotRunning", "warning", "site", "on-call-chat"},
	{"QlikRepositoryDown", "warning", "site", "on-call-chat"},
	{"QlikCollectorFailed", "warning", "site", "on-call-chat"},
	{"QlikDenialsNotObserved", "info", "site", "on-call-mail"},
	{"QlikCertificateExpiring", "warning", "site", "on-call-chat"},
	{"QlikCertificateExpiring", "critical", "site", "on-call"},
	{"QlikCertificateRejected", "critical", "site", "on-call"},
	{"QlikLicenseSeatsRunningOut", "warning", "site", "on-call-chat"},
	{"QlikLicenseSeatsRunningOut", "info", "site", "on-call-mail"},
	{"QlikLicenseExpiring", "warning", "site", "on-call-chat"},
	{"QlikLicenseExpiring", "critical", "site", "on-call"},
	{"QlikLicenseInvalid", "critical", "site", "on-call"},
	{"QlikTokensRunningOut", "warning", "site", "on-call-chat"},
	{"QlikTokensRunningOut", "info", "site", "on-call-mail"},
	{"QlikAnalyzerCapacityRunningOut", "warning", "site", "on-call-chat"},
	{"QlikAnalyzerCapacityRunningOut", "critical", "site", "on-call"},
	{"QlikExporterDown", "critical", "site", "on-call"},
	{"QlikSeriesDropped", "warning", "site", "on-call-chat"},
	{"QlikConfigReloadFailed", "warning", "site", "on-call-chat"},
}

func amtool(t *testing.T, arguments ...string) string {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), alertmanagerProgram(t, "amtool"), arguments...).CombinedOutput()
	if err != nil {
		t.Errorf("amtool %s: %v\n%s", strings.Join(arguments, " "), err, output)
	}
	return string(output)
}

func TestRoutes(t *testing.T) {
	t.Log(amtool(t, "check-config", amFile))
	for _, r := range alertRoutes {
		labels := []string{"alertname=" + r.alertname, "severity=" + r.severity, "scope=" + r.scope, "job=qlik", "site=production"}
		if r.scope == "user" {
			labels = append(labels, "user_directory=LAB", "user_id=anna")
		}
		amtool(t, append([]string{"config", "routes", "test", "--config.file=" + amFile, "--verify.receivers=" + r.receiver}, labels...)...)
	}
	amtool(t, "config", "routes", "test", "--config.file="+amFile, "--verify.receivers=watchdog", "alertname=QlikWatchdog", "severity=none", "scope=site")
	// An unknown alert must also reach a receiver.
	amtool(t, "config", "routes", "test", "--config.file="+amFile, "--verify.receivers=on-call-mail", "alertname=QlikSomethingNew")
	amtool(t, "config", "routes", "test", "--config.file="+amFile, "--verify.receivers=on-call-mail", "alertname=DiskFull", "severity=critical")

	type alert struct{ alertname, severity, scope string }
	known, shipped := map[alert]bool{}, map[alert]bool{}
	for _, r := range alertRoutes {
		known[alert{r.alertname, r.severity, r.scope}] = true
	}
	for _, group := range readYAML(t, rulesFile).list("groups") {
		for _, rule := range group.list("rules") {
			if name, ok := rule["alert"].(string); ok {
				labels := rule.mapping("labels")
				if name == "QlikWatchdog" {
					continue // tested above
				}
				shipped[alert{name, fmt.Sprint(labels["severity"]), fmt.Sprint(labels["scope"])}] = true
			}
		}
	}
	for _, a := range slices.Collect(maps.Keys(shipped)) {
		if !known[a] {
			t.Errorf("no test of the route of %s, severity %s, scope %s", a.alertname, a.severity, a.scope)
		}
	}
	for a := range known {
		if !shipped[a] && a != (alert{reached, "warning", "user"}) {
			t.Errorf("there is no alert %s with severity %s, scope %s", a.alertname, a.severity, a.scope)
		}
	}
}

// TestMutes puts the examples of docs/alerting.md into the shipped configuration, and
// runs its commands.
func TestMutes(t *testing.T) {
	page := string(readFile(t, repository+"/docs/alerting.md"))
	blocks := func(language string) (found []string) {
		for _, block := range strings.Split(page, "```"+language+"\n")[1:] {
			text, _, _ := strings.Cut(block, "```")
			found = append(found, text)
		}
		return found
	}
	examples := blocks("yaml")
	if len(examples) != 3 {
		t.Fatalf("%d examples of YAML", len(examples))
	}
	config := string(readFile(t, amFile))
	const first = "        # The alert of `qlik_exporter assets --watchdog`"
	a, b := strings.Index(config, "  - name: holidays"), strings.Index(config, "# Each receiver has one channel")
	if a < 0 || b < a || !strings.Contains(config, first) {
		t.Fatal("the example has no holidays, or no first route")
	}
	config = strings.Replace(config[:a]+examples[2]+examples[1]+"\n"+config[b:], first, examples[0]+first, 1)
	dir := t.TempDir()
	file := filepath.Join(dir, "alertmanager.yml")
	writeFile(t, file, []byte(config))
	shell(t, "cp -r "+filepath.Join(filepath.Dir(amFile), "templates")+" "+dir)
	t.Log(amtool(t, "check-config", file))
	for receiver, labels := range map[string][]string{
		"on-call":      {"alertname=QlikVirtualProxyDown", "severity=warning", "scope=site", "site=production", "qlik_node=qlik2.company.com"},
		"on-call-chat": {"alertname=QlikVirtualProxyDown", "severity=warning", "scope=site", "site=production", "qlik_node=qlik1.company.com"},
		"service-desk": {"alertname=QlikUserLockedOut", "severity=critical", "scope=user"},
	} {
		amtool(t, append([]string{"config", "routes", "test", "--config.file=" + file, "--verify.receivers=" + receiver}, labels...)...)
	}
	running := startAlertmanager(t, file)
	for _, commands := range blocks("sh") {
		for line := range strings.SplitSeq(strings.TrimSpace(commands), "\n") {
			line = strings.ReplaceAll(line, "=2026-", "=2099-") // the past cannot be silenced
			shell(t, strings.Replace(line, "amtool ", alertmanagerProgram(t, "amtool")+" --alertmanager.url=http://"+running.address+" ", 1))
		}
	}
	pending := amtool(t, "--alertmanager.url=http://"+running.address, "silence", "query", "--output=json")
	expect(t, strings.Count(pending, "patching qlik2") == 2, "two silences wait for the night", pending)
}

// group_wait of the user route must be longer than the evaluation interval.
// Otherwise, an alert may arrive after the alerts that it inhibits were sent.
func TestGroupWaitOutlastsEvaluation(t *testing.T) {
	groupWait := time.Duration(0)
	eachRoute(readYAML(t, amFile).mapping("route"), func(route document) {
		if isUserRoute(route) {
			groupWait, _ = time.ParseDuration(fmt.Sprint(route["group_wait"]))
		}
	})
	const longest = 30 * time.Second // longest interval that the rules support
	expect(t, groupWait > longest, "group_wait is longer than an evaluation interval of "+longest.String(), groupWait)
}

// The texts that people read, for an alert with a malicious user name and for
// more alerts than a message shows.
func TestNotificationTemplates(t *testing.T) {
	const name = `ACME\<!channel> [a](http://b) & *c*`
	alert := map[string]any{
		"status":      "firing",
		"labels":      map[string]string{"alertname": reached, "severity": "critical", "site": "production"},
		"annotations": map[string]string{"summary": name + " has no free slot (5 of 5)", "description": name + "\nhas 3 on /.", "runbook_url": "https://example.com/runbook#reached"},
		"startsAt":    "2026-01-05T09:00:00Z",
	}
	over := maps.Clone(alert)
	over["status"], over["endsAt"] = "resolved", "2026-01-05T09:30:00Z"
	common := map[string]string{"alertname": reached, "severity": "critical", "site": "production"}
	data := func(status string, alerts ...any) string {
		file := filepath.Join(t.TempDir(), "data.json")
		content, err := json.Marshal(map[string]any{"status": status, "alerts": alerts, "commonLabels": common})
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, file, content)
		return file
	}
	gone := maps.Clone(over)
	gone["annotations"] = map[string]string{"summary": "Gone", "description": "old advice"}
	both := data("firing", gone, alert)
	one, several, ended := data("firing", alert), data("firing", slices.Repeat([]any{alert}, 12)...), data("resolved", over)
	common["scope"] = "user"
	again, free := data("firing", gone, alert), data("resolved", gone)
	for _, test := range []struct{ template, kind, data, contains, without string }{
		{"subject", "text", one, `[Qlik critical] ` + name + ` has no free slot (5 of 5)`, "more"},
		{"subject", "text", several, "(and 11 more)", ""},
		{"subject", "text", ended, `[Qlik resolved] ` + name, "critical"},
		{"text", "text", one, "has 3 on /.", "Resolved"},
		{"text", "text", several, "... and 2 more.", ""},
		{"text", "text", ended, "Fired from Mon", "3 on"},
		{"markdown.title", "text", one, `🔴 ACME\\<!channel> \[a\](http://b) & \*c\* has`, ""},
		{"markdown", "text", one, `[Runbook](https://example.com/runbook#reached)`, "[a]"},
		{"markdown", "text", several, `**ACME\\<!channel> \[a\]`, "[a]"},
		{"slack.title", "text", one, `🔴 ACME\&lt;!channel&gt; [a](http://b) &amp; *c* has`, "<"},
		{"slack.title", "text", ended, `✅ Resolved: ACME`, "🔴"},
		{"slack.text", "text", one, `<https://example.com/runbook#reached|Runbook>`, "<!"},
		{"slack.text", "text", several, `&lt;!channel&gt;`, "<!"},
		{"slack.color", "text", one, "danger", ""},
		{"slack.color", "text", ended, "good", ""},
		{"html", "html", one, `<a href="https://example.com/runbook#reached">Runbook</a>`, "<!channel>"},
		{"html", "html", several, "... and 2 more.", "<!channel>"},
		{"html", "html", ended, "Resolved: ACME", "has 3 on"},
		// A message about both begins with the alert that fires.
		{"subject", "text", both, "[Qlik critical] " + name, "Gone"},
		{"text", "text", both, "Resolved: Gone", "old advice"},
		{"markdown.title", "text", both, "🔴 ACME", "Gone"},
		{"markdown", "text", both, "**Resolved: Gone**", "old advice"},
		{"slack.title", "text", both, "🔴 ACME", "Gone"},
		{"slack.text", "text", both, "*Resolved: Gone*", "old advice"},
		{"html", "html", both, "Resolved: Gone", "old advice"},
		// While an alert of a user fires, nothing of the user is told as resolved.
		{"text", "text", again, "has 3 on /.", "Gone"},
		{"markdown", "text", again, "has 3 on /.", "Gone"},
		{"slack.text", "text", again, "has 3 on /.", "Gone"},
		{"html", "html", again, "has 3 on /.", "Gone"},
		{"text", "text", free, "Fired from Mon", ""},
		{"subject", "text", free, "[Qlik resolved] Gone", ""},
	} {
		seen := amtool(t, "template", "render", "--template.glob="+filepath.Join(filepath.Dir(amFile), "templates", "*.tmpl"), "--template.type="+test.kind,
			"--template.text={{ template \"qlik."+test.template+"\" . }}", "--template.data="+test.data)
		ok := strings.Contains(seen, test.contains) && (test.without == "" || !strings.Contains(seen, test.without))
		if !ok || test.data == one {
			expect(t, ok, fmt.Sprintf("%s (%s) says %q and not %q", test.template, test.kind, test.contains, test.without), seen)
		}
	}
}
