package auditlog

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// header is the first line of a log (docs/qlik.md, "Audit log").
const header = "Sequence#\tProductVersion\tTimestamp\tHostName\tId\tDescription\tProxySessionId\tProxyPackageId\tRequestSequenceId\t" +
	"UserDirectory\tUserId\tObjectId\tObjectName\tSecurityClass\tClientHostAddress\tService\tOrigin\tContext\tCommand\tResult\tMessage\tChecksum"

const (
	limitMessage   = `Access was denied for User: 'LAB\goran', with AccessID '264ff070-6306-4f1b-85db-21a8468939b5', SessionID: 'e3cd957b-a501-4bec-a3f8-d35170a73efa', SessionCount: '5', Hostname: '::1', OperationType: 'UsageDenied'`
	licenseMessage = `Login access denied for SessionID: 'e3cd957b-a501-4bec-a3f8-d35170a73efa', Hostname: "10.0.0.7", OperationType: 'UsageDenied'`
	grantedMessage = `Access was granted for User: 'LAB\goran', with AccessID '264ff070', SessionID: 'e3cd957b', Hostname: '::1', OperationType: 'UsageGranted'`
)

// Messages of newer releases. The session ids in them are not those of session lists.
const (
	limit2021 = `Access was denied for User: 'LAB\goran', with AccessID '264ff070-6306-4f1b-85db-21a8468939b5', SessionId: 'c0de41d2-7a0c-4c1e-9a55-0d0b6a2f1e77', SessionCount: '5', Hostname: '10.0.0.7', OperationType: 'UsageDenied'`
	third2025 = `Access was denied for User: 'LAB\goran', SessionId: 'c0de41d2-7a0c-4c1e-9a55-0d0b6a2f1e77', Hostname: '10.0.0.7'`
	timedOut  = `Professional access usages. User: 'LAB\goran', OperationType: 'Timedout', UsageID: '264ff070-6306-4f1b-85db-21a8468939b5', SessionID: 'c0de41d2-7a0c-4c1e-9a55-0d0b6a2f1e77'`
)

// checked is the line of a refused license check as newer releases write it.
func checked(command, directory, id, message string) string {
	return strings.Join([]string{
		"4711", "14.20.5.0", "20240514T091502.113+0200", "QLIKNODE1", "3f0c", "Command=" + command + ";Result=403;ResultText=Error: Access denied",
		"c0de41d2-7a0c-4c1e-9a55-0d0b6a2f1e77", "0", "0", directory, id, "Not available", "Not available", "Not available", "10.0.0.7", "Repository",
		"AppAccess", "/qrs/requestaccesstype", command, "403", message, "checksum",
	}, "\t")
}

// line is a line of a log with the columns of header.
func line(timestamp, directory, id, message string) string {
	return strings.Join([]string{
		"1288", "14.173.4.0", timestamp, "QLIKNODE1", "3f0c", "Command=License user access;Result=403;ResultText=Error: Access denied",
		"0", "0", "0", directory, id, "264ff070", "Not available", "License", "::1", "Repository", "Not available", "Not available",
		"License user access", "403", message, "checksum",
	}, "\t")
}

