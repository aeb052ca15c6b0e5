package cli

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestFactsAsk checks that on a terminal, no file of facts is written without
// confirmation, and that no file is ever overwritten.
func TestFactsAsk(t *testing.T) {
	content := []byte("{}\n")
	o := factsOptions{file: filepath.Join(t.TempDir(), "facts.json")}
	write := func(answer string, onTerminal bool) (string, error) {
		var out bytes.Buffer
		err := o.write(t.Context(), Streams{In: strings.NewReader(answer), Out: &out}, onTerminal, content)
		return out.String(), err
	}
	question := "Write this to " + o.file + "? [y/N] "
	for _, answer := range []string{"", "\n", "n\n", "yesterday\n"} {
		if out, err := write(answer, true); err != nil || out != question+"Nothing was written.\n" {
			t.Errorf("%q: %v: %s", answer, err, out)
		}
		if _, err := os.Stat(o.file); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("%q: %v", answer, err)
		}
	}
	if out, err := write("y\n", true); err != nil || !strings.HasPrefix(out, question+"Wrote "+o.file+". ") {
		t.Errorf("%v: %s", err, out)
	}
	if got, err := os.ReadFile(o.file); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%q, %v", got, err)
	}
	content = []byte("other\n")
	if _, err := write("", false); !errors.Is(err, fs.ErrExist) {
		t.Errorf("without a terminal, the file exists: %v", err)
	}
	if got, err := os.ReadFile(o.file); err != nil || string(got) != "{}\n" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestWatching checks the progress if no reading is exactly at a minute.
func TestWatching(t *testing.T) {
	t.Parallel()
	var shown strings.Builder
	show := watching(&shown)
	const of = 2*time.Minute + 30*time.Second
	for watched := 15 * time.Second; watched < of; watched += 15*time.Second + 3*time.Millisecond {
		show(watched, of)
	}
	show(of, of)
	want := "Watching usage rows: 15s of 2m30s (--facts-watch sets the time).\nWatching usage rows: 1m0s of 2m30s.\nWatching usage rows: 2m0s of 2m30s.\nWatching usage rows: 2m30s of 2m30s.\n"
	if shown.String() != want {
		t.Errorf("got\n%swant\n%s", shown.String(), want)
	}
}
