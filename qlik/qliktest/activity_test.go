package qliktest

import (
	"fmt"
	"testing"
	"time"
)

// TestActivity compares what a usage row records of a session that is used every 4 minutes.
func TestActivity(t *testing.T) {
	for _, test := range []struct {
		kind Activity
		want [6]int // recorded activity after each use, in minutes after the login at 8:00
	}{
		{ActivityAtOnce, [6]int{4, 8, 12, 16, 20, 24}},
		{ActivityEvery5Minutes, [6]int{0, 8, 8, 16, 16, 24}},
		{ActivityEvery10Minutes, [6]int{0, 0, 12, 12, 12, 24}},
		{ActivityInBatches, [6]int{0, 4, 8, 12, 16, 16}}, // batches at 5, 10, 15 and 20 minutes
		{ActivityAtStart, [6]int{0, 0, 0, 0, 0, 0}},
	} {
		t.Run(test.kind.String(), func(t *testing.T) {
			site, clock := startClocked(t, Config{Users: testUsers, Activity: test.kind})
			session := login(t, site, "goran", "laptop", "", "")
			var got [6]int
			for i := range got {
				clock.Advance(4 * time.Minute)
				if !site.Touch(session.ID) {
					t.Fatal("timed out in spite of activity")
				}
				got[i] = recordedActivity(t, site)
			}
			if got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
			if last := site.Sessions()[0].LastActivity; !last.Equal(clock.Now()) {
				t.Errorf("the proxy saw the last activity at %s", last.Format(time.TimeOnly))
			}
		})
	}
	if got := fmt.Sprint(Activity(9)); got != "Activity(9)" {
		t.Error(got)
	}
}

// recordedActivity returns the activity in the only usage row, in minutes after the start.
func recordedActivity(t *testing.T, site *Site) int {
	t.Helper()
	rows := site.AllUsageRows()
	if len(rows) != 1 {
		t.Fatalf("%d usage rows", len(rows))
	}
	return int(rows[0].LatestActivity.Sub(testStart).Minutes())
}

// TestKeepAlive keeps a session alive without a trace in its usage row.
func TestKeepAlive(t *testing.T) {
	site, clock := startClocked(t, Config{Users: testUsers})
	session := login(t, site, "goran", "laptop", "", "")
	for range 4 {
		clock.Advance(20 * time.Minute)
		if !site.KeepAlive(session.ID) {
			t.Fatal("timed out in spite of an open dashboard")
		}
	}
	if got := recordedActivity(t, site); got != 0 {
		t.Errorf("the open dashboard was recorded after %d minutes", got)
	}
	site.Touch(session.ID)
	if got := recordedActivity(t, site); got != 80 {
		t.Errorf("the use after 80 minutes was recorded after %d minutes", got)
	}
	clock.Advance(30 * time.Minute)
	if site.KeepAlive(session.ID) {
		t.Error("still alive after the timeout")
	}
}
