//go:build unix

package site

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestCertificatesOnAShareThatHangs: a file that cannot be read to its end costs a
// scrape a moment, and nothing else waits for it.
func TestCertificatesOnAShareThatHangs(t *testing.T) {
	dir := ""
	_, site := start(t, threeNodes(), func(c *Config) { dir = c.Client.CertDir })
	within(t, site, time.Minute)
	pipe := filepath.Join(dir, "client.pem")
	if err := os.Remove(pipe); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	snapshot := within(t, site, time.Minute)
	if !snapshot.Complete() || site.Status().Certificates.ClientExpiry.IsZero() {
		t.Errorf("complete %t, certificate until %s; want the last good one in use", snapshot.Complete(), site.Status().Certificates.ClientExpiry)
	}
	writer, err := os.OpenFile(pipe, os.O_WRONLY, 0) // ends the reading
	if err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
}
