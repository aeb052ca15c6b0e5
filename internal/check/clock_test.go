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
		{10 * time.Minute, []string{"warn clock qlik1: is 10m0s ahead of this machine's, which falsifies last activity and next free slots: let both follow the same time server"}},
		{-3 * time.Hour, []string{"warn clock qlik1: is 3h0m0s behind this machine's, which falsifies last activity and next free slots: let both follow the same time server"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			simulated := twoNodes()
			simulated.Now = func() time.Time { return time.Now().Add(test.ahead) }
			_, config := start(t, simulated)
			expect(t, run(t, config), config, test.want...)
		})
	}
}
