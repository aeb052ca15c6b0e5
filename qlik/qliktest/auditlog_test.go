package qliktest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func auditLines(t *testing.T, path string) [][]string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var lines [][]string
	for line := range strings.SplitSeq(strings.TrimSuffix(string(text), "\r\n"), "\r\n") {
		fields := strings.Split(line, "\t")
		if len(fields) != len(auditColumns) {
			t.Fatalf("%d fields in %q", len(fields), line)
		}
		lines = append(lines, fields)
	}
	return lines
}

func TestAuditLog(t *testing.T) {
	dir := t.TempDir()
	site, clock := startClocked(t, Config{Nodes: []Node{{Name: "a"}, {Name: "b"}}, Users: testUsers, AuditLogDir: dir})
	if path := site.AuditLogPath("b"); path != filepath.Join(dir, "b_AuditSecurity_Repository.txt") || len(auditLines(t, path)) != 1 {
		t.Errorf("path %s", path)
	}
	for i := range 5 {
		login(t, site, "goran", fmt.Sprint(i), "", "a")
	}
	refused := login(t, site, "Goran", "one more", "", "a")
	login(t, site, "stranger", "laptop", "", "a")
	login(t, site, "root", "laptop", "", "a")
	lines := auditLines(t, site.AuditLogPath("a"))
	if len(lines) != 8 || len(auditLines(t, site.AuditLogPath("b"))) != 1 {
		t.Fatalf("%d lines", len(lines))
	}
	if got := strings.Join(lines[0], ","); got != strings.Join(auditColumns, ",") {
		t.Errorf("header %s", got)
	}
	limit, license := lines[6], lines[7]
	if limit[0] != "6" || limit[2] != "20260514T091502.113+0200" || limit[3] != "a" || limit[9] != "LAB" || limit[10] != "Goran" ||
		limit[5] != "Command=License user access;Result=403;ResultText=Error: Access denied" || limit[19] != "403" {
		t.Errorf("%q", limit)
	}
	if limit[6] == refused.ID || limit[6] == "" || limit[6] == "0" {
		t.Errorf("ProxySessionId %q", limit[6])
	}
	if want := fmt.Sprintf(`Access was denied for User: 'LAB\Goran', with AccessID '%s', SessionID: '%s', SessionCount: '5', Hostname: '::1', OperationType: 'UsageDenied'`,
		limit[11], refused.ID); limit[20] != want {
		t.Errorf("message %s\nwant    %s", limit[20], want)
	}
	if !strings.HasPrefix(license[20], "Login access denied for SessionID: '") || !strings.HasSuffix(license[20], `', Hostname: "::1", OperationType: 'UsageDenied'`) {
		t.Errorf("message %s", license[20])
	}

	// Rollover: requested, by age, by size.
	rolled := func() int {
		files, err := filepath.Glob(filepath.Join(dir, "a_AuditSecurity_Repository_*Z.log"))
		if err != nil {
			t.Fatal(err)
		}
		return len(files)
	}
	for range 2 {
		if err := site.RollAuditLog("a"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "a_AuditSecurity_Repository_2026-05-14T07.15.02Z.log")); err != nil || rolled() != 2 {
		t.Error(err, rolled())
	}
	clock.Advance(12 * time.Hour)
	login(t, site, "stranger", "laptop", "", "a")
	if lines := auditLines(t, site.AuditLogPath("a")); rolled() != 3 || len(lines) != 2 || lines[1][0] != "1" {
		t.Errorf("%d rolled, %d lines", rolled(), len(lines))
	}
	site.nodes[0].auditLog.size = auditMaxSize
	login(t, site, "stranger", "phone", "", "a")
	if lines := auditLines(t, site.AuditLogPath("a")); rolled() != 4 || len(lines) != 2 {
		t.Errorf("%d rolled, %d lines", rolled(), len(lines))
	}
}

func TestWithoutAuditLog(t *testing.T) {
	site, _ := startClocked(t, Config{})
	if site.AuditLogPath("qlik1") != "" || site.RollAuditLog("qlik1") == nil {
		t.Error("a log that is not there")
	}
}
