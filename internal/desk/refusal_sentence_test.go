package desk_test

import (
	"encoding/base64"
	"regexp"
	"strings"
	"testing"
)

// encoding is that of the parts of a plan.
var encoding = base64.RawURLEncoding

var (
	sentenceEnd = regexp.MustCompile(`[.!?] +\S`)
	codeLike    = regexp.MustCompile(`%!|\b(nil|null|err|JSON decode|status \d+)\b|[{}<>]`)
)

// checkSentence checks that a text for an operator is one sentence in plain English.
func checkSentence(t *testing.T, text string) {
	t.Helper()
	switch {
	case text == "", !strings.HasSuffix(text, "."), text[0] < 'A' || text[0] > 'Z', sentenceEnd.MatchString(text), codeLike.MatchString(text), len(text) > 240:
		t.Errorf("not one plain sentence: %q", text)
	}
}
