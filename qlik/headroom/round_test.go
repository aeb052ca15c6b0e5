package headroom

import (
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

func TestUsageIsValidFor15Seconds(t *testing.T) {
	for age, want := range map[time.Duration]bool{
		0:                  true,
		14 * time.Second:   true,
		15 * time.Second:   true,
		15*time.Second + 1: false,
		time.Hour:          false,
		-2 * time.Second:   true, // read shortly after the requests to the links
	} {
		if got := NewUsage(nil, morning, morning).validAt(morning.Add(age)); got != want {
			t.Errorf("rows read %s before the links were asked: valid %t", age, got)
		}
	}
	if (*Usage)(nil).validAt(morning) {
		t.Error("rows that are not known are valid")
	}
}

func TestNewUsageKnowsWhenRowsWereWritten(t *testing.T) {
	for _, test := range []struct {
		name       string
		activities []time.Time
		want       time.Time
	}{
		{"no rows", nil, time.Time{}},
		{"a row that does not say", []time.Time{{}}, time.Time{}},
		{"the latest counts", minutes(-5, -3, -4), minutes(-3)[0]},
		{"one of this very moment", minutes(-5, 0), morning},
		{"a clock that is ahead proves nothing", minutes(-5, 60), minutes(-5)[0]},
	} {
		var rows []qlik.UsageRow
		for _, activity := range test.activities {
			rows = append(rows, qlik.UsageRow{LastActivity: activity})
		}
		if got := NewUsage(rows, morning, morning).written; !got.Equal(test.want) {
			t.Errorf("%s: written %s, want %s", test.name, got, test.want)
		}
	}
}
