package config

import (
	"fmt"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"
)

// The following functions make the flag of a command take a value of a certain kind.
// Their errors name the flag, like the errors of the flags in the tables of settings.

// Number is for whole numbers of at least minimum.
func Number(flag *kingpin.FlagClause, to *int, minimum int) { set(flag, number(to, minimum)) }

// Duration is for durations of at least zero.
func Duration(flag *kingpin.FlagClause, to *time.Duration) {
	set(flag, scalar(to, durationFromZero, showDuration))
}

// Days is for a number of days of at least one, such as 90d.
func Days(flag *kingpin.FlagClause, to *time.Duration) {
	set(flag, scalar(to, days, func(d time.Duration) string { return strconv.Itoa(int(d/day)) + "d" }))
}

// Weeks is for a number of whole weeks, such as 7d.
func Weeks(flag *kingpin.FlagClause, to *int) {
	set(flag, scalar(to, func(text string) (int, error) {
		d, err := days(text)
		if err != nil || d%week != 0 || d > maxWeeks*week {
			return 0, fmt.Errorf("must be a number of days in whole weeks, such as 7d, 28d, or 364d, and at most %dd, not %q", maxWeeks*7, text)
		}
		return int(d / week), nil
	}, func(weeks int) string { return strconv.Itoa(7*weeks) + "d" }))
}

const (
	week     = 7 * day
	maxWeeks = 520
)

const (
	day     = 24 * time.Hour
	maxDays = 36_500
)

func days(text string) (time.Duration, error) {
	number, found := strings.CutSuffix(text, "d")
	n, err := strconv.Atoi(number)
	if !found || err != nil || n < 1 || n > maxDays {
		return 0, fmt.Errorf("must be a number of days such as 90d, not %q", text)
	}
	return time.Duration(n) * day, nil
}

// Share is for a part of a whole, such as 5%.
func Share(flag *kingpin.FlagClause, to *float64) {
	set(flag, scalar(to, func(text string) (float64, error) {
		number, found := strings.CutSuffix(text, "%")
		percent, err := strconv.ParseFloat(number, 64)
		if !found || err != nil || !(percent > 0 && percent < 100) { // also not a number
			return 0, fmt.Errorf("must be more than 0%% and less than 100%%, such as 5%%, not %q", text)
		}
		// Dividing the text keeps its decimals: 99.9 / 100 has sixteen of them.
		return strconv.ParseFloat(number+"e-2", 64)
	}, func(share float64) string { return strconv.FormatFloat(math.Round(share*1e10)/1e8, 'f', -1, 64) + "%" }))
}

// Amount is an amount of money for something with a name.
type Amount struct {
	Name  string
	Value float64
}

// Amounts is for NAME=AMOUNT, at most once for each of the names.
func Amounts(flag *kingpin.FlagClause, to *[]Amount, names ...string) {
	set(flag, list(to, func(text string) (Amount, error) {
		name, number, found := strings.Cut(text, "=")
		value, err := strconv.ParseFloat(number, 64)
		switch {
		case strings.ContainsAny(number, "=;"):
			return Amount{}, fmt.Errorf("%s: contains several values; %s", text, oneByOne)
		case !found, !slices.Contains(names, name):
			return Amount{}, fmt.Errorf("%s: must be NAME=AMOUNT, with one of the names %s", text, strings.Join(names, ", "))
		case !money.MatchString(number), err != nil, value > maxAmount:
			return Amount{}, fmt.Errorf("%s: must be an amount with a decimal point and at most two decimals, such as %s=70.50", text, name)
		case slices.ContainsFunc(*to, func(a Amount) bool { return a.Name == name }):
			return Amount{}, fmt.Errorf("%s: %s is given twice", text, name)
		}
		return Amount{name, value}, nil
	}, func(a Amount) string { return fmt.Sprintf("%s=%g", a.Name, a.Value) }))
}

const maxAmount = 1e9

// money matches an amount. With more decimals, the sum of rounded amounts would not be the
// total.
var money = regexp.MustCompile(`^\d+(?:\.\d{1,2})?$`)

// Choice is for one of several words.
func Choice(flag *kingpin.FlagClause, to *string, choices ...string) {
	set(flag, choice(to, choices...))
}

// Text is for texts that pass the check, which may be nil.
func Text(flag *kingpin.FlagClause, to *string, check func(text string) error) {
	set(flag, scalar(to, func(text string) (string, error) {
		if check != nil {
			return text, check(text)
		}
		return text, nil
	}, plainly))
}

// Path is for the path of a file.
func Path(flag *kingpin.FlagClause, to *string) { set(flag, filePath(to)) }

// URL is for a URL such as http://qlik1:9986, or one with a path.
func URL(flag *kingpin.FlagClause, to **url.URL) { set(flag, scalar(to, externalURL, showURL)) }

// VirtualProxies is for prefixes of virtual proxies.
func VirtualProxies(flag *kingpin.FlagClause, to *[]string) {
	set(flag, listOfOne(to, virtualProxy, plainly))
}

// Nodes is for host names of nodes.
func Nodes(flag *kingpin.FlagClause, to *[]string) {
	set(flag, listOfOne(to, func(text string) (string, error) { return text, nil }, plainly))
}

// Names is for names that pass the check.
func Names(flag *kingpin.FlagClause, to *[]string, check func(name string) error) {
	set(flag, listOfOne(to, func(text string) (string, error) { return text, check(text) }, plainly))
}

func set(flag *kingpin.FlagClause, v value) { flag.SetValue(ofFlag{v, flag.Model().Name}) }
