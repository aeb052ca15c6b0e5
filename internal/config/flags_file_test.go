package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kingpin/v2"
)

// TestWrite checks that the flags of a service are written so that they can be read,
// and never replace others.
func TestWrite(t *testing.T) {
	app := kingpin.New("qlik_exporter", "")
	app.Command("serve", "").Default()
	flags := Register(app)
	for _, test := range []struct {
		content, given string // "-" for no file; one flag per line
		want, failure  string // flags in the file
	}{
		{content: "-"},
		{content: "-", given: "--qlik.host=qlik1\n--qlik.cert-dir=C:\\Program Files\\certs", want: "--qlik.host=qlik1\n--qlik.cert-dir=C:\\Program Files\\certs"},
		{content: "# none\r\n", given: "--qlik.host=qlik1", want: "--qlik.host=qlik1"},
		{content: "\ufeff--qlik.host qlik1\r\n", want: "--qlik.host=qlik1"},
		{content: "--qlik.host qlik1\n--no-collector.licenses\n", given: "--no-collector.licenses\n--qlik.host=qlik1", want: "--qlik.host=qlik1\n--no-collector.licenses"},
		{content: "--qlik.host=qlik1", given: "--qlik.host=qlik2", failure: "has other flags"},
		{content: "--qlik.hots=qlik1", given: "--qlik.host=qlik2", failure: "flags.txt: --qlik.hots: there is no such flag; did you mean --qlik.host?"},
		{content: "--a --b", failure: "line 1: contains several arguments"},
		{content: "-", given: "--qlik.key-passphrase-file=C:\\a # b", failure: "cannot be written"},
	} {
		path := filepath.Join(t.TempDir(), "flags.txt")
		if test.content != "-" {
			write(t, path, test.content)
		}
		var given []string
		if test.given != "" {
			given = strings.Split(test.given, "\n")
		}
		err := flags.Write(path, given)
		if test.failure != "" {
			if err == nil || !strings.Contains(err.Error(), test.failure) {
				t.Errorf("%q, %q: error %v, want %s", test.content, test.given, err, test.failure)
			}
			if content, err := os.ReadFile(path); test.content != "-" && (err != nil || string(content) != test.content) {
				t.Errorf("%q, %q: now %q", test.content, test.given, content)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q, %q: %v", test.content, test.given, err)
			continue
		}
		if content, err := os.ReadFile(path); strings.HasPrefix(test.content, "# ") && (err != nil || !strings.HasPrefix(string(content), strings.TrimSpace(test.content)+"\n")) {
			t.Errorf("%q, %q: the comment is gone: %q", test.content, test.given, content)
		}
		got, _, err := ExpandFiles([]string{"@" + path})
		if want := strings.FieldsFunc(test.want, func(r rune) bool { return r == '\n' }); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q, %q: got %q (%v), want %q", test.content, test.given, got, err, want)
		}
	}
}
