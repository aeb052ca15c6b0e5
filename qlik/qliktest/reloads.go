package qliktest

import (
	"net/http"
	"regexp"
	"strings"
	"time"
)

// ReloadTask is a reload task in the repository. Its reloads only exist as a number of executions: they start no sessions.
type ReloadTask struct {
	Name, App string
	Stream    string // of the app; "" if it is not published
	// Every is the time between two reloads, which have always been running; 0 means none.
	Every time.Duration
}

func (t *ReloadTask) id() string { return stableID("reload task", t.Name) }

func (s *Site) reloadTaskObjects(matches func(object) bool, full bool) []object {
	all := []object{}
	for i := range s.config.ReloadTasks {
		t := &s.config.ReloadTasks[i]
		app := object{"id": stableID("app", t.App), "name": t.App, "published": t.Stream != "", "stream": nil, "privileges": nil}
		if t.Stream != "" {
			app["stream"] = object{"id": stableID("stream", t.Stream), "name": t.Stream, "privileges": nil}
		}
		task := object{"id": t.id(), "name": t.Name, "taskType": 0, "enabled": t.Every > 0, "taskSessionTimeout": 1440, "maxRetries": 0, "app": app, "privileges": nil}
		switch {
		case !matches(task):
		case full:
			all = append(all, envelope(t.id(), s.started, s.started).with(task).with(object{"customProperties": []object{}, "tags": []object{}, "schemaPath": "ReloadTask"}))
		default:
			all = append(all, task)
		}
	}
	return all
}

var executions = regexp.MustCompile(`(?i)^startTime ge '([^']+)' and \((taskId eq [0-9a-f-]+(?: or taskId eq [0-9a-f-]+)*)\)$`)

// countExecutions responds with the number of executions of tasks since a time. It supports no other filter.
func (s *Site) countExecutions(filter string) answer {
	found := executions.FindStringSubmatch(filter)
	if found == nil {
		return text(http.StatusBadRequest, "400::Cannot parse the expression: "+filter) // docs/qlik.md, "Error bodies"
	}
	since, err := time.Parse(dateLayout, found[1])
	if err != nil {
		return text(http.StatusBadRequest, "400::Cannot parse the expression: "+filter)
	}
	n := 0
	for i := range s.config.ReloadTasks {
		if t := &s.config.ReloadTasks[i]; t.Every > 0 && strings.Contains(strings.ToLower(found[2]), t.id()) {
			n += int(s.now().Sub(since) / t.Every)
		}
	}
	return ok(object{"value": n})
}
