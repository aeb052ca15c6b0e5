package collector

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/auditlog"
)

// TestOldestDenialsAreForgotten checks that with too many users, the denials of the
// users with the oldest last denials are deleted, many at once.
func TestOldestDenialsAreForgotten(t *testing.T) {
	denials := NewDenials(nil)
	noon := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	denied := func(id string, at time.Time) {
		denials.Denied(auditlog.Denial{Time: at, User: qlik.NewUser("LAB", id), Reason: auditlog.SessionLimit}, "")
	}
	kept := func(id string) bool {
		_, kept := denials.users[deniedUser{auditlog.SessionLimit, qlik.NewUser("LAB", id)}]
		return kept
	}
	denied("refused again", noon.Add(-2*time.Hour))
	for i := 2; i < maxDenied; i++ {
		denied(fmt.Sprint("user", i), noon.Add(time.Duration(i)*time.Millisecond))
		if i == maxDenied/2 { // neither the first nor the last user
			denied("oldest", noon.Add(-time.Hour))
		}
	}
	denied("refused again", noon.Add(time.Hour))
	if !kept("oldest") || len(denials.users) != maxDenied {
		t.Fatalf("%d users are kept, want %d, the oldest among them", len(denials.users), maxDenied)
	}
	denied("newest", noon.Add(time.Hour))
	for id, want := range map[string]bool{
		"oldest": false, "user2": false, "user2001": false, "user2002": true, "user19999": true, "newest": true, "refused again": true,
	} {
		if got := kept(id); got != want {
			t.Errorf("%s: kept %t, want %t", id, got, want)
		}
	}
	if len(denials.users) != keptDenied {
		t.Errorf("%d users are kept, want %d", len(denials.users), keptDenied)
	}
}

// TestNamesOfDenialsAreBounded checks that long names do not take more memory.
func TestNamesOfDenialsAreBounded(t *testing.T) {
	denials := NewDenials(nil)
	noon := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	long := strings.Repeat("x", 500)
	most := 0
	for i := range maxDenied {
		denials.Denied(auditlog.Denial{Time: noon.Add(time.Duration(i)), User: qlik.NewUser("LAB", fmt.Sprint(long, i)), Reason: auditlog.NoLicense}, "")
		most = max(most, denials.names)
	}
	size := 0
	for user := range denials.users {
		size += user.size()
	}
	if most > maxDeniedNames || most < maxDeniedNames/2 || size != denials.names {
		t.Errorf("up to %d bytes of names, want at most %d; %d are counted, and %d are there", most, maxDeniedNames, denials.names, size)
	}
	denials.remembered(noon.Add(2 * rememberDenial))
	if denials.names != 0 || len(denials.users) != 0 {
		t.Errorf("%d bytes of %d users are left", denials.names, len(denials.users))
	}
}

// TestRefused checks the view of the refusals: the last ones of each reason within a day,
// the last one first, whatever the order of the logs.
func TestRefused(t *testing.T) {
	denials := NewDenials(nil)
	noon := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	anna, bert := qlik.NewUser("LAB", "anna"), qlik.NewUser("LAB", "bert")
	for i := range 2 * maxRefusals {
		denials.Denied(auditlog.Denial{Time: noon.Add(time.Duration(i^1) * time.Minute), User: anna, Reason: auditlog.SessionLimit}, qlik.LicenseAnalyzer)
	}
	denials.Denied(auditlog.Denial{Time: noon.Add(time.Hour), User: anna, Reason: auditlog.NoLicense}, qlik.LicenseUnknown)
	denials.Denied(auditlog.Denial{Time: noon.Add(-24 * time.Hour), User: bert, Reason: auditlog.NoLicense}, qlik.LicenseNone)
	denials.Denied(auditlog.Denial{Time: noon, Reason: auditlog.NoLicense}, qlik.LicenseUnknown)
	refused := denials.Refused(noon.Add(time.Hour))
	want := []qlik.Refusal{{At: noon.Add(time.Hour), Reason: qlik.RefusedNoLicense, License: qlik.LicenseUnknown}}
	for i := 2*maxRefusals - 1; i >= maxRefusals; i-- {
		want = append(want, qlik.Refusal{At: noon.Add(time.Duration(i) * time.Minute), Reason: qlik.RefusedSessionLimit, License: qlik.LicenseAnalyzer})
	}
	if !slices.Equal(refused[anna], want) || len(refused) != 1 {
		t.Errorf("got %v, want %v", refused, want)
	}
	refused[anna][0].Reason = "changed"
	if got := denials.Refused(noon.Add(time.Hour))[anna]; !slices.Equal(got, want) {
		t.Errorf("a view changes the refusals: %v", got)
	}
	if got := denials.Refused(noon.Add(25 * time.Hour)); len(got) != 0 {
		t.Errorf("after a day: %v", got)
	}
}

// TestRecall checks that denials from before the start are known but do not count, and that
// one which is reported again is one refusal.
func TestRecall(t *testing.T) {
	denials := NewDenials(nil)
	noon := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	anna := qlik.NewUser("LAB", "anna")
	denial := func(minutes int) auditlog.Denial {
		return auditlog.Denial{Time: noon.Add(time.Duration(minutes) * time.Minute), User: anna, Reason: auditlog.SessionLimit}
	}
	denials.Denied(denial(5), qlik.LicenseAnalyzer)
	for _, minutes := range []int{1, 2, 3} {
		denials.Recall(denial(minutes))
	}
	denials.Denied(denial(3), qlik.LicenseAnalyzer)
	denials.Recall(auditlog.Denial{Time: noon, Reason: auditlog.NoLicense}) // of nobody
	var got []string
	for _, refusal := range denials.Refused(noon.Add(time.Hour))[anna] {
		got = append(got, refusal.At.Format("4 ")+refusal.License)
	}
	if want := []string{"5 analyzer", "3 analyzer", "2 unknown", "1 unknown"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	count := denials.users[deniedUser{auditlog.SessionLimit, anna}]
	if n := denials.counts[auditlog.SessionLimit]; n != 2 || count.times != 2 || !count.last.Equal(denial(5).Time) {
		t.Errorf("%d denials, %d of the user, the last at %s", n, count.times, count.last)
	}
	if n := denials.counts[auditlog.NoLicense]; n != 0 {
		t.Errorf("%d denials of nobody", n)
	}
}
