package cli

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/qlik-exporter/qlik_exporter/internal/config"
)

func flagsOf(level string) *config.Flags {
	flags := new(config.Flags)
	flags.LogLevel, flags.LogFormat = level, "logfmt"
	return flags
}

// TestSentences checks what of a log a person reads.
func TestSentences(t *testing.T) {
	var out bytes.Buffer
	logger := newSentences(&out, flagsOf("info"))
	for range 2 {
		_ = level.Error(logger).Log("msg", "Cannot read from the repository; the last data stays in use", "source", "licenses", "kind", "status", "err", errors.New("403 Forbidden"))
		_ = level.Warn(logger).Log("msg", "Cannot read the audit log; some refused logins are not shown", "file", "log\x1b.txt", "err", "it is empty.")
		_ = level.Warn(logger).Log("msg", "A part of the response cannot be read; the rest is used", "source", "users", "left_out", "name (2)")
		_ = level.Warn(logger).Log("msg", "Virtual proxy does not answer", "node", "qlik1", "virtual_proxy", "/", "err", "EOF")
		_ = level.Info(logger).Log("msg", "Read the topology from the repository", "links", 3)
		_ = level.Debug(logger).Log("msg", "Nothing")
	}
	compare(t, out.String(), "Cannot read from the repository (licenses): 403 Forbidden.\n"+
		"Cannot read the audit log (log‹U+001B›.txt): it is empty.\n"+
		"A part of the response cannot be read (users): name (2).\n")
}

func TestSentencesOfDebug(t *testing.T) {
	var out bytes.Buffer
	logger := newSentences(&out, flagsOf("debug"))
	_ = level.Debug(logger).Log("msg", "Nothing")
	if !strings.Contains(out.String(), "level=debug msg=Nothing") {
		t.Errorf("got %s", &out)
	}
}

// TestRecordLogger checks that a record is logged, but not into a conversation.
func TestRecordLogger(t *testing.T) {
	console, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no terminal can be had here:", err)
	}
	defer func() { _ = console.Close() }()
	flags := flagsOf("info")
	if recordLogger(console, flags) != log.NewNopLogger() {
		t.Error("a log line on a terminal")
	}
	var file bytes.Buffer
	_ = level.Info(recordLogger(&file, flags)).Log("msg", "Ended sessions")
	if !strings.Contains(file.String(), `level=info msg="Ended sessions"`) {
		t.Errorf("in a file: %q", &file)
	}
	flags.LogLevel = "debug"
	if recordLogger(console, flags) == log.NewNopLogger() {
		t.Error("with debug, the record is lost")
	}
}
