package cli

import (
	"slices"
	"testing"
)

// TestTypable checks that names from a server, which a shell puts into the command line, run
// nothing and are no flags.
func TestTypable(t *testing.T) {
	t.Parallel()
	want := []string{"qlik1.company.com", "/hr/reports", "Zürich_2", "anna@company.com", "a+b"}
	names := append(slices.Clone(want),
		"$(reboot)", "`reboot`", "a;reboot", "a&reboot", "a|reboot", "a>b", "a b", "a'b", `a"b`, `a\b`, "*", "a{b,c}", "~root", "!1", "#a", "=ls", "--yes", "a\nb", "a\x1b[2J", "",
	)
	if got := typable(names); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
