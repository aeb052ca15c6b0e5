package qliktest

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const productVersion = "14.173.4.0"

// auditColumns are the columns of the audit security log, in order. The first nine are documented, the spelling of the others is a guess
// (docs/qlik.md, "Audit log"): whoever reads the file should go by its header line.
var auditColumns = []string{
	"Sequence#", "ProductVersion", "Timestamp", "HostName", "Id", "Description", "ProxySessionId", "ProxyPackageId",
	"RequestSequenceId", "UserDirectory", "UserId", "ObjectId", "ObjectName", "SecurityClass", "ClientHostAddress", "Service",
	"Origin", "Context", "Command", "Result", "Message", "Checksum",
}

const (
	auditTimestamp = "20060102T150405.000-0700" // the offset without colon, as newer releases write it
	auditMaxSize   = 8 << 20                    // docs/qlik.md, "Audit log"
	auditMaxAge    = 12 * time.Hour             // likewise
)

// auditLog is the audit security log of a node's repository. Its methods do nothing on nil, for a site without logs. The site's lock
// guards it.
type auditLog struct {
	node    string
	path    string
	file    *os.File
	size    int64
	created time.Time
	number  int
	err     error // the first one met: the log ends there
}

func auditLogPath(dir, node string) string {
	return filepath.Join(dir, node+"_AuditSecurity_Repository.txt")
}

func newAuditLog(dir, node string, now time.Time) (*auditLog, error) {
	l := &auditLog{node: node, path: auditLogPath(dir, node)}
	l.open(now)
	return l, l.err
}

// open starts a new file with its header line.
func (l *auditLog) open(now time.Time) {
	l.file, l.err = os.Create(l.path)
	l.size, l.created, l.number = 0, now, 0
	l.write(strings.Join(auditColumns, "\t"))
}

// write appends a line. Windows services end lines with CR LF.
func (l *auditLog) write(line string) {
	if l.err != nil {
		return
	}
	var n int
	n, l.err = l.file.WriteString(line + "\r\n")
	l.size += int64(n)
}

func (l *auditLog) close() {
	if l.file != nil {
		_ = l.file.Close() // every line was written when it was written
		l.file = nil
		l.err = os.ErrClosed
	}
}

// roll renames the file as the service does and starts a new one; two in a second are not told apart by the name, so the later
// one moves on by a second.
func (l *auditLog) roll(now time.Time) {
	if l.err != nil {
		return
	}
	if l.err = l.file.Close(); l.err != nil {
		return
	}
	base := strings.TrimSuffix(l.path, ".txt")
	for at := now.UTC(); ; at = at.Add(time.Second) {
		name := base + "_" + at.Format("2006-01-02T15.04.05") + "Z.log"
		if _, err := os.Lstat(name); os.IsNotExist(err) {
			l.err = os.Rename(l.path, name)
			break
		}
	}
	if l.err == nil {
		l.open(now)
	}
}

// auditEntry is what distinguishes one line from another.
type auditEntry struct {
	result  int
	text    string // of the result
	message string
}

func (l *auditLog) add(each *session, entry auditEntry, now time.Time) {
	if l.size >= auditMaxSize || now.Sub(l.created) >= auditMaxAge {
		l.roll(now)
	}
	l.number++
	// Newer releases write a salted hash instead of the session id, so that the log cannot be joined with the proxy's list.
	hash := sha256.Sum256([]byte("salt\x00" + each.ID))
	const command = "License user access"
	a := each.account
	fields := []string{
		strconv.Itoa(l.number), productVersion, now.Format(auditTimestamp), l.node, stableID("line", fmt.Sprint(l.node, now.UnixNano(), l.number)),
		fmt.Sprintf("Command=%s;Result=%d;ResultText=%s", command, entry.result, entry.text),
		base64.StdEncoding.EncodeToString(hash[:]), "0", "0", each.Directory, each.UserID, stableID("access", a.id),
		"Not available", "License", "::1", "Repository", "Not available", "Not available", command, strconv.Itoa(entry.result),
		entry.message,
	}
	line := strings.Join(fields, "\t")
	checksum := sha256.Sum256([]byte(line))
	l.write(line + "\t" + base64.StdEncoding.EncodeToString(checksum[:]))
}

// denyLimit writes the refusal of a user at the limit, in Qlik's words (docs/qlik.md, "Audit log").
func (l *auditLog) denyLimit(each *session, rows int, now time.Time) {
	if l == nil {
		return
	}
	l.add(each, auditEntry{403, "Error: Access denied", fmt.Sprintf(
		`Access was denied for User: '%s\%s', with AccessID '%s', SessionID: '%s', SessionCount: '%d', Hostname: '::1', OperationType: 'UsageDenied'`,
		each.Directory, each.UserID, stableID("access", each.account.id), each.ID, rows)}, now)
}

// denyLicense writes the refusal of a user without license, in Qlik's words (docs/qlik.md, "Audit log").
func (l *auditLog) denyLicense(each *session, now time.Time) {
	if l == nil {
		return
	}
	l.add(each, auditEntry{403, "Error: Access denied", fmt.Sprintf(
		`Login access denied for SessionID: '%s', Hostname: "::1", OperationType: 'UsageDenied'`, each.ID)}, now)
}

// grant writes that a session got its slot. The words are a guess (docs/qlik.md, "Audit log", has none): what matters is that lines other than
// refusals occur.
func (l *auditLog) grant(each *session, now time.Time) {
	if l == nil {
		return
	}
	l.add(each, auditEntry{0, "Success", fmt.Sprintf(
		`Access was granted for User: '%s\%s', with AccessID '%s', SessionID: '%s', Hostname: '::1', OperationType: 'UsageGranted'`,
		each.Directory, each.UserID, stableID("access", each.account.id), each.ID)}, now)
}

// AuditLogPath returns the file into which the repository of a node writes, "" without Config.AuditLogDir.
func (s *Site) AuditLogPath(node string) string {
	n := s.node(node)
	if n.auditLog == nil {
		return ""
	}
	return n.auditLog.path
}

// RollAuditLog rolls the audit log of a node over, as a restart of its repository does: the file is renamed to
// <NODE>_AuditSecurity_Repository_<time>Z.log and a new one begins.
func (s *Site) RollAuditLog(node string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.node(node)
	if n.auditLog == nil {
		return fmt.Errorf("qliktest: node %q writes no audit log", node)
	}
	n.auditLog.roll(s.now())
	return n.auditLog.err
}
