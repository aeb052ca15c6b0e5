//go:build unix

package textfile

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestReadRefusesPipe checks that a pipe without a writer does not block.
func TestReadRefusesPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path); err == nil || !strings.Contains(err.Error(), "is a pipe or a device, not a file") {
		t.Errorf("got %v", err)
	}
}
