package render

import (
	"bytes"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/qlik-exporter/qlik_exporter/internal/report"
)

const (
	textWidth  = 96
	firstWidth = 40 // of the first column at most
	nameWidth  = 24 // up to which names in it are not broken
	cellWidth  = 26 // of the others
	gap        = 2
)

// Text writes a report as plain text.
func Text(w io.Writer, r *report.Report, o Options) error {
	v, err := newView(r, &o)
	if err != nil {
		return err
	}
	var t textWriter
	t.heading(v.Title, "=")
	t.paragraph(v.Period, "")
	t.paragraph(v.Sites, "")
	t.blank()
	for _, warning := range v.Warnings {
		t.paragraph(warning, "! ")
	}
	t.chapter(&v.Lead)
	for i := range v.Chapters {
		t.heading(v.Chapters[i].Title, "=")
		t.chapter(&v.Chapters[i])
	}
	t.section(&v.Method)
	_, err = w.Write(append(bytes.Trim(t.Bytes(), "\n"), '\n'))
	return err
}

// textWriter writes lines.
type textWriter struct{ bytes.Buffer }

func (t *textWriter) line(s string) { t.WriteString(strings.TrimRight(s, " ") + "\n") }

func (t *textWriter) blank() { t.line("") }

func (t *textWriter) heading(s, underline string) {
	t.blank()
	for _, line := range wrap(s, textWidth) {
		t.line(line)
	}
	t.line(strings.Repeat(underline, min(utf8.RuneCountInString(s), textWidth)))
}

// paragraph writes a sentence. Its first line begins with a mark.
func (t *textWriter) paragraph(s, mark string) {
	for _, line := range wrap(s, textWidth-utf8.RuneCountInString(mark)) {
		t.line(mark + line)
		mark = strings.Repeat(" ", utf8.RuneCountInString(mark))
	}
}

func (t *textWriter) chapter(c *chapter) {
	t.paragraph(c.Verdict, "")
	t.blank()
	for _, point := range c.Points {
		t.paragraph(point, "- ")
	}
	for i := range c.Sections {
		t.section(&c.Sections[i])
	}
}

func (t *textWriter) section(s *section) {
	t.heading(s.Title, "-")
	for _, sentence := range s.Text {
		t.paragraph(sentence, "")
	}
	for i := range s.Tables {
		t.table(&s.Tables[i])
	}
	for _, sentence := range s.After {
		t.paragraph(sentence, "")
	}
}

// table writes aligned columns. Cells that are too long continue on the next line.
func (t *textWriter) table(table *table) {
	t.blank()
	t.paragraph(table.Caption, "")
	rows := [][]string{{}}
	for _, column := range table.Columns {
		rows[0] = append(rows[0], column.Name)
	}
	for _, row := range table.Rows {
		rows = append(rows, row.Cells)
	}
	widths := columnWidths(rows)
	for i, cells := range rows {
		t.cells(cells, widths, table.Columns)
		if i == 0 {
			t.line(strings.Repeat("-", lineWidth(widths)))
			continue
		}
		t.paragraph(table.Rows[i-1].Note, "    ")
	}
}

// columnWidths returns how wide columns are so that they fit side by side: as wide as their
// longest word needs, and no wider than their longest cell.
func columnWidths(rows [][]string) []int {
	columns := len(rows[0])
	widths := make([]int, columns)
	narrowest := make([]int, columns)
	for _, cells := range rows {
		for i, cell := range cells {
			limit := cellWidth
			if i == 0 {
				limit = firstWidth
			}
			widths[i] = max(widths[i], min(utf8.RuneCountInString(cell), limit))
			if i == 0 {
				narrowest[i] = max(narrowest[i], min(utf8.RuneCountInString(cell), nameWidth))
			}
			for word := range strings.FieldsSeq(cell) {
				narrowest[i] = max(narrowest[i], min(utf8.RuneCountInString(word), limit))
			}
		}
	}
	for lineWidth(widths) > textWidth {
		// The column with most room to give becomes narrower.
		widest, room := -1, 0
		for i, width := range widths {
			if width-narrowest[i] > room {
				widest, room = i, width-narrowest[i]
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
	}
	return widths
}

func lineWidth(widths []int) int {
	width := -gap
	for _, w := range widths {
		width += w + gap
	}
	return width
}

func (t *textWriter) cells(cells []string, widths []int, columns []column) {
	lines := make([][]string, len(cells))
	height := 1
	for i, cell := range cells {
		lines[i] = wrap(cell, widths[i])
		height = max(height, len(lines[i]))
	}
	for n := range height {
		var b strings.Builder
		for i := range cells {
			part := ""
			if n < len(lines[i]) {
				part = lines[i][n]
			}
			room := strings.Repeat(" ", max(widths[i]-utf8.RuneCountInString(part), 0))
			if i > 0 {
				b.WriteString(strings.Repeat(" ", gap))
			}
			if columns[i].Number {
				b.WriteString(room + part)
			} else {
				b.WriteString(part + room)
			}
		}
		t.line(b.String())
	}
}

// wrap breaks a text into lines between words, and words that are too long anywhere.
func wrap(s string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.SplitSeq(s, " ") {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= width:
			line += " " + word
		default:
			lines, line = append(lines, line), word
		}
		for utf8.RuneCountInString(line) > width {
			runes := []rune(line)
			lines, line = append(lines, string(runes[:width])), string(runes[width:])
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}
