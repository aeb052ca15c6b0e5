package check_test

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestClock(t *testing.T) {
	for _, test := range []struct {
		ahead time.Duration
		want  []string
	}{
		{20 * time.Second, nil},
		{10 * time.Minute, []string{"warn clock qlik1: the clock is 10m0s ahead of the clock of this machine, so last activity and next free slots are wrong: synchronize both with the same time server"}},
		{-3 * time.Hour, []string{"warn clock qlik1: the clock is 3h0m0s behind the clock of this machine, so last activity and next free slots are wrong: synchronize both with the same time server"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			simulated := twoNodes()
			simulated.Now = func() time.Time { return time.Now().Add(test.ahead) }
			_, config := start(t, simulated)
			expect(t, run(t, config), config, test.want...)
		})
	}
}
