// Package auditlog follows the audit security log of a Qlik Sense repository and
// reports refused logins (docs/qlik.md, "Audit log").
//
// Each refused login is reported once, even if the file is renamed, archived, copied,
// truncated or temporarily unreachable. This requires that its line is still readable:
// through the open file, in the live file, or in an archive in the same folder. These
// lines are lost:
//
//   - lines of a file that was created, archived and moved away between two polls
//   - lines of a file that was moved away while the follower did not run or the share
//     was unreachable; a warning is logged
//   - lines written between the copy and the truncation of a log that is rotated by
//     copying; Qlik rotates by renaming
//
// # Why not a tailing library
//
// The usual library, github.com/nxadm/tail, follows file names. After a rename it opens
// the new file before it has read the old one to its end. It can report lines twice, it
// accepts lines of any length, and it ends the process on an unexpected error of a
// share. The file consumer of the OpenTelemetry Collector increases the size of the
// binary by half. This package therefore recognizes files itself; see identity. It uses
// golang.org/x/sys/windows only to open files in a way that allows others to rename
// them.
package auditlog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
)

// Config is the configuration of a Follower.
type Config struct {
	// Node is the repository's node. It is only used in log messages.
	Node string
	// Glob is the path of the live file, local or on a share. Its last element may be a
	// pattern for filepath.Match and ignores case:
	// C:\ProgramData\Qlik\Sense\Log\Repository\Audit\*_AuditSecurity_Repository.txt.
	// It should match the log of one machine. If several files match, for example after
	// the machine was renamed, the Follower follows the most recently written one. Archives
	// are the files in the same folder with the name of the live file, followed by an
	// underscore, any text, and .log.
	Glob   string
	Logger log.Logger
	// PollInterval is the time between two polls; 0 means one second. The Follower does
	// not use file notifications, because many shares do not support them.
	PollInterval time.Duration
	// Now is the local clock; nil means time.Now. A refused login in the future counts as
	// one of now.
	Now func() time.Time
}

// Status is the state of a Follower.
type Status struct {
	// Up means that the file exists, can be read, has the required columns, and was read
	// recently.
	Up bool
	// LastRead is the last time that the file was read to its end, with or without new
	// lines.
	LastRead time.Time
	// Err is the reason why Up is false.
	Err error
	// Skipped is the number of invalid lines: lines that are too long, lines with too few
	// columns, and refused logins without a valid time.
	Skipped uint64
}

// Follower follows one log. If the log exists at the start, the Follower skips its
// existing lines. It reads a log that appears later from its beginning.
type Follower struct {
	config       Config
	dir          string
	live         string // pattern, lower case
	archived     string // pattern, lower case
	logger       log.Logger
	unresponsive time.Duration

	running sync.Mutex // held by Run; guards the fields below
	denied  func(Denial)
	buffer  []byte
	// polled means that the folder was read at least once, and followed that a log was
	// found.
	polled, followed bool
	// file is the open log. It stays open so that it can be read to its end after a
	// rename. It is nil before the first open and after an error.
	file *os.File
	// current is the position in file; nil while the file has no entry.
	current *position
	// began is the time of the first entry of the latest live file with an entry. Unread
	// files that began earlier are old.
	began time.Time
	// positions has the position of every file that was read recently.
	positions map[identity]*position
	// archives are the archives that were read or skipped, by name.
	archives map[string]archive
	reported map[error]bool // reasons of skipped lines that were logged

	mu     sync.Mutex // guards the fields below
	status Status
}

const (
	defaultInterval = time.Second
	// maxPositions is far more than the number of files that Qlik creates between two
	// polls.
	maxPositions = 100
	// maxAhead is how far the clock of a node may be ahead when files are put in order.
	maxAhead = 24 * time.Hour
)

var (
	errNotStarted = errors.New("not started")
	errStopped    = errors.New("stopped")
	errNoAnswer   = errors.New("the file system does not respond")
)

// New returns a Follower. It does not access any file before Run.
func New(config Config) (*Follower, error) {
	if config.PollInterval <= 0 {
		config.PollInterval = defaultInterval
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Logger == nil {
		config.Logger = log.NewNopLogger()
	}
	dir, pattern := filepath.Split(config.Glob)
	if dir == "" {
		dir = "."
	}
	pattern = strings.ToLower(pattern)
	f := &Follower{
		config:       config,
		dir:          dir,
		live:         pattern,
		archived:     strings.TrimSuffix(pattern, filepath.Ext(pattern)) + "_*.log",
		logger:       log.With(config.Logger, "node", config.Node),
		unresponsive: max(10*config.PollInterval, 30*time.Second),
		positions:    make(map[identity]*position),
		archives:     make(map[string]archive),
		reported:     make(map[error]bool),
		status:       Status{Err: errNotStarted},
	}
	if pattern == "" {
		return nil, fmt.Errorf("audit log %s: a file name is missing", config.Glob)
	}
	for _, pattern := range []string{f.live, f.archived} {
		if _, err := filepath.Match(pattern, ""); err != nil {
			return nil, fmt.Errorf("audit log %s: %w", config.Glob, err)
		}
	}
	return f, nil
}

// Run follows the log until the context ends. It calls denied for each refused login,
// in order and on its own goroutine. A second call waits for the first one to end and
// continues from there. A network share that does not respond can delay the end of Run
// until the operating system gives up.
func (f *Follower) Run(ctx context.Context, denied func(Denial)) {
	f.running.Lock()
	defer f.running.Unlock()
	f.denied = func(denial Denial) {
		if now := f.config.Now(); denial.Time.After(now) {
			denial.Time = now
		}
		denied(denial)
	}
	f.buffer = make([]byte, bufferSize)
	ticker := time.NewTicker(f.config.PollInterval)
	defer ticker.Stop()
	for ctx.Err() == nil {
		if err := f.poll(ctx); ctx.Err() == nil {
			f.report(err)
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
	f.release()
	f.denied, f.buffer = nil, nil
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.Up, f.status.Err = false, errStopped
}

// Status returns the current status. It is safe for concurrent use.
func (f *Follower) Status() Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.status
	if s.Up && time.Since(s.LastRead) > f.unresponsive {
		s.Up, s.Err = false, errNoAnswer
	}
	return s
}

// report records the result of a poll and logs it if it differs from the previous one.
func (f *Follower) report(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.status
	f.status.Up, f.status.Err = err == nil, err
	if err == nil {
		f.status.LastRead = time.Now()
		if !before.Up {
			_ = level.Info(f.logger).Log("msg", "Following the audit log", "file", f.config.Glob)
		}
		return
	}
	if before.Up || before.Err.Error() != err.Error() {
		_ = level.Warn(f.logger).Log("msg", "Cannot follow the audit log; refused logins are not counted", "file", f.config.Glob, "err", err)
	}
}

// skipped counts an invalid line and logs the first line with each reason.
func (f *Follower) skipped(reason error) {
	f.mu.Lock()
	f.status.Skipped++
	f.mu.Unlock()
	if !f.reported[reason] {
		f.reported[reason] = true
		_ = level.Warn(f.logger).Log("msg", "Skipped an invalid line of the audit log; more lines with this reason are only counted", "file", f.config.Glob, "reason", reason)
	}
}
