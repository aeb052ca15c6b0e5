package assets

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/qlik-exporter/qlik_exporter/qlik/textfile"
)

var (
	exampleURL = regexp.MustCompile(`https?://[\w.-]*\bexample\.(?:com|org|net)\b(?:/sessions)?`)
	exampleAny = regexp.MustCompile(`\bexample\.(?:com|org|net)\b`)
	changeMark = regexp.MustCompile(`\s+# CHANGE\b`)
)

// Placeholder is a value of an example that nobody has replaced.
type Placeholder struct {
	Path  string // with slashes, below the folder
	Line  int    // the first line
	Value string
	Times int // lines with this value
}

// String returns where the placeholder is.
func (p Placeholder) String() string {
	if p.Times > 1 {
		return fmt.Sprintf("%s:%d and %d more: %s", p.Path, p.Line, p.Times-1, p.Value)
	}
	return fmt.Sprintf("%s:%d: %s", p.Path, p.Line, p.Value)
}

// Placeholders finds the values in the files of a folder that still are those of an
// example: domains such as example.com, and lines with the comment CHANGE.
func Placeholders(dir string, files map[string][]byte) ([]Placeholder, error) {
	var found []Placeholder
	for _, path := range slices.Sorted(maps.Keys(files)) {
		content, err := textfile.Read(filepath.Join(dir, filepath.FromSlash(path)))
		if err != nil {
			return nil, err
		}
		places := make(map[string]int) // index in found by value
		number := 0
		for line := range strings.Lines(string(content)) {
			number++
			value := placeholder(line)
			if value == "" {
				continue
			}
			if i, known := places[value]; known {
				found[i].Times++
				continue
			}
			places[value] = len(found)
			found = append(found, Placeholder{path, number, value, 1})
		}
	}
	return found, nil
}

// placeholder returns the placeholder in a line, or "". A comment contains none.
func placeholder(line string) string {
	line = strings.TrimSpace(line)
	if strings.HasPrefix(line, "#") {
		return ""
	}
	mark := changeMark.FindStringIndex(line)
	switch {
	case mark != nil:
		return strings.TrimPrefix(line[:mark[0]], "- ")
	case exampleURL.MatchString(line):
		return exampleURL.FindString(line)
	case exampleAny.MatchString(line):
		return strings.TrimPrefix(line, "- ")
	}
	return ""
}
