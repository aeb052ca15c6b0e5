package headroom

import (
	"fmt"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// BenchmarkObserve observes a site without changes, because most sessions do not change
// between two rounds. The site has 50 links, usage rows and licenses.
func BenchmarkObserve(b *testing.B) {
	for _, size := range []struct{ sessions, users int }{{10_000, 7_500}, {100_000, 75_000}} {
		b.Run(fmt.Sprint("sessions=", size.sessions), func(b *testing.B) {
			round, rows := benchmarkRound(size.sessions, size.users)
			_, state := New(Config{Limit: DefaultLimit, CoolingTime: DefaultCoolingTime}).Observe(round)
			var snapshot *Snapshot
			b.ReportAllocs()
			for b.Loop() {
				round.Asked = round.Asked.Add(15 * time.Second)
				round.Heard = round.Asked.Add(time.Second)
				round.Usage = NewUsage(rows, round.Asked, round.Asked)
				snapshot, state = state.Observe(round)
			}
			if n := len(snapshot.Users); n != size.users || !snapshot.UsageKnown || snapshot.Users[0].LicensedSessions == 0 {
				b.Fatalf("%d users, want %d; rows are known: %t; the first: %+v", n, size.users, snapshot.UsageKnown, snapshot.Users[0])
			}
		})
	}
}

// benchmarkRound returns a round of 50 links, and the usage rows of all its sessions.
func benchmarkRound(sessions, users int) (Round, []qlik.UsageRow) {
	const links = 50
	round := Round{
		Asked: morning, Heard: morning, Links: make([]LinkResult, links),
		Licenses: &qlik.Licenses{ReadAt: morning, Certain: true, Holders: make(map[qlik.User]qlik.LicenseSet, users)},
	}
	for i := range round.Links {
		round.Links[i] = *newLink(fmt.Sprint("qlik", i%5, "/vp", i/5))
		round.Links[i].InactivityTimeout = 30 * time.Minute
	}
	rows := make([]qlik.UsageRow, 0, sessions)
	for i := range sessions {
		link, user := &round.Links[i%links], fmt.Sprintf("user%05d", i%users)
		id := fmt.Sprintf("%08d-dbad-4b1f-851d-cb06a73e10a7", i)
		link.Sessions = append(link.Sessions, session(id, "COMPANY", user, &link.Link))
		each := link.Sessions[len(link.Sessions)-1]
		rows = append(rows, qlik.UsageRow{Session: each.ID.Key(), User: each.User, License: qlik.LicenseAnalyzer, LastActivity: morning})
		round.Licenses.Holders[each.User] = qlik.NewLicenseSet(qlik.LicenseAnalyzer)
	}
	return round, rows
}
