package qlik

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func decodeUsers(body io.Reader) ([]string, error) {
	var got []string
	err := decodeArray(body, func(r *sessionRecord) error {
		got = append(got, r.SessionID+" "+r.UserDirectory+" "+r.UserID)
		return nil
	})
	return got, err
}

func TestDecodeArray(t *testing.T) {
	for _, test := range []struct {
		name, body string
		want       []string
	}{
		{"empty", `[]`, nil},
		{"as Qlik writes it", `[{"UserDirectory":"LAB","UserId":"goran","Attributes":[{"group":"Sales"},{"group":"EMEA"}],"SessionId":"1","UserName":null}]`, []string{"1 LAB goran"}},
		{"lower camel case", `[{"userDirectory":"LAB","userId":"goran","sessionId":"1"}]`, []string{"1 LAB goran"}},
		{"null attributes", `[{"UserDirectory":"LAB","UserId":"goran","SessionId":"1","Attributes":null}]`, []string{"1 LAB goran"}},
		{"unknown fields", `[{"UserDirectory":"LAB","UserId":"goran","SessionId":"1","New":{"deep":[1,2,{}]}}]`, []string{"1 LAB goran"}},
		{"byte order mark", "\uFEFF[{\"UserDirectory\":\"LAB\",\"UserId\":\"goran\",\"SessionId\":\"1\"}]", []string{"1 LAB goran"}},
		{"white space around", " \r\n[ ]\r\n ", nil},
		{"an element does not inherit from the one before", `[{"UserDirectory":"LAB","UserId":"goran","SessionId":"1"},{"SessionId":"2"}]`, []string{"1 LAB goran", "2  "}},
	} {
		got, err := decodeUsers(strings.NewReader(test.body))
		if err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got %q, %v, want %q", test.name, got, err, test.want)
		}
	}
}

func TestDecodeArrayRefuses(t *testing.T) {
	for _, test := range []struct {
		name string
		body io.Reader
		want Kind
	}{
		{"nothing", strings.NewReader(""), KindNotJSON},
		{"a login page", strings.NewReader("<!DOCTYPE html><html></html>"), KindNotJSON},
		{"half a string", strings.NewReader(`"`), KindDecode},
		{"text", strings.NewReader("Service unavailable"), KindNotJSON},
		{"an object", strings.NewReader(`{"error":"no"}`), KindDecode},
		{"null", strings.NewReader(`null`), KindDecode},
		{"a string", strings.NewReader(`"[]"`), KindDecode},
		{"cut in an element", strings.NewReader(`[{"SessionId":"1","UserDir`), KindDecode},
		{"cut between elements", strings.NewReader(`[{"SessionId":"1"},`), KindDecode},
		{"cut before the end", strings.NewReader(`[{"SessionId":"1"}`), KindDecode},
		{"wrong type", strings.NewReader(`[{"SessionId":5}]`), KindDecode},
		{"not an object inside", strings.NewReader(`[3]`), KindDecode},
		{"more after the end", strings.NewReader(`[]{}`), KindDecode},
		{"half a string after the end", strings.NewReader(`[]"`), KindDecode},
		{"rubbish after the end", strings.NewReader(`[]<!-- -->`), KindDecode},
		{"elements without end", endless(`[`, `{"SessionId":"x"},`), KindTooLarge},
		{"a string without end", endless(`[{"SessionId":"`, `xxxxxxxxxxxxxxxx`), KindTooLarge},
		{"nesting without end", endless(`[{"A":`, `[`), KindDecode},
		{"white space without end", endless(`[`, `         `), KindTooLarge},
	} {
		err := decodeArray(test.body, func(*sessionRecord) error { return nil })
		if got := classify(err); err == nil || got != test.want {
			t.Errorf("%s: got %s (%v), want %s", test.name, got, err, test.want)
		}
	}
}

// TestDecodeErrorsQuoteNothing checks that errors contain no part of a response. A
// response can contain session ids, and errors are logged.
func TestDecodeErrorsQuoteNothing(t *testing.T) {
	for _, body := range []string{
		`[{"SessionId":"secret"`, `[{"SessionId":"secret"}}`, `[{"SessionId":["secret"]}]`, `[{"SessionId":secret}]`, `secret`, `["secret"]`,
		`[{"SessionId":{"secret":1}}]`, `[{"SessionId":12345.6e7}]`,
	} {
		err := decodeArray(strings.NewReader(body), func(*sessionRecord) error { return nil })
		if err == nil || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "12345") {
			t.Errorf("%s: the error is %v", body, err)
		}
	}
}

