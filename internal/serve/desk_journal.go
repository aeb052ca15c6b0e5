package serve

import (
	"errors"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-kit/log/level"

	"github.com/qlik-exporter/qlik_exporter/internal/journal"
)

// reopenAfter is the time between two attempts to open a journal.
const reopenAfter = 5 * time.Second

// deskJournal is the journal of the desk. If it cannot be opened, because the disk is full,
// because it was changed, or because another exporter still has it, the desk refuses
// everything until it can, and the exporter goes on without it.
type deskJournal struct {
	config journal.Config

	opened atomic.Pointer[journal.Journal] // nil until it could be opened

	mu     sync.Mutex // guards the fields below, and is held while opened changes
	err    error      // of the last attempt
	tried  time.Time  // when that was
	closed bool
}

// openJournal opens a journal. It returns an error if the exporter may not write there.
func openJournal(config journal.Config) (*deskJournal, error) {
	j := &deskJournal{config: config}
	if err := j.open(); errors.Is(err, fs.ErrPermission) {
		return nil, err
	}
	return j, nil
}

// open opens the journal unless it is open. The caller holds the mutex or the only reference.
func (j *deskJournal) open() error {
	if j.opened.Load() != nil {
		return nil
	}
	if j.closed || !j.tried.IsZero() && time.Since(j.tried) < reopenAfter {
		return j.err
	}
	opened, err := journal.Open(j.config)
	j.err, j.tried = err, time.Now()
	if err == nil {
		j.opened.Store(opened)
	} else {
		_ = level.Error(j.config.Logger).Log("msg", "The desk does not work, because its journal cannot be opened", "err", err)
	}
	return err
}

func (j *deskJournal) get() (*journal.Journal, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	err := j.open()
	return j.opened.Load(), err
}

// Check implements desk.Journal.
func (j *deskJournal) Check() error {
	opened, err := j.get()
	if err != nil {
		return err
	}
	return opened.Check()
}

// Begin implements desk.Journal.
func (j *deskJournal) Begin(intent journal.Intent, allow func([]journal.Recent) error) (id string, err error) {
	opened, err := j.get()
	if err != nil {
		return "", err
	}
	return opened.Begin(intent, allow)
}

// Finish implements desk.Journal.
func (j *deskJournal) Finish(id string, result journal.Result) error {
	opened, err := j.get()
	if err != nil {
		return err
	}
	return opened.Finish(id, result)
}

// Recent implements desk.Journal.
func (j *deskJournal) Recent() []journal.Recent {
	if opened, err := j.get(); err == nil {
		return opened.Recent()
	}
	return nil
}

// Entries implements desk.Journal. Every scrape calls it, so it neither opens the journal
// nor waits for somebody who does.
func (j *deskJournal) Entries() int {
	if opened := j.opened.Load(); opened != nil {
		return opened.Entries()
	}
	return 0
}

// Close closes the journal.
func (j *deskJournal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed, j.err = true, errors.New("the journal is closed")
	if opened := j.opened.Load(); opened != nil {
		return opened.Close()
	}
	return nil
}
