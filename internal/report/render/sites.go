package render

import (
	"cmp"
	"slices"

	"github.com/qlik-exporter/qlik_exporter/internal/report"
)

// overview says what matters of several sites, and compares them.
func (d *viewer) overview() chapter {
	all := total(d.report.Sites)
	c := chapter{Verdict: d.verdict(&all, d.report.Weeks, d.notAllCompared())}
	c.Points = notEmpty(d.worstSite(), d.mainCause(&all), d.shorterTimeoutOfAll(&all), d.licenseOfAll(), d.firstOutOfAll(), d.unusedLicenses(all.Licenses))
	c.Sections = []section{d.compareSites()}
	return c
}

// notAllCompared says why the sum of the sites is not compared.
func (d *viewer) notAllCompared() string {
	if !slices.ContainsFunc(d.report.Sites, func(s report.Site) bool { return s.Refused.Before != nil }) {
		return d.noWeekBefore()
	}
	return d.in("There is no comparison, because not every site has an earlier week with enough data.",
		"Il n'y a pas de comparaison, car tous les sites n'ont pas une semaine antérieure avec assez de données.",
		"Es gibt keinen Vergleich, weil nicht jede Site eine frühere Woche mit genug Daten hat.")
}

// total adds up sites. What is unknown at one of them makes the sum a lower bound.
func total(sites []report.Site) report.Site {
	var all report.Site
	add := func(sum *report.Compared, of func(*report.Site) *report.Compared) {
		var before float64
		allCompared, beforeWeeks := true, -1
		for i := range sites {
			c := of(&sites[i])
			sum.AtLeast = sum.AtLeast || c.AtLeast || c.Value == nil
			if c.Value != nil {
				sum.Value = new(max(known(sum.Value), 0) + *c.Value)
			}
			switch {
			case c.Before == nil:
				allCompared = allCompared && c.Value == nil
				continue
			case beforeWeeks < 0:
				beforeWeeks = c.BeforeWeeks
			case beforeWeeks != c.BeforeWeeks:
				beforeWeeks = notTheSame
			}
			before += *c.Before
		}
		if allCompared && beforeWeeks >= 0 {
			sum.Before, sum.BeforeWeeks = &before, beforeWeeks
		}
	}
	add(&all.Refused, func(s *report.Site) *report.Compared { return &s.Refused })
	add(&all.NoLicense, func(s *report.Site) *report.Compared { return &s.NoLicense })
	add(&all.People, func(s *report.Site) *report.Compared { return &s.People })
	causes, timeouts, unused := make(map[string]float64), make(map[int]float64), make(map[string]float64)
	for i := range sites {
		s := &sites[i]
		all.Known = max(all.Known, s.Known)
		for _, c := range s.Causes {
			causes[c.Cause] += max(known(c.Refused.Value), 0)
		}
		for _, t := range s.Timeouts {
			timeouts[t.Minutes] += t.Prevented
		}
		for _, l := range s.Licenses {
			unused[l.License] += max(known(l.Unused), 0)
		}
	}
	for cause, n := range causes {
		all.Causes = append(all.Causes, report.Cause{Cause: cause, Refused: report.Compared{Value: &n}})
	}
	slices.SortFunc(all.Causes, func(a, b report.Cause) int {
		return cmp.Or(cmp.Compare(*b.Refused.Value, *a.Refused.Value), cmp.Compare(a.Cause, b.Cause))
	})
	for minutes, n := range timeouts {
		all.Timeouts = append(all.Timeouts, report.Timeout{Minutes: minutes, Prevented: n})
	}
	slices.SortFunc(all.Timeouts, func(a, b report.Timeout) int { return cmp.Compare(b.Minutes, a.Minutes) })
	for license, n := range unused {
		all.Licenses = append(all.Licenses, report.License{License: license, Unused: &n})
	}
	slices.SortFunc(all.Licenses, func(a, b report.License) int { return cmp.Compare(b.License, a.License) }) // professional first
	return all
}

// worstSite names the site with most refused logins.
func (d *viewer) worstSite() string {
	sites := d.report.Sites
	worst := slices.MaxFunc(sites, func(a, b report.Site) int { return cmp.Compare(known(a.Refused.Value), known(b.Refused.Value)) })
	if !positive(worst.Refused.Value) {
		return ""
	}
	return d.say("Most affected: site %[1]s (%[2]s).", "Site le plus touché : %[1]s (%[2]s).", "Am stärksten betroffen: Site %[1]s (%[2]s).",
		d.quoted(worst.Title), d.counted(&worst.Refused, refusedLogin))
}

// shorterTimeoutOfAll says what shorter timeouts would have prevented, if that is known of
// every site with refused logins.
func (d *viewer) shorterTimeoutOfAll(all *report.Site) string {
	unknown := func(s report.Site) bool {
		return positive(s.Refused.Value) && len(s.Timeouts) == 0 && !(s.LongestTimeout != nil && *s.LongestTimeout <= strictest)
	}
	if len(all.Timeouts) == 0 || slices.ContainsFunc(d.report.Sites, unknown) {
		return ""
	}
	return d.shorterTimeout(all)
}

