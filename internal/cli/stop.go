package cli

import (
	"context"
	"fmt"
	"time"
)

// stopTimeout is the time that a command has to end after the signal to stop.
const stopTimeout = 4500 * time.Millisecond

// InTime calls a command, and stops waiting for it some time after ctx has ended. The
// process then ends although a system call may never return, for example one that reads
// a file of a network share that does not respond.
func InTime(ctx context.Context, command func() error) error {
	ended := make(chan error, 1)
	go func() { ended <- command() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(stopTimeout):
		return fmt.Errorf("did not stop within %s; a file system may not respond", stopTimeout)
	}
}