func mustParseHeader(tb testing.TB, line string) columns {
	tb.Helper()
	c, err := parseHeader([]byte(line))
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func TestParse(t *testing.T) {
	c := mustParseHeader(t, header)
	const at = "20240514T091502.113+0200"
	when := time.Date(2024, 5, 14, 7, 15, 2, 113e6, time.UTC)
	goran := qlik.User{Directory: "LAB", ID: "goran"}
	for name, test := range map[string]struct {
		line string
		want *Denial
		err  error
	}{
		"limit":                {line(at, "LAB", "goran", limitMessage), &Denial{when, goran, SessionLimit}, nil},
		"no license":           {line(at, "LAB", "goran", licenseMessage), &Denial{when, goran, NoLicense}, nil},
		"folded":               {line(at, "lab", "Goran", limitMessage), &Denial{when, goran, SessionLimit}, nil},
		"colon in the offset":  {line("20240514T091502.113+02:00", "LAB", "goran", limitMessage), &Denial{when, goran, SessionLimit}, nil},
		"Z":                    {line("20240514T071502.113Z", "LAB", "goran", limitMessage), &Denial{when, goran, SessionLimit}, nil},
		"microseconds":         {line("20240514T071502.113000Z", "LAB", "goran", limitMessage), &Denial{when, goran, SessionLimit}, nil},
		"no fraction":          {line("20240514T071502Z", "LAB", "goran", limitMessage), &Denial{when.Truncate(time.Second), goran, SessionLimit}, nil},
		"user in the message":  {line(at, "", "", limitMessage), &Denial{when, goran, SessionLimit}, nil},
		"user not available":   {line(at, "Not available", "Not available", limitMessage), &Denial{when, goran, SessionLimit}, nil},
		"apostrophe":           {line(at, "", "", strings.Replace(limitMessage, "goran", "o'brien", 1)), &Denial{when, qlik.User{Directory: "LAB", ID: "o'brien"}, SessionLimit}, nil},
		"nobody":               {line(at, "", "", licenseMessage), &Denial{when, qlik.User{}, NoLicense}, nil},
		"double quotes":        {line(at, "LAB", "goran", strings.ReplaceAll(limitMessage, "'", `"`)), &Denial{when, goran, SessionLimit}, nil},
		"not UTF-8":            {line(at, "LAB", "gor\xffan", limitMessage), &Denial{when, qlik.User{Directory: "LAB", ID: "gor\uFFFDan"}, SessionLimit}, nil},
		"granted":              {line(at, "LAB", "goran", grantedMessage), nil, nil},
		"words in other place": {line(at, "LAB", "UsageDenied", grantedMessage), nil, nil},
		"only the word":        {strings.ReplaceAll(line(at, "LAB", "goran", "UsageDenied"), "403", "0"), nil, nil},
		"granted at odd time":  {line("yesterday", "LAB", "goran", grantedMessage), nil, nil},
		"denied at odd time":   {line("yesterday", "LAB", "goran", limitMessage), nil, errTime},
		"no offset":            {line("20240514T091502.113", "LAB", "goran", limitMessage), nil, errTime},
		"endless time":         {line(strings.Repeat("2", 1000), "LAB", "goran", limitMessage), nil, errTime},
		"too few columns":      {"1288\t14.173.4.0\t" + at, nil, errColumns},
		"without checksum":     {strings.TrimSuffix(line(at, "LAB", "goran", limitMessage), "\tchecksum"), &Denial{when, goran, SessionLimit}, nil},
		"without message":      {strings.TrimSuffix(line(at, "LAB", "goran", ""), "\t\tchecksum"), nil, errColumns},
		"empty":                {"", nil, errColumns},

		"analyzer, 2021":     {checked("License analyzer access", "LAB", "goran", limit2021), &Denial{when, goran, SessionLimit}, nil},
		"professional, 2021": {checked("License professional access", "LAB", "goran", limit2021), &Denial{when, goran, SessionLimit}, nil},
		"third form, 2025":   {checked("License professional access", "LAB", "goran", third2025), &Denial{when, goran, NoLicense}, nil},
		"third form with operation": {
			checked("License professional access", "LAB", "goran", third2025+", OperationType: 'UsageDenied'"), &Denial{when, goran, NoLicense}, nil,
		},
		"third form, user in the message": {checked("License professional access", "", "", third2025), &Denial{when, goran, NoLicense}, nil},
		"asked by a service":              {checked("License analyzer access", "INTERNAL", "sa_proxy", third2025), &Denial{when, goran, NoLicense}, nil},
		"service without user in message": {checked("License analyzer access", "INTERNAL", "sa_proxy", licenseMessage), &Denial{when, qlik.User{Directory: "INTERNAL", ID: "sa_proxy"}, NoLicense}, nil},
		"root administrator":              {checked("License professional access", "LAB", "admin", strings.Replace(third2025, "goran", "admin", 1)), &Denial{when, qlik.User{Directory: "LAB", ID: "admin"}, NoLicense}, nil},
		"no license, 2021":                {checked("License user access", "LAB", "goran", strings.Replace(licenseMessage, "SessionID", "SessionId", 1)), &Denial{when, goran, NoLicense}, nil},
		"another message":                 {checked("License analyzer access", "LAB", "goran", "No access pass"), &Denial{when, goran, NoLicense}, nil},
		"allowed license check":           {strings.ReplaceAll(checked("License analyzer access", "LAB", "goran", "Pass"), "403", "0"), nil, nil},
		"forbidden for another reason":    {checked("Open app", "LAB", "goran", "Your account is inactive. (HTTP code: 403)"), nil, nil},
		"another operation":               {checked("License professional access", "LAB", "goran", timedOut), nil, nil},
		"denied to open a stream":         {checked("Open app", "LAB", "goran", "Access was denied for User: 'LAB\\goran', resource 'Stream'"), nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, is, err := c.parse([]byte(test.line))
			if !errors.Is(err, test.err) || is != (test.want != nil) {
				t.Fatalf("%v %v, error %v", got, is, err)
			}
			if is && (!got.Time.Equal(test.want.Time) || got.User != test.want.User || got.Reason != test.want.Reason) {
				t.Errorf("%+v, want %+v", got, *test.want)
			}
		})
	}
}

