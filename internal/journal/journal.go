// Package journal records which sessions the desk and the guard are about to end, and
// what became of them. The record must survive the end of the process at any moment, a
// full disk, and a later change by somebody who can write to the file.
//
// A journal is a file of JSON lines. Each line contains the hash of the previous one,
// so that a changed, inserted, or missing line breaks the chain. Each written hash is
// also logged, so that a missing end of the file can be found. Before anything ends, an
// intent is written and synced. A result with the same id follows. An intent whose
// result the process could not write is settled at the next start by a line of kind
// unknown. No line contains the id of a session.
package journal

import (
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/gofrs/flock"
)

const (
	// maxSize is the size from which a file is renamed and a new one begins.
	maxSize = 10 << 20
	// recently is the time for which Begin remembers what ended.
	recently = time.Hour
	// retry is the time between two attempts of Check to repair the journal.
	retry = 5 * time.Second
)

// Place is where a session exists.
type Place struct {
	VirtualProxy string `json:"virtual_proxy"`
	Node         string `json:"qlik_node"`
}

// Intent describes sessions that are about to end.
type Intent struct {
	By       string  `json:"by"`                 // "desk", "guard", or "guard-dry-run"
	Operator string  `json:"operator,omitempty"` // empty for the guard
	Role     string  `json:"role,omitempty"`
	Address  string  `json:"address,omitempty"` // of the client
	Ticket   string  `json:"ticket,omitempty"`  // optional
	Site     string  `json:"site,omitempty"`    // empty if flags describe the only site
	User     string  `json:"user"`              // as DIRECTORY\id
	Sessions int     `json:"sessions"`          // number of sessions that may end
	Places   []Place `json:"places,omitempty"`  // one for each of them
	// IdleSeconds is how long the session had not been used, of an intent of the guard.
	IdleSeconds int `json:"idle_seconds,omitempty"`
}

// Result counts what became of the sessions of an intent.
type Result struct {
	Ended       int `json:"ended"`
	AlreadyGone int `json:"already_gone"`
	LeftAlone   int `json:"left_alone"`
	Failed      int `json:"failed"` // the request failed; the session may have ended
}

// Recent is an ending of the last hour.
type Recent struct {
	At                       time.Time
	By, Operator, Site, User string
	// Sessions counts sessions that ended or may have ended. Those of a failed request
	// may have ended, and so may all sessions of an intent without a result.
	Sessions int
}

// Config configures a journal.
type Config struct {
	Path   string
	Now    func() time.Time // nil for time.Now
	Logger log.Logger

	openFile func(path string) (file, error) // nil for os.OpenFile; tests inject faults
	maxSize  int64                           // 0 for maxSize
}

// Journal writes a journal. Its methods may be called concurrently.
type Journal struct {
	config  Config
	lock    *flock.Flock
	entries atomic.Int64 // number, for those who must not wait for the disk

	mu     sync.Mutex // guards everything below
	closed bool
	file   file        // nil if it could not be created
	info   os.FileInfo // of file
	size   int64       // of the complete lines; beyond it, a failed write may have left bytes
	number int         // of the last line
	hash   string      // of the last line
	// open contains the intents without a written result. The value is true if the
	// result is waiting to be written.
	open    map[string]bool
	waiting []*line // results that could not be written yet
	recent  endings
	// broken is the error of the last write, until a later one succeeds. The last
	// attempt to repair was at tried.
	broken error
	tried  time.Time
}

var (
	errClosed  = errors.New("the journal is closed")
	errUnknown = errors.New("the journal has no open intent with this id")
)

// Begin writes an intent and returns its id. After Begin has returned, the intent is on
// disk. Before anything is written, allow is called with the endings of the last hour,
// oldest first. No other intent is written meanwhile, so concurrent calls cannot exceed
// a limit together. A nil allow allows everything. If allow returns an error, Begin
// returns it unchanged and writes nothing. After any other error, too, nothing may be
// ended.
func (j *Journal) Begin(intent Intent, allow func([]Recent) error) (id string, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return "", errClosed
	}
	now := j.now()
	if allow != nil {
		if err := allow(j.recent.since(now.Add(-recently))); err != nil {
			return "", err
		}
	}
	if err := j.ready(); err != nil {
		return "", err
	}
	if err := j.rotate(now); err != nil {
		return "", err
	}
	l := &line{Kind: kindIntent, At: now, ID: rand.Text(), Intent: &intent}
	if err := j.write(l); err != nil {
		return "", err
	}
	j.open[l.ID] = false
	j.recent.add(l)
	return l.ID, nil
}

// Finish writes the result of an intent. If it cannot be written, for example because
// the disk is full, Finish returns an error and keeps the result. It is written before
// the next line, or by Check, as soon as this is possible.
func (j *Journal) Finish(id string, result Result) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return errClosed
	}
	if finished, ok := j.open[id]; !ok || finished {
		return fmt.Errorf("%w: %s", errUnknown, id)
	}
	l := &line{Kind: kindResult, At: j.now(), ID: id, Result: &result}
	j.open[id] = true
	j.waiting = append(j.waiting, l)
	j.recent.add(l)
	if err := j.ready(); err != nil {
		return fmt.Errorf("the result is written later: %w", err)
	}
	return nil
}

