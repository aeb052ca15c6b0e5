package serve

import (
	"errors"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/qlik-exporter/qlik_exporter/internal/config"
	"github.com/qlik-exporter/qlik_exporter/internal/journal"
	"github.com/qlik-exporter/qlik_exporter/internal/sites"
)

// reopenAfter is the time between two attempts to open a journal.
const reopenAfter = 5 * time.Second

// sharedJournal is the journal of the desk and of the guards. If it cannot be opened, because
// the disk is full, because it was changed, or because another exporter still has it, nothing
// ends until it can, and the exporter goes on without it.
type sharedJournal struct {
	config journal.Config

	opened  atomic.Pointer[journal.Journal] // nil until it could be opened
	entries prometheus.Collector

	mu     sync.Mutex // guards the fields below, and is held while opened changes
	err    error      // of the last attempt
	tried  time.Time  // when that was
	closed bool
}

// journal opens the journal, if there is one. The caller must close it after everything that
// uses it.
func (e *Exporter) journal(logger log.Logger) (record *sharedJournal, closeJournal func(), err error) {
	path := e.Flags.Desk.JournalFile
	if path == "" {
		return nil, func() {}, nil
	}
	logger = log.With(logger, "component", "journal")
	if record, err = openJournal(journal.Config{Path: path, Logger: logger}); err != nil {
		return nil, nil, &config.Error{Flag: "desk.journal-file", Err: err}
	}
	return record, func() {
		if err := record.Close(); err != nil {
			_ = level.Error(logger).Log("msg", "Closing the journal failed", "err", err)
		}
	}, nil
}

// guarding returns what the guards of the sites share. The record may be nil.
func (e *Exporter) guarding(record *sharedJournal) sites.Guarding {
	guarding := sites.Guarding{StopFile: e.Flags.Desk.StopFile}
	if record != nil {
		guarding.Journal = record
	}
	return guarding
}

// checkJournal returns an error if there is a journal that cannot be written.
func checkJournal(flags *config.Desk) error {
	if flags.JournalFile == "" {
		return nil
	}
	if err := journal.CheckFolder(flags.JournalFile); err != nil {
		return &config.Error{Flag: "desk.journal-file", Err: err}
	}
	return nil
}

// openJournal opens a journal. It returns an error if the exporter may not write there.
func openJournal(config journal.Config) (*sharedJournal, error) {
	j := &sharedJournal{config: config}
	j.entries = prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "qlik_desk_journal_entries",
		Help: "Lines of the journal of the desk and of the guard, including those of earlier files. It never decreases, so a decrease shows that lines are missing.",
	}, func() float64 { return float64(j.lines()) })
	if err := j.open(); errors.Is(err, fs.ErrPermission) {
		return nil, err
	}
	return j, nil
}

// open opens the journal unless it is open. The caller holds the mutex or the only reference.
func (j *sharedJournal) open() error {
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
		_ = level.Error(j.config.Logger).Log("msg", "No sessions can be ended, because the journal cannot be opened", "err", err)
	}
	return err
}

func (j *sharedJournal) get() (*journal.Journal, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	err := j.open()
	return j.opened.Load(), err
}

// Check returns an error if nothing could be recorded now.
func (j *sharedJournal) Check() error {
	opened, err := j.get()
	if err != nil {
		return err
	}
	return opened.Check()
}

// Begin records what is about to end.
func (j *sharedJournal) Begin(intent journal.Intent, allow func([]journal.Recent) error) (id string, err error) {
	opened, err := j.get()
	if err != nil {
		return "", err
	}
	return opened.Begin(intent, allow)
}

// Finish records what happened.
func (j *sharedJournal) Finish(id string, result journal.Result) error {
	opened, err := j.get()
	if err != nil {
		return err
	}
	return opened.Finish(id, result)
}

// Recent returns the endings of the last hour.
func (j *sharedJournal) Recent() []journal.Recent {
	if opened, err := j.get(); err == nil {
		return opened.Recent()
	}
	return nil
}

// lines returns the number of lines. Every scrape calls it, so it neither opens the journal
// nor waits for somebody who does.
func (j *sharedJournal) lines() int {
	if opened := j.opened.Load(); opened != nil {
		return opened.Entries()
	}
	return 0
}

// metrics returns the metrics of the journal, if there is one.
func (j *sharedJournal) metrics() []prometheus.Collector {
	if j == nil {
		return nil
	}
	return []prometheus.Collector{j.entries}
}

// Close closes the journal.
func (j *sharedJournal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed, j.err = true, errors.New("the journal is closed")
	if opened := j.opened.Load(); opened != nil {
		return opened.Close()
	}
	return nil
}
