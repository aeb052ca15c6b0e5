//go:build linux || darwin

package server

import "syscall"

// maxFiles returns how many files and connections the process can have open, or 0 if
// that is unknown.
func maxFiles() uint64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return limit.Cur
}
