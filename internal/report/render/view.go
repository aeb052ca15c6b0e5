// Package render writes the report for management for people: as a page and as text, in
// English, French, and German.
package render

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/report"
	"github.com/qlik-exporter/qlik_exporter/internal/text"
)

// Options say how a report is written.
type Options struct {
	Language string         // English, French, or German
	Names    bool           // list the people
	Location *time.Location // of all times; nil means UTC
}

// view is what a report says, whether as a page or as text.
type view struct {
	Language string
	Title    string
	Period   string
	Sites    string
	Warnings []string
	Lead     chapter // about all sites
	Chapters []chapter
	Method   section
	Queries  queries
}

// chapter is about a site. The title of the only site is empty.
type chapter struct {
	ID, Title string
	Verdict   string
	Points    []string
	Sections  []section
}

type section struct {
	Title  string
	Text   []string
	Chart  *chart
	Tables []table
	After  []string // below the tables
}

// table has a header for each column. The first column names the rows.
type table struct {
	Caption string
	Columns []column
	Rows    []row
	Bars    bool // the shares of rows are drawn
}

type column struct {
	Name   string
	Number bool
}

type row struct {
	Cells []string
	Note  string  // below the first cell
	Link  string  // of the first cell, within the page
	Share float64 // length of the bar, from 0 to 1
	Muted bool
}

// queries are what Prometheus was asked.
type queries struct {
	Title string
	Names []string
	Query []string
}

// Limits of what is shown. The JSON of the report has everything.
const (
	shownVirtualProxies = 10
	shownNodes          = 20
	shownGaps           = 10
	shownPeople         = 100
)

// viewer describes a site.
type viewer struct {
	*words
	report *report.Report
	names  bool
}

// newView says what a report says.
func newView(r *report.Report, o *Options) (*view, error) {
	w, err := newWords(o)
	if err != nil {
		return nil, err
	}
	d := &viewer{words: w, report: r, names: o.Names}
	v := &view{
		Language: o.Language, Title: w.in("Qlik Sense report", "Rapport Qlik Sense", "Qlik-Sense-Bericht"),
		Period: w.say("%s (%s)", "%s (%s)", "%s (%s)", capital(w.timespan(r.From, r.To)), w.zones(r.From, r.To)),
		Sites:  d.siteNames(), Method: d.method(), Queries: d.queries(),
	}
	if len(r.Warnings) > 0 {
		v.Warnings = append(v.Warnings, w.in("Prometheus warned that its answers are incomplete, so all numbers may be too low:",
			"Prometheus signale que ses réponses sont incomplètes : tous les chiffres sont peut-être trop bas.",
			"Prometheus meldet, dass seine Antworten unvollständig sind. Alle Zahlen können zu niedrig sein:"))
		for _, warning := range r.Warnings {
			v.Warnings = append(v.Warnings, shortened(warning, longestWarning))
		}
	}
	if len(r.Sites) == 1 {
		v.Lead = d.chapter(&r.Sites[0])
		return v, nil
	}
	v.Lead = d.overview()
	for i := range r.Sites {
		c := d.chapter(&r.Sites[i])
		c.ID, c.Title = siteID(i), w.say("Site %s", "Site %s", "Site %s", name(r.Sites[i].Title))
		v.Chapters = append(v.Chapters, c)
	}
	return v, nil
}

func siteID(i int) string { return fmt.Sprintf("site-%d", i+1) }

// fewSites is the number of sites whose names fit below the title.
const fewSites = 5

func (d *viewer) siteNames() string {
	sites := d.report.Sites
	if len(sites) == 1 {
		return d.say("Site %s", "Site %s", "Site %s", name(sites[0].Title))
	}
	if len(sites) > fewSites {
		return d.count(float64(len(sites)), site)
	}
	var names []string
	for i := range sites {
		names = append(names, name(sites[i].Title))
	}
	return d.say("Sites %s", "Sites %s", "Sites %s", d.list(names))
}

// notEmpty returns the sentences that say something.
func notEmpty(sentences ...string) []string {
	return slices.DeleteFunc(sentences, func(s string) bool { return s == "" })
}

