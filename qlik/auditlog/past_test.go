package auditlog

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestPast checks that Past reads the live file and its archives, each refusal once and
// only recent ones.
func TestPast(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2024, 5, 14, 12, 0, 0, 0, time.UTC)
	write := func(name string, modified time.Time, lines ...string) {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(header+"\r\n"+strings.Join(lines, "\r\n")+"\r\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, modified, modified); err != nil {
			t.Fatal(err)
		}
	}
	const live = "QLIK1_AuditSecurity_Repository.txt"
	early := []string{line("20240513T110000Z", "LAB", "yesterday", limitMessage), line("20240513T130000Z", "LAB", "carla", licenseMessage)}
	write(live, now,
		line("20240514T100000Z", "LAB", "anna", grantedMessage), "odd", line("20240514T110000Z", "LAB", "anna", limitMessage),
		checked("License analyzer access", "LAB", "goran", third2025))
	write("QLIK1_AuditSecurity_Repository_2024-05-14T09.00.00Z.log", now, early...)
	write("QLIK1_AuditSecurity_Repository_2024-05-14T09.00.01Z.log", now, early...) // a copy
	write("QLIK1_AuditSecurity_Repository_2024-05-12T09.00.00Z.log", now.Add(-48*time.Hour), line("20240514T100000Z", "LAB", "old", limitMessage))
	write("QLIK1_AuditActivity_Proxy.txt", now, line("20240514T100000Z", "LAB", "other", limitMessage))

	past := func(glob string) []string {
		var found []string
		err := Past(t.Context(), filepath.Join(dir, glob), now.Add(-24*time.Hour), func(d Denial) {
			found = append(found, d.User.ID+" "+string(d.Reason))
		})
		if err != nil {
			t.Error(err)
		}
		slices.Sort(found)
		return found
	}
	if got, want := past("*_AuditSecurity_Repository.txt"), []string{"anna session_limit", "carla no_license", "goran no_license"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}

	// The archives are read even if the live file is missing.
	if err := os.Remove(filepath.Join(dir, live)); err != nil {
		t.Fatal(err)
	}
	denials := 0
	err := Past(t.Context(), filepath.Join(dir, live), now.Add(-24*time.Hour), func(Denial) { denials++ })
	if err == nil || denials != 1 {
		t.Errorf("without the live file: %d, %v", denials, err)
	}
	if err := os.Mkdir(filepath.Join(dir, "x_AuditSecurity_Repository.txt"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, glob := range []string{"", "[", "x_AuditSecurity_Repository.txt", "nosuch/file.txt"} {
		if err := Past(t.Context(), filepath.Join(dir, "nosuch", glob), now, func(Denial) {}); err == nil {
			t.Errorf("%q: no error", glob)
		}
	}
}
