package headroom

import (
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// TestRowsOfASession checks that all slots of a session were last active when the latest of
// its usage rows says, whatever their order.
func TestRowsOfASession(t *testing.T) {
	t.Parallel()
	for _, ago := range [][]time.Duration{
		{time.Hour, 0, 20 * time.Minute},
		{0, time.Hour, 20 * time.Minute},
		{time.Hour, 20 * time.Minute, 0},
	} {
		s := newScenario(t, "n1/")
		s.analyzers("anna")
		s.login("n1/", "anna1")
		var rows []qlik.UsageRow
		for _, each := range ago {
			rows = append(rows, row("anna1", "anna", qlik.LicenseAnalyzer, s.now.Add(-each)))
		}
		s.usage = NewUsage(rows, s.now, s.now)
		s.observe()
		slots := s.snapshot.Facts(lab("anna")).Slots
		s.expect("slots", len(slots), len(ago))
		for _, slot := range slots {
			s.expect("last activity", slot.LastActive, s.now)
			s.expect("state", slot.State, SlotActive)
		}
	}
}
