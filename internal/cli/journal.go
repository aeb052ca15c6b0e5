package cli

import (
	"cmp"
	"fmt"
	"os"
	"os/user"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/qlik-exporter/qlik_exporter/internal/config"
	"github.com/qlik-exporter/qlik_exporter/internal/ending"
	"github.com/qlik-exporter/qlik_exporter/internal/text"
)

// journal records who ended whose sessions, in the program's log and in a separate
// file. This file is not Qlik's audit log, which package auditlog reads.
type journal struct {
	logger log.Logger
	file   *os.File // nil for none
}

// openJournal must be called before sessions are ended, so that none is ended
// without a record.
func (c *openSite) openJournal(path string) (*journal, error) {
	if path == "" {
		return &journal{logger: c.Logger}, nil
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, &config.Error{Flag: "audit-log-file", Err: fmt.Errorf("no session was ended: %w", err)}
	}
	return &journal{logger: c.Logger, file: file}, nil
}

// record writes one line and closes the file. The line contains no session id. Without a
// journal, no session was ended, and there is nothing to record.
func (j *journal) record(outcome *ending.Outcome) error {
	if j == nil {
		return nil
	}
	count := func(fate ending.Fate) int { return len(outcome.Of(fate)) }
	line := []any{
		"msg", "Ended sessions", "by", text.Visible(operator()), "user", text.Visible(outcome.Plan.User.String()),
		"ended", count(ending.Ended), "already_gone", count(ending.AlreadyGone), "left_alone", count(ending.LeftAlone), "failed", count(ending.Failed),
	}
	_ = level.Info(j.logger).Log(line...)
	if j.file == nil {
		return nil
	}
	logger := log.With(log.NewLogfmtLogger(j.file), "ts", log.DefaultTimestampUTC)
	if err := cmp.Or(logger.Log(line...), j.file.Sync(), j.file.Close()); err != nil {
		return &config.Error{Flag: "audit-log-file", Err: fmt.Errorf("sessions were ended, but the line about them may be missing: %w", err)}
	}
	return nil
}

// operator returns the account that runs the program, and the machine.
func operator() string {
	name := "unknown"
	if current, err := user.Current(); err == nil {
		name = current.Username
	}
	if behind := os.Getenv("SUDO_USER"); behind != "" {
		name = behind + " as " + name
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
}
