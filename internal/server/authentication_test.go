package server

import (
	"os"
	"path/filepath"
	"testing"
)

func TestAuthenticates(t *testing.T) {
	if Authenticates("") || Authenticates(t.TempDir()+"/missing.yml") {
		t.Error("no file, yet everybody is known")
	}
	for content, want := range map[string]bool{
		"": false,
		"basic_auth_users:\n  anna: $2y$10$abc\n":                                                   true,
		"basic_auth_users: {}\n":                                                                    false,
		"tls_server_config:\n  cert_file: a\n  key_file: b\n":                                       false,
		"tls_server_config:\n  client_ca_file: c\n  client_auth_type: RequireAndVerifyClientCert\n": true,
		"tls_server_config:\n  client_ca_file: c\n  client_auth_type: VerifyClientCertIfGiven\n":    false,
		"tls_server_config:\n  client_auth_type: RequireAnyClientCert\n":                            false,
		"http_server_config:\n  http2: true\n":                                                      false,
		"basic_auth_users: [broken":                                                                 false,
	} {
		file := filepath.Join(t.TempDir(), "web.yml")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := Authenticates(file); got != want {
			t.Errorf("%q: got %t", content, got)
		}
	}
}
