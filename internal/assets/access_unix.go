//go:build unix

package assets

import (
	"io/fs"
	"os"
	"syscall"
)

// keepAccess gives a file the mode and the owner of the one that it replaces, so that
// the same programs can read it. Only root can give a file away. Without this right,
// everybody must be able to read the file.
func keepAccess(file *os.File, old fs.FileInfo) error {
	if err := file.Chmod(old.Mode().Perm()); err != nil {
		return err
	}
	owner, ok := old.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	const unchanged = -1
	err := file.Chown(int(owner.Uid), int(owner.Gid))
	if err != nil {
		err = file.Chown(unchanged, int(owner.Gid))
	}
	if err != nil && old.Mode().Perm()&0o004 != 0 {
		return nil
	}
	return err
}
