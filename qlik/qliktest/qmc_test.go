package qliktest_test

import (
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// opensQMC opens the QMC on a device and checks whether access is granted.
func (w *world) opensQMC(id, device string, want bool) {
	w.t.Helper()
	session, err := w.OpenQMC("LAB", id, device, "", "")
	if err != nil {
		w.t.Fatal(err)
	}
	if session.Granted != want {
		w.t.Errorf("QMC of %s on %s: granted %v", id, device, session.Granted)
	}
}

// keys returns the sessions of the usage rows.
func (w *world) keys() []qlik.SessionKey {
	w.t.Helper()
	rows, err := w.client.UsageRows(w.t.Context(), w.licenses())
	if err != nil {
		w.t.Fatal(err)
	}
	var keys []qlik.SessionKey
	for _, row := range rows {
		keys = append(keys, row.Session)
	}
	return keys
}

func TestHubAndQMCInOneBrowser(t *testing.T) {
	for _, test := range []struct {
		qmc            qliktest.QMC
		sessions, rows int
		oneID          bool // all rows have the same session id
	}{
		{qliktest.QMCSameSession, 1, 1, true},
		{qliktest.QMCOwnSession, 2, 2, false},
		{qliktest.QMCSecondRow, 1, 2, true},
	} {
		for _, hubFirst := range []bool{true, false} {
			t.Run(test.qmc.String(), func(t *testing.T) {
				w := newWorld(t, qliktest.Config{QMC: test.qmc, Users: []qliktest.User{
					{Directory: "LAB", ID: "anna", License: qliktest.Professional}, {Directory: "LAB", ID: "root", Admin: true},
				}})
				for range 2 { // opening both again changes nothing
					if !hubFirst {
						w.opensQMC("anna", "laptop", true)
					}
					w.opens("anna", "laptop", true)
					w.opensQMC("anna", "laptop", true)
				}
				keys := w.keys()
				if len(w.Sessions()) != test.sessions || len(keys) != test.rows || (keys[0] == keys[len(keys)-1]) != test.oneID {
					t.Errorf("%d sessions, rows of %v", len(w.Sessions()), keys)
				}
				w.opens("root", "laptop", true)
				w.opensQMC("root", "laptop", true)
				if n := len(w.keys()); n != test.rows {
					t.Errorf("an administrator without license has rows: %d", n)
				}
				for _, session := range w.Sessions() {
					w.Logout(session.ID)
				}
				if len(w.Sessions()) != 0 || len(w.keys()) != 0 {
					t.Error("sessions or rows after the logout")
				}
				w.opens("anna", "laptop", true) // the cookies are gone
			})
		}
	}
	if name := qliktest.QMC(9).String(); name != "QMC(9)" {
		t.Error(name)
	}
}

func TestSecondRowAtTheLimit(t *testing.T) {
	w := newWorld(t, qliktest.Config{QMC: qliktest.QMCSecondRow, SessionLimit: 3, AuditLogDir: t.TempDir(), Users: []qliktest.User{
		{Directory: "LAB", ID: "anna", License: qliktest.Professional},
	}})
	laptop := w.opens("anna", "laptop", true)
	phone := w.opens("anna", "phone", true)
	w.opensQMC("anna", "laptop", true)
	w.opensQMC("anna", "phone", false)
	if !w.granted(laptop) || !w.granted(phone) || w.denials()["anna: limit"] != 1 {
		t.Errorf("denials %v", w.denials())
	}
	w.Logout(laptop.ID) // both slots cool
	w.opensQMC("anna", "phone", false)
	w.clock.Advance(5 * time.Minute)
	w.opensQMC("anna", "phone", true)
	w.AddLeftoverRow("LAB", "anna")
	w.LoseSession(phone.ID)
	if rows := w.rows("anna"); rows[qlik.LicenseProfessional] != 3 {
		t.Errorf("rows %v", rows)
	}
}