// TestDecodeArrayKeepsErrorsOfTheConnection checks that an error of the connection is
// not reported as invalid JSON.
func TestDecodeArrayKeepsErrorsOfTheConnection(t *testing.T) {
	broken := errors.New("connection reset")
	for _, start := range []string{"", "[", `[{"SessionId":`, `[{"Attributes":[{"group":`, "[]"} {
		body := io.MultiReader(strings.NewReader(start), errorReader{broken})
		if err := decodeArray(body, func(*sessionRecord) error { return nil }); !errors.Is(err, broken) {
			t.Errorf("after %q: got %v", start, err)
		}
	}
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

// endless is a reader that returns start and then repeats repeat forever.
func endless(start, repeat string) io.Reader {
	return io.MultiReader(strings.NewReader(start), &repeatReader{text: repeat})
}

type repeatReader struct {
	text string
	at   int
}

func (r *repeatReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = r.text[r.at]
		r.at = (r.at + 1) % len(r.text)
	}
	return len(p), nil
}

// TestLongNames checks that a session list with an id that Qlik Sense cannot have written
// is no session list.
func TestLongNames(t *testing.T) {
	for _, field := range []string{"SessionId", "UserDirectory", "UserId"} {
		for _, text := range []string{strings.Repeat("ä", maxName), strings.Repeat("ä", maxName+1)} {
			element := map[string]string{"SessionId": "1", "UserDirectory": "LAB", "UserId": "goran"}
			element[field] = text
			body, err := json.Marshal([]map[string]string{{"SessionId": "0", "UserDirectory": "LAB", "UserId": "anna"}, element})
			if err != nil {
				t.Fatal(err)
			}
			sessions, err := decodeSessions(bytes.NewReader(body), &Link{}, NewRoom(), 0)
			if isName(text) && (err != nil || len(sessions) != 2) || !isName(text) && (err == nil || classify(err) != KindDecode || strings.Contains(err.Error(), "ä")) {
				t.Errorf("%s of %d bytes: %d sessions, %v", field, len(text), len(sessions), err)
			}
		}
	}
}

func TestSessionIDDoesNotPrintItself(t *testing.T) {
	s := Session{ID: "secret", User: NewUser("LAB", "goran"), Link: &Link{}}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if out := fmt.Sprintf(format, s.ID) + fmt.Sprintf(format, s); strings.Contains(out, "secret") {
			t.Errorf("%s: %s", format, out)
		}
	}
}

// FuzzDecodeSessions checks that no response causes a panic or hangs, and that all
// accepted sessions are complete.
func FuzzDecodeSessions(f *testing.F) {
	for _, seed := range []string{
		`[]`, `[{"UserDirectory":"LAB","UserId":"goran","SessionId":"1"}]`, "\uFEFF[]", `{`, `[{"SessionId":1}]`, `[[]]`, `<html>`,
		`[{"UserDirectory":"LAB","UserId":"\ud800","SessionId":"1","Attributes":[{"group":""}],"UserName":null}]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var records []sessionRecord
		err := decodeArray(bytes.NewReader(body), func(r *sessionRecord) error {
			records = append(records, *r)
			return nil
		})
		if err == nil && len(records) > len(body) {
			t.Errorf("%d records out of %d bytes", len(records), len(body))
		}
		if err != nil && !strings.Contains(err.Error(), "answer") && !strings.Contains(err.Error(), "JSON") {
			t.Errorf("an error that does not say what is wrong: %v", err)
		}
		compareWithStandard(t, body, records, err)
	})
}

// compareWithStandard checks that the result equals that of encoding/json, with two
// exceptions: underscores and hyphens in names are ignored, and null is not an array.
func compareWithStandard(t *testing.T, body []byte, got []sessionRecord, err error) {
	t.Helper()
	var want []sessionRecord
	standard := json.Unmarshal(bytes.TrimPrefix(body, utf8BOM), &want)
	if bytes.ContainsAny(body, "_-") || standard == nil && want == nil {
		return
	}
	if (err == nil) != (standard == nil) || err == nil && !slices.Equal(got, want) {
		t.Errorf("%q: got %q, %v, encoding/json %q, %v", body, got, err, want, standard)
	}
}
