package main

import "time"

// ordinary is the amount of work on each day of a week without holidays.
var ordinary = [...]float64{0.03, 1, 1.03, 1.04, 1, 0.88, 0.05}

// busyness returns the amount of work on a day, relative to an ordinary day. Few people
// work on a public holiday, and many are away in summer, about Christmas, about Easter, and
// on the Friday after Ascension Day.
func busyness(day int64) float64 {
	date := time.Unix(day*daySeconds, 0).UTC()
	if publicHoliday(date) {
		return 0.02
	}
	return season(date) * ordinary[date.Weekday()]
}

// publicHoliday reports whether a date is a holiday of the company, as in most of Europe.
func publicHoliday(date time.Time) bool {
	switch _, month, day := date.Date(); {
	case month == time.January && day == 1, month == time.May && day == 1, month == time.December && (day == 25 || day == 26):
		return true
	}
	switch afterEaster(date) {
	case -2, 1, 39, 50: // Good Friday, Easter Monday, Ascension Day, Whit Monday
		return true
	}
	return false
}

// season returns the share of the people who are not on vacation.
func season(date time.Time) float64 {
	_, month, day := date.Date()
	switch easter := afterEaster(date); {
	case month == time.December && (day == 24 || day == 31):
		return 0.15
	case month == time.December && day >= 21, month == time.January && day <= 5:
		return 0.4
	case month == time.August && day <= 21:
		return 0.65
	case month == time.July && day >= 15, month == time.August:
		return 0.8
	case easter == 40:
		return 0.5
	case easter >= -6 && easter <= 5:
		return 0.85
	}
	return 1
}

// afterEaster returns the number of days after Easter Sunday of the year, by the algorithm
// of Meeus, Jones and Butcher.
func afterEaster(date time.Time) int {
	y := date.Year()
	a, b, c := y%19, y/100, y%100
	h := (19*a + b - b/4 - (b-(b+8)/25+1)/3 + 15) % 30
	l := (32 + 2*(b%4) + 2*(c/4) - h - c%4) % 7
	n := h + l - 7*((a+11*h+22*l)/451) + 114
	easter := time.Date(y, time.Month(n/31), n%31+1, 0, 0, 0, 0, time.UTC)
	return int((date.Unix()/daySeconds*daySeconds - easter.Unix()) / daySeconds)
}
