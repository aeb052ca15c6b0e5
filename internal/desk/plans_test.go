package desk

import (
	"fmt"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/ending"
)

// TestPlans checks that a plan is carried out once, by its operator, within a minute, by the
// process that made it.
func TestPlans(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	p := newPlans(clock)
	add := func(operator string) string {
		signed, expires := p.add(promise{Operator: operator, User: `LAB\anna`}, new(ending.Plan))
		if !expires.Equal(now.Add(time.Minute)) {
			t.Errorf("expires %s", expires)
		}
		return signed
	}
	take := func(about string, from *plans, signed, operator string, want reason) {
		t.Helper()
		taken, err := from.take(signed, operator)
		switch {
		case want == "" && (err != nil || taken.User != `LAB\anna`), want != "" && (err == nil || err.reason != want || err.status != 403):
			t.Errorf("%s: %v, want %q", about, err, want)
		}
	}
	signed := add("user:kim")
	take("another operator", p, signed, "user:lee", planOfAnother)
	take("another kind of operator", p, signed, "cert:kim", planOfAnother)
	take("another process", newPlans(clock), signed, "user:kim", planInvalid)
	take("a byte more", p, signed+"A", "user:kim", planInvalid)
	take("nothing", p, "", "user:kim", planInvalid)
	take("a point", p, ".", "user:kim", planInvalid)
	now = now.Add(time.Minute - 1)
	take("just in time", p, signed, "user:kim", "")
	take("again", p, signed, "user:kim", planUsed)
	late := add("user:kim")
	now = now.Add(time.Minute)
	take("at its end", p, late, "user:kim", planExpired)
	take("at its end, of another", p, late, "user:lee", planOfAnother)
	if other := newPlans(clock); other.key == p.key {
		t.Error("two processes have the same key")
	}
	first := add("user:kim")
	for range maxPlans {
		add("user:lee")
	}
	if len(p.known) != maxPlans || len(p.order) != maxPlans {
		t.Errorf("%d plans are kept, %d in order", len(p.known), len(p.order))
	}
	take("one of too many", p, first, "user:kim", planUsed)
	now = now.Add(time.Minute)
	add("user:kim")
	if len(p.known) != 1 || len(p.order) != 1 {
		t.Errorf("%d expired plans are kept, %d in order", len(p.known)-1, len(p.order)-1)
	}
}

// FuzzTake checks that no text but that of a plan is taken.
func FuzzTake(f *testing.F) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	p := newPlans(func() time.Time { return now })
	signed, _ := p.add(promise{Operator: "user:kim"}, new(ending.Plan))
	for _, seed := range []string{signed, signed[1:], "", ".", "e30.", fmt.Sprint(signed, "."), signed + "\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := p.take(text, "user:lee"); err == nil || err.reason == planOfAnother && text != signed {
			t.Errorf("%q: %v", text, err)
		}
	})
}
