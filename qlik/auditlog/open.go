package auditlog

import "os"

// Open opens a log for reading. Like a Follower, it opens only regular files, and others
// can rename the file in the meantime.
func Open(name string) (*os.File, error) { return openRegular(name) }