// chapter says everything about a site.
func (d *viewer) chapter(s *report.Site) chapter {
	c := chapter{Verdict: d.verdict(s, d.report.Weeks, d.noWeekBefore())}
	c.Points = notEmpty(d.mainCause(s), d.mainVirtualProxy(s), d.shorterTimeout(s), d.guard(s), d.licensePoint(s))
	if positive(s.NoLicense.Value) && s.Refused.Value != nil && none(s.Refused.Value) {
		// Nothing else than licenses is in the way.
		c.Points = notEmpty(d.mainCause(s), d.guard(s), d.licensePoint(s))
	}
	for _, describe := range []func(*report.Site) section{
		d.weeks, d.causes, d.virtualProxies, d.prevented, d.licenses, d.peaks, d.missing, d.people,
	} {
		if section := describe(s); section.Title != "" {
			c.Sections = append(c.Sections, section)
		}
	}
	return c
}

func positive(value *float64) bool { return value != nil && !none(value) }

// known returns the value, or -1.
func known(value *float64) float64 {
	if value == nil {
		return -1
	}
	return *value
}

// compareColumns are the columns of a number and of the weeks before.
func (d *viewer) compareColumns(what string) []column {
	columns := []column{{what, true}}
	if d.report.Weeks > 1 {
		columns = append(columns, column{d.in("per week", "par semaine", "pro Woche"), true})
	}
	return append(columns, column{d.in("average week before", "semaine moyenne avant", "Wochendurchschnitt davor"), true})
}

// compareCells are the cells below compareColumns.
func (d *viewer) compareCells(c *report.Compared, format func(float64) string) []string {
	cells := []string{d.bound(c, format)}
	if d.report.Weeks > 1 {
		each := d.unknown()
		if c.Value != nil {
			each = d.atLeast(c.AtLeast, d.about(*c.Value/float64(d.report.Weeks)))
		}
		cells = append(cells, each)
	}
	return append(cells, d.before(c))
}

func (d *viewer) weeks(s *report.Site) section {
	if !slices.ContainsFunc(s.Weeks, func(w report.Week) bool { return w.Known > 0 || w.Refused != nil }) {
		return section{}
	}
	result := section{Title: d.in("Refused logins by week", "Connexions refusées par semaine", "Abgelehnte Anmeldungen pro Woche")}
	result.Text = notEmpty(d.peopleUnknown(s))
	unlicensed := slices.ContainsFunc(s.Weeks, func(w report.Week) bool { return positive(w.NoLicense) })
	t := table{
		Caption: d.weeksCaption(),
		Columns: []column{
			{d.in("week", "semaine", "Woche"), false},
			{d.in("refused: session limit", "refus : limite de sessions", "abgelehnt: Sitzungslimit"), true},
			{d.in("people", "personnes", "Personen"), true},
		},
	}
	if unlicensed {
		t.Columns = append(t.Columns, column{d.in("refused: no license", "refus : pas de licence", "abgelehnt: keine Lizenz"), true})
	}
	t.Columns = append(t.Columns, column{d.in("time with data", "temps avec données", "Zeit mit Daten"), true})
	for i, week := range slices.Backward(s.Weeks) {
		number := func(value *float64) string {
			if week.Known == 0 && value == nil {
				return d.in("no data", "pas de données", "keine Daten")
			}
			return d.bound(&report.Compared{Value: value, AtLeast: week.AtLeast}, d.whole)
		}
		cells := []string{d.week(week.From, week.To), number(week.Refused), number(week.People)}
		if unlicensed {
			cells = append(cells, number(week.NoLicense))
		}
		t.Rows = append(t.Rows, row{Cells: append(cells, d.percent(week.Known)), Muted: i < len(s.Weeks)-d.report.Weeks})
	}
	result.Tables = []table{t}
	if unlicensed || slices.ContainsFunc(s.Weeks, func(w report.Week) bool { return positive(w.Refused) }) {
		result.Chart = d.weeksChart(s)
	}
	return result
}

