package config

import (
	"os"
	"path/filepath"
	"testing"
)

// TestUsePackage checks which folder of certificates is used without a setting. A
// service can have other credentials than certificates.
func TestUsePackage(t *testing.T) {
	credentials, others, folder := t.TempDir(), t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(credentials, "client.pem"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ set, credentials, folder, want string }{
		{"", "", "", ""},
		{"", "", filepath.Join(folder, "nowhere"), ""},
		{"", "", folder, folder},
		{"", others, folder, folder},
		{"", credentials, folder, credentials},
		{"", credentials, "", credentials},
		{"certs", credentials, folder, "certs"},
	} {
		site := Site{CertDir: test.set}
		found := site.usePackage(test.credentials, test.folder)
		if site.CertDir != test.want || (len(found) > 0) != (test.set != test.want) {
			t.Errorf("%+v: got %q, found %q", test, site.CertDir, found)
		}
	}
}
