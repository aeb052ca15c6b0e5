package check

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/qlik-exporter/qlik_exporter/qlik/auditlog"
)

func configuredAuditLog(s *site) string {
	if len(s.AuditLogs) == 0 {
		return "no audit log is configured, so refused logins are not counted; see " + s.Setting("qlik.audit-log")
	}
	return ""
}

// checkAuditLogs checks that the configured audit logs can be read and that every
// repository has one.
func (s *site) checkAuditLogs(context.Context) ([]Result, error) {
	var results []Result
	add := func(node string, mark Mark, format string, args ...any) {
		results = append(results, Result{Target: node, Mark: mark, Text: fmt.Sprintf(format, args...)})
	}
	repositories := make(map[string]bool) // by lower-case host name
	for _, state := range s.states {
		if state.Service == "Repository" {
			repositories[strings.ToLower(state.Host)] = false
		}
	}
	for _, node := range slices.Sorted(maps.Keys(s.AuditLogs)) {
		glob := s.AuditLogs[node]
		_, known := repositories[strings.ToLower(node)]
		repositories[strings.ToLower(node)] = true
		switch file, err := auditlog.Find(glob); {
		case err != nil:
			add(node, Failed, "%s", s.explain("audit log", fmt.Errorf("%s cannot be read (%w)", glob, err)))
		case len(s.states) > 0 && !known:
			add(node, Warning, "%s can be read, but the site has no repository on a node with this name: use the registered host name that the QMC shows under Nodes", file)
		default:
			add(node, OK, "%s", file)
		}
	}
	for _, node := range slices.Sorted(maps.Keys(repositories)) {
		if !repositories[node] {
			add(node, Warning, "no audit log is configured for this node, so its refused logins are not counted: set %s to %s=GLOB", s.Setting("qlik.audit-log"), node)
		}
	}
	return results, nil
}
