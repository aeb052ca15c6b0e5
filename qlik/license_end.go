package qlik

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// ends are the ends of a license in its text.
type ends struct {
	dates  []time.Time // each the end of the day
	unread []string    // ends that cannot be read without doubt, with the reason
}

// readEnds reads the ends of a license from the text of a license file (LEF) and from
// the details of a signed key (docs/qlik.md, "Licenses"). Other dates in these texts are
// no end of the license: PRODUCTLEVEL is the end of maintenance.
func readEnds(lef, details string) ends {
	var e ends
	eachEnd(lef, details, func(text string, _, broken bool) {
		if broken {
			e.unread = append(e.unread, text)
		} else {
			e.add(text)
		}
	})
	return e
}

// eachEnd calls each for every end of a license in the two texts. A broken one has no
// date, and the text says why.
func eachEnd(lef, details string, each func(text string, inKey, broken bool)) {
	for line := range lines(lef) {
		columns := strings.Split(line, ";") // attribute, value, valid from, valid to
		if strings.EqualFold(strings.TrimSpace(columns[0]), "TIMELIMIT") {
			if len(columns) < 4 {
				each(fmt.Sprintf("TIMELIMIT with %d columns instead of 4 is in a form that cannot be read", len(columns)), false, true)
				continue
			}
			each(columns[3], false, false)
		}
	}
	for line := range lines(details) {
		for part := range strings.SplitSeq(line, ";") {
			if key, value, found := strings.Cut(part, ":"); found && strings.EqualFold(strings.TrimSpace(key), "Valid To") {
				each(value, true, false)
			}
		}
	}
}

// lines returns the lines of a text. Invisible characters, such as those for the
// direction of a script, are removed. All white space becomes a space.
func lines(text string) func(yield func(string) bool) {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r':
			return '\n'
		case unicode.IsSpace(r):
			return ' '
		case unicode.In(r, unicode.Cf) || r == unicode.ReplacementChar:
			return -1
		}
		return r
	}, text)
	return strings.SplitSeq(text, "\n")
}

// add adds the end that a text says. An empty text is no end.
func (e *ends) add(text string) {
	if text = strings.TrimSpace(text); text == "" {
		return
	}
	day, problem := readDay(text)
	switch {
	case problem != "":
		e.unread = append(e.unread, fmt.Sprintf("%q %s", shortened(text, maxFieldName), problem))
	case !day.IsZero():
		e.dates = append(e.dates, day.AddDate(0, 0, 1))
	}
}

// Forms of a date at the start of a text. The parts have the same separator. The time of
// day follows, with the half of the day and the time zone, as in 12:00:00 AM +00:00.
var (
	date      = regexp.MustCompile(`^(\d{1,4}) ?([-/.]) ?(\d{1,2}) ?([-/.]) ?(\d{1,4})(?:\D|$)`)
	dayTime   = regexp.MustCompile(`(?:^| |T)\d{1,2}[:.]\d{2}(?:[:.]\d{2}(?:[.,]\d+)?)?(?: ?\pL[\pL.: ]*)?(?: ?[+-]\d{2}:?\d{2})?`)
	anyNumber = regexp.MustCompile(`\d`)
)

const (
	unreadable = "is in a form that cannot be read"
	twoWays    = "can be read in two ways"
)

// readDay reads the date of a text, written in the form of the server's region, or says
// why it cannot be read without doubt. It returns the zero time for a date that stands
// for no end.
func readDay(text string) (day time.Time, problem string) {
	match := date.FindStringSubmatchIndex(text)
	if match == nil {
		return day, unreadable
	}
	part := func(i int) string { return text[match[2*i]:match[2*i+1]] }
	if rest := text[match[11]:]; part(2) != part(4) || anyNumber.MatchString(removeFirst(dayTime, rest)) {
		return day, unreadable
	}
	first, separator, last := part(1), part(2), part(5)
	switch {
	case len(first) == 4 && len(last) <= 2:
		return dayOf(first, part(3), last)
	case len(first) > 2 || len(last) != 4:
		return day, unreadable // a year of two digits can be any of the three
	case separator == ".": // no region writes the month first
		return dayOf(last, part(3), first)
	}
	dayFirst, noDay := dayOf(last, part(3), first)
	monthFirst, noMonth := dayOf(last, first, part(3))
	switch {
	case noDay != "":
		return monthFirst, noMonth
	case noMonth != "" || dayFirst.Equal(monthFirst):
		return dayFirst, ""
	}
	return day, twoWays
}

func removeFirst(pattern *regexp.Regexp, text string) string {
	if at := pattern.FindStringIndex(text); at != nil {
		return text[:at[0]] + text[at[1]:]
	}
	return text
}

// The first and the last day of .NET stand for no end. Years beyond these limits are of
// other calendars.
const (
	firstYear, noFirstYear = 2000, 1
	lastYear, noLastYear   = 2199, 9999
)

// dayOf returns the day with a year, month and day of digits.
func dayOf(year, month, day string) (time.Time, string) {
	y, _ := strconv.Atoi(year)
	m, _ := strconv.Atoi(month)
	d, _ := strconv.Atoi(day)
	at := time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC)
	switch {
	case at.Month() != time.Month(m) || at.Day() != d:
		return time.Time{}, "is no date"
	case y == noFirstYear && at.YearDay() == 1, y == noLastYear && m == 12 && d == 31:
		return time.Time{}, ""
	case y < firstYear || y > lastYear:
		return time.Time{}, fmt.Sprintf("is not between the years %d and %d", firstYear, lastYear)
	}
	return at, ""
}
