// Package terminal says what the other end of an output can do.
package terminal

import (
	"io"
	"os"

	"golang.org/x/term"
)

// Colors says whether to write colors: only to a terminal, and not where
// NO_COLOR (https://no-color.org) or a terminal without any forbids it.
func Colors(w io.Writer) bool {
	file, isFile := w.(*os.File)
	return isFile && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && Is(file) && interpretsEscapes(file)
}

// Is says whether somebody sits at the other end of a stream.
func Is(stream any) bool {
	file, isFile := stream.(*os.File)
	return isFile && term.IsTerminal(int(file.Fd()))
}
