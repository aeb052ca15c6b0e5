package logging

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/go-kit/log/level"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestRotation checks that the log file and those before it stay small, and that only their
// owner may read them.
func TestRotation(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "qlik_exporter.log")
	var other bytes.Buffer
	file := NewWithFile(&other, path, "logfmt")
	line := []byte(strings.Repeat("x", 1<<16-1) + "\n")
	const lines = 8 * maxSize << 20 >> 16
	for range lines {
		if n, err := file.Write(line); n != len(line) || err != nil {
			t.Fatal(n, err)
		}
	}
	file.Close(nil)
	if other.Len() != lines*len(line) {
		t.Errorf("the other log has %d bytes: %.200s", other.Len(), other.String()[lines*len(line):])
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1+maxFiles {
		t.Errorf("there are %d files, want %d (%v)", len(files), 1+maxFiles, err)
	}
	for _, file := range files {
		info, err := file.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > maxSize<<20 || info.Mode() != 0o600 && runtime.GOOS != "windows" {
			t.Errorf("%s has %d bytes and the mode %s", info.Name(), info.Size(), info.Mode())
		}
	}
}

// TestFullDisk checks that a full disk costs no line of the other log, which says so once.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip(err)
	}
	for _, format := range []string{"logfmt", "json"} {
		var other bytes.Buffer
		file := NewWithFile(&other, "/dev/full", format)
		logger, _ := New(file, "info", format)
		for range 3 {
			if err := level.Info(logger).Log("msg", "scrape"); err != nil {
				t.Error(err)
			}
		}
		file.Close(nil)
		if all := other.String(); strings.Count(all, "scrape") != 3 || strings.Count(all, "no space left on device") != 1 ||
			strings.Count(all, "The log file cannot be written") != 1 || strings.Count(all, "\n") != 4 {
			t.Errorf("the other log is\n%s", all)
		}
	}
}

// TestFolderIsAway checks that the file goes on when its folder is back.
func TestFolderIsAway(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "logs")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "qlik_exporter.log")
	var other bytes.Buffer
	file := NewWithFile(&other, path, "logfmt")
	write := func(size int) {
		t.Helper()
		if _, err := file.Write([]byte(strings.Repeat("x", size-1) + "\n")); err != nil {
			t.Error(err)
		}
	}
	write(maxSize<<20 - 10)
	if err := os.Rename(folder, folder+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(folder, nil, 0o600); err != nil { // no folder can be created
		t.Fatal(err)
	}
	other.Reset()
	write(100) // needs a new file
	write(101)
	if all := other.String(); strings.Count(all, `msg="The log file cannot be written`) != 1 || len(all) < 201 {
		t.Errorf("the other log is\n%s", all)
	}
	if err := os.Remove(folder); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(folder+".away", folder); err != nil {
		t.Fatal(err)
	}
	other.Reset()
	write(102)
	write(103)
	file.Close(os.ErrClosed)
	if all := other.String(); strings.Count(all, `msg="The log file is written again`) != 1 {
		t.Errorf("the other log is\n%s", all)
	}
	content, err := os.ReadFile(path)
	if err != nil || len(content) < 205 || len(content) > 1000 ||
		!strings.HasSuffix(string(content), `level=error msg="qlik_exporter ends" err="file already closed"`+"\n") {
		t.Errorf("the file has %d bytes (%v):\n%.1000s", len(content), err, content)
	}
}
