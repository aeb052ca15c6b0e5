package text

import (
	"strings"

	"golang.org/x/text/language"
	"golang.org/x/text/message"
	"golang.org/x/text/number"
)

// Number returns a number with separators of thousands, such as "2,024".
func Number(n int) string { return Decimal(float64(n)) }

// Decimal is Number for a number that may have decimals.
func Decimal(n float64, options ...number.Option) string {
	return message.NewPrinter(language.AmericanEnglish).Sprint(number.Decimal(n, options...))
}

// Count returns a number with its noun, such as "1 session" or "2,024 virtual proxies".
// The noun must be singular and have a plural in s or ies.
func Count(n int, noun string) string {
	if n != 1 {
		noun = plural(noun)
	}
	return Number(n) + " " + noun
}

func plural(noun string) string {
	stem, found := strings.CutSuffix(noun, "y")
	if found && stem != "" && !strings.ContainsRune("aeiou", rune(stem[len(stem)-1])) {
		return stem + "ies"
	}
	return noun + "s"
}
