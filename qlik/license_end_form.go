package qlik

import "strings"

// Forms of the date of a license end.
const (
	EndYearFirst  = "year_first"
	EndDayFirst   = "day_first"
	EndMonthFirst = "month_first"
	EndTwoWays    = "two_ways"
	EndNever      = "no_end" // a date that stands for none
	EndUnreadable = "unreadable"
)

// LicenseEnds are the forms of the ends of a license, without their dates: those in the
// license file and those in the details of a signed key.
type LicenseEnds struct{ LEF, Key []string }

// LicenseEndForms returns the forms of the ends that the two texts of a license contain.
func LicenseEndForms(lef, details string) (forms LicenseEnds) {
	eachEnd(lef, details, func(text string, inKey, broken bool) {
		form := endForm(text)
		switch {
		case broken:
			form = EndUnreadable
		case form == "":
			return
		}
		if inKey {
			forms.Key = append(forms.Key, form)
		} else {
			forms.LEF = append(forms.LEF, form)
		}
	})
	return forms
}

// endForm returns the form of the date of a text, or "" if the text is empty.
func endForm(text string) string {
	if text = strings.TrimSpace(text); text == "" {
		return ""
	}
	day, problem := readDay(text)
	switch {
	case problem == twoWays:
		return EndTwoWays
	case problem != "":
		return EndUnreadable
	case day.IsZero():
		return EndNever
	}
	match := date.FindStringSubmatch(text)
	first, month, last := match[1], match[3], match[5]
	if len(first) == 4 {
		return EndYearFirst
	}
	_, noDay := dayOf(last, month, first)
	_, noMonth := dayOf(last, first, month)
	switch {
	case match[2] == "." || noMonth != "":
		return EndDayFirst
	case noDay != "":
		return EndMonthFirst
	}
	return EndTwoWays // the day is the month
}
