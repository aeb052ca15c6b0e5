package auditlog

// Find returns the path of the log that a Follower with this pattern would follow. It
// also checks that the beginning of the file can be read. A network share that does not
// respond can delay Find until the operating system gives up.
func Find(glob string) (file string, err error) {
	f, err := New(Config{Glob: glob})
	if err != nil {
		return "", err
	}
	f.buffer = make([]byte, bufferSize)
	log, _, err := f.openLive()
	if err != nil {
		return "", err
	}
	defer closeFile(log)
	return log.Name(), nil
}
