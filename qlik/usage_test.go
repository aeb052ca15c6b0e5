package qlik

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func usageRowsOf(tb testing.TB, body string) ([]UsageRow, *Client, error) {
	tb.Helper()
	c := answers{"/analyzeraccessusage": body}.client()
	rows, err := c.UsageRows(tb.Context(), &Licenses{inUse: licenseTypes[1:2]})
	return rows, c, err
}

// TestOddUsageRows checks that an odd row or field costs itself.
func TestOddUsageRows(t *testing.T) {
	const good = `{"sessionID":"good","modifiedByUserName":"LAB\\anna","latestActivity":"2026-03-02T12:00:00.000Z"}`
	anna := NewUser("LAB", "anna")
	row := func(id string, user User, at time.Time) UsageRow {
		return UsageRow{Session: SessionID(id).Key(), User: user, License: LicenseAnalyzer, LastActivity: at}
	}
	long := strings.Repeat("x", maxName+1)
	for _, test := range []struct {
		name, odd string
		want      []UsageRow
		leftOut   uint64
	}{
		{"rows without a session", `{},{"sessionID":null},{"sessionID":""}`, nil, 0},
		{"odd rows", `null,5,[],{"sessionID":7},{"sessionID":{}},{"sessionID":"` + long + `"}`, nil, 6},
		{"an odd time", `{"sessionID":"1","latestActivity":7}`, []UsageRow{row("1", User{}, time.Time{})}, 1},
		{"a time of another region", `{"sessionID":"1","latestActivity":"3/16/2026"}`, []UsageRow{row("1", User{}, time.Time{})}, 1},
		{"a time that is not set", `{"sessionID":"1","latestActivity":"1753-01-01T00:00:00.000Z"},{"sessionID":"2","latestActivity":"0001-01-01T00:00:00Z"}`, []UsageRow{row("1", User{}, time.Time{}), row("2", User{}, time.Time{})}, 0},
		{"a clock that is ahead", `{"sessionID":"1","latestActivity":"2026-03-02T13:00:00Z"}`, []UsageRow{row("1", User{}, today.Add(time.Hour))}, 0},
		{"times in the future", `{"sessionID":"1","latestActivity":"2026-03-04T12:00:00Z"},{"sessionID":"2","latestActivity":"9999-12-31T23:59:59.999Z"}`, []UsageRow{row("1", User{}, time.Time{}), row("2", User{}, time.Time{})}, 2},
		{"an odd start", `{"sessionID":"1","useStartTime":"3/16/2026"}`, []UsageRow{row("1", User{}, time.Time{})}, 1},
		{"starts that are not possible", `{"sessionID":"1","useStartTime":"0001-01-01T00:00:00Z"},{"sessionID":"2","useStartTime":"9999-12-31T23:59:59.999Z"}`, []UsageRow{row("1", User{}, time.Time{}), row("2", User{}, time.Time{})}, 0},
		{"an odd author", `{"sessionID":"1","modifiedByUserName":["LAB\\anna"]}`, []UsageRow{row("1", User{}, time.Time{})}, 1},
		{"a long author", `{"sessionID":"1","modifiedByUserName":"LAB\\` + long + `"}`, []UsageRow{row("1", User{}, time.Time{})}, 1},
		{"an odd user, and the author", `{"sessionID":"1","user":7,"modifiedByUserName":"LAB\\anna"}`, []UsageRow{row("1", anna, time.Time{})}, 1},
		{"half a user, and the author", `{"sessionID":"1","user":{"userId":"bert"},"modifiedByUserName":"LAB\\anna"}`, []UsageRow{row("1", anna, time.Time{})}, 0},
		{
			"odd sessions", `{"user":{"userDirectory":"LAB","userId":"anna"},"sessions":[{"sessionID":"1"},7,{"sessionID":7},{},{"sessionID":"2","latestActivity":{}}]}`,
			[]UsageRow{row("1", anna, time.Time{}), row("2", anna, time.Time{})},
			4,
		},
		{"no list of sessions", `{"user":{"userDirectory":"LAB","userId":"anna"},"sessions":"1"}`, nil, 1},
	} {
		rows, c, err := usageRowsOf(t, "["+good+","+test.odd+"]")
		if want := append([]UsageRow{row("good", anna, today)}, test.want...); err != nil || !reflect.DeepEqual(rows, want) {
			t.Errorf("%s: got %v, %v, want %v", test.name, rows, err, want)
		}
		if skipped := c.Skipped()[SourceUsage]; skipped != test.leftOut {
			t.Errorf("%s: left out %d, want %d: %v", test.name, skipped, test.leftOut, c.LeftOut(SourceUsage))
		}
	}
	for _, body := range []string{`[7]`, `{}`, `null`, `[` + good} {
		if rows, _, err := usageRowsOf(t, body); KindOf(err) != KindDecode || rows != nil {
			t.Errorf("%s: %v, %v", body, rows, err)
		}
	}
}

// FuzzUsageRows checks that whatever stands beside good rows, they are read, and that
// each session has one row.
func FuzzUsageRows(f *testing.F) {
	for _, seed := range []string{
		`5`, `{}`, `{"sessionID":"x"}`, `{"sessionID":"x","latestActivity":5,"user":{"userId":5}}`, `{"sessions":[{"sessionID":"y"},{}],"user":{"userDirectory":"A","userId":"b"}}`,
		`{"sessionID":"x","sessions":{"sessionID":"x"},"modifiedByUserName":"A\\b"}`, `{"sessionID":"x","latestActivity":"0001-01-01T00:00:00Z","modifiedByUserName":"INTERNAL\\sa"}`,
		`{"SESSIONID":"x","session_id":7}`, `{"user":{"userDirectory":"none","userId":"anonymous1"},"sessionID":"z"}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, odd string) {
		rows, c, err := usageRowsOf(t, `[{"sessionID":"first-good","modifiedByUserName":"LAB\\anna"},`+odd+`,{"sessionID":"last-good"}]`)
		if strings.TrimSpace(odd) == "" || !json.Valid([]byte(`[`+odd+`]`)) || strings.Count(odd, "[")+strings.Count(odd, "{") > 5000 {
			return
		}
		if err != nil {
			t.Fatalf("%q: %v", odd, err)
		}
		seen := make(map[SessionKey]bool)
		for _, row := range rows {
			if seen[row.Session] || row.License != LicenseAnalyzer || row.User.Counted() != row.User {
				t.Errorf("%q: %v", odd, row)
			}
			seen[row.Session] = true
		}
		if !seen[SessionID("first-good").Key()] || !seen[SessionID("last-good").Key()] || rows[0].User != NewUser("LAB", "anna") {
			t.Errorf("%q: %v", odd, rows)
		}
		if left := c.LeftOut(SourceUsage); !slices.IsSortedFunc(left, func(a, b LeftOut) int { return strings.Compare(a.What, b.What) }) {
			t.Errorf("%q: %v", odd, left)
		}
	})
}
