package qlik

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// sample is a record with a field of each type.
type sample struct {
	ID     name                `json:"id"`
	Text   optional[label]     `json:"text"`
	Flag   optional[bool]      `json:"flag"`
	Number optional[float64]   `json:"number"`
	Port   optional[port]      `json:"port"`
	Time   optional[time.Time] `json:"time"`
	Span   optional[minutes]   `json:"span"`
	Kind   optional[enum]      `json:"kind"`
	Inner  optional[inner]     `json:"inner"`
	List   elements[inner]     `json:"list"`
}

func (s sample) usable() bool { return s.ID != "" }

type inner struct {
	ID   name            `json:"id"`
	Flag optional[bool]  `json:"flag"`
	More elements[inner] `json:"more"`
}

func (i inner) usable() bool { return i.ID != "" }

func decodeSamples(body string) (got []sample, left leftOut, err error) {
	left = make(leftOut)
	err = decodeElements(strings.NewReader(body), left, newRoom(maxElements, maxNames), func(s *sample) { got = append(got, *s) })
	return got, left, err
}

func known[T any](value T) optional[T] { return optional[T]{value: value, known: true} }

// TestLenient checks that an odd element or field costs only itself.
func TestLenient(t *testing.T) {
	odd := func(fields ...string) leftOut {
		left := make(leftOut)
		for _, field := range fields {
			left.add(field)
		}
		return left
	}
	for _, test := range []struct {
		name, body string
		want       []sample
		left       leftOut
	}{
		{"nothing", `[]`, nil, odd()},
		{
			"all fields", `[{"id":"a","text":"t","flag":true,"number":0.1,"port":4243,"time":"2026-03-02T12:00:00.000Z","span":30,"kind":2,"inner":{"id":"i","flag":false},"list":[{"id":"b"}]}]`,
			[]sample{{
				"a", known[label]("t"), known(true), known(0.1), known(port(4243)), known(today), known(minutes(30 * time.Minute)), known(enum{set: true, number: 2}),
				known(inner{ID: "i", Flag: known(false)}),
				elements[inner]{list: []inner{{ID: "b"}}},
			}},
			odd(),
		},
		{"null is missing", `[{"id":"a","text":null,"flag":null,"number":null,"port":null,"time":null,"span":null,"kind":null,"inner":null,"list":null}]`, []sample{{ID: "a", Kind: optional[enum]{}}}, odd()},
		{"names in other cases", `[{"ID":"a","Text":"t"}]`, []sample{{ID: "a", Text: known[label]("t")}}, odd()},
		{
			"odd elements of every kind", `[{"id":"a"},null,5,"x",true,[],[1,[2,{"id":"c"}]],{},{"id":5},{"id":{"id":"x"}},{"id":null},{"id":"b"}]`,
			[]sample{{ID: "a"}, {ID: "b"}},
			odd(slices.Repeat([]string{wholeElement}, 10)...),
		},
		{
			"fields of the wrong type", `[{"id":"a","text":5,"flag":"true","number":"1","port":"4243","time":5,"span":"30","kind":{},"inner":[{"id":"x"}],"list":7},{"id":"b"}]`,
			[]sample{{
				"a",
				optional[label]{odd: true},
				optional[bool]{odd: true},
				optional[float64]{odd: true},
				optional[port]{odd: true},
				optional[time.Time]{odd: true},
				optional[minutes]{odd: true},
				optional[enum]{odd: true},
				optional[inner]{odd: true},
				elements[inner]{odd: true},
			}, {ID: "b"}},
			odd("text", "flag", "number", "port", "time", "span", "kind", "inner", "list"),
		},
		{
			"numbers out of range", `[{"id":"a","number":1e999,"port":70000,"span":1e300,"kind":1e30}]`,
			[]sample{{ID: "a", Number: optional[float64]{odd: true}, Port: known(port(0)), Span: optional[minutes]{odd: true}, Kind: optional[enum]{odd: true}}},
			odd("number", "span", "kind"),
		},
		{
			"more numbers out of range", `[{"id":"a","port":-1,"span":-1,"kind":2.0},{"id":"b","port":1.5,"span":-1e999,"kind":"2"},{"id":"c","port":0,"kind":""},{"id":"d","kind":"` + strings.Repeat("x", maxFieldName+1) + `"}]`,
			[]sample{
				{ID: "a", Port: known(port(0)), Span: optional[minutes]{odd: true}, Kind: optional[enum]{odd: true}},
				{ID: "b", Port: known(port(0)), Span: optional[minutes]{odd: true}, Kind: optional[enum]{odd: true}},
				{ID: "c", Port: known(port(0)), Kind: optional[enum]{odd: true}},
				{ID: "d", Kind: optional[enum]{odd: true}},
			},
			odd("span", "kind", "span", "kind", "kind", "kind"),
		},
		{
			"a time in another form", `[{"id":"a","time":"3/16/2026"}]`,
			[]sample{{ID: "a", Time: optional[time.Time]{odd: true}}},
			odd("time"),
		},
		{
			"an odd field within a field", `[{"id":"a","inner":{"id":"i","flag":[[{"x":"]"}]]},"text":"t"}]`,
			[]sample{{ID: "a", Text: known[label]("t"), Inner: known(inner{ID: "i", Flag: optional[bool]{odd: true}})}},
			odd("flag"),
		},
		{
			"odd elements of a list within an element", `[{"id":"a","list":[{"id":"b"},5,{"id":[1,2]},{"id":"c","more":[{"id":"d"},{}]}],"text":"t"}]`,
			[]sample{{ID: "a", Text: known[label]("t"), List: elements[inner]{list: []inner{{ID: "b"}, {ID: "c", More: elements[inner]{list: []inner{{ID: "d"}}, odd: true}}}, odd: true}}},
			odd("list", "list", "more"),
		},
		{"an object in place of a list", `[{"id":"a","list":{"id":"b"}}]`, []sample{{ID: "a", List: elements[inner]{list: []inner{{ID: "b"}}}}}, odd()},
		{"an odd object in place of a list", `[{"id":"a","list":{}}]`, []sample{{ID: "a", List: elements[inner]{odd: true}}}, odd("list")},
		{"the last of two fields counts", `[{"id":"a","flag":5,"flag":true}]`, []sample{{ID: "a", Flag: known(true)}}, odd("flag")},
		{"the longest name", `[{"id":"` + strings.Repeat("ä", maxName) + `"},{"id":"a` + strings.Repeat("ä", maxName) + `"}]`, []sample{{ID: name(strings.Repeat("ä", maxName))}}, odd(wholeElement)},
	} {
		got, left, err := decodeSamples(test.body)
		if err != nil || !reflect.DeepEqual(got, test.want) || !maps.Equal(left, test.left) {
			t.Errorf("%s: got\n\t%+v\n\t%v, %v\nwant\n\t%+v\n\t%v", test.name, got, left, err, test.want, test.left)
		}
	}
}

