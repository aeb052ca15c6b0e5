package qliktest

import "time"

// ReloadTask is a reload task in the repository. Its reloads exist only as execution results: they start no sessions.
type ReloadTask struct {
	Name, App string
	Stream    string // of the app; "" if it is not published
	// Every is the time between two reloads, which have always been running; 0 means none.
	Every time.Duration
}

func (t *ReloadTask) id() string { return stableID("reload task", t.Name) }

func (s *Site) reloadTasks() []*entity {
	all := []object{}
	for i := range s.config.ReloadTasks {
		t := &s.config.ReloadTasks[i]
		all = append(all, envelope(t.id(), s.started, s.started).with(object{
			"name": t.Name, "taskType": 0, "enabled": t.Every > 0, "taskSessionTimeout": 1440, "maxRetries": 0, "app": t.app(),
			"isManuallyTriggered": false, "customProperties": []object{}, "tags": []object{}, "schemaPath": "ReloadTask",
		}))
	}
	return builtEntities(all, fields("name", "taskType", "enabled", "taskSessionTimeout", "maxRetries", "app"))
}

// app returns the short form of the task's app.
func (t *ReloadTask) app() object {
	app := object{"id": stableID("app", t.App), "name": t.App, "published": t.Stream != "", "stream": nil, "privileges": nil}
	if t.Stream != "" {
		app["stream"] = t.stream()
	}
	return app
}

func (t *ReloadTask) stream() object {
	return object{"id": stableID("stream", t.Stream), "name": t.Stream, "privileges": nil}
}

// apps returns the apps of the reload tasks. The site has no others.
func (s *Site) apps() []*entity {
	return s.ofTasks(func(t *ReloadTask) object {
		return t.app().with(object{
			"appId": "", "description": "", "fileSize": 0, "owner": nil, "customProperties": []object{}, "tags": []object{}, "schemaPath": "App",
		})
	}, fields("name", "published", "stream"))
}

// streams returns the streams of these apps.
func (s *Site) streams() []*entity {
	return s.ofTasks(func(t *ReloadTask) object {
		if t.Stream == "" {
			return nil
		}
		return t.stream().with(object{"owner": nil, "customProperties": []object{}, "tags": []object{}, "schemaPath": "Stream"})
	}, fields("name"))
}

// ofTasks returns one entity of every id that the reload tasks have.
func (s *Site) ofTasks(of func(*ReloadTask) object, condense func(object) object) []*entity {
	all := []object{}
	seen := map[any]bool{}
	for i := range s.config.ReloadTasks {
		o := of(&s.config.ReloadTasks[i])
		if o == nil || seen[o["id"]] {
			continue
		}
		seen[o["id"]] = true
		id, _ := o["id"].(string)
		all = append(all, envelope(id, s.started, s.started).with(o))
	}
	return builtEntities(all, condense)
}

// executionsKept is how long the repository keeps the results of reloads. The real time is unknown.
const executionsKept = 7 * 24 * time.Hour

// finishedSuccess is the status of a reload that succeeded.
const finishedSuccess = 7

// executionResults returns the reloads of the last days. They have always been running, one half of the interval after full intervals
// from the start of the site.
func (s *Site) executionResults() []*entity {
	now := s.now()
	all := []*entity{}
	for i := range s.config.ReloadTasks {
		t := &s.config.ReloadTasks[i]
		if t.Every <= 0 {
			continue
		}
		first := s.started.Add(t.Every / 2)
		before := first.Sub(now.Add(-executionsKept))
		first = first.Add(before%t.Every - before)
		for at := first; !at.After(now); at = at.Add(t.Every) {
			all = append(all, s.execution(t, at))
		}
	}
	return all
}

func (s *Site) execution(t *ReloadTask, at time.Time) *entity {
	id := stableID("execution", t.Name+at.UTC().Format(time.RFC3339Nano))
	return &entity{
		condensed: object{"id": id, "privileges": nil},
		quick: func(field string) (any, bool) {
			switch field {
			case "taskid":
				return t.id(), true
			case "starttime":
				return date(at), true
			}
			return nil, false
		},
		build: func() object {
			const duration = time.Minute
			central := s.centralNode()
			return envelope(id, at, at).with(object{
				"taskID": t.id(), "executionID": stableID("execution id", id), "appID": stableID("app", t.App),
				"executingNodeID": central.id, "executingNodeName": central.Name, "status": finishedSuccess,
				"startTime": date(at), "stopTime": date(at.Add(duration)), "duration": int(duration / time.Millisecond),
				"scriptLogAvailable": false, "details": []object{}, "scriptLogLocation": "", "scriptLogSize": 0, "schemaPath": "ExecutionResult",
			})
		},
	}
}
