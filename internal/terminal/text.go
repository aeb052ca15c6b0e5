package terminal

import (
	"strings"

	"github.com/rivo/uniseg"
)

// ellipsis replaces what is cut from a text.
const ellipsis = "…"

// Pad appends spaces to a text up to a width.
func Pad(s string, width int) string {
	return s + strings.Repeat(" ", max(width-uniseg.StringWidth(s), 0))
}

// Cut is where a text is cut if it is too wide.
type Cut int

// Places to cut a text.
const (
	Never  Cut = iota
	Middle     // for names, which differ at both ends
	End
)

// cut shortens a text to a width.
func (c Cut) cut(s string, width int) string {
	if c == Never || uniseg.StringWidth(s) <= width {
		return s
	}
	var clusters []string // what a reader takes for characters
	for g := uniseg.NewGraphemes(s); g.Next(); {
		clusters = append(clusters, g.Str())
	}
	width-- // for the ellipsis
	tail := 0
	if c == Middle {
		tail = width / 2
	}
	begin, n := 0, 0
	for ; begin < len(clusters) && n+uniseg.StringWidth(clusters[begin]) <= width-tail; begin++ {
		n += uniseg.StringWidth(clusters[begin])
	}
	end := len(clusters)
	for n = 0; end > begin && n+uniseg.StringWidth(clusters[end-1]) <= tail; end-- {
		n += uniseg.StringWidth(clusters[end-1])
	}
	return strings.TrimRight(strings.Join(clusters[:begin], ""), " ") + ellipsis + strings.Join(clusters[end:], "")
}

// Wrap breaks a text between words, so that its lines fit a terminal. Before the text, a
// line has already a width. Its other lines begin with an indent. With a width of 0, the
// text stays on one line.
func Wrap(s string, before, indent, width int) string {
	if width == 0 || before+uniseg.StringWidth(s) <= width {
		return s
	}
	var b strings.Builder
	column := before
	for i, word := range strings.Split(s, " ") {
		n := uniseg.StringWidth(word)
		switch {
		case column+1+n > width && column > indent && (i > 0 || before > indent):
			b.WriteString("\n" + strings.Repeat(" ", indent))
			column = indent
		case i > 0:
			b.WriteString(" ")
			column++
		}
		b.WriteString(word)
		column += n
	}
	return b.String()
}
