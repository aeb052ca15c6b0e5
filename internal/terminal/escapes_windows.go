package terminal

import (
	"os"

	"golang.org/x/sys/windows"
)

// interpretsEscapes makes a console interpret escape sequences, which it does
// not do unless told. Consoles before Windows Server 2016 cannot.
func interpretsEscapes(file *os.File) bool {
	console := windows.Handle(file.Fd())
	var mode uint32
	if windows.GetConsoleMode(console, &mode) != nil {
		return false
	}
	return windows.SetConsoleMode(console, mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) == nil
}
