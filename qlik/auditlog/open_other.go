//go:build !windows

package auditlog

import (
	"os"
	"syscall"
)

// open opens a file for reading. On systems other than Windows an open file can always
// be renamed and deleted. Without O_NONBLOCK, opening a FIFO would wait for a writer.
func open(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}
