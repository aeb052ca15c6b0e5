package qlik

import (
	"strings"
	"testing"
)

func TestParseUser(t *testing.T) {
	for text, want := range map[string]User{
		`ACME\svc`:              {"ACME", "svc"},
		`acme/SVC`:              {"ACME", "svc"},
		`ACME CORP\anna berg`:   {"ACME CORP", "anna berg"},
		`ACME/anna berg@a.com`:  {"ACME", "anna berg@a.com"},
		`https://idp/x\anna`:    {"HTTPS://IDP/X", "anna"},
		`ACME\team/anna`:        {"ACME", "team/anna"},
		`ACME\svc$`:             {"ACME", "svc$"},
		`[SAML]\anna+1@acme.de`: {"[SAML]", "anna+1@acme.de"},
		`שלום/é你好`:              {"שלום", "é你好"},
	} {
		if got, err := ParseUser(text); err != nil || got != want {
			t.Errorf("%s: got %+v, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"ACMEsvc":         `it has no directory; if a shell or systemd removed the backslash, write DIR/id or 'DIR\id'`,
		"svc@acme.com":    `it has no directory`,
		"":                `it has no directory`,
		`ACME\`:           `write DIR/id or 'DIR\id'`,
		`/svc`:            `write DIR/id or 'DIR\id'`,
		`ACME\\svc`:       `write a single backslash`,
		`ACME\a\b`:        `write a single backslash`,
		`https://idp/svc`: `write 'DIR\id' with a backslash`,
		`ACME\a,ACME\b`:   `write a single user`,
		`ACME/a,ACME/b`:   `write a single user`,
		`ACME\a, b`:       `write a single user`,
		`ACME\a;ACME\b`:   `write a single user`,
		`ACME\a ACME\b`:   `write a single user`,
		`ACME/a ACME\b`:   `write a single user`,
		`ACME/a ACME/b`:   `write a single user`,
		"ACME\nick":       `it contains an invisible character`, // "ACME\nick" in YAML
		"ACME\tom":        `it contains an invisible character`,
		"ACME\u2028ars":   `it contains an invisible character`, // "ACME\Lars" in YAML
		"ACME\u0085ils":   `it contains an invisible character`,
		"ACME\\svc\u200b": `it contains an invisible character`,
		"ACME\\a\u00a0b":  `it contains an invisible character`,
		"\ufeffACME\\svc": `it contains an invisible character`,
		"ACME\\caf\xe9":   `it contains an invisible character`,
	} {
		if got, err := ParseUser(text); err == nil || !strings.HasPrefix(err.Error(), text+` is not a user as DIRECTORY\id: `+want) {
			t.Errorf("%q: got %+v, %v, want %s", text, got, err, want)
		}
	}
}

// TestUserNameOfRow checks that only a backslash separates a directory and an id in the
// data of the repository.
func TestUserNameOfRow(t *testing.T) {
	for text, want := range map[string]User{
		`ACME\anna`:    {"ACME", "anna"},
		`ACME\a,b\c/d`: {"ACME", `a,b\c/d`},
		`ACME/anna`:    {},
		`anna`:         {},
		`\anna`:        {},
		`ACME\`:        {},
	} {
		row := usageRecord{ModifiedBy: optional[name]{value: name(text), known: true}}
		if got := row.owner(); got != want {
			t.Errorf("%s: got %+v, want %+v", text, got, want)
		}
	}
}

// FuzzParseUser checks that a user that is accepted can be written in the form of
// String, which is the form in the documentation.
func FuzzParseUser(f *testing.F) {
	for _, seed := range []string{`ACME\svc`, `ACME/svc`, "ACMEsvc", `a\b,c\d`, `a/b\c`, "A\\ſ"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		user, err := ParseUser(text)
		if err != nil {
			return
		}
		if again, err := ParseUser(user.String()); err != nil || again != user {
			t.Errorf("%q is %+v, written as %q: %+v, %v", text, user, user.String(), again, err)
		}
	})
}