// weeksCaption says when weeks begin, unless it is midnight. Then a day can be in two weeks.
func (d *viewer) weeksCaption() string {
	caption := d.in("Weeks, latest first", "Semaines, la plus récente en premier", "Wochen, die neueste zuerst")
	if to := d.report.To.In(d.zone); !midnight(to) {
		caption += d.say(" (they begin at %s)", " (elles commencent à %s)", " (sie beginnen um %s Uhr)", to.Format("15:04"))
	}
	return caption
}

func (d *viewer) peopleUnknown(s *report.Site) string {
	switch {
	case !positive(s.Refused.Value) || s.People.Value != nil:
		return ""
	case s.PeopleHidden:
		return d.in("The number of people is unknown, because the metrics contain no users.",
			"Le nombre de personnes est inconnu, car les métriques ne contiennent pas d'utilisateurs.",
			"Die Zahl der Personen ist unbekannt, weil die Metriken keine Benutzer enthalten.")
	case !s.Rules:
		return d.in("The number of people is unknown, because Prometheus does not evaluate the recording rules of the exporter.",
			"Le nombre de personnes est inconnu, car Prometheus n'évalue pas les règles d'enregistrement de l'exporteur.",
			"Die Zahl der Personen ist unbekannt, weil Prometheus die Recording Rules des Exporters nicht auswertet.")
	default:
		return d.in("The number of people is unknown.", "Le nombre de personnes est inconnu.", "Die Zahl der Personen ist unbekannt.")
	}
}

func (d *viewer) causes(s *report.Site) section {
	result := section{Title: d.in("Causes", "Causes", "Ursachen")}
	refused := max(known(s.Refused.Value), 0) + max(known(s.NoLicense.Value), 0)
	if len(s.Causes) == 0 {
		if math.Round(refused) == 0 {
			return section{}
		}
		result.Text = []string{d.in("The causes are unknown, because none were recorded.", "Les causes sont inconnues, car aucune n'a été enregistrée.",
			"Die Ursachen sind unbekannt, weil keine aufgezeichnet wurden.")}
		return result
	}
	t := table{
		Caption: d.in("Refused logins by cause, and what helps", "Connexions refusées par cause, et ce qui aide", "Abgelehnte Anmeldungen nach Ursache, und was hilft"),
		Columns: append([]column{{d.in("cause", "cause", "Ursache"), false}}, d.compareColumns(d.in("refused", "refus", "abgelehnt"))...), Bars: true,
	}
	most := mostOf(s.Causes, func(c *report.Cause) *float64 { return c.Refused.Value })
	var all float64
	for i := range s.Causes {
		c := &s.Causes[i]
		about := d.cause(c.Cause)
		t.Rows = append(t.Rows, row{
			Cells: append([]string{about.name}, d.compareCells(&c.Refused, d.whole)...), Note: about.help, Share: lengthOf(c.Refused.Value, most),
		})
		all += max(known(c.Refused.Value), 0)
	}
	result.Tables = []table{t}
	if missing := math.Round(refused) - math.Round(all); missing >= 1 && refused > 0 {
		result.After = []string{d.say("No cause was recorded for %s.", "Aucune cause n'a été enregistrée pour %s.", "Für %s wurde keine Ursache aufgezeichnet.",
			d.count(missing, refusedLogin))}
	}
	return result
}

var refusedLogin = noun{"refused login", "refused logins", "connexion refusée", "connexions refusées", "abgelehnte Anmeldung", "abgelehnte Anmeldungen"}

// mostOf returns the largest number, for the length of bars.
func mostOf[T any](all []T, value func(*T) *float64) (most float64) {
	for i := range all {
		most = max(most, known(value(&all[i])))
	}
	return most
}

// lengthOf returns the length of a bar.
func lengthOf(value *float64, most float64) float64 {
	if value == nil || most <= 0 {
		return 0
	}
	return max(*value, 0) / most
}

// more says how many rows are not shown.
func (d *viewer) more(all, shown int) string {
	if all <= shown {
		return ""
	}
	return d.say("%s more are not shown. The JSON output has all of them.", "%s autres ne sont pas affichés. La sortie JSON les contient tous.",
		"%s weitere sind nicht aufgeführt. Die JSON-Ausgabe enthält alle.", d.whole(float64(all-shown)))
}

