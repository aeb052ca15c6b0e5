package cli

import (
	"os"
	"strings"
	"testing"

	"github.com/go-kit/log"

	"github.com/qlik-exporter/qlik_exporter/internal/ending"
	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// TestAuditLogIsSynced checks that a line counts as recorded only after it is on disk.
func TestAuditLogIsSynced(t *testing.T) {
	// The null device accepts every line, but cannot sync.
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	if null.Sync() == nil {
		t.Skip("this system syncs its null device")
	}
	c := openSite{Record: log.NewNopLogger()}
	a, err := c.openAuditLog(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.record(&ending.Outcome{Plan: &ending.Plan{User: qlik.NewUser("LAB", "anna")}}); err == nil || !strings.Contains(err.Error(), "--audit-log-file: ") {
		t.Errorf("got %v, want an error that names the flag", err)
	}
	if err := a.file.Close(); err == nil {
		t.Error("the file is still open")
	}
}
