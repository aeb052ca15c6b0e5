//go:build !unix

package assets

import (
	"io/fs"
	"os"
)

// keepAccess does nothing: on Windows, a file gets its permissions from its folder.
func keepAccess(*os.File, fs.FileInfo) error { return nil }