// TestLenientRefuses checks that a response that is not a list of entities is no list
// with odd elements.
func TestLenientRefuses(t *testing.T) {
	for _, test := range []struct {
		body string
		want Kind
	}{
		{``, KindNotJSON},
		{`<html>`, KindNotJSON},
		{`null`, KindDecode},
		{`{"id":"a"}`, KindDecode},
		{`[{"id":"a"}`, KindDecode},
		{`[{"id":"a"},`, KindDecode},
		{`[{"id":"a"},{"text":{"x":`, KindDecode},
		{`[{"id":"a"},{"list":[{"id":"b"},`, KindDecode},
		{`[{"id":"a"},{"list":[{"id":"b"}}]`, KindDecode},
		{`[{"id":"a"},{"flag":nope}]`, KindDecode},
		{`[{"id":"a"}] x`, KindDecode},
		{`[5]`, KindDecode}, // of another shape
		{`[{},{"Id":null}]`, KindDecode},
	} {
		if _, _, err := decodeSamples(test.body); err == nil || classify(err) != test.want {
			t.Errorf("%s: got %v, want %s", test.body, err, test.want)
		}
	}
	broken := errors.New("connection reset")
	for _, start := range []string{`[`, `[{"id":"a"},{"text":`, `[{"id":"a"},{"text":[`, `[{"id":"a"},{"list":[5,`, `[{"id":"a"},5`, `[{"id":"a"}]`} {
		body := io.MultiReader(strings.NewReader(start), errorReader{broken})
		if err := decodeElements(body, make(leftOut), newRoom(maxElements, maxNames), func(*sample) {}); !errors.Is(err, broken) {
			t.Errorf("after %q: got %v", start, err)
		}
	}
	for _, body := range []io.Reader{endless(`[{"text":[`, `[1],`), endless(`[{"list":[`, `{"id":"x"},`)} {
		if err := decodeElements(body, make(leftOut), newRoom(maxElements, maxNames), func(*sample) {}); classify(err) != KindTooLarge {
			t.Errorf("got %v", err)
		}
	}
}

