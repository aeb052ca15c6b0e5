package auditlog

// Find looks for the log that a Follower of the pattern would follow, and reads
// its beginning. It returns the path of the file. A share that does not answer can
// delay it until the operating system gives up.
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