func (d *viewer) virtualProxies(s *report.Site) section {
	result := section{Title: d.in("Virtual proxies", "Proxys virtuels", "Virtuelle Proxys")}
	used := slices.DeleteFunc(slices.Clone(s.VirtualProxies), func(v report.VirtualProxy) bool {
		return known(v.SlotHours.Value) <= 0 && known(v.IdleHours.Value) <= 0 && known(v.SlotHours.Before) <= 0
	})
	if len(used) == 0 {
		switch {
		case s.Rules && len(s.VirtualProxies) > 0:
			result.Text = []string{d.in("Nobody was at the session limit, so no virtual proxy is the cause.",
				"Personne n'était à la limite de sessions : aucun proxy virtuel n'est en cause.",
				"Niemand war am Sitzungslimit. Also ist kein virtueller Proxy die Ursache.")}
		case positive(s.Refused.Value):
			result.Text = []string{d.in("Which virtual proxies people at the limit used is unknown, because Prometheus has no recorded data about it.",
				"On ne sait pas quels proxys virtuels utilisaient les personnes à la limite, car Prometheus n'a pas de données enregistrées à ce sujet.",
				"Welche virtuellen Proxys Personen am Limit benutzt haben, ist unbekannt, weil Prometheus dazu keine aufgezeichneten Daten hat.")}
		default:
			return section{}
		}
		return result
	}
	result.Text = []string{d.in("A person at the limit has no free slot, so the next login is refused. One session of such a person for one hour is one hour in this table. An idle session has not been used for ten minutes, by a person with at most one free slot.",
		"Une personne à la limite n'a plus de place libre : sa prochaine connexion sera refusée. Une session d'une telle personne pendant une heure compte pour une heure dans ce tableau. Une session inactive n'a pas été utilisée depuis dix minutes, par une personne qui a au plus une place libre.",
		"Eine Person am Limit hat keinen freien Platz, die nächste Anmeldung wird also abgelehnt. Eine Sitzung einer solchen Person während einer Stunde zählt hier als eine Stunde. Eine unbenutzte Sitzung wurde seit zehn Minuten nicht benutzt, und zwar von einer Person mit höchstens einem freien Platz.")}
	columns := append([]column{{d.in("virtual proxy", "proxy virtuel", "virtueller Proxy"), false}},
		d.compareColumns(d.in("session hours at the limit", "heures de session à la limite", "Sitzungsstunden am Limit"))...)
	columns = append(columns, column{d.in("share", "part", "Anteil"), true}, column{d.in("idle hours", "heures inactives", "unbenutzte Stunden"), true},
		column{d.in("inactivity timeout", "délai d'inactivité", "Inaktivitäts-Timeout"), true})
	t := table{Caption: d.in("Where people at the limit have their sessions", "Où se trouvent les sessions des personnes à la limite", "Wo Personen am Limit ihre Sitzungen haben"), Columns: columns, Bars: true}
	most := mostOf(used, func(v *report.VirtualProxy) *float64 { return v.SlotHours.Value })
	for i := range min(len(used), shownVirtualProxies) {
		v := &used[i]
		cells := append([]string{name(v.VirtualProxy)}, d.compareCells(&v.SlotHours, d.about)...)
		share := v.Share
		if share == nil && v.SlotHours.Value != nil {
			share = new(0.0) // of nothing
		}
		cells = append(cells, d.cell(share, d.percent), d.bound(&v.IdleHours, d.about), d.cell(v.Timeout, d.minutes))
		t.Rows = append(t.Rows, row{Cells: cells, Share: lengthOf(v.SlotHours.Value, most)})
	}
	result.Tables, result.After = []table{t}, notEmpty(d.more(len(used), shownVirtualProxies))
	return result
}

func (d *viewer) minutes(n float64) string { return d.about(n) + " min" }

