package qliktest_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

func TestLeftoverRowsOnTheWire(t *testing.T) {
	for _, test := range []struct {
		name   string
		config qliktest.Config
		leave  func(w *world) // leaves two rows
	}{
		{"added", qliktest.Config{}, func(w *world) {
			w.AddLeftoverRow("LAB", "anna")
			w.AddLeftoverRow("LAB", "anna")
		}},
		{"session lost", qliktest.Config{}, func(w *world) {
			for _, device := range []string{"laptop", "phone"} {
				if !w.LoseSession(w.opens("anna", device, true).ID) {
					t.Error("no session")
				}
			}
		}},
		{"proxy restarted", qliktest.Config{KeepRowsOnRestart: true}, func(w *world) {
			w.opens("anna", "laptop", true)
			w.opens("anna", "phone", true)
			w.RestartProxy("qlik1")
		}},
	} {
		for _, timeout := range []time.Duration{0, 4 * time.Hour} {
			t.Run(test.name+" "+timeout.String(), func(t *testing.T) {
				test.config.LeftoverTime, test.config.AuditLogDir = timeout, t.TempDir()
				test.config.Users = []qliktest.User{{Directory: "LAB", ID: "anna", License: qliktest.Professional}}
				w := newWorld(t, test.config)
				test.leave(w)
				if n := len(w.Sessions()); n != 0 || w.LoseSession("gone") {
					t.Errorf("%d sessions are alive", n)
				}
				two := map[string]int{qlik.LicenseProfessional: 2}
				w.clock.Advance(4*time.Hour - time.Second)
				if rows := w.rows("anna"); !maps.Equal(rows, two) {
					t.Errorf("rows %v", rows)
				}
				w.clock.Advance(time.Second)
				ended := 0
				if timeout > 0 {
					ended, two = 2, map[string]int{}
				}
				if rows := w.rows("anna"); !maps.Equal(rows, two) {
					t.Errorf("after the timeout: rows %v", rows)
				}
				for _, line := range w.logged("qlik1") {
					if strings.Contains(line["Message"], "OperationType: 'Timedout'") && strings.HasPrefix(line["Message"], "Professional access usages.") {
						ended--
					}
				}
				if denials := w.denials(); ended != 0 || len(denials) != 0 {
					t.Errorf("%d ends are not in the log; denials %v", ended, denials)
				}
			})
		}
	}
}

func TestRemovedLeftoverRowDoesNotTimeOut(t *testing.T) {
	w := newWorld(t, qliktest.Config{LeftoverTime: time.Hour, AuditLogDir: t.TempDir()})
	w.AddLeftoverRow("LAB", "anna")
	w.RemoveLeftoverRows("LAB", "anna")
	w.clock.Advance(2 * time.Hour)
	if lines := w.logged("qlik1"); w.UsageRows("LAB", "anna") != 0 || len(lines) != 0 {
		t.Errorf("%d rows, log %v", w.UsageRows("LAB", "anna"), lines)
	}
}
