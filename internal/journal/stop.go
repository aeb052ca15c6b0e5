package journal

import (
	"errors"
	"io/fs"
	"os"
)

// Stopped reports whether the stop file exists, by which an administrator stops the desk and
// the guard. If that is unknown, it counts as existing. An empty path is no file.
func Stopped(path string) bool {
	if path == "" {
		return false
	}
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
