package check

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

func wantedLicenses(s *site) string {
	if !s.Licenses {
		return "turned off by " + s.Setting("no-collector.licenses")
	}
	return ""
}

func knownLicenses(s *site) string {
	if s.licenses == nil {
		return "the licenses cannot be read"
	}
	return ""
}

// readLicenses reads the license holders. If some lists fail, the others are still
// known.
func (s *site) readLicenses(ctx context.Context) ([]Result, error) {
	var err error
	if s.licenses, err = s.client.On(s.repository.address).Licenses(ctx); err != nil {
		return nil, err
	}
	var seats []string
	for _, license := range slices.Sorted(maps.Keys(s.licenses.Seats)) {
		of := s.licenses.Seats[license]
		if of.Allocated != nil && of.Total != nil && (*of.Total > 0 || *of.Allocated > 0) {
			seats = append(seats, fmt.Sprintf("%s %s of %s", license, text.Decimal(*of.Allocated), text.Decimal(*of.Total)))
		}
	}
	found := "readable"
	if len(seats) > 0 {
		found = "allocated: " + strings.Join(seats, ", ")
	}
	if capacity := s.licenses.Capacity; capacity != nil && capacity.Allocated != nil && capacity.Used != nil {
		found += fmt.Sprintf("; analyzer capacity: %s of %s minutes used", minutes(*capacity.Used), minutes(*capacity.Allocated))
	}
	if tokens := s.licenses.Tokens; tokens != nil && tokens.Total != nil && tokens.Available != nil {
		found += fmt.Sprintf("; tokens: %s of %s available", text.Decimal(*tokens.Available), text.Decimal(*tokens.Total))
	}
	return passed("%s", found), nil
}

func minutes(d time.Duration) string { return text.Number(int(d.Round(time.Minute) / time.Minute)) }

func licenseIsRead(s *site) bool { return s.licenses != nil }

// checkLicense reports whether the license is valid and when it ends. It warns of ends that
// cannot be read without doubt.
func (s *site) checkLicense(context.Context) ([]Result, error) {
	var results []Result
	if s.licenses.Problem != "" {
		result := Result{Mark: Warning, Text: s.explain("license", errors.New(s.licenses.Problem))}
		if s.licenses.Valid != nil {
			result.Mark = Failed
		}
		results = append(results, result)
	}
	for _, end := range s.licenses.Unread {
		results = append(results, warned("the end of the license is unknown, because %s: look it up in the QMC under License management, and note the date elsewhere", end)...)
	}
	if len(results) == 0 {
		results = passed("%s", s.licenseValidity())
	}
	return results, nil
}

// licenseValidity returns what the repository says about a license without a problem. An
// end that is near is a piece of advice.
func (s *site) licenseValidity() string {
	words := "valid"
	if s.licenses.Valid == nil {
		words = "the repository does not say whether it is valid"
	}
	if end := s.licenses.Expiry; !end.IsZero() {
		return fmt.Sprintf("%s; last day %s", words, text.Date(end.AddDate(0, 0, -1)))
	}
	return words + "; no end is known"
}

// readUsageRows compares the number of usage rows with the number of sessions, and finds the
// users who work on analyzer capacity.
func (s *site) readUsageRows(ctx context.Context) ([]Result, error) {
	asked := s.Qlik.Now()
	rows, err := s.client.On(s.repository.address).UsageRows(ctx, s.licenses)
	if err != nil {
		return nil, err
	}
	s.usage = headroom.NewUsage(rows, asked, s.Qlik.Now())
	s.onCapacity = make(map[qlik.User]bool)
	for i := range rows {
		if rows[i].License == qlik.LicenseAnalyzerCapacity && rows[i].User != (qlik.User{}) {
			s.onCapacity[rows[i].User] = true
		}
	}
	sessions := 0
	for i := range s.results {
		sessions += len(s.results[i].Sessions)
	}
	switch {
	case len(rows) == 0 && !s.licenses.HaveRows():
		return passed("none, because the license has no accesses: effective headroom is computed from sessions"), nil
	case len(rows) == 0 && sessions > 0:
		return warned("no rows for %s: if this release of Qlik Sense writes none, effective headroom is computed from sessions", text.Count(sessions, "session")), nil
	}
	return passed("%s for %s", text.Count(len(rows), "row"), text.Count(sessions, "session")), nil
}
