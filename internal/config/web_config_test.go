package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPasswordCost checks that passwords whose check takes long are refused, and that the
// error contains neither a hash nor a password.
func TestPasswordCost(t *testing.T) {
	const salted = "5Q1qxyr7R67MJ.s3QXzunORpBU8qe8RxrXxpns6P7ouFGl8QQgAMG"
	for hash, want := range map[string]string{
		"$2a$04$" + salted:    "",
		"$2y$10$" + salted:    "",
		"$2b$12$" + salted:    "",
		"$2a$13$" + salted:    `the password of "carl" has bcrypt cost 13; a check would take about 500ms; make it again with cost 10 to 12`,
		"$2y$31$" + salted:    `the password of "carl" has bcrypt cost 31; a check would take about 36h24m32s`,
		"marker-web-password": `the password of "carl" is not a bcrypt hash`,
	} {
		path := filepath.Join(t.TempDir(), "web.yml")
		content := fmt.Sprintf("basic_auth_users:\n  anna: $2a$10$%s\n  carl: %s\n", salted, hash)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := webConfig("desk.web.config.file", path); err != nil {
			got = err.Error()
		}
		if (got == "") != (want == "") || !strings.HasPrefix(got, want) && !strings.HasPrefix(got, "--desk.web.config.file: "+path+": "+want) || strings.Contains(got, salted[:4]) || strings.Contains(got, "marker") {
			t.Errorf("%s: got %q, want %q", hash, got, want)
		}
	}
}