func (d *viewer) prevented(s *report.Site) section {
	result := section{Title: d.in("What would have prevented refused logins", "Ce qui aurait évité des refus", "Was Ablehnungen verhindert hätte")}
	result.Text = notEmpty(d.shorterTimeout(s), d.guard(s))
	if !positive(s.Refused.Value) && s.Guard == nil || len(result.Text) == 0 {
		return section{}
	}
	if len(s.Timeouts) == 0 || !positive(s.Refused.Value) {
		return result
	}
	now := ""
	if s.LongestTimeout != nil {
		now = d.say(" (now at most %s)", " (actuellement %s au plus)", " (jetzt höchstens %s)", d.minutes(*s.LongestTimeout))
	}
	t := table{
		Caption: d.in("Estimate for shorter inactivity timeouts", "Estimation pour des délais d'inactivité plus courts", "Schätzung für kürzere Inaktivitäts-Timeouts") + now,
		Columns: []column{
			{d.in("inactivity timeout of all virtual proxies", "délai d'inactivité de tous les proxys virtuels", "Inaktivitäts-Timeout aller virtuellen Proxys"), false},
			{d.in("prevented", "refus évités", "verhindert"), true},
			{d.in("of the refused logins", "des connexions refusées", "der abgelehnten Anmeldungen"), true},
		},
		Bars: true,
	}
	for i := range s.Timeouts {
		timeout := &s.Timeouts[i]
		of := timeout.Prevented / *s.Refused.Value
		t.Rows = append(t.Rows, row{Cells: []string{d.minutes(float64(timeout.Minutes)), d.estimate(timeout.Prevented), d.percent(of)}, Share: min(of, 1)})
	}
	result.Tables = []table{t}
	return result
}

func (d *viewer) licenses(s *report.Site) section {
	result := section{Title: d.in("Licenses", "Licences", "Lizenzen")}
	result.Text = notEmpty(d.licenseProblem(s))
	result.Text = append(result.Text, notEmpty(d.licenseEnd(s))...)
	if len(s.Licenses) == 0 {
		result.Text = append(result.Text, d.in("How many licenses are bought and used is unknown, because Prometheus has no data about them.",
			"Le nombre de licences achetées et utilisées est inconnu, car Prometheus n'a pas de données à ce sujet.",
			"Wie viele Lizenzen gekauft und benutzt sind, ist unbekannt, weil Prometheus dazu keine Daten hat."))
		return result
	}
	t := table{
		Caption: d.in("Licenses at the end of the reported time", "Licences à la fin de la période", "Lizenzen am Ende des Berichtszeitraums"),
		Columns: []column{
			{d.in("license", "licence", "Lizenz"), false},
			{d.in("bought", "achetées", "gekauft"), true},
			{d.in("assigned or used", "attribuées ou utilisées", "zugewiesen oder benutzt"), true},
			{d.in("free", "libres", "frei"), true},
			{d.in("not used for 90 days", "inutilisées depuis 90 jours", "seit 90 Tagen unbenutzt"), true},
			{d.in("runs out", "épuisement", "aufgebraucht"), false},
		},
	}
	for i := range s.Licenses {
		l := &s.Licenses[i]
		unused := d.cell(l.Unused, d.whole)
		if l.License == report.Tokens || l.License == report.Capacity {
			unused = d.in("does not apply", "sans objet", "entfällt")
		}
		t.Rows = append(t.Rows, row{Cells: []string{
			d.license(l.License), d.cell(l.Bought, d.whole), d.cell(l.Assigned, d.whole), d.cell(l.Free, d.whole), unused, d.runsOut(l),
		}})
	}
	result.Tables, result.Chart = []table{t}, d.licensesChart(s)
	return result
}

// soon is how long before its end the license of Qlik is important.
const soon = 90 * 24 * time.Hour

// licenseEnd says when the license of Qlik ends, or "".
func (d *viewer) licenseEnd(s *report.Site) string {
	switch {
	case s.LicenseEnds.IsZero():
		return ""
	case s.LicenseEnds.Before(d.report.To):
		return d.say("The license of Qlik Sense ended on %s.", "La licence de Qlik Sense a expiré le %s.", "Die Lizenz von Qlik Sense ist am %s abgelaufen.", d.date(s.LicenseEnds.Time))
	default:
		return d.say("The license of Qlik Sense ends on %s.", "La licence de Qlik Sense expire le %s.", "Die Lizenz von Qlik Sense läuft am %s ab.", d.date(s.LicenseEnds.Time))
	}
}

