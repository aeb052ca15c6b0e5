package sessions

import (
	"cmp"
	"fmt"
	"os"
	"os/user"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// auditLog records who ended whose sessions: in the program's log, and in a file
// of its own.
type auditLog struct {
	logger log.Logger
	path   string
	file   *os.File // nil for none
}

// openAuditLog is called before anything is ended, so that nothing is ended that
// cannot be recorded.
func (c *Commands) openAuditLog(path string) (*auditLog, error) {
	a := &auditLog{logger: c.Logger, path: path}
	if path == "" {
		return a, nil
	}
	var err error
	if a.file, err = os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err != nil {
		return nil, fmt.Errorf("--audit-log-file: %w; nothing was ended", err)
	}
	return a, nil
}

// record writes one line, which names no session, and closes the file.
func (a *auditLog) record(of qlik.User, results []result) error {
	ended, gone, failed := tally(results)
	line := []any{
		"msg", "Ended sessions", "by", visible(operator()), "user", visible(of.String()),
		"ended", ended, "already_gone", gone, "failed", failed,
	}
	_ = level.Info(a.logger).Log(line...)
	if a.file == nil {
		return nil
	}
	logger := log.With(log.NewLogfmtLogger(a.file), "ts", log.DefaultTimestampUTC)
	if err := cmp.Or(logger.Log(line...), a.file.Sync(), a.file.Close()); err != nil {
		return fmt.Errorf("--audit-log-file: the line about what was ended may be missing: %w", err)
	}
	return nil
}

// operator is who runs the program, and on which machine.
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
