package desk_test

import (
	"encoding/base64"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/qlik-exporter/qlik_exporter/qlik"
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
	case text == "", !strings.HasSuffix(text, "."), text[0] >= 'a' && text[0] <= 'z', sentenceEnd.MatchString(text), codeLike.MatchString(text), len(text) > 240:
		t.Errorf("not one plain sentence: %q", text)
	}
}

// errorIn returns the error in a response of the interface for programs.
func errorIn(text string) string {
	var answer struct {
		Error string `json:"error"`
	}
	_ = json.Unmarshal([]byte(text), &answer)
	return answer.Error
}

// newUser returns a user of the simulated site.
func newUser(id string) qlik.User { return qlik.NewUser("LAB", id) }
