package check

import (
	"context"
	"slices"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/text"
)

// clocksApart is the largest clock difference without a warning. Beyond it, times
// in metrics mislead.
const clocksApart = 30 * time.Second

func hasClock(s *server) bool { return s.ahead != nil }

func datedAnswer(s *site) string {
	if !slices.ContainsFunc(s.servers, hasClock) {
		return "no response contains the time of a server"
	}
	return ""
}

// compareClocks compares the clocks of the servers with the clock of this machine.
func (s *site) compareClocks(context.Context) ([]Result, error) {
	var dated int // servers with a known clock
	var worst *server
	for _, server := range s.servers {
		if !hasClock(server) {
			continue
		}
		dated++
		if worst == nil || server.apart() > worst.apart() {
			worst = server
		}
	}
	if worst.apart() <= clocksApart {
		return passed("%s within %s of this machine", text.Count(dated, "server"), max(worst.apart(), time.Second)), nil
	}
	direction := "ahead of"
	if *worst.ahead < 0 {
		direction = "behind"
	}
	found := warned("the clock is %s %s the clock of this machine, so last activity and next free slots are wrong: synchronize both with the same time server", worst.apart(), direction)
	found[0].Target = worst.host()
	return found, nil
}

// apart returns the difference between the clocks of the server and this machine.
func (s *server) apart() time.Duration { return s.ahead.Abs().Round(time.Second) }
