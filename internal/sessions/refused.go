package sessions

import (
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// Unlicensed is the reason why a user cannot log in although the user has free slots. It
// is "" for other users.
type Unlicensed string

// The reasons why a user with free slots cannot log in. To end sessions does not help.
const (
	// NoLicense means that Qlik last refused the user for want of a license.
	NoLicense Unlicensed = "no_license"
	// LicenseService means the same, although the user held a license before and still
	// does: the problem is the license service, not the user.
	LicenseService Unlicensed = "license_service"
	// LicenseUnknown means that Qlik last refused the user for want of a license, and that
	// nothing tells whether it would do so again.
	LicenseUnknown Unlicensed = "unknown"
)

// unlicensed returns why a user with these refusals cannot log in at a time. Soon after a
// refusal the cause says so. It is only sure of that for long if the user certainly holds
// no license. A session with a slot has passed the license check since.
func (r *Row) unlicensed(snapshot *headroom.Snapshot) Unlicensed {
	switch {
	case r.Judgment.Cause == headroom.CauseNoLicense:
		return NoLicense
	case r.Judgment.Cause == headroom.CauseLicenseService:
		return LicenseService
	case r.LicenseDoubtful && (r.EffectiveHeadroom > 0 || !r.Limited):
		return LicenseUnknown
	case len(r.Refused) == 0, r.Refused[0].Reason != qlik.RefusedNoLicense, r.refusedRecently(snapshot.Time):
		return ""
	case r.License == qlik.LicenseNone && r.LicensedSessions == 0 && !snapshot.Administrator(r.User):
		return NoLicense
	default:
		return ""
	}
}

// refusedRecently reports whether the last refusal was within headroom.RecentRefusal.
func (r *Row) refusedRecently(now time.Time) bool {
	return len(r.Refused) > 0 && now.Sub(r.Refused[0].At) < headroom.RecentRefusal
}

// RefusedText returns a text about the last refusal, such as "refused: no license, 10:31:02
// CET (4 min ago)". It is "" without a refusal, and for a refusal because of the limit that
// is no longer recent.
func (r *Row) RefusedText(now time.Time) string {
	if len(r.Refused) == 0 {
		return ""
	}
	return refusedText(RefusedLogin{r.Refused[0].At, r.Refused[0].Reason}, r.Unlicensed, now)
}

// RefusedText is the same as that of Row.
func (l *Listed) RefusedText(now time.Time) string {
	if len(l.Refused) == 0 {
		return ""
	}
	return refusedText(l.Refused[0], l.Unlicensed, now)
}

func refusedText(last RefusedLogin, unlicensed Unlicensed, now time.Time) string {
	recent := now.Sub(last.At) < headroom.RecentRefusal
	what := "too many sessions"
	switch {
	case last.Reason != qlik.RefusedNoLicense:
		if !recent {
			return ""
		}
	case unlicensed == LicenseService:
		what = "no license, although the user holds one"
	case unlicensed == NoLicense, unlicensed == LicenseUnknown:
		what = "no license"
	case recent:
		what = "no license then"
	default:
		return ""
	}
	return "refused: " + what + ", " + text.Gone(last.At, now)
}

// Advice returns what to do about a user who cannot log in although slots are free, or "".
func (u Unlicensed) Advice() string {
	switch u {
	case NoLicense:
		return "Qlik refused the user because of a missing license. Ending sessions does not help. Allocate a license if the user should have one."
	case LicenseService:
		return "Qlik refused the user because of a missing license, although the user holds one. Ending sessions does not help. Look at the license service."
	case LicenseUnknown:
		return "Qlik refused the user because of a missing license, and it is unknown whether it would do so again. Ending sessions does not help. Look at the license of the user: whether there is one, and whether it is in excess or in quarantine."
	default:
		return ""
	}
}

// Label returns a short text in place of the number of free slots, or "".
func (u Unlicensed) Label() string {
	switch u {
	case NoLicense:
		return "no license"
	case LicenseService:
		return "license service"
	case LicenseUnknown:
		return "license unknown"
	default:
		return ""
	}
}

// addRefused adds the refusals to the rows. It appends a row for each user without
// sessions who was refused recently.
func addRefused(rows []Row, snapshot *headroom.Snapshot) []Row {
	refused := snapshot.Refusals
	listed := make(map[qlik.User]bool, len(refused))
	for i := range rows {
		if refusals := refused[rows[i].User]; len(refusals) > 0 {
			rows[i].Refused = refusals
			listed[rows[i].User] = true
		}
	}
	for user, refusals := range refused {
		row := Row{UserStatus: snapshot.Of(user), Refused: refusals}
		if !listed[user] && row.refusedRecently(snapshot.Time) {
			rows = append(rows, row)
		}
	}
	for i := range rows {
		rows[i].Unlicensed = rows[i].unlicensed(snapshot)
	}
	return rows
}
