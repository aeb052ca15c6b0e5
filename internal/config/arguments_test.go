package config

import (
	"encoding/binary"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

// utf16LE returns a text as "Out-File" of Windows PowerShell writes it.
func utf16LE(text string) string {
	content := []byte{0xff, 0xfe}
	for _, unit := range utf16.Encode([]rune(text)) {
		content = binary.LittleEndian.AppendUint16(content, unit)
	}
	return string(content)
}

func TestExpandFiles(t *testing.T) {
	const windows = "# flags\r\n--qlik.host=qlik1\r\n\r\n--qlik.cert-dir=C:\\Program Files\\qlik_exporter\\certs\r\n\r\n\r\n"
	windowsArgs := []string{"--qlik.host=qlik1", `--qlik.cert-dir=C:\Program Files\qlik_exporter\certs`}
	for name, test := range map[string]struct {
		content string
		want    []string
	}{
		"with CRLF":                     {windows, windowsArgs},
		"with a byte order mark":        {"\ufeff" + windows, windowsArgs},
		"in UTF-16":                     {utf16LE(windows), windowsArgs},
		"in UTF-16 without a mark":      {utf16LE(windows)[2:], windowsArgs},
		"put together from two":         {"--qlik.host=qlik1\n\ufeff--qlik.cert-dir=c\n\x1a", []string{"--qlik.host=qlik1", "--qlik.cert-dir=c"}},
		"with blanks around":            {"  --qlik.host=qlik1\t \n \u00a0\n  # comment\n", []string{"--qlik.host=qlik1"}},
		"with quotes around the line":   {`"--qlik.cert-dir=C:\Program Files\c"` + "\n", []string{`--qlik.cert-dir=C:\Program Files\c`}},
		"with a blank before the value": {"--qlik.host qlik1\n--qlik.cert-dir  C:\\my certs\n", []string{"--qlik.host=qlik1", `--qlik.cert-dir=C:\my certs`}},
		"with a command":                {"check\n--qlik.host=qlik1\n", []string{"check", "--qlik.host=qlik1"}},
		"with a hash in a value":        {"--qlik.cert-dir=/c#1\n", []string{"--qlik.cert-dir=/c#1"}},
		"without a last line end":       {"--qlik.host=qlik1", []string{"--qlik.host=qlik1"}},
		"empty":                         {"", nil},
	} {
		path := write(t, filepath.Join(t.TempDir(), "flags.txt"), test.content)
		got, _, err := ExpandFiles([]string{"check", "@" + path, "--log.level=warn"})
		if want := slices.Concat([]string{"check"}, test.want, []string{"--log.level=warn"}); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, want)
		}
	}

	inner := write(t, filepath.Join(t.TempDir(), "inner"), "--qlik.host=qlik1\n")
	outer := write(t, filepath.Join(t.TempDir(), "outer"), "@"+inner+"\n--log.level=warn\n")
	got, _, err := ExpandFiles([]string{"@" + outer, "--", "@" + inner})
	if want := []string{"--qlik.host=qlik1", "--log.level=warn", "--", "@" + inner}; err != nil || !slices.Equal(got, want) {
		t.Errorf("nested: got %q, %v, want %q", got, err, want)
	}
}

func TestPlaces(t *testing.T) {
	inner := write(t, filepath.Join(t.TempDir(), "inner"), "--qlik.cert-dir=c\n--qlik.proxy=a\n--qlik.proxy=b\n--log.level=info\n")
	outer := write(t, filepath.Join(t.TempDir(), "outer"), "# flags\n\n--qlik.host qlik1\n--no-collector.licenses\n@"+inner+"\n--qlik.virtual-proxy=/\n")
	_, got, err := ExpandFiles([]string{"check", "@" + outer, "--log.level=warn", "--qlik.virtual-proxy=/a"})
	want := Places{
		"qlik.host": "@" + outer + ", line 3", "collector.licenses": "@" + outer + ", line 4",
		"qlik.cert-dir": "@" + inner + ", line 1", "qlik.proxy": "@" + inner,
	}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestExpandFilesRefuses(t *testing.T) {
	for content, want := range map[string]string{
		"--qlik.host=qlik1 --qlik.cert-dir=c\n":      "line 1: contains several arguments; put each on a line of its own",
		"check --qlik.host=qlik1\n":                  "line 1: contains several arguments",
		"\n--qlik.cert-dir=c # the certificates\n":   "line 2: contains a comment; put the comment on a line of its own",
		"--qlik.host=qlik1 \\\n--qlik.cert-dir=c\n":  `line 1: ends with \; remove it`,
		"--qlik.host=qlik1 ^\r\n--qlik.cert-dir=c\n": "line 1: ends with ^; remove it",
		"--qlik.host=qlik1 `\n":                      "line 1: ends with `; remove it",
		"--qlik.cert-dir=C:\\Schl\xfcssel\n":         "line 1: is not UTF-8; save the file as UTF-8",
		"--qlik.host=ql\x00ik1\n":                    "line 1: contains a control character",
		"--qlik.host=qlik1\r--qlik.cert-dir=c":       "line 1: contains a control character",
	} {
		path := write(t, filepath.Join(t.TempDir(), "flags.txt"), content)
		if _, _, err := ExpandFiles([]string{"@" + path}); err == nil || !strings.HasPrefix(err.Error(), "@"+path+": "+want) {
			t.Errorf("%q: got %v, want %s", content, err, want)
		}
	}
	self := filepath.Join(t.TempDir(), "self")
	write(t, self, "@"+self+"\n")
	for arg, want := range map[string]string{
		"@" + filepath.Join(t.TempDir(), "none"): "there is no such file; create it",
		"@" + os.TempDir():                       "is a folder, not a file",
		"@" + self:                               "argument files include one another",
		"@":                                      "write @FILE without a blank",
	} {
		if _, _, err := ExpandFiles([]string{arg}); err == nil || !strings.HasPrefix(err.Error(), arg+": ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", arg, err, want)
		}
	}
}

// FuzzExpandFiles checks that any file is either refused with its name, or becomes
// arguments without blanks around them.
func FuzzExpandFiles(f *testing.F) {
	for _, seed := range []string{"--qlik.host=qlik1\r\n", utf16LE("--qlik.host=qlik1\n"), "# a\n\n\ufeff--a b\n", "\"--a\"\n", "--a=\x1a", "''\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		path := filepath.Join(t.TempDir(), "flags.txt")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		args, _, err := ExpandFiles([]string{"@" + path})
		if err != nil {
			if strings.Contains(err.Error(), "\n") || !strings.HasPrefix(err.Error(), "@") {
				t.Errorf("%q: %v", content, err)
			}
			return
		}
		for _, arg := range args {
			if strings.TrimFunc(arg, isBlank) != arg {
				t.Errorf("%q: argument %q", content, arg)
			}
		}
	})
}
