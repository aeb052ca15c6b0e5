package main

import (
	"testing"
	"time"
)

// TestCoolingTimeFlag: a slot cools for five minutes unless --qlik.cooling-time
// says otherwise.
func TestCoolingTimeFlag(t *testing.T) {
	app, o := newApp()
	if got := app.GetFlag("qlik.cooling-time").Model().Default; len(got) != 1 || got[0] != "5m0s" {
		t.Errorf("the default of the flag is %q, want 5m0s", got)
	}
	for _, test := range []struct {
		arguments []string
		want      time.Duration
	}{
		{nil, 5 * time.Minute},
		{[]string{"--qlik.cooling-time=90s"}, 90 * time.Second},
	} {
		if _, err := app.Parse(test.arguments); err != nil || o.site.CoolingTime != test.want {
			t.Errorf("%q: got %s, want %s; error %v", test.arguments, o.site.CoolingTime, test.want, err)
		}
	}
}
