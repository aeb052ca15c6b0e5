package qliktest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// traceColumns are the columns of a trace log, in order (docs/qlik.md, "Trace logs").
var traceColumns = []string{
	"Sequence#", "Timestamp", "Level", "Hostname", "Logger", "Thread", "Id", "ServiceUser", "Message", "Exception", "StackTrace",
	"ProxySessionId", "Id2",
}

// traceServices are the services that write trace logs.
var traceServices = []string{"Repository", "Proxy", "Scheduler"}

// traceLogPath returns the path of a trace log: the layout of C:\ProgramData\Qlik\Sense\Log. The name of the file has the node's name, so
// nodes can share the folder.
func traceLogPath(dir, node, service string) string {
	return filepath.Join(dir, service, "Trace", node+"_System_"+service+".txt")
}

// TraceLogPath returns the path of the trace log of a service of a node, or "" without Config.TraceLogDir. The service is Repository,
// Proxy or Scheduler.
func (s *Site) TraceLogPath(node, service string) string {
	if s.config.TraceLogDir == "" {
		return ""
	}
	return traceLogPath(s.config.TraceLogDir, s.node(node).Name, service)
}

// startTraceLogs writes the first lines of all services to new trace logs.
func (s *Site) startTraceLogs() error {
	for _, n := range s.nodes {
		for _, service := range traceServices {
			path := traceLogPath(s.config.TraceLogDir, n.Name, service)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				return err
			}
			content := s.config.facts.traceHeader() + "\r\n" + s.traceLine(n, service, s.started)
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

// traceStart adds the line of a service that starts again. Like the audit log, a log that cannot be written does not stop the site.
func (s *Site) traceStart(n *node, service string) {
	if s.config.TraceLogDir == "" {
		return
	}
	file, err := os.OpenFile(traceLogPath(s.config.TraceLogDir, n.Name, service), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return
	}
	_, _ = file.WriteString(s.traceLine(n, service, s.now()))
	_ = file.Close()
}

func (s *Site) traceLine(n *node, service string, now time.Time) string {
	n.traceLines++
	fields := []string{
		strconv.Itoa(n.traceLines), now.Format(auditTimestamp), "INFO", n.Name, "System." + service + "." + service + ".Core.Main", "1",
		stableID("trace", fmt.Sprint(n.Name, n.traceLines)), s.config.ServiceUser, service + " service started", "", "", "0", "",
	}
	return strings.Join(fields, "\t") + "\r\n"
}
