package config

import (
	"path/filepath"
	"testing"
)

// TestUsePackage checks which folder of certificates is used without a setting.
func TestUsePackage(t *testing.T) {
	folder := t.TempDir()
	for _, test := range []struct{ set, folder, want string }{
		{"", "", ""},
		{"", filepath.Join(folder, "nowhere"), ""},
		{"", folder, folder},
		{"certs", folder, "certs"},
	} {
		site := Site{CertDir: test.set}
		found := site.usePackage(test.folder)
		if site.CertDir != test.want || (len(found) > 0) != (test.set != test.want) {
			t.Errorf("%+v: got %q, found %q", test, site.CertDir, found)
		}
	}
}
