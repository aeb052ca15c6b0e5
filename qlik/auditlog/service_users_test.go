package auditlog

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const traceHeader = "Sequence#\tTimestamp\tLevel\tHostname\tLogger\tThread\tId\tServiceUser\tMessage\tException\tStackTrace\tProxySessionId\tChecksum"

func trace(user string) string {
	return strings.Join([]string{"1", "20260514T091502.113+0200", "INFO", "qlik1", "System.Proxy", "12", "3f0c", user, "Starting", "", "", "0", "x"}, "\t")
}

func TestServiceUsers(t *testing.T) {
	began := time.Date(2026, 5, 14, 12, 0, 0, 0, time.UTC)
	type files map[string]string // by path below the folder of all logs
	log := func(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n" }
	for _, test := range []struct {
		name  string
		files files // written in this order of names
		want  string
		fails bool
	}{
		{"no logs", nil, "[]", false},
		{"all alike", files{
			"Repository/Trace/QLIK1_System_Repository.txt": "\uFEFF" + log(traceHeader, trace(`LAB\Svc_Qlik`)),
			"Proxy/Trace/QLIK1_System_Proxy.txt":           log(traceHeader, trace(`lab\svc_qlik`)),
		}, `[LAB\svc_qlik]`, false},
		{"two accounts", files{
			"Repository/Trace/QLIK1_System_Repository.txt": log(traceHeader, trace(`LAB\svc_qlik`)),
			"Engine/Trace/QLIK1_System_Engine.txt":         log(traceHeader, trace(`QLIK1\engine`)),
		}, `[LAB\svc_qlik QLIK1\engine]`, false},
		{"accounts of Windows", files{
			"Repository/Trace/a.txt": log(traceHeader, trace(`NT AUTHORITY\SYSTEM`)),
			"Proxy/Trace/a.txt":      log(traceHeader, trace(`LAB\QLIK1$`)),
			"Engine/Trace/a.txt":     log(traceHeader, trace(`AUTORITE NT\Système`)),
		}, "[]", false},
		{"the last line counts", files{
			"Repository/Trace/a.txt": log(traceHeader, trace(`LAB\old`), trace(""), trace("odd"), trace(`LAB\new`), trace(`\`)) + trace(`LAB\half`),
		}, `[LAB\new]`, false},
		{"the last files count", files{
			"Proxy/Trace/1.txt": log(traceHeader, trace(`LAB\old`)), "Proxy/Trace/2.txt": log(traceHeader, trace(`LAB\new`)),
			"Proxy/Trace/3.txt": log("Sequence#\tMessage", "1\tx"), "Proxy/Trace/4.txt": log(traceHeader),
			"Proxy/Trace/5.log": log(traceHeader, trace(`LAB\archived`)),
		}, `[LAB\new]`, false},
		{"other folders", files{
			"Repository/Audit/a.txt": log(traceHeader, trace(`LAB\audit`)), "Other/Trace/a.txt": log(traceHeader, trace(`LAB\someone`)),
		}, "[]", false},
		{"endless lines", files{
			"Repository/Trace/a.txt": strings.Repeat("x\t", bufferSize),
			"Proxy/Trace/a.txt":      log(traceHeader, trace(`LAB\`+strings.Repeat("x", 600))),
		}, "[]", false},
		{"a file in place of a folder", files{"Proxy/Trace": "", "Repository/Trace/a.txt": log(traceHeader, trace(`LAB\svc`))}, `[LAB\svc]`, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, content := range test.files {
				path := filepath.Join(dir, filepath.FromSlash(name))
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
				at := began.Add(time.Duration(path[len(path)-5]) * time.Minute) // by the number in the name
				if err := os.Chtimes(path, at, at); err != nil {
					t.Fatal(err)
				}
			}
			users, err := ServiceUsers(dir)
			if got := fmt.Sprint(users); got != test.want || (err != nil) != test.fails {
				t.Errorf("got %s, %v", got, err)
			}
		})
	}
}

// FuzzServiceUser checks that no file is read as a user that is too long for Qlik.
func FuzzServiceUser(f *testing.F) {
	f.Add([]byte(traceHeader + "\r\n" + trace(`LAB\svc`) + "\r\n"))
	f.Add([]byte("ServiceUser\nLAB\\svc\n\\\n"))
	path := filepath.Join(f.TempDir(), "a.txt")
	buffer := make([]byte, bufferSize)
	f.Fuzz(func(t *testing.T, content []byte) {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		user, err := serviceUser(path, buffer)
		if err != nil || user.TooLong() {
			t.Error(user, err)
		}
	})
}
