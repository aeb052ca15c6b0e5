// Package assets writes files to a folder in which people edit them. Each file appears
// whole or not at all, and a file that somebody has edited is never replaced.
package assets

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/qlik-exporter/qlik_exporter/qlik/textfile"
)

// newSuffix follows the name of a file that lies beside an edited one.
const newSuffix = ".new"

// Edited is a file that somebody has edited, and the new version beside it.
type Edited struct{ Path, New string }

// Write writes files to a folder, which it creates if necessary. The keys of files are
// paths with slashes. It keeps files that somebody has edited, and returns them.
func Write(dir string, files map[string][]byte) ([]Edited, error) {
	known, err := readManifest(dir)
	if err != nil {
		return nil, err
	}
	paths := slices.Sorted(maps.Keys(files))
	plans := make([]plan, 0, len(files))
	for _, path := range paths {
		p, err := newPlan(filepath.Join(dir, filepath.FromSlash(path)), files[path], known[path])
		if err != nil {
			return nil, err
		}
		plans = append(plans, p)
	}
	// The manifest comes first. If the program ends after it, no file that the program
	// has written looks edited.
	if err := known.add(dir, files); err != nil {
		return nil, err
	}
	var edited []Edited
	for i, p := range plans {
		if err := p.execute(); err != nil {
			return nil, fmt.Errorf("%w; %d of %d files are up to date, the others are as they were", err, i, len(plans))
		}
		if p.target != p.path {
			edited = append(edited, Edited{p.path, p.target})
		}
	}
	return edited, nil
}

// plan says where the new version of a file goes.
type plan struct {
	path    string // of the file
	target  string // the path, or beside it if the file is edited
	content []byte
	current bool   // the target has this content
	stale   string // new version beside a file that is not edited any more; "" if there is none
}

// newPlan compares the file with its new version, and with the versions that the
// program has written before.
func newPlan(path string, content []byte, known hashes) (plan, error) {
	p := plan{path: path, target: path, content: content}
	for {
		found, err := hashOfFile(p.target)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return plan{}, err
		case found == hash(content):
			p.current = true
		case !known[found]:
			p.target += newSuffix
			continue
		}
		break
	}
	if p.target == p.path {
		beside := path + newSuffix
		if found, err := hashOfFile(beside); err == nil && (known[found] || found == hash(content)) {
			p.stale = beside
		}
	}
	return p, nil
}

func (p *plan) execute() error {
	if !p.current {
		if err := Replace(p.target, p.content); err != nil {
			return fmt.Errorf("cannot write %s: %w", p.target, err)
		}
	}
	if p.stale == "" {
		return nil
	}
	return os.Remove(p.stale)
}

// hashOfFile returns the hash of a file, or "" if it is larger than any that the
// program writes.
func hashOfFile(path string) (string, error) {
	content, err := textfile.Read(path)
	if errors.Is(err, textfile.ErrTooLarge) {
		return "", nil
	}
	return hash(content), err
}

// Replace puts a file with new content in the place of another one, or of none. It
// writes a temporary file in the same folder first, so that the file has its old or its
// new content at any time.
func Replace(path string, content []byte) (err error) {
	if file, err := filepath.EvalSymlinks(path); err == nil {
		path = file // a symbolic link stays
	}
	dir, name := filepath.Split(path)
	if err := os.MkdirAll(filepath.Clean(dir), 0o755); err != nil { //nolint:gosec // Prometheus and Grafana run as other users
		return err
	}
	removeLeftovers(dir, name)
	temporary, err := os.OpenFile(filepath.Join(dir, "."+name+"."+rand.Text()+temporarySuffix), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // as above; the files contain no secrets
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = temporary.Close()
			_ = os.Remove(temporary.Name())
		}
	}()
	if _, err := temporary.Write(content); err != nil {
		return err
	}
	if old, err := os.Stat(path); err == nil {
		if err := keepAccess(temporary, old); err != nil {
			return err
		}
	}
	if err := temporary.Sync(); err != nil {
		return err
	}
	if err := temporary.Close(); err != nil {
		return err
	}
	if err := os.Rename(temporary.Name(), path); err != nil {
		return err
	}
	return syncFolder(dir)
}

const temporarySuffix = ".tmp"

// removeLeftovers removes temporary files of a run that was killed.
func removeLeftovers(dir, name string) {
	entries, err := os.ReadDir(filepath.Clean(dir))
	if err != nil {
		return // the next step reports it
	}
	for _, entry := range entries {
		if matches, _ := filepath.Match("."+name+".*"+temporarySuffix, entry.Name()); matches {
			_ = os.Remove(filepath.Join(dir, entry.Name()))
		}
	}
}

// syncFolder makes a rename permanent. Windows does this by itself.
func syncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	folder, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
