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

// auditLog records who ended whose sessions, in the program's log and in a separate
// file. This file is not Qlik's audit log, which package auditlog reads.
type auditLog struct {
	logger log.Logger
	file   *os.File // nil for none
}

// openAuditLog must be called before sessions are ended, so that none is ended
// without a record.
func (c *openSite) openAuditLog(path string) (*auditLog, error) {
	if path == "" {
		return &auditLog{logger: c.Record}, nil
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, &config.Error{Flag: "audit-log-file", Err: fmt.Errorf("no session was ended: %w", err)}
	}
	return &auditLog{logger: c.Record, file: file}, nil
}

// record writes one line and closes the file. The line contains no session id. Without a
// log, no session was ended, and there is nothing to record.
func (a *auditLog) record(outcome *ending.Outcome) error {
	if a == nil {
		return nil
	}
	count := func(fate ending.Fate) int { return len(outcome.Of(fate)) }
	line := []any{
		"msg", "Ended sessions", "by", text.Visible(operator()), "user", text.Visible(outcome.Plan.User.String()),
		"ended", count(ending.Ended), "already_gone", count(ending.AlreadyGone), "left_alone", count(ending.LeftAlone), "failed", count(ending.Failed),
	}
	_ = level.Info(a.logger).Log(line...)
	if a.file == nil {
		return nil
	}
	logger := log.With(log.NewLogfmtLogger(a.file), "ts", log.DefaultTimestampUTC)
	if err := cmp.Or(logger.Log(line...), a.file.Sync(), a.file.Close()); err != nil {
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