// licensePoint says what is most important about licenses.
func (d *viewer) licensePoint(s *report.Site) string {
	end := ""
	if s.LicenseEnds.Before(d.report.To.Add(soon)) {
		end = d.licenseEnd(s)
	}
	return strings.Join(notEmpty(d.licenseProblem(s), end, d.firstOut(s.Licenses), d.unusedLicenses(s.Licenses)), " ")
}

func (d *viewer) peaks(s *report.Site) section {
	result := section{Title: d.in("Peaks", "Pics", "Spitzenwerte")}
	if s.PeakSessions.Value == nil && s.PeakUsers.Value == nil && len(s.Nodes) == 0 {
		if s.Known == 0 {
			return section{}
		}
		result.Text = []string{d.in("Peaks are unknown, because Prometheus does not evaluate the recording rules of the exporter.",
			"Les pics sont inconnus, car Prometheus n'évalue pas les règles d'enregistrement de l'exporteur.",
			"Spitzenwerte sind unbekannt, weil Prometheus die Recording Rules des Exporters nicht auswertet.")}
		return result
	}
	t := table{
		Caption: d.in("Most at once", "Maximum simultané", "Höchstwerte gleichzeitig"),
		Columns: []column{
			{d.in("peak", "pic", "Spitzenwert"), false},
			{d.in("reported time", "période du rapport", "Berichtszeitraum"), true},
			{d.in("average of the weekly peaks before", "moyenne des pics hebdomadaires avant", "Durchschnitt der Wochenspitzenwerte davor"), true},
		},
		Bars: true,
	}
	most := max(known(s.PeakSessions.Value), mostOf(s.Nodes, func(n *report.Node) *float64 { return n.Peak.Value }))
	add := func(what string, c *report.Peak) {
		note := ""
		if !c.Hour.IsZero() {
			note = d.say("Hour of the peak: %s", "Heure du pic : %s", "Stunde des Spitzenwerts: %s", d.moment(c.Hour.Time))
		}
		t.Rows = append(t.Rows, row{Cells: []string{what, d.bound(&c.Compared, d.whole), d.before(&c.Compared)}, Share: lengthOf(c.Value, most), Note: note})
	}
	add(d.in("Users of the site", "Utilisateurs du site", "Benutzer der Site"), &s.PeakUsers)
	add(d.in("Sessions of the site", "Sessions du site", "Sitzungen der Site"), &s.PeakSessions)
	for i := range min(len(s.Nodes), shownNodes) {
		n := &s.Nodes[i]
		add(d.say("Sessions of node %s", "Sessions du nœud %s", "Sitzungen des Knotens %s", name(n.Node)), &n.Peak)
	}
	result.Tables, result.After = []table{t}, notEmpty(d.more(len(s.Nodes), shownNodes))
	return result
}

