package render

import (
	"fmt"
	"math"
	"slices"

	"github.com/qlik-exporter/qlik_exporter/internal/report"
)

// chart is a picture in SVG. Horizontal places are percentages and vertical ones pixels, so
// that its text has the same size on every screen. Its numbers are also in a table.
type chart struct {
	ID          string
	Title, Desc string
	Height      int
	Shapes      []shape
}

// shape is a rectangle, a line, or a text of a chart.
type shape struct {
	Kind                 string // rect, line, or text
	X, Y, Width, Height  string
	Class, Anchor, Label string
}

func percentOf(x float64) string { return fmt.Sprintf("%.2f%%", x) }

func pixels(y float64) string { return fmt.Sprintf("%.1f", y) }

func (c *chart) rect(x, width, y, height float64, class string) {
	c.Shapes = append(c.Shapes, shape{Kind: "rect", X: percentOf(x), Width: percentOf(width), Y: pixels(y), Height: pixels(height), Class: class})
}

func (c *chart) line(x, width, y float64, class string) {
	c.Shapes = append(c.Shapes, shape{Kind: "line", X: percentOf(x), Width: percentOf(x + width), Y: pixels(y), Class: class})
}

func (c *chart) text(x, y float64, anchor, class, label string) {
	c.Shapes = append(c.Shapes, shape{Kind: "text", X: percentOf(x), Y: pixels(y), Anchor: anchor, Class: class, Label: label})
}

// legend adds a line for each kind of bar.
func (c *chart) legend(y float64, kinds ...[2]string) {
	for _, kind := range kinds {
		c.Shapes = append(c.Shapes,
			shape{Kind: "rect", X: "0", Width: "14", Y: pixels(y), Height: "10", Class: kind[0]},
			shape{Kind: "text", X: "20", Y: pixels(y + 9), Class: "label", Label: kind[1]})
		y += legendLine
	}
	c.Height = int(y)
}

const (
	legendLine = 18

	chartTop    = 20.0 // of the bars, in pixels
	chartBottom = 170.0
	chartLeft   = 8.0 // of the bars, in percent; the scale is left of them

	labelsOfWeeks = 4
	labeledBars   = 16 // more bars have no numbers
)

// weeksChart draws refused logins by week.
func (d *viewer) weeksChart(s *report.Site) *chart {
	c := &chart{Title: d.in("Refused logins by week", "Connexions refusées par semaine", "Abgelehnte Anmeldungen pro Woche"), Desc: d.weeksDescription(s)}
	most, unlicensed := 0.0, false
	for i := range s.Weeks {
		week := &s.Weeks[i]
		most = max(most, max(known(week.Refused), 0)+max(known(week.NoLicense), 0))
		unlicensed = unlicensed || positive(week.NoLicense)
	}
	step := niceStep(most)
	top := max(step*math.Ceil(most/step), step)
	height := func(value float64) float64 { return (chartBottom - chartTop) * value / top }
	for value := 0.0; value <= top+step/2; value += step {
		y := chartBottom - height(value)
		c.line(0, 100, y, "grid")
		c.text(0, y-3, "start", "scale", d.whole(value))
	}
	pitch := (100 - chartLeft) / float64(len(s.Weeks))
	reported := len(s.Weeks) - d.report.Weeks
	every := max(1, (len(s.Weeks)+labelsOfWeeks-1)/labelsOfWeeks)
	var missing, partial bool
	for i := range s.Weeks {
		week := &s.Weeks[i]
		x, width := chartLeft+pitch*(float64(i)+0.14), pitch*0.72
		center := chartLeft + pitch*(float64(i)+0.5)
		class := "now"
		if i < reported {
			class = "before"
		}
		switch back := len(s.Weeks) - 1 - i; {
		case back == 0 && len(s.Weeks) > labeledBars: // a narrow bar at the edge
			c.text(100, chartBottom+16, "end", "scale", d.day(week.From))
		case back%every == 0:
			c.text(center, chartBottom+16, "middle", "scale", d.day(week.From))
		}
		if week.Refused == nil {
			missing = true
			c.rect(x, width, chartTop, chartBottom-chartTop, "missing")
			continue
		}
		y := chartBottom - height(*week.Refused)
		c.rect(x, width, y, chartBottom-y, class)
		if n := week.NoLicense; n != nil && *n > 0 {
			y -= height(*n)
			c.rect(x, width, y, height(*n), "license")
		}
		number := d.whole(*week.Refused + max(known(week.NoLicense), 0))
		if week.AtLeast {
			partial = true
			c.rect(x, width, chartTop, y-chartTop, "missing")
			number = "≥\u2009" + number
		}
		if len(s.Weeks) <= labeledBars && most < 1000 || d.report.Weeks == 1 && i >= reported {
			c.text(center, y-4, "middle", "value", number)
		}
	}
	kinds := [][2]string{{"now", d.in("reported time", "période du rapport", "Berichtszeitraum")}, {"before", d.in("weeks before", "semaines précédentes", "Wochen davor")}}
	if unlicensed {
		kinds[0][1] += d.in(", session limit", ", limite de sessions", ", Sitzungslimit")
		kinds[1][1] += d.in(", session limit", ", limite de sessions", ", Sitzungslimit")
		kinds = append(kinds, [2]string{"license", d.in("refused: no license", "refus : pas de licence", "abgelehnt: keine Lizenz")})
	}
	switch {
	case partial:
		kinds = append(kinds, [2]string{"missing", d.in("data is missing, so it may be more", "des données manquent, c'est peut-être plus", "Daten fehlen, es können mehr sein")})
	case missing:
		kinds = append(kinds, [2]string{"missing", d.in("no data", "pas de données", "keine Daten")})
	}
	c.legend(chartBottom+30, kinds...)
	return c
}

