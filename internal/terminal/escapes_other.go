//go:build !windows

package terminal

import "os"

func interpretsEscapes(*os.File) bool { return true }