func TestParseHeader(t *testing.T) {
	want := mustParseHeader(t, header)
	for _, same := range []string{
		"\uFEFF" + header, "#" + header, header + "\r", strings.ToUpper(header),
		strings.ReplaceAll(strings.ReplaceAll(header, "UserId", "User Id"), "UserDirectory", "user_directory"),
		header + "\tMessage", // the first column with a name counts
	} {
		if got := mustParseHeader(t, same); got != want {
			t.Errorf("%q: %+v", same, got)
		}
	}

	// Columns are found by name, never by position.
	c := mustParseHeader(t, "Message\tUserId\tX\tUserDirectory\tTimestamp")
	got, is, err := c.parse([]byte(strings.Join([]string{limitMessage, "goran", "x", "LAB", "20240514T071502.113Z"}, "\t")))
	if err != nil || !is || got.User != (qlik.User{Directory: "LAB", ID: "goran"}) || got.Reason != SessionLimit {
		t.Error(got, is, err)
	}

	// Without the columns Command and Result, only the message decides. Columns after the
	// required ones can be missing in a line.
	c = mustParseHeader(t, "Timestamp\tUserDirectory\tUserId\tMessage\tCommand\tResult")
	for _, row := range []string{limitMessage, limit2021, third2025, licenseMessage, "No access pass\tLicense user access\t403", limit2021 + "\t"} {
		if _, is, err := c.parse([]byte("20240514T071502.113Z\tLAB\tgoran\t" + row)); err != nil || !is {
			t.Errorf("%q: %t, %v", row, is, err)
		}
	}

	for broken, missing := range map[string]string{
		"": "Timestamp, UserDirectory, UserId, Message",
		strings.ReplaceAll(header, "UserId", "Who"):          "UserId",
		strings.ReplaceAll(header, "\t", ","):                "Timestamp, UserDirectory, UserId, Message",
		line("20240514T071502Z", "LAB", "g", grantedMessage): "Timestamp, UserDirectory, UserId, Message",
		"\xff\xfeT\x00i\x00m\x00e":                           "Timestamp, UserDirectory, UserId, Message",
	} {
		if _, err := parseHeader([]byte(broken)); err == nil || err.Error() != "its first line has no column "+missing {
			t.Errorf("%q: %v", broken, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(header, line("20240514T091502.113+0200", "LAB", "goran", limitMessage))
	f.Add("\uFEFF#"+header+"\r", line("20240514T091502.113Z", "", "", licenseMessage)+"\r")
	f.Add(header, checked("License analyzer access", "LAB", "goran", limit2021))
	f.Add(header, checked("License professional access", "", "", third2025))
	f.Add(header, checked("License professional access", "LAB", "goran", timedOut))
	f.Add("Timestamp\tUserDirectory\tUserId\tMessage\tCommand\tResult", "20240514T071502.113Z\tLAB\tgoran\tNo access pass\tLicense user access\t403")
	f.Add("Message\tUserId\tUserDirectory\tTimestamp", "\t\t\t")
	f.Fuzz(func(t *testing.T, header, line string) {
		c, err := parseHeader([]byte(header))
		if err != nil {
			return
		}
		d, is, err := c.parse([]byte(line))
		if !is {
			return
		}
		if err != nil {
			t.Error(err)
		}
		if d.Reason != SessionLimit && d.Reason != NoLicense {
			t.Error(d.Reason)
		}
		// Folding can make a letter longer, up to three bytes for one.
		if name := d.User.String(); !utf8.ValidString(name) || len(name) > 3*len(line)+1 {
			t.Errorf("%q", name)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	c := mustParseHeader(b, header)
	granted := []byte(line("20240514T091502.113+0200", "LAB", "goran", grantedMessage))
	refused := []byte(line("20240514T091502.113+0200", "LAB", "goran", limitMessage))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		each := granted
		if i%10 == 0 {
			each = refused
		}
		if _, is, err := c.parse(each); err != nil || is != (i%10 == 0) {
			b.Fatal(is, err)
		}
	}
}
