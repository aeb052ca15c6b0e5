//go:build !windows

package auditlog

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestOnlyRegularFiles checks that a FIFO or a device never blocks the follower, and
// that it follows a regular file beside them.
func TestOnlyRegularFiles(t *testing.T) {
	for name, create := range map[string]func(path string) error{
		"a FIFO":                func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a link to a device":    func(path string) error { return os.Symlink("/dev/zero", path) },
		"a link to a directory": func(path string) error { return os.Symlink("/", path) },
	} {
		synctest.Test(t, func(t *testing.T) {
			dir := t.TempDir()
			odd := filepath.Join(dir, "ODD_AuditSecurity_Repository.txt")
			if err := create(odd); err != nil {
				t.Fatal(err)
			}
			if _, err := Find(odd); err == nil || !strings.Contains(err.Error(), odd+": is not a regular file") {
				t.Errorf("%s: found with %v", name, err)
			}
			r := newReader(t, Config{Glob: filepath.Join(dir, "*_AuditSecurity_Repository.txt")})
			r.start()
			defer r.stop()
			synctest.Wait()
			r.wantStatus("is not a regular file")
			poll()
			r.wantStatus("is not a regular file")
			w := newLogWriter(t, dir)
			w.create()
			w.refuse(1)
			poll()
			// Also in the place of an archive.
			if err := create(strings.TrimSuffix(w.path(), ".txt") + "_odd.log"); err != nil {
				t.Fatal(err)
			}
			w.rollOver()
			w.refuse(1)
			poll()
			r.wantStatus("")
			r.want(1, 2)
		})
	}
}

// TestFindIsBounded checks that a share that hangs does not block the caller of Find.
func TestFindIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hanging := make(chan struct{})
		begin := time.Now()
		_, err := inTime(func() (string, error) {
			<-hanging
			return "", context.Canceled
		})
		if took := time.Since(begin); took != findTimeout || err == nil || !strings.Contains(err.Error(), errNoAnswer.Error()) {
			t.Errorf("%v after %s, want %v after %s", err, took, errNoAnswer, findTimeout)
		}
		close(hanging)
		synctest.Wait()
	})
}
