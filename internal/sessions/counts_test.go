package sessions_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions/sessionstest"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// TestCount checks that the counts match the rows, with and without refused users.
func TestCount(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		counts := make(map[string]int)
		for i := range random.IntN(30) {
			counts[fmt.Sprintf(`LAB\user%d`, i)] = random.IntN(7)
		}
		snapshot := sessionstest.Snapshot(counts)
		snapshot.Refusals = make(qlik.Refusals)
		for range random.IntN(20) {
			refusals := make([]qlik.Refusal, random.IntN(3))
			at := snapshot.Time
			for i := range refusals { // the last one first
				at = at.Add(-time.Duration(random.IntN(20)) * time.Minute)
				reason := qlik.RefusalReasons()[random.IntN(2)]
				refusals[i] = qlik.Refusal{At: at, Reason: reason}
			}
			snapshot.Refusals[qlik.NewUser("LAB", fmt.Sprint("user", random.IntN(60)))] = refusals
		}
		for i := range snapshot.Users {
			user := &snapshot.Users[i]
			user.LicenseDoubtful = random.IntN(5) == 0
			user.Limited = random.IntN(9) > 0
			if random.IntN(5) == 0 {
				user.Judgment.Cause = headroom.CauseNoLicense
			}
		}
		var want sessions.Counts
		for _, row := range sessions.Rows(snapshot) {
			want.Users++
			if free, near := row.NearLimit(); near && free == 0 {
				want.NoSlot++
			} else if near {
				want.OneSlot++
			}
			for _, refusal := range row.Refused {
				if snapshot.Time.Sub(refusal.At) < headroom.RecentRefusal {
					want.Refused++
				}
			}
		}
		if got := sessions.Count(snapshot); got != want {
			t.Fatalf("counted %+v, the rows have %+v", got, want)
		}
	}
}

// BenchmarkCount measures counting 20,000 users, which happens in every scrape.
func BenchmarkCount(b *testing.B) {
	snapshot := sessionstest.Crowd(20_000)
	b.ReportAllocs()
	for b.Loop() {
		sessions.Count(snapshot)
	}
}
