//go:build unix

package assets

import (
	"os"
	"path/filepath"
	"testing"
)

// TestWriteKeepsAccess checks that a replaced file keeps its permissions, and that a
// symbolic link keeps leading to the file.
func TestWriteKeepsAccess(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	if _, err := Write(dir, version("1")); err != nil {
		t.Fatal(err)
	}
	link, file := filepath.Join(dir, "rules.yml"), filepath.Join(elsewhere, "rules.yml")
	if err := os.Rename(link, file); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	if edited, err := Write(dir, version("2")); err != nil || len(edited) > 0 {
		t.Fatalf("edited %q, %v", edited, err)
	}
	content, err := os.ReadFile(file)
	info, _ := os.Stat(file)
	if err != nil || string(content) != "2" || info.Mode().Perm() != 0o640 {
		t.Errorf("%q, %v, mode %o, want 2 and mode 640", content, err, info.Mode().Perm())
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link: %v, %v", info, err)
	}
}
