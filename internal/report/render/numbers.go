package render

import (
	"fmt"
	"math"
	"strings"
	"time"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
	"golang.org/x/text/number"

	"github.com/qlik-exporter/qlik_exporter/internal/report"
	"github.com/qlik-exporter/qlik_exporter/internal/text"
)

// The languages of reports.
const (
	English = "en"
	French  = "fr"
	German  = "de"
)

// words writes sentences, numbers, and dates in a language.
type words struct {
	lang    string
	tag     language.Tag
	printer *message.Printer
	zone    *time.Location
}

func newWords(o *Options) (*words, error) {
	w := &words{lang: o.Language, zone: o.Location}
	switch o.Language {
	case English:
		w.tag = language.AmericanEnglish
	case French:
		w.tag = language.French
	case German:
		w.tag = language.German
	default:
		return nil, fmt.Errorf("no report in the language %q", o.Language)
	}
	if w.zone == nil {
		w.zone = time.UTC
	}
	w.printer = message.NewPrinter(w.tag)
	return w, nil
}

// narrow is the space within French numbers, and before some of its punctuation.
const narrow = "\u202f"

// french keeps punctuation on the line of the word before it.
var french = strings.NewReplacer(" :", "\u00a0:", " ;", narrow+";", " ?", narrow+"?", "« ", "«\u00a0", " »", "\u00a0»")

// in returns the sentence of the language, which may contain verbs of package fmt.
func (w *words) in(english, inFrench, german string) string {
	switch w.lang {
	case French:
		return french.Replace(inFrench)
	case German:
		return german
	default:
		return english
	}
}

// say returns a sentence with its arguments.
func (w *words) say(english, inFrench, german string, args ...any) string {
	return fmt.Sprintf(w.in(english, inFrench, german), args...)
}

// noun is a noun in the singular and the plural of each language.
type noun struct{ english, englishMany, french, frenchMany, german, germanMany string }

func (w *words) count(n float64, what noun) string {
	if w.one(n) {
		return w.whole(n) + " " + w.in(what.english, what.french, what.german)
	}
	return w.whole(n) + " " + w.in(what.englishMany, what.frenchMany, what.germanMany)
}

// one reports whether the language has a singular after a rounded number. In French, it has
// one after 0, too.
func (w *words) one(n float64) bool {
	return plural.Cardinal.MatchPlural(w.tag, int(math.Abs(math.Round(n))), 0, 0, 0, 0) == plural.One
}

// whole returns a number without decimals.
func (w *words) whole(n float64) string { return w.decimal(math.Round(n), 0) }

// about returns an average or a number of hours: small ones with a decimal.
func (w *words) about(n float64) string { return w.decimal(shown(n), 1) }

// shown returns the number that about shows.
func shown(n float64) float64 {
	if math.Abs(n) >= 10 {
		return math.Round(n)
	}
	return math.Round(n*10) / 10
}

func (w *words) decimal(n float64, digits int) string {
	n += 0 // no negative zero
	return w.spaces(w.printer.Sprint(number.Decimal(n, number.MaxFractionDigits(digits))))
}

// percent returns a share. Only nothing is 0%, and only everything is 100%.
func (w *words) percent(share float64) string {
	switch {
	case share > 0 && share < 0.01:
		return w.in("less than ", "moins de ", "weniger als ") + w.percent(0.01)
	case share > 0.99 && share < 1:
		return w.in("more than ", "plus de ", "mehr als ") + w.percent(0.99)
	}
	return w.spaces(w.printer.Sprint(number.Percent(share, number.MaxFractionDigits(0))))
}

func (w *words) spaces(s string) string {
	if w.lang == French {
		return strings.ReplaceAll(s, "\u00a0", narrow)
	}
	return s
}

// longestName is the maximum number of characters that are shown of a name.
const longestName = 80

// longestWarning is the same of a warning or the address of Prometheus.
const longestWarning = 300

// name returns a name of Prometheus, such as that of a virtual proxy.
func name(s string) string { return shortened(s, longestName) }

func shortened(s string, longest int) string {
	if characters := []rune(s); len(characters) > longest {
		s = string(characters[:longest]) + "…"
	}
	return text.Visible(s)
}

// quoted returns a name within a sentence.
func (w *words) quoted(s string) string { return w.say("“%s”", "« %s »", "„%s“", name(s)) }

