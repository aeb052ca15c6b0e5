package headroom

import (
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

func TestUpAndComplete(t *testing.T) {
	answered, failed := LinkResult{}, LinkResult{Err: errDown}
	stopped := LinkResult{Err: errDown, Stopped: true}
	for _, test := range []struct {
		name         string
		links        []LinkResult
		up, complete bool
	}{
		{"no link", nil, false, false},
		{"all answered", []LinkResult{answered, answered}, true, true},
		{"one failed", []LinkResult{answered, failed}, true, false},
		{"all failed", []LinkResult{failed, failed}, false, false},
		{"one has stopped", []LinkResult{answered, stopped}, true, true},
		{"one has stopped, another failed", []LinkResult{answered, stopped, failed}, true, false},
		{"all have stopped", []LinkResult{stopped}, false, false},
	} {
		snapshot := &Snapshot{Links: test.links}
		if up, complete := snapshot.Up(), snapshot.Complete(); up != test.up || complete != test.complete {
			t.Errorf("%s: up %t, complete %t", test.name, up, complete)
		}
	}
}

func TestUsersByHeadroom(t *testing.T) {
	snapshot := &Snapshot{Limit: 3}
	for _, headroom := range []int{-2, -1, 0, 0, 0, 1, 2, 3} {
		snapshot.Users = append(snapshot.Users, UserStatus{Limited: true, Headroom: headroom}, UserStatus{})
	}
	over, left := snapshot.UsersByHeadroom()
	compare(t, "beyond the limit", over, 2)
	compare(t, "by what is left", left, []int{3, 1, 1})
}

func TestUsageOfSessions(t *testing.T) {
	snapshot := &Snapshot{Sessions: []qlik.Session{{ID: "1"}, {ID: "2"}, {ID: "3"}}}
	if snapshot.Usage() != nil {
		t.Error("there is usage without rows")
	}
	rows := []qlik.UsageRow{row("1", "", "", morning), row("3", "", "", time.Time{}), row("gone", "", "", morning)}
	snapshot.usage = NewUsage(rows, morning, morning)
	if snapshot.Usage() != nil {
		t.Error("there is usage by rows that are not plausible")
	}
	snapshot.UsagePlausible = true
	compare(t, "usage", snapshot.Usage(), map[qlik.SessionID]SessionUsage{"1": {1, morning}, "3": {Slots: 1}})
}
