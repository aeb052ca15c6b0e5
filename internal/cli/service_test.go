package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestConfigure(t *testing.T) {
	t.Parallel()
	const comments = "# Flags of qlik_exporter.\r\n#--qlik.host=qlik1.company.com\r\n#\r\n"
	for name, test := range map[string]struct {
		before string // "" for no file
		words  string // as Windows splits the command line
		after  string // "" if nothing is to change
		says   string
	}{
		"no file":       {words: "--qlik.host=qlik1", after: "# Flags of qlik_exporter, one per line. The service and its commands use them.\n--qlik.host=qlik1\n", says: "Wrote --qlik.host=qlik1 to FILE."},
		"comments":      {before: comments, words: "--web.listen-address=:9990", after: strings.TrimRight(comments, "\r\n") + "\n--web.listen-address=:9990\n"},
		"a blank value": {before: comments, words: `--qlik.cert-dir=C:\Program Files\qlik_exporter\certs --guard=dry-run`, after: strings.TrimRight(comments, "\r\n") + "\n--qlik.cert-dir=C:\\Program Files\\qlik_exporter\\certs\n--guard=dry-run\n"},
		"files to come": {before: comments, words: "--web.config.file=/nowhere/web.yml --log.file=/nowhere/x.log", after: strings.TrimRight(comments, "\r\n") + "\n--web.config.file=/nowhere/web.yml\n--log.file=/nowhere/x.log\n"},
		"other flags":   {before: "--qlik.host=qlik1\n", words: "--qlik.host=qlik2", says: "FILE has flags and stays as it is."},
		"an old file":   {before: "--qlik.hots=qlik1\n", words: "--qlik.host=qlik2", says: "FILE has flags and stays as it is."},
		"unknown flag":  {before: comments, words: "--qlik.hots=qlik2", says: "error: "},
		"wrong value":   {before: comments, words: "--guard=perhaps", says: `error: --guard: must be one of off, dry-run, on, not "perhaps"`},
		"wrong port":    {before: comments, words: "--web.listen-address=:99999", says: "error: --web.listen-address: "},
		"no value":      {before: comments, words: "--qlik.host --guard=on", says: "error: --qlik.host: needs a value"},
		"no flag":       {before: comments, words: "qlik1", says: "error: qlik1: is not a flag"},
		"a file":        {before: comments, words: "@/etc/passwd --guard=on", says: "error: @/etc/passwd: is not a flag"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "flags.txt")
			if test.before != "" {
				if err := os.WriteFile(file, []byte(test.before), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var out bytes.Buffer
			command := configureCommand{words: strings.Fields(test.words), file: file}
			err := command.run(t.Context(), Streams{Out: &out, Err: &out})
			if err != nil {
				out.WriteString("error: " + err.Error())
			}
			if said := strings.ReplaceAll(out.String(), file, "FILE"); (err != nil) != strings.HasPrefix(test.says, "error: ") || !strings.Contains(said, test.says) {
				t.Errorf("it says %s, want %s", said, test.says)
			}
			content, err := os.ReadFile(file)
			if want := test.after; err != nil || string(content) != want && (want != "" || string(content) != test.before) {
				t.Errorf("the file is\n%s\nwant\n%s\n(%v)", content, want, err)
			}
		})
	}
}