// firstOutOfAll names the sites where licenses run out first.
func (d *viewer) firstOutOfAll() string {
	var gone []string
	var first *report.License
	at := ""
	sites := make(map[int]bool) // with nothing left of a license
	for i := range d.report.Sites {
		s := &d.report.Sites[i]
		for j := range s.Licenses {
			l := &s.Licenses[j]
			switch l.RunsOut.State {
			case report.RunOut:
				gone, sites[i] = append(gone, d.license(l.License)+" ("+name(s.Title)+")"), true
			case report.RunsOutAt:
				if first == nil || l.RunsOut.At.Before(first.RunsOut.At.Time) {
					first, at = l, s.Title
				}
			}
		}
	}
	switch {
	case len(gone) > fewSites:
		return d.say("Licenses are used up at %s.", "Des licences sont épuisées sur %s.", "Lizenzen sind auf %s aufgebraucht.", d.count(float64(len(sites)), site))
	case gone != nil:
		return d.say("None left: %s.", "Épuisé : %s.", "Aufgebraucht: %s.", d.list(gone))
	case first != nil:
		return d.say("Runs out first: %s at site %s, %s.", "Premier épuisement : %s sur le site %s, %s.", "Zuerst aufgebraucht: %s auf der Site %s, %s.",
			d.license(first.License), d.quoted(at), d.runsOut(first))
	default:
		return ""
	}
}

// licenseOfAll names the sites whose license of Qlik is invalid, or else the one whose license
// ends first, if that is soon.
func (d *viewer) licenseOfAll() string {
	var invalid []string
	var first *report.Site
	for i := range d.report.Sites {
		s := &d.report.Sites[i]
		if s.LicenseValid != nil && !*s.LicenseValid {
			invalid = append(invalid, name(s.Title))
		}
		if !s.LicenseEnds.IsZero() && (first == nil || s.LicenseEnds.Before(first.LicenseEnds.Time)) {
			first = s
		}
	}
	switch {
	case len(invalid) > fewSites:
		return d.say("The license of Qlik Sense is not valid at %s.", "La licence de Qlik Sense n'est pas valide sur %s.", "Die Lizenz von Qlik Sense ist auf %s nicht gültig.",
			d.count(float64(len(invalid)), site))
	case invalid != nil:
		return d.say("The license of Qlik Sense is not valid: %s.", "La licence de Qlik Sense n'est pas valide : %s.", "Die Lizenz von Qlik Sense ist nicht gültig: %s.", d.list(invalid))
	case first == nil || !first.LicenseEnds.Before(d.report.To.Add(soon)):
		return ""
	case first.LicenseEnds.Before(d.report.To):
		return d.say("The license of Qlik Sense at site %s ended on %s.", "La licence de Qlik Sense du site %s a expiré le %s.",
			"Die Lizenz von Qlik Sense der Site %s ist am %s abgelaufen.", d.quoted(first.Title), d.date(first.LicenseEnds.Time))
	default:
		return d.say("The license of Qlik Sense ends first at site %s, on %s.", "La première licence de Qlik Sense à expirer est celle du site %s, le %s.",
			"Die Lizenz von Qlik Sense läuft zuerst auf der Site %s ab, am %s.", d.quoted(first.Title), d.date(first.LicenseEnds.Time))
	}
}

// compareSites is a table of all sites, those with most refused logins first.
func (d *viewer) compareSites() section {
	sites := d.report.Sites
	order := make([]int, len(sites))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(known(sites[b].Refused.Value), known(sites[a].Refused.Value)) })
	t := table{
		Caption: d.in("Logins refused because of the session limit, by site", "Connexions refusées à cause de la limite de sessions, par site", "Wegen des Sitzungslimits abgelehnte Anmeldungen, nach Site"),
		Columns: append([]column{{d.in("site", "site", "Site"), false}}, d.compareColumns(d.in("refused", "refus", "abgelehnt"))...), Bars: true,
	}
	t.Columns = append(t.Columns, column{d.in("people", "personnes", "Personen"), true}, column{d.in("peak of sessions", "pic de sessions", "Spitzenwert der Sitzungen"), true},
		column{d.in("time with data", "temps avec données", "Zeit mit Daten"), true})
	most := mostOf(sites, func(s *report.Site) *float64 { return s.Refused.Value })
	for _, i := range order {
		s := &sites[i]
		cells := append([]string{name(s.Title)}, d.compareCells(&s.Refused, d.whole)...)
		cells = append(cells, d.bound(&s.People, d.whole), d.bound(&s.PeakSessions.Compared, d.whole), d.percent(s.Known))
		t.Rows = append(t.Rows, row{Cells: cells, Share: lengthOf(s.Refused.Value, most), Link: "#" + siteID(i)})
	}
	result := section{Title: d.in("Sites compared", "Comparaison des sites", "Sites im Vergleich"), Tables: []table{t}}
	affected := 0
	for i := range sites {
		if positive(sites[i].People.Value) {
			affected++
		}
	}
	if affected > 1 {
		result.After = []string{d.in("A person who was refused at several sites counts at each of them.",
			"Une personne refusée sur plusieurs sites compte pour chacun d'eux.",
			"Eine Person, die auf mehreren Sites abgewiesen wurde, zählt auf jeder.")}
	}
	return result
}
