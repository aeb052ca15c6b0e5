package assets

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestPlaceholders(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files := map[string][]byte{
		"a.yml": []byte("# mail.example.com is a comment\nsmarthost: mail.example.com:587 # CHANGE\n  - to: desk@acme.test # CHANGE: later\nurl: https://grafana.example.com/d/1\nurl: https://grafana.example.com/d/2\n"),
		"b.yml": []byte("from: x@example.org\nurl: https://qlik.example.com/sessions/user\nurl: https://notexample.com/ https://example.community/\n"),
		"c.yml": []byte("from: x@example.org\n"),
	}
	if _, err := Write(dir, files); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "c.yml"), []byte("from: x@acme.test\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	found, err := Placeholders(dir, files)
	if err != nil {
		t.Fatal(err)
	}
	want := "[a.yml:2: smarthost: mail.example.com:587 a.yml:3: to: desk@acme.test a.yml:4 and 1 more: https://grafana.example.com b.yml:1: from: x@example.org b.yml:2: https://qlik.example.com/sessions]"
	if got := fmt.Sprint(found); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