// Check returns an error if an intent could not be written now: the last write failed,
// another file has taken the place of the journal, or the journal is closed. It tries to
// repair the journal every few seconds. If the file was moved away, it begins a new one.
// Usually Check only reads the status of the file, so it may be called at every request.
func (j *Journal) Check() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken != nil && j.now().Sub(j.tried).Abs() < retry {
		return j.broken
	}
	return j.ready()
}

// Entries returns the number of lines of the chain, including those of earlier files. It
// does not wait for a disk that does not respond, because every scrape calls it.
func (j *Journal) Entries() int { return int(j.entries.Load()) }

// Recent returns the endings of the last hour, oldest first.
func (j *Journal) Recent() []Recent {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.recent.since(j.now().Add(-recently))
}

// Close writes what is waiting and releases the journal to other processes.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return nil
	}
	var errs []error
	if len(j.waiting) > 0 {
		if err := j.ready(); err != nil {
			errs = append(errs, fmt.Errorf("%d results are lost: %w", len(j.waiting), err))
		}
	}
	j.closed = true
	if j.file != nil {
		errs = append(errs, j.file.Close())
	}
	return errors.Join(append(errs, j.lock.Close())...)
}

func (j *Journal) now() time.Time { return j.config.Now().UTC().Truncate(time.Millisecond) }

// ready prepares the journal for the next line. It begins a new file if the file was
// moved away, repairs what the last write has left, and writes what is waiting.
func (j *Journal) ready() error {
	if j.closed {
		return errClosed
	}
	if err := j.locate(); err != nil {
		return err
	}
	if j.broken == nil && j.file != nil && len(j.waiting) == 0 {
		return nil
	}
	err := j.repair()
	if j.broken != nil && err == nil {
		_ = level.Info(j.config.Logger).Log("msg", "The journal can be written again", "file", j.config.Path)
	}
	j.broken, j.tried = err, j.now()
	return err
}

// repair opens the file if necessary, removes what a failed write has left, writes what
// is waiting, and tests if there is room for an intent.
func (j *Journal) repair() error {
	if j.file == nil {
		if err := j.openFile(); err != nil {
			return err
		}
	}
	failed := j.broken != nil
	if failed {
		if err := j.file.Truncate(j.size); err != nil {
			return err
		}
	}
	if j.size == 0 {
		if err := j.write(&line{Kind: kindBegin, At: j.now(), Open: slices.Sorted(maps.Keys(j.open))}); err != nil {
			return err
		}
	}
	for len(j.waiting) > 0 {
		l := j.waiting[0]
		if err := j.write(l); err != nil {
			return err
		}
		j.waiting = j.waiting[1:]
		delete(j.open, l.ID)
	}
	if !failed {
		return nil
	}
	return j.probe()
}

// probe writes and removes as many bytes as an intent usually has.
func (j *Journal) probe() error {
	blank := make([]byte, 4096)
	for i := range blank {
		blank[i] = ' '
	}
	_, err := j.file.WriteAt(blank, j.size)
	if err == nil {
		err = j.file.Sync()
	}
	return errors.Join(err, j.file.Truncate(j.size))
}

// write appends a line to the chain and syncs it. If this fails, it removes what it has
// written, so that the file still ends with a complete line.
func (j *Journal) write(l *line) error {
	l.Prev, l.Number = j.hash, j.number+1
	encoded, err := l.encode()
	if err != nil {
		return err
	}
	_, err = j.file.WriteAt(encoded, j.size)
	if err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		_ = level.Error(j.config.Logger).Log("msg", "Cannot write the journal", "kind", l.Kind, "err", err)
		// After a failed sync, what the disk holds is unknown. So the whole line is
		// removed, and written again later.
		j.broken, j.tried = errors.Join(err, j.file.Truncate(j.size)), j.now()
		return j.broken
	}
	j.size += int64(len(encoded))
	j.number, j.hash = l.Number, hash(encoded[:len(encoded)-1])
	j.entries.Store(int64(j.number))
	_ = level.Info(j.config.Logger).Log("msg", "Journal written", "entries", j.number, "hash", j.hash)
	return nil
}

// endings are the endings of about the last hour, oldest first.
type endings []ending

type ending struct {
	id string
	Recent
}

// add adds an intent, or applies a result. Any other line changes nothing: what is
// unknown may have ended.
func (e *endings) add(l *line) {
	switch l.Kind {
	case kindIntent:
		*e = append(*e, ending{l.ID, Recent{l.At, l.By, l.Operator, l.Site, l.User, l.Sessions}})
	case kindResult:
		i := slices.IndexFunc(*e, func(e ending) bool { return e.id == l.ID })
		if i >= 0 {
			(*e)[i].Sessions = l.Ended + l.Failed
		}
	}
}

// since forgets endings before a time and returns the others.
func (e *endings) since(start time.Time) []Recent {
	*e = slices.DeleteFunc(*e, func(e ending) bool { return e.At.Before(start) })
	var recent []Recent
	for _, ending := range *e {
		if ending.Sessions > 0 {
			recent = append(recent, ending.Recent)
		}
	}
	return recent
}
