package auditlog

import "time"

// findTimeout is the maximum time that Find takes.
const findTimeout = 10 * time.Second

// Find returns the path of the log that a Follower with this pattern would follow. It
// also checks that the beginning of the file can be read. If a network share does not
// respond, it returns an error after some seconds.
func Find(glob string) (file string, err error) {
	return inTime(func() (string, error) { return find(glob) })
}

// inTime calls a function and waits for it up to findTimeout. A system call about a
// file of a network share cannot be canceled.
func inTime(find func() (string, error)) (file string, err error) {
	found := make(chan struct{})
	var (
		result string
		failed error
	)
	go func() {
		defer close(found)
		result, failed = find()
	}()
	timer := time.NewTimer(findTimeout)
	defer timer.Stop()
	select {
	case <-found:
		return result, failed
	case <-timer.C:
		return "", errNoAnswer
	}
}

func find(glob string) (file string, err error) {
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
