package sessions_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions/sessionstest"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// TestRefused checks what the refusals of a user say, and which of them matter.
func TestRefused(t *testing.T) {
	const limit, noLicense = qlik.RefusedSessionLimit, qlik.RefusedNoLicense
	refused := func(minutes int, reason qlik.RefusalReason, license string) qlik.Refusal {
		return qlik.Refusal{At: sessionstest.Noon.Add(-time.Duration(minutes) * time.Minute), Reason: reason, License: license}
	}
	const listed, gone = 2, 0
	for _, test := range []struct {
		name     string
		sessions int
		rows     int
		license  string // now
		refused  []qlik.Refusal
		want     sessions.Unlicensed
		text     string // "absent" if the user is not in the list
	}{
		{"never refused", listed, 0, qlik.LicenseNone, nil, "", ""},
		{"limit", listed, 2, qlik.LicenseAnalyzer, []qlik.Refusal{refused(4, limit, qlik.LicenseAnalyzer)}, "", "refused: too many sessions, 11:56:00 UTC (4 min ago)"},
		{"limit, gone", gone, 0, qlik.LicenseAnalyzer, []qlik.Refusal{refused(4, limit, qlik.LicenseAnalyzer)}, "", "refused: too many sessions, 11:56:00 UTC (4 min ago)"},
		{"limit, long ago", listed, 2, qlik.LicenseAnalyzer, []qlik.Refusal{refused(15, limit, qlik.LicenseAnalyzer)}, "", ""},
		{"limit, gone long ago", gone, 0, qlik.LicenseAnalyzer, []qlik.Refusal{refused(15, limit, qlik.LicenseAnalyzer)}, "", "absent"},
		{"none", listed, 0, qlik.LicenseNone, []qlik.Refusal{refused(4, noLicense, qlik.LicenseNone)}, sessions.NoLicense, "refused: no license, 11:56:00 UTC (4 min ago)"},
		{"none, gone", gone, 0, qlik.LicenseNone, []qlik.Refusal{refused(4, noLicense, qlik.LicenseNone)}, sessions.NoLicense, "refused: no license, 11:56:00 UTC (4 min ago)"},
		{"none, hours ago", listed, 0, qlik.LicenseNone, []qlik.Refusal{refused(130, noLicense, qlik.LicenseNone)}, sessions.NoLicense, "refused: no license, 09:50:00 UTC (2 h 10 min ago)"},
		{"none, gone hours ago", gone, 0, qlik.LicenseNone, []qlik.Refusal{refused(130, noLicense, qlik.LicenseNone)}, "", "absent"},
		{"removed since the list", listed, 0, qlik.LicenseNone, []qlik.Refusal{refused(4, noLicense, qlik.LicenseAnalyzer)}, sessions.NoLicense, "refused: no license, 11:56:00 UTC (4 min ago)"},
		{"unknown license", listed, 0, qlik.LicenseUnknown, []qlik.Refusal{refused(4, noLicense, qlik.LicenseUnknown)}, sessions.LicenseUnknown, "refused: no license, 11:56:00 UTC (4 min ago)"},
		{"licenses not read", listed, 0, "", []qlik.Refusal{refused(4, noLicense, qlik.LicenseUnknown)}, sessions.LicenseUnknown, "refused: no license, 11:56:00 UTC (4 min ago)"},
		{"unknown license, hours ago", listed, 0, qlik.LicenseUnknown, []qlik.Refusal{refused(130, noLicense, qlik.LicenseUnknown)}, "", ""},
		{"licensed all the time", listed, 0, qlik.LicenseAnalyzer, []qlik.Refusal{refused(4, noLicense, qlik.LicenseAnalyzer)}, sessions.LicenseService, "refused: no license, although the user holds one, 11:56:00 UTC (4 min ago)"},
		{"licensed since", listed, 0, qlik.LicenseAnalyzer, []qlik.Refusal{refused(4, noLicense, qlik.LicenseNone)}, "", "refused: no license then, 11:56:00 UTC (4 min ago)"},
		{"licensed before or since", gone, 0, qlik.LicenseAnalyzer, []qlik.Refusal{refused(4, noLicense, qlik.LicenseUnknown)}, sessions.LicenseUnknown, "refused: no license, 11:56:00 UTC (4 min ago)"},
		{"a session with a slot since", listed, 1, qlik.LicenseNone, []qlik.Refusal{refused(4, noLicense, qlik.LicenseNone)}, "", "refused: no license then, 11:56:00 UTC (4 min ago)"},
		{"the last one counts", listed, 0, qlik.LicenseNone, []qlik.Refusal{refused(3, limit, qlik.LicenseNone), refused(4, noLicense, qlik.LicenseNone)}, "", "refused: too many sessions, 11:57:00 UTC (3 min ago)"},
	} {
		anna := qlik.NewUser("LAB", "anna")
		snapshot := sessionstest.Snapshot(map[string]int{`LAB\anna`: test.sessions, `LAB\bert`: 4})
		if test.license != "" {
			snapshot.Licenses = &qlik.Licenses{Certain: test.license == qlik.LicenseNone, Holders: map[qlik.User]qlik.LicenseSet{}}
			if test.license == qlik.LicenseAnalyzer {
				snapshot.Licenses.Holders[anna] = qlik.NewLicenseSet(test.license)
			}
		}
		for i := range snapshot.Users {
			if user := &snapshot.Users[i]; user.User == anna {
				user.License, user.LicensedSessions = test.license, test.rows
			}
		}
		snapshot.Refusals = qlik.Refusals{anna: test.refused}
		if len(test.refused) > 0 && sessionstest.Noon.Sub(test.refused[0].At) < headroom.RecentRefusal { // like Observe
			if test.sessions == gone {
				snapshot.Users = append(snapshot.Users, snapshot.Of(anna))
				slices.SortFunc(snapshot.Users, func(a, b headroom.UserStatus) int { return a.User.Compare(b.User) })
			}
			facts := &headroom.Facts{Now: sessionstest.Noon, Limit: 5, EffectiveHeadroom: 5, License: test.license, Refusals: test.refused}
			for range test.rows {
				facts.Slots = append(facts.Slots, headroom.Slot{Granted: sessionstest.Noon.Add(-time.Minute)})
			}
			i := slices.IndexFunc(snapshot.Users, func(u headroom.UserStatus) bool { return u.User == anna })
			snapshot.Users[i].Judgment, snapshot.Users[i].LicenseDoubtful = facts.Judge(), facts.LicenseDoubtful()
		}
		rows := sessions.Rows(snapshot)
		row, at := (*sessions.Row)(nil), 0
		for i := range rows {
			if rows[i].User == anna {
				row, at = &rows[i], i
			}
		}
		if row == nil || test.text == "absent" {
			if (row == nil) != (test.text == "absent") {
				t.Errorf("%s: in the list %t", test.name, row != nil)
			}
			continue
		}
		if got := row.RefusedText(sessionstest.Noon); row.Unlicensed != test.want || got != test.text {
			t.Errorf("%s: %q, %q; want %q, %q", test.name, row.Unlicensed, got, test.want, test.text)
		}
		if recent := test.want != "" && strings.Contains(test.text, "(4 min ago)"); recent != (at == 0) {
			t.Errorf("%s: place %d in the list", test.name, at)
		}
		if row.Unlicensed != "" && (row.Unlicensed.Advice() == "" || row.Unlicensed.Label() == "") {
			t.Errorf("%s: says nothing", test.name)
		}
	}
}