func (d *viewer) missing(s *report.Site) section {
	result := section{Title: d.in("Missing data", "Données manquantes", "Fehlende Daten")}
	say := func(sentence string) { result.Text = append(result.Text, sentence) }
	if s.Known == 0 {
		say(d.in("There is no data for the reported time.", "Il n'y a aucune donnée pour la période du rapport.", "Für den Berichtszeitraum gibt es keine Daten."))
		return result
	}
	if !s.Began.IsZero() {
		say(d.say("The first data is from %s.", "Les premières données datent du %s.", "Die ersten Daten sind vom %s.", d.moment(s.Began.Time)))
	}
	switch {
	case s.Known == 1 && s.Began.After(d.report.From):
		say(d.in("There is data for all of the time since then.", "Il y a des données pour tout le temps depuis lors.", "Seitdem gibt es für die ganze Zeit Daten."))
	case s.Began.After(d.report.From):
		say(d.say("Since then, there is data for %s of the time. What happened in the rest is unknown and not estimated.",
			"Depuis lors, il y a des données pour %s du temps. Ce qui s'est passé le reste du temps est inconnu et n'est pas estimé.",
			"Seitdem gibt es für %s der Zeit Daten. Was in der übrigen Zeit geschah, ist unbekannt und wird nicht geschätzt.", d.percent(s.Known)))
	case s.Known < 1:
		say(d.say("For %s of the reported time, there is data. What happened in the rest is unknown and not estimated.",
			"Il y a des données pour %s de la période du rapport. Ce qui s'est passé le reste du temps est inconnu et n'est pas estimé.",
			"Für %s des Berichtszeitraums gibt es Daten. Was in der übrigen Zeit geschah, ist unbekannt und wird nicht geschätzt.", d.percent(s.Known)))
	default:
		say(d.in("There is data for all of the reported time.", "Il y a des données pour toute la période du rapport.", "Für den ganzen Berichtszeitraum gibt es Daten."))
	}
	if s.Incomplete > 0 {
		say(d.say("For %s of the time with data, a node did not answer, so sessions may be missing in the counts.",
			"Pendant %s du temps avec données, un nœud n'a pas répondu : des sessions peuvent manquer dans les décomptes.",
			"In %s der Zeit mit Daten antwortete ein Knoten nicht. Dann können in den Zahlen Sitzungen fehlen.", d.percent(s.Incomplete)))
	}
	if !s.Rules {
		say(d.in("Prometheus does not evaluate the recording rules of the exporter, so much is unknown. See docs/report.md of the exporter.",
			"Prometheus n'évalue pas les règles d'enregistrement de l'exporteur : beaucoup de choses restent inconnues. Voir docs/report.md de l'exporteur.",
			"Prometheus wertet die Recording Rules des Exporters nicht aus. Deshalb ist vieles unbekannt. Siehe docs/report.md des Exporters."))
	}
	if len(s.Gaps) == 0 {
		return result
	}
	// The longest gaps are shown, in the order of time.
	gaps := slices.SortedFunc(slices.Values(s.Gaps), func(a, b report.Gap) int {
		return int(math.Copysign(1, b.MissingSeconds-a.MissingSeconds))
	})
	gaps = gaps[:min(len(gaps), shownGaps)]
	slices.SortFunc(gaps, func(a, b report.Gap) int { return a.From.Compare(b.From) })
	t := table{
		Caption: d.in("Times without data, to the hour", "Périodes sans données, à l'heure près", "Zeiten ohne Daten, auf die Stunde genau"),
		Columns: []column{{d.in("from", "de", "von"), false}, {d.in("to", "à", "bis"), false}, {d.in("missing", "manque", "fehlt"), true}},
	}
	for _, gap := range gaps {
		t.Rows = append(t.Rows, row{Cells: []string{d.moment(gap.From), d.moment(gap.To), d.duration(gap.MissingSeconds)}})
	}
	result.Tables, result.After = []table{t}, notEmpty(d.more(len(s.Gaps), shownGaps))
	return result
}

