// Package text formats names, numbers, and times for people.
package text

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// invisible returns whether a character is not printable, such as a line break, a
// terminal escape, or a mark that changes the direction of text. The whole program
// uses this definition.
func invisible(r rune) bool { return !unicode.IsPrint(r) }

// Visible replaces invisible characters with their code points, as in ‹U+202E›. A byte
// that is not UTF-8 becomes the replacement character.
func Visible(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, invisible) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if invisible(r) {
			fmt.Fprintf(&b, "‹U+%04X›", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// formula matches what a spreadsheet takes for a formula: at the start of a cell, or after
// a semicolon, which separates cells where the comma is the decimal point.
var formula = regexp.MustCompile(`(^|;)([ "]*[=+\-@＝＋－＠\t\r])`)

// Cell is Visible for a cell of a CSV file. A spreadsheet does not interpret the
// result as a formula.
func Cell(s string) string {
	return Visible(formula.ReplaceAllString(s, "$1'$2"))
}

// EscapeJSON escapes invisible characters in the strings of a JSON document, as in
// \u202e. Programs that decode the document get the original characters. Package json
// escapes only those below U+0020.
func EscapeJSON(document []byte) []byte {
	var b strings.Builder
	for _, r := range string(document) {
		if r < ' ' || !invisible(r) { // characters below a space are layout between strings
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return []byte(b.String())
}