var (
	weekdays = map[string][]string{
		English: {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"},
		French:  {"dim.", "lun.", "mar.", "mer.", "jeu.", "ven.", "sam."},
		German:  {"So.", "Mo.", "Di.", "Mi.", "Do.", "Fr.", "Sa."},
	}
	months = map[string][]string{
		English: {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"},
		French:  {"janv.", "févr.", "mars", "avr.", "mai", "juin", "juil.", "août", "sept.", "oct.", "nov.", "déc."},
	}
)

// date returns a day, such as Mon 16 Nov 2026, lun. 16 nov. 2026, or Mo., 16.11.2026.
func (w *words) date(t time.Time) string {
	t = t.In(w.zone)
	weekday := weekdays[w.lang][t.Weekday()]
	if w.lang == German {
		return weekday + ", " + t.Format("02.01.2006")
	}
	return fmt.Sprintf("%s %s %d", weekday, w.day(t), t.Year())
}

// day returns a day without its year, such as 16 Nov, 16 nov., or 16.11.
func (w *words) day(t time.Time) string {
	t = t.In(w.zone)
	switch {
	case w.lang == German:
		return t.Format("02.01.")
	case w.lang == French && t.Day() == 1:
		return "1er " + months[w.lang][t.Month()-1]
	default:
		return fmt.Sprintf("%d %s", t.Day(), months[w.lang][t.Month()-1])
	}
}

// dayOfYear returns a day and its year.
func (w *words) dayOfYear(t time.Time) string {
	if w.lang == German {
		return t.In(w.zone).Format("02.01.2006")
	}
	return fmt.Sprintf("%s %d", w.day(t), t.In(w.zone).Year())
}

// moment returns a day and a time of day.
func (w *words) moment(t time.Time) string {
	return w.say("%s, %s", "%s à %s", "%s, %s Uhr", w.date(t), t.In(w.zone).Format("15:04"))
}

// zones returns the name of the time zone, or both if the clocks were changed between two
// times.
func (w *words) zones(from, to time.Time) string {
	first, last := from.In(w.zone).Format("MST"), to.In(w.zone).Format("MST")
	if first != last {
		return first + "/" + last
	}
	return last
}

func midnight(t time.Time) bool { return t.Hour() == 0 && t.Minute() == 0 }

// timespan returns a time of whole weeks. From midnight to midnight, days are enough.
func (w *words) timespan(from, to time.Time) string {
	const english, inFrench, german = "%s to %s", "du %s au %s", "%s bis %s"
	if from, to = from.In(w.zone), to.In(w.zone); midnight(from) && midnight(to) {
		return w.say(english, inFrench, german, w.date(from), w.date(to.AddDate(0, 0, -1)))
	}
	return w.say(english, inFrench, german, w.moment(from), w.moment(to))
}

// week returns the days of a week, the last of which may end at any time.
func (w *words) week(from, to time.Time) string {
	if from, to = from.In(w.zone), to.In(w.zone); to.Hour() < 2 {
		to = to.Add(-2 * time.Hour) // also an hour after midnight, if clocks were changed since
	}
	if from.Hour() == 23 {
		from = from.Add(time.Hour)
	}
	return w.day(from) + " – " + w.dayOfYear(to)
}

// hours returns how long a gap is.
func (w *words) duration(seconds float64) string {
	minutes := int(math.Ceil(seconds / 60))
	switch {
	case minutes < 60:
		return fmt.Sprintf("%d min", minutes)
	case minutes < 24*60:
		return fmt.Sprintf("%d h %d min", minutes/60, minutes%60)
	default:
		return w.say("%d d %d h", "%d j %d h", "%d T %d h", minutes/60/24, minutes/60%24)
	}
}

// counted returns a number of events, which may be a lower bound.
func (w *words) counted(c *report.Compared, what noun) string {
	return w.atLeast(c.AtLeast, w.count(*c.Value, what))
}

func (w *words) atLeast(bound bool, number string) string {
	if !bound {
		return number
	}
	return w.in("at least ", "au moins ", "mindestens ") + number
}

func (w *words) unknown() string { return w.in("unknown", "inconnu", "unbekannt") }

// cell returns a number of a table.
func (w *words) cell(value *float64, format func(float64) string) string {
	if value == nil {
		return w.unknown()
	}
	return format(*value)
}

// bound returns a number of a table, which may be a lower bound.
func (w *words) bound(c *report.Compared, format func(float64) string) string {
	switch {
	case c.Value == nil:
		return w.unknown()
	case c.AtLeast && *c.Value < 0.05:
		return w.in("none known", "aucun connu", "keine bekannt")
	default:
		return w.atLeast(c.AtLeast, format(*c.Value))
	}
}

// before returns the number of the weeks before.
func (w *words) before(c *report.Compared) string { return w.cell(c.Before, w.about) }

// list joins words with commas and and.
func (w *words) list(all []string) string {
	if n := len(all) - 1; n > 0 {
		return strings.Join(all[:n], ", ") + w.in(" and ", " et ", " und ") + all[n]
	}
	return strings.Join(all, "")
}
