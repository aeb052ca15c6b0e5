package text_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/text"
)

// dangerous are characters with an effect on the program that displays them: the start
// of a terminal escape in its 7-bit and 8-bit forms, delete, a mark that changes the
// direction of text, a special space, and a tag beyond 16 bits.
const dangerous = "\x1b\u009b\x7f\u202e\u00a0\U000e0041"

func TestVisible(t *testing.T) {
	for s, want := range map[string]string{
		"":                             "",
		`LAB\anna berg`:                `LAB\anna berg`,
		"שלום é 你好":                    "שלום é 你好",
		"a\tb\r\nc":                    "a‹U+0009›b‹U+000D›‹U+000A›c",
		dangerous:                      "‹U+001B›‹U+009B›‹U+007F›‹U+202E›‹U+00A0›‹U+E0041›",
		"\x9b31m is no UTF-8":          "\ufffd31m is no UTF-8",
		"\x9b31m is neither\u202e\xff": "\ufffd31m is neither‹U+202E›\ufffd",
	} {
		if got := text.Visible(s); got != want {
			t.Errorf("%q: got %q, want %q", s, got, want)
		}
	}
}

func TestCell(t *testing.T) {
	for s, want := range map[string]string{
		"":        "",
		"anna":    "anna",
		"a=1":     "a=1",
		"=1":      "'=1",
		"+1":      "'+1",
		"-1":      "'-1",
		"@sum":    "'@sum",
		"\t=1":    "'‹U+0009›=1",
		"\r=1":    "'‹U+000D›=1",
		"\u202e=": "‹U+202E›=",
		" =1":     "' =1",
		"＝1":      "'＝1",
		// A semicolon separates cells where the comma is the decimal point.
		"a;=1":       "a;'=1",
		`a";"=1;b;c`: `a";'"=1;b;c`,
		"a; b-c":     "a; b-c",
	} {
		if got := text.Cell(s); got != want {
			t.Errorf("%q: got %q, want %q", s, got, want)
		}
	}
}

// TestEscapeJSON checks that the document is safe to display and that its meaning does
// not change.
func TestEscapeJSON(t *testing.T) {
	document, err := json.MarshalIndent(map[string]string{"user": "anna\n" + dangerous}, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	const want = "{\n\t" + `"user": "anna\n\u001b\u009b\u007f\u202e\u00a0\udb40\udc41"` + "\n}"
	got := text.EscapeJSON(document)
	if string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
	var decoded map[string]string
	if err := json.Unmarshal(got, &decoded); err != nil || decoded["user"] != "anna\n"+dangerous {
		t.Errorf("decoded as %q, error %v", decoded, err)
	}
}

func TestNumber(t *testing.T) {
	for n, want := range map[float64]string{0: "0", 1.5: "1.5", 2024: "2,024", 1234567.25: "1,234,567.25", 1e9: "1,000,000,000", -1234: "-1,234"} {
		if got := text.Decimal(n); got != want {
			t.Errorf("%g: got %q", n, got)
		}
	}
}

func TestCount(t *testing.T) {
	for _, test := range []struct {
		n    int
		noun string
		want string
	}{
		{0, "session", "0 sessions"},
		{1, "session", "1 session"},
		{2, "session", "2 sessions"},
		{1, "virtual proxy", "1 virtual proxy"},
		{2, "virtual proxy", "2 virtual proxies"},
		{2, "key", "2 keys"},
		{2, "y", "2 ys"},
		{999, "user", "999 users"},
		{2024, "user", "2,024 users"},
		{1234567, "user", "1,234,567 users"},
	} {
		if got := text.Count(test.n, test.noun); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

func TestMoment(t *testing.T) {
	zone := time.FixedZone("CET", 3600)
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, zone)
	for _, test := range []struct {
		t    time.Time
		want string
	}{
		{now, "12:00:00 CET"},
		{now.UTC(), "12:00:00 CET"},
		{now.Add(12*time.Hour - time.Second), "23:59:59 CET"},
		{now.Add(12 * time.Hour), "21 Nov 00:00:00 CET"},
		{now.Add(-13 * time.Hour), "19 Nov 23:00:00 CET"},
		{now.AddDate(0, 2, 0), "20 Jan 2027 12:00:00 CET"},
		{now.AddDate(-1, 0, 0), "20 Nov 2025 12:00:00 CET"},
		{time.Date(2026, 12, 31, 23, 30, 0, 0, time.UTC), "1 Jan 2027 00:30:00 CET"}, // the year in this zone
	} {
		if got := text.Moment(test.t, now); got != test.want {
			t.Errorf("%s: got %q, want %q", test.t, got, test.want)
		}
	}
}

func TestComing(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.FixedZone("CET", 3600))
	for after, want := range map[time.Duration]string{
		-time.Second:                       "11:59:59 CET (now)",
		0:                                  "12:00:00 CET (now)",
		time.Second:                        "12:00:01 CET (in 1 s)",
		2*time.Second - 1:                  "12:00:01 CET (in 2 s)",
		time.Minute - time.Second:          "12:00:59 CET (in 59 s)",
		time.Minute - 1:                    "12:00:59 CET (in 1 min)",
		33*time.Minute + time.Second:       "12:33:01 CET (in 33 min)",
		5*time.Minute + 29*time.Second:     "12:05:29 CET (in 5 min)",
		5*time.Minute + 30*time.Second:     "12:05:30 CET (in 6 min)",
		time.Nanosecond:                    "12:00:00 CET (in 1 s)",
		34 * time.Minute:                   "12:34:00 CET (in 34 min)",
		time.Hour - time.Second:            "12:59:59 CET (in 1 h 0 min)",
		24*time.Hour - 1:                   "21 Nov 11:59:59 CET (in 1 d 0 h)",
		365*24*time.Hour + time.Nanosecond: "20 Nov 2027 12:00:00 CET (in 365 d 0 h)",
	} {
		if got := text.Coming(now.Add(after).UTC(), now); got != want {
			t.Errorf("%s: got %q, want %q", after, got, want)
		}
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second:                 "0 s",
		0:                            "0 s",
		time.Minute - 1:              "59 s",
		time.Minute:                  "1 min",
		time.Hour - 1:                "59 min",
		time.Hour:                    "1 h 0 min",
		24*time.Hour - 1:             "23 h 59 min",
		24 * time.Hour:               "1 d 0 h",
		75*time.Hour + time.Minute:   "3 d 3 h",
		1000*time.Hour + time.Second: "41 d 16 h",
	} {
		if got := text.Duration(d); got != want {
			t.Errorf("%s: got %q, want %q", d, got, want)
		}
	}
}
