package terminal_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/rivo/uniseg"

	"github.com/qlik-exporter/qlik_exporter/internal/terminal"
)

// table is a table with every kind of column.
func table() []terminal.Column {
	return []terminal.Column{
		{Title: "FREE", Cells: []string{"0", "12", "no limit"}},
		{Title: "USER", Cells: []string{`ACME\jonas.engel`, `ACME\田中太郎の長い名前`, ""}, Cut: terminal.Middle, Least: 10},
		{Title: "NEXT SLOT BY", Cells: []string{"23:17:32 UTC (in 5 min)", "", ""}, Short: []string{"in 5 min", "", ""}},
		{Title: "WHERE", Cells: []string{"/ qlik1 (2), /sales qlik2", "/", "👩‍👩‍👧 qlik1"}, Cut: terminal.End, Least: 10, Optional: true},
	}
}

func TestTable(t *testing.T) {
	for width, want := range map[int]string{
		0: `
FREE      USER                     NEXT SLOT BY             WHERE
0         ACME\jonas.engel         23:17:32 UTC (in 5 min)  / qlik1 (2), /sales qlik2
12        ACME\田中太郎の長い名前  -                        /
no limit  -                        -                        👩‍👩‍👧 qlik1
`,
		70: `
FREE      USER              NEXT SLOT BY             WHERE
0         ACME\jonas.engel  23:17:32 UTC (in 5 min)  / qlik1 (2), /sa…
12        ACME\田…い名前    -                        /
no limit  -                 -                        👩‍👩‍👧 qlik1
`,
		50: `
                          NEXT
FREE      USER            SLOT BY   WHERE
0         ACME\jo….engel  in 5 min  / qlik1 (2),…
12        ACME\田…い名前  -         /
no limit  -               -         👩‍👩‍👧 qlik1
`,
		41: `
                                 NEXT
FREE      USER                   SLOT BY
0         ACME\jonas.engel       in 5 min
12        ACME\田中…の長い名前   -
no limit  -                      -
`,
	} {
		got := terminal.NewTable(table(), width)
		lines := strings.Join(slices.Concat(got.Header, got.Rows), "\n") + "\n"
		if "\n"+lines != want {
			t.Errorf("width %d, left out %q: got\n%s\nwant%s", width, got.LeftOut, lines, want)
		}
	}
}

// TestTableFits checks that a table is never wider than a terminal if it can be narrower, and
// that only what does not fit is left out.
func TestTableFits(t *testing.T) {
	for width := 34; width < 100; width++ {
		got := terminal.NewTable(table(), width)
		for _, line := range slices.Concat(got.Header, got.Rows) {
			if n := uniseg.StringWidth(line); n > width {
				t.Errorf("width %d: %d characters in %q", width, n, line)
			}
		}
		if (len(got.LeftOut) > 0) != (width < 42) {
			t.Errorf("width %d: left out %q", width, got.LeftOut)
		}
	}
}

func TestWrap(t *testing.T) {
	for _, test := range []struct {
		text                  string
		before, indent, width int
		want                  string
	}{
		{"one two three", 0, 2, 0, "one two three"},
		{"one two three", 0, 2, 13, "one two three"},
		{"one two three", 0, 2, 12, "one two\n  three"},
		{"one two three", 8, 2, 12, "one\n  two three"},
		{"one two three", 11, 2, 12, "\n  one two\n  three"},
		{"https://long.invalid/address two", 0, 2, 12, "https://long.invalid/address\n  two"},
		{"田中 太郎", 0, 1, 8, "田中\n 太郎"},
	} {
		if got := terminal.Wrap(test.text, test.before, test.indent, test.width); got != test.want {
			t.Errorf("%+v: got %q", test, got)
		}
	}
}

func TestSizeOfNoTerminal(t *testing.T) {
	if columns, rows := terminal.Size(new(bytes.Buffer)); columns != 0 || rows != 0 {
		t.Error(columns, rows)
	}
}
