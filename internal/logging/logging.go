// Package logging creates the loggers of the program.
package logging

import (
	"io"
	"log/slog"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/qlik-exporter/qlik_exporter/internal/slogbridge"
)

// New returns a logger with the level and format of --log.level and --log.format, and
// the same log for libraries that use log/slog.
func New(w io.Writer, minimum, format string) (log.Logger, *slog.Logger) {
	newLogger := log.NewLogfmtLogger
	if format == "json" {
		newLogger = log.NewJSONLogger
	}
	levels := map[string]struct {
		gokit level.Option
		slog  slog.Level
	}{
		"debug": {level.AllowDebug(), slog.LevelDebug},
		"info":  {level.AllowInfo(), slog.LevelInfo},
		"warn":  {level.AllowWarn(), slog.LevelWarn},
		"error": {level.AllowError(), slog.LevelError},
	}
	base := log.With(newLogger(log.NewSyncWriter(w)), "ts", log.DefaultTimestampUTC)
	// With level.Info and the filter, five stack frames lie between the caller and the
	// format.
	logger := level.NewFilter(log.With(base, "caller", log.Caller(5)), levels[minimum].gokit)
	return logger, slog.New(slogbridge.NewHandler(base, levels[minimum].slog))
}
