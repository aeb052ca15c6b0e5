//go:build unix

package site

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestCertificatesOnAShareThatHangs checks that a certificate file that cannot be
// read delays a scrape only briefly.
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
	writer, err := os.OpenFile(pipe, os.O_WRONLY, 0) // // ends the read
	if err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
}
