package site

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestCertificatesOnAShareThatHangs checks that a certificate file that cannot be
// read delays a scrape only briefly. A lease makes every other open of the file wait.
func TestCertificatesOnAShareThatHangs(t *testing.T) {
	dir := ""
	_, site := start(t, threeNodes(), func(c *Config) { dir = c.Client.CertDir })
	within(t, site, time.Minute)
	file, err := os.OpenFile(filepath.Join(dir, "client.pem"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	lease(t, file, syscall.F_WRLCK)
	snapshot := within(t, site, time.Minute)
	if !snapshot.Complete() || site.Status().Certificates.ClientExpiry.IsZero() {
		t.Errorf("complete %t, certificate until %s; want the last good one in use", snapshot.Complete(), site.Status().Certificates.ClientExpiry)
	}
	lease(t, file, syscall.F_UNLCK) // ends the read
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}

// lease takes or returns a lease on a file. Go programs ignore the signal that asks for
// its return.
func lease(t *testing.T, file *os.File, kind uintptr) {
	t.Helper()
	const setLease = 1024 // F_SETLEASE
	if _, _, err := syscall.Syscall(syscall.SYS_FCNTL, file.Fd(), setLease, kind); err != 0 {
		t.Skipf("this file system has no leases: %v", err)
	}
}
