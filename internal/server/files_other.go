//go:build !linux && !darwin

package server

// maxFiles returns 0: the number of files and connections that the process can have
// open is not limited or unknown.
func maxFiles() uint64 { return 0 }
