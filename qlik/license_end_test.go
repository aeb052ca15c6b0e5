package qlik

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// said returns the ends in a text, and a question mark for each that cannot be read.
func said(e ends) string {
	var all []string
	for _, at := range e.dates {
		all = append(all, at.Format(time.DateOnly))
	}
	for range e.unread {
		all = append(all, "?")
	}
	return strings.Join(all, " ")
}

func TestLicenseFileEnds(t *testing.T) {
	for lef, want := range map[string]string{
		"":                                 "",
		"PRODUCTLEVEL;50;;2099-12-31\r\n":  "",
		"TIMELIMIT;;2024-01-01;2025-06-30": "2025-07-01",
		"TIMELIMIT;VALUE;;2025-06-30":      "2025-07-01",
		" timelimit ; ; ; 2025-06-30 \n":   "2025-07-01",
		"TIMELIMIT;;;2025-06-30;":          "2025-07-01",
		"TIMELIMIT;;2024-01-01;":           "", // only the start
		"TIMELIMIT;;;":                     "",
		"TIMELIMIT;;2025-06-30":            "?", // the start or the end
		"TIMELIMIT":                        "?",
		"TIMELIMIT;;;soon":                 "?",
		"TIMELIMIT;;;2025-02-30":           "?",
		"MYTIMELIMIT;;;2025-06-30":         "",
		"NAME;TIMELIMIT;;2025-06-30":       "",
		"EXPIRES;;;2025-06-30":             "",
		"VALID TO;;;2025-06-30":            "",

		"PRODUCTLEVEL;50;;2019-06-30": "", // the end of maintenance
		"PRODUCTLEVEL;50;;2019-06-30\r\nTIMELIMIT;;;2025-06-30\r\nPROFESSIONAL;10;;\r\n": "2025-07-01",
		"TIMELIMIT;;;2025-06-30\nTIMELIMIT;;;2026-06-30":                                 "2025-07-01 2026-07-01",
	} {
		if got := said(readEnds(lef, "")); got != want {
			t.Errorf("%q: got %q, want %q", lef, got, want)
		}
	}
}

