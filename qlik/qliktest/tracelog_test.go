package qliktest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func traceLines(t *testing.T, path string) []map[string]string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(content), "\r\n"), "\r\n")
	columns := strings.Split(lines[0], "\t")
	var all []map[string]string
	for _, line := range lines[1:] {
		values := strings.Split(line, "\t")
		if len(values) != len(columns) {
			t.Fatalf("%d values in %q", len(values), line)
		}
		fields := map[string]string{}
		for i, value := range values {
			fields[columns[i]] = value
		}
		all = append(all, fields)
	}
	return all
}

func TestTraceLogs(t *testing.T) {
	dir := t.TempDir()
	site, _ := startClocked(t, Config{Nodes: []Node{{Name: "a"}, {Name: "b"}}, TraceLogDir: dir, ServiceUser: `LAB\svc`})
	files, err := filepath.Glob(filepath.Join(dir, "*", "Trace", "*.txt"))
	if err != nil || len(files) != 6 {
		t.Fatalf("%d files, error %v", len(files), err)
	}
	for _, path := range files {
		lines := traceLines(t, path)
		if len(lines) != 1 || lines[0]["ServiceUser"] != `LAB\svc` || lines[0]["Timestamp"] != "20260514T091502.113+0200" {
			t.Errorf("%s: %v", path, lines)
		}
	}
	path := site.TraceLogPath("B", "Proxy")
	if path != filepath.Join(dir, "Proxy", "Trace", "b_System_Proxy.txt") {
		t.Error(path)
	}
	site.RestartProxy("b")
	site.StopProxy("a")
	if lines := traceLines(t, path); len(lines) != 2 || lines[1]["ServiceUser"] != `LAB\svc` || lines[1]["Hostname"] != "b" {
		t.Errorf("after a restart: %v", lines)
	}
	if lines := traceLines(t, site.TraceLogPath("a", "Proxy")); len(lines) != 1 {
		t.Errorf("after a stop: %v", lines)
	}
	dir = t.TempDir()
	site, _ = startClocked(t, Config{TraceLogDir: dir})
	if user := traceLines(t, site.TraceLogPath("qlik1", "Repository"))[0]["ServiceUser"]; user != `NT AUTHORITY\SYSTEM` {
		t.Errorf("services run as %s", user)
	}
	if site, _ = startClocked(t, Config{}); site.TraceLogPath("qlik1", "Proxy") != "" {
		t.Error("a log that is not there")
	}
	if site, err := Start(Config{TraceLogDir: filepath.Join(path, "no folder")}); err == nil {
		site.Close()
		t.Error("started without a folder for trace logs")
	}
}
