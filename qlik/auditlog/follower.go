// Package auditlog follows the audit security log of a Qlik Sense repository and
// reports the logins that Qlik refused (docs/qlik.md, "Audit log").
//
// Every refusal is reported once, however the file is renamed, archived, copied,
// emptied or made unreachable meanwhile, as long as its lines can still be seen
// somewhere: through the handle that is held, in the live file or in an archive
// beside it. What cannot be had:
//
//   - lines of a file that was begun, archived and moved away between two looks;
//   - lines of a file that was moved away while the follower did not run or the share
//     was out of reach (a warning is logged);
//   - lines written between the copy and the emptying of a log that is rotated by
//     copying: nobody can see those. Qlik renames.
//
// # Why not a tailing library
//
// github.com/nxadm/tail, the usual choice, follows names. When a file is renamed it
// opens the new one without having read the old one to its end, it can report lines
// twice, it takes lines of any length, and it ends the process if a share answers
// with an unexpected error. The file consumer of the OpenTelemetry collector makes
// the binary half as large again. Hence recognizing files is our own work here: see
// identity. What remains, opening files on Windows so that others may rename them, is done
// with golang.org/x/sys/windows.
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

// Config says which log to follow.
type Config struct {
	// Node is the repository's node; it is only logged.
	Node string
	// Glob is the path of the live file, local or on a share. Its last element may be a
	// pattern as filepath.Match has it, in which case does not count:
	// C:\ProgramData\Qlik\Sense\Log\Repository\Audit\*_AuditSecurity_Repository.txt.
	// It should match the log of one machine. If several files match, as after the
	// machine was renamed, the one written last is followed. Archives are those files of
	// the folder that are named like the live file, with _ and anything before .log.
	Glob   string
	Logger log.Logger
	// PollInterval is the time between two looks at the file; 0 is a second.
	// Notifications of the operating system are not used, since there are none
	// for many shares.
	PollInterval time.Duration
}

// Status is how the following goes.
type Status struct {
	// Up says that the file is there, can be read, has the columns it should have, and
	// was read just now.
	Up bool
	// LastRead is when the file was last read to its end, whether or not there was
	// anything new.
	LastRead time.Time
	// Err is why Up is false.
	Err error
	// Skipped counts lines that could not be used: too long, too few columns, or a
	// refusal without readable time.
	Skipped uint64
}

// Follower follows one log. It starts at the end of a log that exists already:
// old refusals are not news. A log that appears later is read from its beginning.
type Follower struct {
	config       Config
	dir          string
	live         string // pattern, lower case
	archived     string // pattern, lower case
	logger       log.Logger
	unresponsive time.Duration

	running sync.Mutex // held by Run; guards what follows
	denied  func(Denial)
	buffer  []byte
	// looked is whether the folder was ever seen, followed whether a log was.
	looked, followed bool
	// file is the log, held open so that it can be read to its end after it was renamed
	// and moved. It is nil until it was opened and after it failed.
	file *os.File
	// current is how far file was read; nil while it has no entry.
	current *position
	// began is when the latest live file with an entry began. What began before and was
	// never read is old.
	began time.Time
	// positions has every file that was read lately.
	positions map[identity]*position
	// archives are those that need no more reading, by name.
	archives map[string]archive
	reported map[error]bool // reasons for skipping a line that were logged

	mu     sync.Mutex // guards what follows
	status Status
}

const (
	defaultInterval = time.Second
	// maxPositions is far more than the files that Qlik begins between two looks.
	maxPositions = 100
)

var (
	errNotStarted = errors.New("not started")
	errStopped    = errors.New("stopped")
	errNoAnswer   = errors.New("the file system does not answer")
)

// New returns a Follower that has not looked at any file yet.
func New(config Config) (*Follower, error) {
	if config.PollInterval <= 0 {
		config.PollInterval = defaultInterval
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
		return nil, fmt.Errorf("audit log %q: a file name is missing", config.Glob)
	}
	for _, pattern := range []string{f.live, f.archived} {
		if _, err := filepath.Match(pattern, ""); err != nil {
			return nil, fmt.Errorf("audit log %q: %w", config.Glob, err)
		}
	}
	return f, nil
}

// Run follows the log until the context ends, and calls denied for each refusal, in
// order and from this goroutine. Called again, it goes on where it was; while another
// Run is under way it waits for its end. A share that does not answer can delay
// the end until the operating system gives up.
func (f *Follower) Run(ctx context.Context, denied func(Denial)) {
	f.running.Lock()
	defer f.running.Unlock()
	f.denied = denied
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

// Status may be called at any time.
func (f *Follower) Status() Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.status
	if s.Up && time.Since(s.LastRead) > f.unresponsive {
		s.Up, s.Err = false, errNoAnswer
	}
	return s
}

// report takes the result of a poll, and logs it if it differs from the one before.
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
		_ = level.Warn(f.logger).Log("msg", "The audit log cannot be followed, refused logins go unseen", "file", f.config.Glob, "err", err)
	}
}

// skipped counts a line that could not be used, and logs the first of each kind.
func (f *Follower) skipped(reason error) {
	f.mu.Lock()
	f.status.Skipped++
	f.mu.Unlock()
	if !f.reported[reason] {
		f.reported[reason] = true
		_ = level.Warn(f.logger).Log("msg", "Skipped a line of the audit log; further ones of this kind are only counted", "file", f.config.Glob, "reason", reason)
	}
}
