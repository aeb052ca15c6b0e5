package assets

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/qlik-exporter/qlik_exporter/qlik/textfile"
)

// manifestName is the file with the hashes of all versions that the program has written
// to a folder. They tell an older version from an edited file.
const manifestName = ".qlik_exporter.manifest"

const manifestHeader = "# Hashes of the files that qlik_exporter assets has written to this folder.\n" +
	"# The command replaces only files with these hashes. Other files are edited, and stay.\n"

type hashes map[string]bool

// manifest holds the hashes of the versions of each file, by path with slashes.
type manifest map[string]hashes

// readManifest reads the manifest of a folder. It ignores damaged lines: without its
// hash, a file counts as edited.
func readManifest(dir string) (manifest, error) {
	known := make(manifest)
	content, err := textfile.Read(filepath.Join(dir, manifestName))
	if errors.Is(err, fs.ErrNotExist) {
		return known, nil
	}
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(content)) {
		if hash, path, found := strings.Cut(strings.TrimSpace(line), "  "); found && len(hash) == hex.EncodedLen(sha256.Size) {
			known.set(path, hash)
		}
	}
	return known, nil
}

func (m manifest) set(path, hash string) {
	if m[path] == nil {
		m[path] = make(hashes)
	}
	m[path][hash] = true
}

// add adds the versions in files, and writes the manifest if one of them is new.
func (m manifest) add(dir string, files map[string][]byte) error {
	complete := true
	for path, content := range files {
		complete = complete && m[path][hash(content)]
		m.set(path, hash(content))
	}
	if complete {
		return nil
	}
	var lines bytes.Buffer
	lines.WriteString(manifestHeader)
	for _, path := range slices.Sorted(maps.Keys(m)) {
		for _, hash := range slices.Sorted(maps.Keys(m[path])) {
			fmt.Fprintf(&lines, "%s  %s\n", hash, path)
		}
	}
	name := filepath.Join(dir, manifestName)
	if err := Replace(name, lines.Bytes()); err != nil {
		return fmt.Errorf("cannot write %s: %w; nothing is written", name, err)
	}
	return nil
}

// hash returns the hash of a text. Line ends and a byte order mark do not change it,
// because tools such as Git convert them.
func hash(content []byte) string {
	content = bytes.TrimPrefix(content, []byte("\ufeff"))
	sum := sha256.Sum256(bytes.ReplaceAll(content, []byte("\r\n"), []byte("\n")))
	return hex.EncodeToString(sum[:])
}
