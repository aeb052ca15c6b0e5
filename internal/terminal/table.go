package terminal

import (
	"cmp"
	"slices"
	"strings"

	"github.com/rivo/uniseg"
)

// Column is a column of a table. All columns of a table have the same number of cells.
type Column struct {
	Title string
	Cells []string
	// Short are shorter cells for a narrow terminal. It may be nil.
	Short []string
	// Cut is where cells are cut for a narrow terminal, to the width Enough, or if the
	// terminal is too narrow even so, to the width Least.
	Cut           Cut
	Enough, Least int
	// Optional columns are left out if the terminal is too narrow even so.
	Optional bool
}

// Table is a table for a terminal.
type Table struct {
	Header  []string // lines
	Rows    []string
	LeftOut []string // titles of the columns that are left out
}

// between separates columns.
const between = "  "

// NewTable formats a table. If it is wider than the terminal, its titles are broken between
// words, then cells are cut a little, then short cells are used, then cells are cut more, and
// at last optional columns are left out, the last one first. A width of 0 leaves nothing out.
func NewTable(columns []Column, width int) *Table {
	l := newLayout(columns)
	if width == 0 || l.width() <= width {
		return l.table()
	}
	l.breakTitles()
	if long := l.clone(); long.cut(width, enough) {
		return long.table()
	}
	l.shorten()
	var leftOut []string
	for {
		narrow := l.clone()
		fits := narrow.cut(width, enough) || narrow.cut(width, least)
		last := l.lastOptional()
		if fits || last < 0 {
			table := narrow.table()
			slices.Reverse(leftOut)
			table.LeftOut = leftOut
			return table
		}
		leftOut = append(leftOut, l.columns[last].Title)
		l.columns = slices.Delete(l.columns, last, last+1)
	}
}

func enough(c *columnLayout) int { return max(c.Enough, c.Least) }

func least(c *columnLayout) int { return c.Least }

// layout is one way to format a table.
type layout struct {
	columns []columnLayout
	broken  bool // titles are broken between words
}

type columnLayout struct {
	Column

	titleWidth, cellWidth int
}

func (c *columnLayout) width() int { return max(c.titleWidth, c.cellWidth) }

func newLayout(columns []Column) *layout {
	l := &layout{columns: make([]columnLayout, len(columns))}
	for i := range columns {
		l.columns[i] = columnLayout{Column: columns[i], titleWidth: uniseg.StringWidth(columns[i].Title)}
		l.columns[i].use(columns[i].Cells)
	}
	return l
}

// use sets the cells. An empty cell shows "-".
func (c *columnLayout) use(cells []string) {
	c.Cells, c.cellWidth = make([]string, len(cells)), 0
	for i, cell := range cells {
		c.Cells[i] = cmp.Or(cell, "-")
		c.cellWidth = max(c.cellWidth, uniseg.StringWidth(c.Cells[i]))
	}
}

func (l *layout) clone() *layout {
	return &layout{columns: slices.Clone(l.columns), broken: l.broken}
}

// shorten uses short cells.
func (l *layout) shorten() {
	for i := range l.columns {
		if c := &l.columns[i]; c.Short != nil {
			c.use(c.Short)
		}
	}
}

func (l *layout) width() int {
	width := len(between) * (len(l.columns) - 1)
	for i := range l.columns {
		width += l.columns[i].width()
	}
	return width
}

// breakTitles breaks titles between words.
func (l *layout) breakTitles() {
	l.broken = true
	for i := range l.columns {
		c := &l.columns[i]
		c.titleWidth = 0
		for word := range strings.FieldsSeq(c.Title) {
			c.titleWidth = max(c.titleWidth, uniseg.StringWidth(word))
		}
	}
}

// cut cuts cells, those of the widest column first, until the table has a width. It returns
// whether this succeeds.
func (l *layout) cut(width int, to func(*columnLayout) int) bool {
	for l.width() > width {
		var from *columnLayout
		for i := range l.columns {
			c := &l.columns[i]
			if c.Cut != Never && c.cellWidth > max(to(c), c.titleWidth) && (from == nil || c.cellWidth > from.cellWidth) {
				from = c
			}
		}
		if from == nil {
			return false
		}
		from.cellWidth--
	}
	return true
}

func (l *layout) lastOptional() int {
	for i, c := range slices.Backward(l.columns) {
		if c.Optional {
			return i
		}
	}
	return -1
}

// title returns the lines of the title of a column.
func (l *layout) title(c *columnLayout) []string {
	if !l.broken {
		return []string{c.Title}
	}
	var lines []string
	for word := range strings.FieldsSeq(c.Title) {
		if last := len(lines) - 1; last >= 0 && uniseg.StringWidth(lines[last]+" "+word) <= c.width() {
			lines[last] += " " + word
		} else {
			lines = append(lines, word)
		}
	}
	return lines
}

func (l *layout) table() *Table {
	t := new(Table)
	titles := make([][]string, len(l.columns))
	height := 0
	for i := range l.columns {
		titles[i] = l.title(&l.columns[i])
		height = max(height, len(titles[i]))
	}
	for n := range height {
		t.Header = append(t.Header, l.line(func(column int) string {
			// Titles stand at the bottom, above their cells.
			if at := n - height + len(titles[column]); at >= 0 {
				return titles[column][at]
			}
			return ""
		}))
	}
	for row := range l.columns[0].Cells {
		t.Rows = append(t.Rows, l.line(func(column int) string {
			c := &l.columns[column]
			return c.Cut.cut(c.Cells[row], c.cellWidth)
		}))
	}
	return t
}

func (l *layout) line(cell func(column int) string) string {
	var b strings.Builder
	for i := range l.columns {
		if i > 0 {
			b.WriteString(between)
		}
		b.WriteString(Pad(cell(i), l.columns[i].width()))
	}
	return strings.TrimRight(b.String(), " ")
}
