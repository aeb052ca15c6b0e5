//go:build !windows

package terminal

// OwnsWindow reports whether the window of the program closes when the program ends.
func OwnsWindow() bool { return false }
