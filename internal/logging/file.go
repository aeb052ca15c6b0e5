package logging

import (
	"io"

	"github.com/DeRuina/timberjack"
	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
)

// A log file and the files before it take up at most 25 MB.
const (
	maxSize  = 5 // in MB
	maxFiles = 4 // before the current one
)

// WithFile is a writer of a log that also writes it to a file. A file that cannot be written,
// for example because the disk is full, costs nothing but its lines: the other log has them
// too, and says so.
type WithFile struct {
	log     io.Writer
	file    *timberjack.Logger
	format  string
	events  log.Logger // about the file, on the other log
	failing bool
}

// NewWithFile returns a writer that writes to log and to the file at path, which is created by
// the first line. Like log, it is not safe for concurrent use.
func NewWithFile(other io.Writer, path, format string) *WithFile {
	events, _ := New(other, "info", format)
	return &WithFile{
		log:    other,
		file:   &timberjack.Logger{Filename: path, MaxSize: maxSize, MaxBackups: maxFiles, FileMode: 0o600},
		format: format,
		events: events,
	}
}

// Write writes a line of the log.
func (w *WithFile) Write(line []byte) (int, error) {
	n, err := w.log.Write(line)
	switch _, wrong := w.file.Write(line); {
	case wrong != nil && !w.failing:
		w.failing = true
		_ = level.Error(w.events).Log("msg", "The log file cannot be written; the log goes on without it", "file", w.file.Filename, "err", wrong)
	case wrong == nil && w.failing:
		w.failing = false
		_ = level.Info(w.events).Log("msg", "The log file is written again; lines are missing in it", "file", w.file.Filename)
	}
	return n, err
}

// Close closes the file. If the program ends with an error, which it shows and does not log,
// the error is the last line.
func (w *WithFile) Close(ended error) {
	if ended != nil {
		events, _ := New(w.file, "error", w.format)
		_ = level.Error(events).Log("msg", "qlik_exporter ends", "err", ended)
	}
	_ = w.file.Close()
}