func (d *viewer) people(s *report.Site) section {
	if !d.names {
		return section{}
	}
	result := section{Title: d.in("People", "Personnes", "Personen")}
	if len(s.Persons) == 0 {
		unknown := d.peopleUnknown(s)
		switch {
		case s.Refused.Value == nil:
			unknown = d.in("Who was refused is unknown.", "On ne sait pas qui a été refusé.", "Wer abgewiesen wurde, ist unbekannt.")
		case unknown == "":
			unknown = d.in("Nobody is known to have been refused.", "Aucune personne refusée n'est connue.", "Es ist niemand bekannt, der abgewiesen wurde.")
		}
		result.Text = []string{unknown}
		return result
	}
	result.Text = []string{d.in("This report contains names of people. Give it only to those who may know them.",
		"Ce rapport contient des noms de personnes. Ne le transmettez qu'à celles et ceux qui peuvent les connaître.",
		"Dieser Bericht enthält Namen von Personen. Geben Sie ihn nur an die weiter, die sie kennen dürfen.")}
	t := table{
		Caption: d.in("People who were refused because of the session limit", "Personnes refusées à cause de la limite de sessions", "Personen, die wegen des Sitzungslimits abgewiesen wurden"),
		Columns: []column{
			{d.in("user", "utilisateur", "Benutzer"), false},
			{d.in("days with a refused login", "jours avec un refus", "Tage mit einer Ablehnung"), true},
			{d.in("last refused login", "dernier refus", "letzte Ablehnung"), false},
		},
	}
	for i := range min(len(s.Persons), shownPeople) {
		p := &s.Persons[i]
		t.Rows = append(t.Rows, row{Cells: []string{name(p.Directory) + `\` + name(p.ID), d.whole(float64(p.Days)), d.moment(p.Last)}})
	}
	result.Tables, result.After = []table{t}, notEmpty(d.more(len(s.Persons), shownPeople))
	return result
}

func (d *viewer) method() section {
	result := section{Title: d.in("How the numbers were found", "Comment les chiffres ont été obtenus", "Wie die Zahlen ermittelt wurden")}
	zone := d.zones(d.report.From, d.report.To)
	result.Text = []string{
		d.say("All numbers come from Prometheus at %[1]s, asked on %[2]s. A week has 7 days of 24 hours, so it may begin an hour earlier or later when clocks change. Times are in the time zone %[3]s.",
			"Tous les chiffres viennent de Prometheus à l'adresse %[1]s, interrogé le %[2]s. Une semaine compte 7 jours de 24 heures : au changement d'heure, elle peut commencer une heure plus tôt ou plus tard. Le fuseau horaire est %[3]s.",
			"Alle Zahlen stammen von Prometheus unter %[1]s, abgefragt am %[2]s. Eine Woche hat 7 Tage zu 24 Stunden. Bei der Zeitumstellung kann sie eine Stunde früher oder später beginnen. Zeiten sind in der Zeitzone %[3]s.",
			shortened(d.report.Prometheus, longestWarning), d.moment(d.report.Created), zone),
		d.say("Averages before cover those of the %d earlier weeks that have data for at least nine tenths of their time. Values with “at least” are lower bounds, because data is missing.",
			"Les moyennes antérieures portent sur celles des %d semaines précédentes qui ont des données pour au moins neuf dixièmes de leur durée. Les valeurs avec « au moins » sont des minimums, car des données manquent.",
			"Frühere Durchschnitte sind die der %d Wochen davor, soweit diese für mindestens neun Zehntel ihrer Zeit Daten haben. Werte mit „mindestens“ sind Untergrenzen, weil Daten fehlen.", report.WeeksBefore),
		d.in("What shorter timeouts would have prevented is an estimate from how long sessions had been idle when people reached the limit. What the guard would have prevented depends on how Qlik counts sessions that have just ended, so there are two readings. Run-out dates continue the trend: in about eight of ten cases, the truth lies within the given range.",
			"L'effet de délais plus courts est une estimation d'après la durée d'inactivité des sessions au moment où les personnes ont atteint la limite. L'effet du garde-fou dépend de la façon dont Qlik compte les sessions qui viennent de se terminer : il y a donc deux lectures. Les dates d'épuisement prolongent la tendance : dans environ huit cas sur dix, la réalité se trouve dans l'intervalle indiqué.",
			"Was kürzere Timeouts verhindert hätten, ist eine Schätzung. Sie beruht darauf, wie lange Sitzungen unbenutzt waren, als Personen das Limit erreichten. Was der Wächter verhindert hätte, hängt davon ab, wie Qlik eben erst beendete Sitzungen zählt. Deshalb gibt es zwei Lesarten. Wann Lizenzen aufgebraucht sind, ergibt sich aus dem Trend: In etwa acht von zehn Fällen liegt die Wahrheit in der angegebenen Spanne."),
		d.in("Peaks are the most sessions or users that were seen at once. A peak between two scrapes is not seen.",
			"Les pics sont le plus grand nombre de sessions ou d'utilisateurs vus en même temps. Un pic entre deux collectes n'est pas vu.",
			"Ein Spitzenwert ist die höchste Zahl gleichzeitig gesehener Sitzungen oder Benutzer. Was nur zwischen zwei Abfragen bestand, wird nicht gesehen."),
	}
	return result
}

func (d *viewer) queries() queries {
	q := queries{Title: d.in("Queries", "Requêtes", "Abfragen")}
	for _, query := range d.report.Queries {
		about := d.say("%s, step %s", "%s, pas %s", "%s, Schritt %s", query.Name, query.Step)
		q.Names, q.Query = append(q.Names, text.Visible(about)), append(q.Query, text.Visible(query.Query))
	}
	return q
}
