package qliktest_test

import (
	"fmt"
	"regexp"
	"testing"

	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

func TestFormsOfDenials(t *testing.T) {
	const id, obfuscated = `[0-9a-f]{8}-[0-9a-f-]{27}`, `c0de[0-9a-f]{4}-[0-9a-f-]{27}`
	limit := `^Access was denied for User: 'LAB\\anna', with AccessID '` + id + `', %s, SessionCount: '5', Hostname: '::1', OperationType: 'UsageDenied'$`
	const login = `^Login access denied for %s, Hostname: "::1", OperationType: 'UsageDenied'$`
	const old, current = "SessionID: '" + id + "'", "SessionId: '" + obfuscated + "'"
	for _, test := range []struct {
		form             qliktest.Denials
		command          string // of anna's refusal, Origin and Context
		proxySessionID   string
		limit, noLicense string // messages
		admin            bool   // there is a line for an administrator without license, who is granted access
	}{
		{
			qliktest.DenialsDocumented, "License user access, Not available, Not available", `^[A-Za-z0-9+/]{43}=$`,
			fmt.Sprintf(limit, old), fmt.Sprintf(login, old), false,
		},
		{
			qliktest.Denials2021, "License analyzer access, AppAccess, /qrs/requestaccesstype", "^" + obfuscated + "$",
			fmt.Sprintf(limit, current), fmt.Sprintf(login, current), false,
		},
		{
			qliktest.Denials2025, "License analyzer access, AppAccess, /qrs/requestaccesstype", "^" + obfuscated + "$",
			fmt.Sprintf(limit, current), `^Access was denied for User: 'LAB\\bert', ` + current + `, Hostname: '::1', OperationType: 'UsageDenied'$`, true,
		},
	} {
		t.Run(test.form.String(), func(t *testing.T) {
			w := newWorld(t, qliktest.Config{Denials: test.form, AuditLogDir: t.TempDir(), Users: []qliktest.User{
				{Directory: "LAB", ID: "anna", License: qliktest.Analyzer}, {Directory: "LAB", ID: "root", Admin: true},
			}})
			for i := range 6 {
				w.opens("anna", fmt.Sprint("browser ", i), i < 5)
			}
			w.opens("bert", "laptop", false)
			w.opens("root", "laptop", true)
			lines := map[string]map[string]string{}
			for _, line := range w.logged("qlik1") {
				if line["Result"] == "403" {
					lines[line["UserId"]] = line
				}
			}
			anna := lines["anna"]
			if got := anna["Command"] + ", " + anna["Origin"] + ", " + anna["Context"]; got != test.command || anna["UserDirectory"] != "LAB" {
				t.Errorf("%s: %s", anna["UserDirectory"], got)
			}
			for what, match := range map[string][2]string{
				"ProxySessionId": {test.proxySessionID, anna["ProxySessionId"]},
				"limit":          {test.limit, anna["Message"]},
				"no license":     {test.noLicense, lines["bert"]["Message"]},
			} {
				if !regexp.MustCompile(match[0]).MatchString(match[1]) {
					t.Errorf("%s is %s, want %s", what, match[1], match[0])
				}
			}
			if (lines["root"] != nil) != test.admin {
				t.Errorf("the administrator's line: %v", lines["root"])
			}
		})
	}
	if name := qliktest.Denials(9).String(); name != "Denials(9)" {
		t.Error(name)
	}
}
