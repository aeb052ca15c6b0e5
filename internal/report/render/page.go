package render

import (
	"bytes"
	_ "embed" // page.html
	"fmt"
	"html/template"
	"io"
	"slices"

	"github.com/qlik-exporter/qlik_exporter/internal/report"
)

//go:embed page.html
var pageSource string

var pageTemplate = template.Must(template.New("").Parse(pageSource))

// HTML writes a report as a page that needs no other file and no network.
func HTML(w io.Writer, r *report.Report, o Options) error {
	v, err := newView(r, &o)
	if err != nil {
		return err
	}
	v.nameCharts()
	var page bytes.Buffer
	if err := pageTemplate.ExecuteTemplate(&page, "page", v); err != nil {
		return err
	}
	_, err = w.Write(page.Bytes())
	return err
}

// nameCharts gives each chart an id, by which the page refers to its title.
func (v *view) nameCharts() {
	n := 0
	name := func(sections []section) {
		for _, s := range sections {
			if s.Chart != nil {
				n++
				s.Chart.ID = fmt.Sprintf("chart-%d", n)
			}
		}
	}
	name(v.Lead.Sections)
	for i := range v.Chapters {
		name(v.Chapters[i].Sections)
	}
}

// Percent is the length of the bar of a row.
func (r row) Percent() float64 { return 100 * r.Share }

// Wide reports whether a table is too wide for a phone, which shows its rows as blocks.
func (t table) Wide() bool {
	return len(t.Columns) > 3 || slices.ContainsFunc(t.Rows, func(r row) bool { return r.Note != "" })
}