func TestLeftOutIsBounded(t *testing.T) {
	var body strings.Builder
	body.WriteString(`[{"id":"a"}`)
	for i := range 1000 { // underscores in names are ignored
		body.WriteString(`,{"id":"b","f` + strings.Repeat("_", i) + `lag":5}`)
	}
	body.WriteString(`]`)
	_, attempt, err := decodeSamples(body.String())
	left := make(leftOut)
	left.merge(attempt, "a list")
	var total uint64
	for what, times := range left {
		total += times
		if len(what) > maxFieldName+len(" of a list") || !utf8.ValidString(what) {
			t.Errorf("%q", what)
		}
	}
	if err != nil || total != 1000 || len(left) > maxLeftOut+1 {
		t.Errorf("%d names for %d fields, %v", len(left), total, err)
	}
}

func TestLabel(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  "",
		"Central Proxy (Default)":           "Central Proxy (Default)",
		strings.Repeat("x", maxLabel):       strings.Repeat("x", maxLabel),
		strings.Repeat("x", maxLabel+1):     strings.Repeat("x", maxLabel-3) + "…",
		strings.Repeat("ä", 1500):           strings.Repeat("ä", (maxLabel-3)/2) + "…",
		"x" + strings.Repeat("日本", 1500):    "x" + strings.Repeat("日本", 32) + "日…",
		strings.Repeat("\U0001F600", 1500):  strings.Repeat("\U0001F600", 49) + "…",
		"a\xffb":                            "a\uFFFDb",
		strings.Repeat("\xff", 2*maxLabel):  strings.Repeat("\uFFFD", 65) + "…",
		strings.Repeat("x\xff", 2*maxLabel): strings.Repeat("x\uFFFD", 49) + "x…",
	} {
		got, _, err := decodeSamples(`[{"id":"a","text":"` + text + `"}]`)
		if err != nil || string(got[0].Text.value) != want || len(want) > maxLabel {
			t.Errorf("got %q, %v, want %q", got[0].Text.value, err, want)
		}
	}
}

// FuzzLenient checks that whatever stands beside good elements, they are read, and that
// no element is read that the strict decoder of encoding/json refuses.
func FuzzLenient(f *testing.F) {
	for _, seed := range []string{
		`5`, `null`, `{}`, `{"id":5}`, `{"id":"x","flag":5}`, `{"id":"x","list":[{"id":"y"},{}]}`, `{"id":"x","list":{"id":"y"}}`, `[[[]]]`,
		`{"id":"x","inner":{"flag":[{}]}}`, `{"id":"x","span":1e300,"number":1e999}`, `{"id":"x","kind":2.0,"port":"4243"}`, `"]"`, `{"id":"\ud800","text":"\u0000"}`,
		`{"id":"x","inner":{"more":[{"id":"z","more":{}}]}}`, `{"id":"x","time":"2026-03-02T12:00:00Z"}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, odd string) {
		got, left, err := decodeSamples(`[{"id":"first","flag":true},` + odd + `,{"id":"last","text":"t"}]`)
		if strings.TrimSpace(odd) == "" || !json.Valid([]byte(`[`+odd+`]`)) || strings.Count(odd, "[")+strings.Count(odd, "{") > 5000 {
			return // the whole response is invalid, or nested too deep
		}
		if err != nil {
			t.Fatalf("%q: %v", odd, err)
		}
		if len(got) < 2 || got[0].ID != "first" || !is(got[0].Flag, true) || got[len(got)-1].ID != "last" || !is(got[len(got)-1].Text, "t") {
			t.Fatalf("%q: the good elements are %+v", odd, got)
		}
		for _, s := range got {
			if s.ID == "" || !isName(string(s.ID)) || len(s.Text.value) > maxLabel || s.Span.value < 0 || s.Text.known && s.Text.odd {
				t.Errorf("%q: %+v", odd, s)
			}
		}
		for what, times := range left {
			if times < 1 || len(what) > len(odd) && what != wholeElement && what != others {
				t.Errorf("%q: left out %q, %d times", odd, what, times)
			}
		}
	})
}
