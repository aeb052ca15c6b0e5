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
		return "none is configured, so refused logins go unseen; see " + s.Setting("qlik.audit-log")
	}
	return ""
}

// checkAuditLogs looks whether the configured logs can be read, and whether there
// is one for every repository.
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
			add(node, Warning, "%s can be read, but the site has no repository on a node of this name: use the registered host name as the QMC shows it under Nodes", file)
		default:
			add(node, OK, "%s", file)
		}
	}
	for _, node := range slices.Sorted(maps.Keys(repositories)) {
		if !repositories[node] {
			add(node, Warning, "is not read, so refused logins on this node go unseen: set %s to %s=GLOB", s.Setting("qlik.audit-log"), node)
		}
	}
	return results, nil
}
