package textfile

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unicode"
	"unicode/utf16"
)

// inUTF16 returns a text in UTF-16, with a byte order mark if it starts with one.
func inUTF16(text string, order binary.ByteOrder) []byte {
	var content []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		content = append(content, 0, 0)
		order.PutUint16(content[len(content)-2:], unit)
	}
	return content
}

func TestRead(t *testing.T) {
	const text = "--qlik.host=qlik1\r\n--qlik.cert-dir=C:\\Schlüssel\\😀\r\n"
	random := sha256.Sum256(nil)
	zeros := bytes.Repeat([]byte{0, 7}, 16) // control characters, so it is no text
	for name, test := range map[string]struct {
		content []byte
		want    string
	}{
		"UTF-8":                            {[]byte(text), text},
		"UTF-8 with a mark":                {[]byte("\ufeff" + text), text},
		"UTF-16LE with a mark":             {inUTF16("\ufeff"+text, binary.LittleEndian), text},
		"UTF-16BE with a mark":             {inUTF16("\ufeff"+text, binary.BigEndian), text},
		"UTF-16LE":                         {inUTF16(text, binary.LittleEndian), text},
		"UTF-16BE":                         {inUTF16(text, binary.BigEndian), text},
		"one character in UTF-16LE":        {[]byte("a\x00"), "a"},
		"Chinese in UTF-16LE with a mark":  {inUTF16("\ufeff口令", binary.LittleEndian), "口令"},
		"Chinese in UTF-16LE, not certain": {inUTF16("口令", binary.LittleEndian), string(inUTF16("口令", binary.LittleEndian))},
		"empty":                            {nil, ""},
		"only a mark":                      {[]byte("\ufeff"), ""},
		"only a mark of UTF-16":            {[]byte("\xff\xfe"), ""},
		"Latin-1":                          {[]byte("caf\xe9"), "caf\xe9"},
		"a random key":                     {random[:], string(random[:])},
		"a key with zeros":                 {zeros, string(zeros)},
		"a key that starts like UTF-16":    {[]byte("\xff\xfe\x00\xd8\x01\x02"), "\xff\xfe\x00\xd8\x01\x02"},
		"an odd number of bytes":           {[]byte("\xff\xfea\x00b"), "\xff\xfea\x00b"},
		"UTF-32":                           {[]byte("\xff\xfe\x00\x00a\x00\x00\x00"), "\xff\xfe\x00\x00a\x00\x00\x00"},
	} {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, test.content, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := Read(path); err != nil || string(got) != test.want {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, test.want)
		}
	}
}

func TestReadKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	for content, want := range map[string]string{
		"secret":                 "secret",
		"secret\n":               "secret",
		"secret\r\n\r\n":         "secret",
		"\ufeffsecret\r\n":       "secret",
		"\ta secret of words \n": "\ta secret of words ",
		"two\nlines\n":           "two\nlines",
		"s\x00e\x00\r\x00\n\x00": "se",
		"":                       "",
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadKey(path); err != nil || string(got) != want {
			t.Errorf("%q: got %q, %v, want %q", content, got, err, want)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	dir := t.TempDir()
	large := filepath.Join(dir, "large")
	if err := os.WriteFile(large, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, 1<<40); err != nil { // a sparse file
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none"): "open " + filepath.Join(dir, "none"),
		dir:                        "read " + dir + ": is a folder, not a file",
		large:                      "read " + large + ": is larger than 1 MiB",
		os.DevNull:                 "is a pipe or a device, not a file",
	} {
		if runtime.GOOS == "windows" && path == os.DevNull {
			continue // NUL cannot be told apart by its mode
		}
		_, err := Read(path)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", path, err, want)
		}
		if pathError := (*fs.PathError)(nil); !errors.As(err, &pathError) || pathError.Path != path {
			t.Errorf("%s: the error does not carry the path: %v", path, err)
		}
	}
}

// FuzzDecode checks that the conversion reverses every form of a text, and that it
// loses nothing of other content.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{"", "a", "--qlik.host=qlik1\r\n", "口令", "\x00\x00", "\xff\xfe", "caf\xe9"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		once := decode(content)
		text := string(bytes.ToValidUTF8(once, nil))
		isControl := func(r rune) bool { return unicode.IsControl(r) && !strings.ContainsRune("\t\r\n", r) }
		if strings.ContainsFunc(text, isControl) || strings.Contains(text, "\ufffd") {
			return // no text
		}
		for name, form := range map[string][]byte{
			"UTF-8": []byte("\ufeff" + text), "UTF-16LE": inUTF16("\ufeff"+text, binary.LittleEndian), "UTF-16BE": inUTF16("\ufeff"+text, binary.BigEndian),
		} {
			if got := decode(form); string(got) != text {
				t.Errorf("%s of %q: got %q", name, text, got)
			}
		}
	})
}