// weeksDescription says what the picture shows.
func (d *viewer) weeksDescription(s *report.Site) string {
	least, most := math.Inf(1), math.Inf(-1)
	weeks := 0
	for i := range s.Weeks {
		if value := s.Weeks[i].Refused; value != nil {
			least, most = min(least, *value), max(most, *value)
			weeks++
		}
	}
	return d.say("Bars of %s with data: from %s to %s refused logins a week. The table below has all numbers.",
		"Barres de %s avec données : de %s à %s refus par semaine. Le tableau ci-dessous contient tous les chiffres.",
		"Balken von %s mit Daten: von %s bis %s Ablehnungen pro Woche. Die Tabelle darunter enthält alle Zahlen.",
		d.count(float64(weeks), week), d.whole(least), d.whole(most))
}

// niceStep returns the distance of lines of the scale: 1, 2, or 5 times a power of ten.
func niceStep(most float64) float64 {
	if most <= 3 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(most/3)))
	for _, factor := range []float64{1, 2, 5} {
		if most <= 4*factor*power {
			return factor * power
		}
	}
	return 10 * power
}

// licensesChart draws which licenses are used, unused, and free.
func (d *viewer) licensesChart(s *report.Site) *chart {
	c := &chart{
		Title: d.in("Use of licenses", "Utilisation des licences", "Nutzung der Lizenzen"),
		Desc: d.in("A bar for each license: what is used, what is assigned and not used for 90 days, and what is free. The table below has all numbers.",
			"Une barre par licence : ce qui est utilisé, ce qui est attribué mais inutilisé depuis 90 jours, et ce qui est libre. Le tableau ci-dessous contient tous les chiffres.",
			"Ein Balken je Lizenz: was benutzt wird, was zugewiesen und seit 90 Tagen unbenutzt ist, und was frei ist. Die Tabelle darunter enthält alle Zahlen."),
	}
	y := 0.0
	kinds := [][2]string{{"now", d.in("in use", "utilisé", "in Benutzung")}}
	add := func(class, label string) {
		if kind := [2]string{class, label}; !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	for i := range s.Licenses {
		l := &s.Licenses[i]
		if l.Bought == nil || l.Assigned == nil || max(*l.Bought, *l.Assigned) <= 0 {
			continue
		}
		all := max(*l.Bought, *l.Assigned)
		c.text(0, y+12, "start", "label", d.say("%s: %s of %s", "%s : %s sur %s", "%s: %s von %s", d.license(l.License), d.whole(*l.Assigned), d.whole(*l.Bought)))
		unused := min(max(known(l.Unused), 0), *l.Assigned)
		used := *l.Assigned - unused
		c.rect(0, 100*used/all, y+18, 14, "now")
		if unused > 0 {
			c.rect(100*used/all, 100*unused/all, y+18, 14, "license")
			add("license", d.in("assigned, not used for 90 days", "attribué, inutilisé depuis 90 jours", "zugewiesen, seit 90 Tagen unbenutzt"))
		}
		if free := all - *l.Assigned; free > 0 {
			c.rect(100**l.Assigned/all, 100*free/all, y+18, 14, "free")
			add("free", d.in("free", "libre", "frei"))
		}
		y += 44
	}
	if y == 0 {
		return nil
	}
	c.legend(y+2, kinds...)
	return c
}
