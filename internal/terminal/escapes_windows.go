package terminal

import (
	"os"

	"golang.org/x/sys/windows"
)

// interpretsEscapes enables escape sequences on a console, which are disabled by
// default. Consoles before Windows Server 2016 do not support them.
func interpretsEscapes(file *os.File) bool {
	console := windows.Handle(file.Fd())
	var mode uint32
	if windows.GetConsoleMode(console, &mode) != nil {
		return false
	}
	return windows.SetConsoleMode(console, mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) == nil
}
