package cli

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/qlik-exporter/qlik_exporter/internal/config"
	"github.com/qlik-exporter/qlik_exporter/internal/logging"
	"github.com/qlik-exporter/qlik_exporter/internal/terminal"
	"github.com/qlik-exporter/qlik_exporter/internal/text"
)

// debugLevel is the value of --log.level that shows what a command logs.
const debugLevel = "debug"

// sentences is a logger that says warnings and errors in plain sentences, each once. A
// person who types a command does not read the format of a log. Links that do not respond
// are left out, because the answer of a command lists them.
type sentences struct {
	out io.Writer

	mu   sync.Mutex
	said map[string]bool
}

// newSentences returns the logger of a command. At the level debug, it writes a log.
func newSentences(out io.Writer, flags *config.Flags) log.Logger {
	if flags.LogLevel == debugLevel {
		logger, _ := logging.New(out, debugLevel, flags.LogFormat)
		return logger
	}
	return &sentences{out: out, said: make(map[string]bool)}
}

// Log implements log.Logger.
func (s *sentences) Log(keyvals ...any) error {
	record := make(map[string]string)
	for i := 0; i+1 < len(keyvals); i += 2 {
		value := fmt.Sprint(keyvals[i+1])
		if err, ok := keyvals[i+1].(error); ok {
			value = text.Error(err)
		}
		record[fmt.Sprint(keyvals[i])] = value
	}
	severe := record["level"] == level.WarnValue().String() || record["level"] == level.ErrorValue().String()
	if !severe || record["node"] != "" {
		return nil
	}
	sentence, _, _ := strings.Cut(record["msg"], ";") // the rest is about a program that goes on running
	for _, key := range []string{"source", "file"} {
		if record[key] != "" {
			sentence += " (" + record[key] + ")"
		}
	}
	for _, key := range []string{"left_out", "err"} {
		if record[key] != "" {
			sentence += ": " + strings.TrimSuffix(record[key], ".")
		}
	}
	sentence = text.Visible(sentence) + "."
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.said[sentence] {
		return nil
	}
	s.said[sentence] = true
	return say(s.out, "%s", sentence)
}

// recordLogger returns the logger for what must be on record, such as ended sessions. On a
// terminal, the command itself says it.
func recordLogger(out io.Writer, flags *config.Flags) log.Logger {
	if terminal.Is(out) && flags.LogLevel != debugLevel {
		return log.NewNopLogger()
	}
	logger, _ := logging.New(out, flags.LogLevel, flags.LogFormat)
	return logger
}