func TestKeyDetailsEnds(t *testing.T) {
	const qlik = "License Number: 9999000000001234\r\nValid From: 0001-01-01 12:00:00 AM\r\nValid To: %s\r\nAllotment professional:100; overage:0;\r\n"
	for text, want := range map[string]string{
		// As servers of different regions write the 16th of March 2026.
		"2026-03-16 12:00:00 AM":            "2026-03-17", // Qlik's own example
		"3/16/2026 12:00:00 AM":             "2026-03-17", // United States
		"3/16/2026 12:00:00\u202fAM":        "2026-03-17",
		"16/03/2026 00:00:00":               "2026-03-17", // France, United Kingdom
		"16/03/2026 12:00:00 a. m.":         "2026-03-17", // Mexico
		"16.03.2026 00:00:00":               "2026-03-17", // Germany
		"16.3.2026 0.00.00":                 "2026-03-17", // Finland
		"16. 3. 2026 0:00:00":               "2026-03-17", // Czech Republic
		"16-03-2026 00:00:00":               "2026-03-17", // Netherlands, India
		"2026. 03. 16. 0:00:00":             "2026-03-17", // Hungary
		"16.3.2026 г. 0:00:00":              "2026-03-17", // Bulgaria
		"2026/03/16 0:00:00":                "2026-03-17", // Japan
		"2026-03-16 오전 12:00:00":            "2026-03-17", // Korea
		"2026/3/16 0:00:00":                 "2026-03-17", // China
		"\u200f16/03/2026\u200f 12:00:00 ص": "2026-03-17", // Egypt
		"2026-03-16":                        "2026-03-17",
		"16.03.2026":                        "2026-03-17",
		"2026-03-16T00:00:00Z":              "2026-03-17",
		"2026-03-16T00:00:00.0000000+01:00": "2026-03-17",

		"3/16/2026 12:00:00 AM +00:00":     "2026-03-17", // with a time zone
		"16/03/2026 12:00:00 a. m. -06:00": "2026-03-17",
		"16.03.2026 00:00:00 +01:00":       "2026-03-17",

		// Both readings are possible, or the same.
		"3/4/2031":             "?",
		"3/4/2031 12:00:00 AM": "?",
		"03-04-2031":           "?",
		"12/1/2031":            "?",
		"4/4/2031":             "2031-04-05",
		"03.04.2031":           "2031-04-04",

		// No end.
		"":                            "",
		" ":                           "",
		"0001-01-01 12:00:00 AM":      "",
		"1/1/0001 12:00:00 AM":        "",
		"01.01.0001 00:00:00":         "",
		"9999-12-31 23:59:59.9999999": "",
		"12/31/9999 11:59:59 PM":      "",
		"31.12.9999 23:59:59":         "",

		// Not a date, or not one of the usual calendar.
		"never":                         "?",
		"16/3/2569 0:00:00":             "?", // Thailand
		"27/09/1447 12:00:00 ص":         "?", // Saudi Arabia
		"1404/12/25":                    "?", // Iran
		"16.03.26":                      "?",
		"26-03-16":                      "?",
		"16-Mar-26":                     "?",
		"March 16, 2026":                "?",
		"2026-02-30":                    "?",
		"29/2/2031":                     "?",
		"13/13/2026":                    "?",
		"0/0/2026":                      "?",
		"2026-03":                       "?",
		"2026":                          "?",
		"20260316":                      "?",
		"2026-03/16":                    "?",
		"2026-03-165":                   "?",
		"12026-03-16":                   "?",
		"2026-03-16 2027-03-16":         "?",
		"3/16/2026 or 2027":             "?",
		"in 2026-03-16":                 "?",
		"2026-03-16 to 2027":            "?",
		"2026-03-16 12:00 to 27":        "?",
		"2026-03-16 12:00 to +27:00:00": "?",
		"-5":                            "?",
		"9999-12-30":                    "?",
	} {
		if got := said(readEnds("", fmt.Sprintf(qlik, text))); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	for details, want := range map[string]string{
		"":                                 "",
		"Valid From: 2026-03-16":           "",
		"Valid To 2026-03-16":              "",
		"Invalid To: 2026-03-16":           "",
		"Not Valid To: 2026-03-16":         "",
		"Expires: 2026-03-16":              "",
		"End Date: 2026-03-16":             "",
		"Maintenance Valid To: 2026-03-16": "",
		"valid to : 2026-03-16":            "2026-03-17",
		"License Number: 1; Valid To: 2026-03-16; Allotment analyzer:5": "2026-03-17",
		"Valid To: 2026-03-16\nValid To: 2027-03-16":                    "2026-03-17 2027-03-17",
		"Valid To: 2026-03-16\rValid To: 3/4/2027":                      "2026-03-17 ?",
		"TIMELIMIT;;;2026-03-16":                                        "",
	} {
		if got := said(readEnds("", details)); got != want {
			t.Errorf("%q: got %q, want %q", details, got, want)
		}
	}
}

// TestUnreadEnd checks the text for people.
func TestUnreadEnd(t *testing.T) {
	for text, want := range map[string]string{
		"3/4/2031 12:00:00 AM":    `"3/4/2031 12:00:00 AM" can be read in two ways`,
		"1404/12/25":              `"1404/12/25" is not between the years 2000 and 2199`,
		"2026-02-30":              `"2026-02-30" is no date`,
		"\x1b[31m soon":           `"\x1b[31m soon" is in a form that cannot be read`,
		strings.Repeat("x", 1000): `"` + strings.Repeat("x", maxFieldName-3) + `…" is in a form that cannot be read`,
	} {
		if got := readEnds("", "Valid To: "+text).unread; !slices.Equal(got, []string{want}) {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// regions are layouts of dates, for servers of all regions.
var regions = []string{
	"2006-01-02", "2006/01/02", "2006/1/2", "2006. 01. 02.", "2006.01.02", "2/1/2006", "02/01/2006", "1/2/2006", "01/02/2006", "2.1.2006", "02.01.2006", "2. 1. 2006", "2-1-2006", "02-01-2006", "1-2-2006",
}

// FuzzLicenseText checks that a date of any region is read as that date or not at all,
// that only TIMELIMIT and "Valid To" are ends, and that no text causes a panic.
func FuzzLicenseText(f *testing.F) {
	for i, text := range []string{"", "PRODUCTLEVEL;50;;2019-06-30", "TIMELIMIT;;;2025-06-30", "Valid To: 3/4/2031", "Valid To: \u200f16/03/2026 ص", "VALID TO:9999-12-31;;", "timelimit;2001.", "Expires: 2026-01-01\r\n"} {
		f.Add(text, uint32(i*1000), uint8(i), " 12:00:00 AM")
	}
	f.Fuzz(func(t *testing.T, text string, days uint32, region uint8, clock string) {
		check := func(of string, e ends) {
			for _, at := range e.dates {
				if at.Year() < firstYear || at.Year() > lastYear+1 || at.Hour() != 0 {
					t.Errorf("%q ends at %s", of, at)
				}
			}
			for _, unread := range e.unread {
				if len(unread) > 6*maxFieldName+100 || !strings.Contains(unread, " ") {
					t.Errorf("%q: %q", of, unread)
				}
			}
			folded := strings.ToLower(strings.Join(strings.Fields(of), " "))
			if !strings.Contains(folded, "timelimit") && !strings.Contains(folded, "valid to") && len(e.dates)+len(e.unread) > 0 && isASCII(of) {
				t.Errorf("%q: ends at %q", of, said(e))
			}
		}
		check(text, readEnds(text, ""))
		check(text, readEnds("", text))

		day := time.Date(2000, 1, 1+int(days%73048), 0, 0, 0, 0, time.UTC) // before 2200
		layout := regions[int(region)%len(regions)]
		e := readEnds("", "Valid To: "+day.Format(layout)+clock)
		check("valid to", e)
		want := day.AddDate(0, 0, 1)
		for _, at := range e.dates {
			if !at.Equal(want) && !strings.ContainsAny(clock, "0123456789;\r\n:") {
				t.Errorf("%q in the form %s: got %s, want %s", day.Format(layout)+clock, layout, at, want)
			}
		}
	})
}

func isASCII(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r > 126 })
}
