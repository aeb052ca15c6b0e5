package qliktest

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"time"
)

// Denials is the form in which the audit log writes refused logins (docs/qlik.md, "Audit log").
type Denials int

const (
	// DenialsDocumented is the form in Qlik's documentation.
	DenialsDocumented Denials = iota
	// Denials2021 is the form of a site of 2021. Session ids are obfuscated and begin with c0de, and the command names the license.
	Denials2021
	// Denials2025 is the form of a site of 2025. Lines for want of a license have no access id. Such lines also appear for administrators
	// without a license, who are granted access.
	Denials2025
)

// String returns the name of the constant.
func (d Denials) String() string {
	switch d {
	case DenialsDocumented:
		return "DenialsDocumented"
	case Denials2021:
		return "Denials2021"
	case Denials2025:
		return "Denials2025"
	}
	return fmt.Sprintf("Denials(%d)", int(d))
}

const (
	userCommand  = "License user access" // in Qlik's documentation, for every license
	notAvailable = "Not available"
	accessCheck  = "/qrs/requestaccesstype"
)

// command returns the command in the line of a refused login. Denials2021 was seen with professional and analyzer access. The other names
// are guesses.
func (d Denials) command(license License) string {
	if d == DenialsDocumented {
		return userCommand
	}
	switch license {
	case Professional:
		return "License professional access"
	case Analyzer:
		return "License analyzer access"
	case LoginAccess:
		return "License login access"
	case AnalyzerCapacity:
		return "License analyzer time access"
	default:
		return userCommand
	}
}

func (d Denials) origin() (origin, context string) {
	if d == DenialsDocumented {
		return notAvailable, notAvailable
	}
	return "AppAccess", accessCheck
}

// proxySessionID returns the value of the column. Newer releases write no session id there, so the log cannot be joined with session
// lists.
func (d Denials) proxySessionID(id string) string {
	if d == DenialsDocumented {
		hash := sha256.Sum256([]byte("salt\x00" + id))
		return base64.StdEncoding.EncodeToString(hash[:])
	}
	return obfuscated(id)
}

// obfuscated returns an id that begins with c0de, like those in real logs. How Qlik makes them is unknown.
func obfuscated(id string) string {
	hash := sha256.Sum256([]byte("c0de\x00" + id))
	hash[0], hash[1] = 0xc0, 0xde
	return formatID(hash[:])
}

// sessionIDText returns the session id in a message, with the name that the form uses.
func (d Denials) sessionIDText(id string) string {
	if d == DenialsDocumented {
		return fmt.Sprintf("SessionID: '%s'", id)
	}
	return fmt.Sprintf("SessionId: '%s'", obfuscated(id))
}

// denyLimit writes the refusal of a user at the limit.
func (l *auditLog) denyLimit(each *session, license License, rows int, now time.Time) {
	if l == nil {
		return
	}
	l.deny(each, license, fmt.Sprintf(
		`Access was denied for User: '%s\%s', with AccessID '%s', %s, SessionCount: '%d', Hostname: '::1', OperationType: 'UsageDenied'`,
		each.Directory, each.UserID, stableID("access", each.account.id), l.denials.sessionIDText(each.ID), rows), now)
}

// denyLicense writes the refusal of a user without license.
func (l *auditLog) denyLicense(each *session, now time.Time) {
	if l == nil {
		return
	}
	message := fmt.Sprintf(`Login access denied for %s, Hostname: "::1", OperationType: 'UsageDenied'`, l.denials.sessionIDText(each.ID))
	if l.denials == Denials2025 {
		message = fmt.Sprintf(`Access was denied for User: '%s\%s', %s, Hostname: '::1', OperationType: 'UsageDenied'`,
			each.Directory, each.UserID, l.denials.sessionIDText(each.ID))
	}
	l.deny(each, Unlicensed, message, now)
}

func (l *auditLog) deny(each *session, license License, message string, now time.Time) {
	origin, context := l.denials.origin()
	l.add(auditEntry{
		each.Directory, each.UserID, each.account.id, each.ID, l.denials.command(license), origin, context, 403, message,
	}, now)
}

// grant writes a line for a session that got a slot. The text is a guess, because docs/qlik.md, "Audit log", has none. It only has to
// differ from the lines of refused logins.
func (l *auditLog) grant(each *session, now time.Time) {
	if l == nil {
		return
	}
	l.add(auditEntry{
		each.Directory, each.UserID, each.account.id, each.ID, userCommand, notAvailable, notAvailable, 0, fmt.Sprintf(
			`Access was granted for User: '%s\%s', with AccessID '%s', SessionID: '%s', Hostname: '::1', OperationType: 'UsageGranted'`,
			each.Directory, each.UserID, stableID("access", each.account.id), each.ID),
	}, now)
}

// timeOut writes a line for a leftover row that ended by a timeout. The text between the dots of docs/qlik.md, "Usage rows", is a guess.
func (l *auditLog) timeOut(row *usageRow, now time.Time) {
	if l == nil {
		return
	}
	l.add(auditEntry{
		row.account.Directory, row.account.ID, row.account.id, row.sessionID, userCommand, notAvailable, notAvailable, 0, fmt.Sprintf(
			`%s access usages. User: '%s\%s', OperationType: 'Timedout', UsageID: '%s', SessionID: '%s'`,
			row.license, row.account.Directory, row.account.ID, row.id, row.sessionID),
	}, now)
}
