package text

import (
	"fmt"
	"strings"
)

// Count returns a number with its noun, such as "1 session" or "2 virtual proxies".
// The noun must be singular and have a plural in s or ies.
func Count(n int, noun string) string {
	if n != 1 {
		noun = plural(noun)
	}
	return fmt.Sprintf("%d %s", n, noun)
}

func plural(noun string) string {
	stem, found := strings.CutSuffix(noun, "y")
	if found && stem != "" && !strings.ContainsRune("aeiou", rune(stem[len(stem)-1])) {
		return stem + "ies"
	}
	return noun + "s"
}
