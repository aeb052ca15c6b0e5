package terminal

import (
	"unsafe"

	"golang.org/x/sys/windows"
)

var (
	kernel32              = windows.NewLazySystemDLL("kernel32.dll")
	getConsoleProcessList = kernel32.NewProc("GetConsoleProcessList")
	getConsoleWindow      = kernel32.NewProc("GetConsoleWindow")
	isWindowVisible       = windows.NewLazySystemDLL("user32.dll").NewProc("IsWindowVisible")
)

// OwnsWindow reports whether somebody sees a window that closes when the program ends, as
// after a double click. Then no other process, such as a shell, uses the console. The
// console of a scheduled task is not visible.
func OwnsWindow() bool {
	var processes [2]uint32
	if n, _, _ := getConsoleProcessList.Call(uintptr(unsafe.Pointer(&processes[0])), uintptr(len(processes))); n != 1 { //nolint:gosec // for a function of Windows
		return false
	}
	window, _, _ := getConsoleWindow.Call()
	visible, _, _ := isWindowVisible.Call(window)
	return window != 0 && visible != 0
}
