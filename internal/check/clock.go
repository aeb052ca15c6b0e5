package check

import (
	"context"
	"slices"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/text"
)

// clocksApart is by how much clocks may differ before times mislead.
const clocksApart = 30 * time.Second

func hasClock(s *server) bool { return s.ahead != nil }

func datedAnswer(s *site) string {
	if !slices.ContainsFunc(s.servers, hasClock) {
		return "no answer says what time it is"
	}
	return ""
}

// compareClocks compares the servers' clocks with ours.
func (s *site) compareClocks(context.Context) ([]Result, error) {
	var told int
	var worst *server
	for _, server := range s.servers {
		if !hasClock(server) {
			continue
		}
		told++
		if worst == nil || server.apart() > worst.apart() {
			worst = server
		}
	}
	if worst.apart() <= clocksApart {
		return passed("%s within %s of this machine", text.Count(told, "server"), max(worst.apart(), time.Second)), nil
	}
	direction := "ahead of"
	if *worst.ahead < 0 {
		direction = "behind"
	}
	found := warned("is %s %s this machine's, which falsifies last activity and next free slots: let both follow the same time server", worst.apart(), direction)
	found[0].Target = worst.host()
	return found, nil
}

// apart is by how much the clock of the server differs from ours.
func (s *server) apart() time.Duration { return s.ahead.Abs().Round(time.Second) }
