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

// auditColumns are the columns of the audit security log, in order. The first nine are documented. The spelling of the others is a
// guess, so readers should use the header line (docs/qlik.md, "Audit log").
var auditColumns = []string{
	"Sequence#", "ProductVersion", "Timestamp", "HostName", "Id", "Description", "ProxySessionId", "ProxyPackageId",
	"RequestSequenceId", "UserDirectory", "UserId", "ObjectId", "ObjectName", "SecurityClass", "ClientHostAddress", "Service",
	"Origin", "Context", "Command", "Result", "Message", "Checksum",
}

const (
	auditTimestamp = "20060102T150405.000-0700" // newer releases write the offset without a colon
	auditMaxSize   = 8 << 20                    // docs/qlik.md, "Audit log"
	auditMaxAge    = 12 * time.Hour             // likewise
)

// auditLog is the audit security log of a node's repository. On nil, for a site without logs, its methods do nothing. The site's lock
// guards it.
type auditLog struct {
	config  Config
	node    string
	path    string
	denials Denials
	file    *os.File
	size    int64
	created time.Time
	number  int
	err     error // the first error; nothing is written after it
}

func auditLogPath(dir, node string) string {
	return filepath.Join(dir, node+"_AuditSecurity_Repository.txt")
}

func newAuditLog(config Config, node string, now time.Time) (*auditLog, error) {
	l := &auditLog{config: config, node: node, path: auditLogPath(config.AuditLogDir, node), denials: config.Denials}
	l.open(now)
	return l, l.err
}

// open starts a new file with its header line.
func (l *auditLog) open(now time.Time) {
	l.file, l.err = os.Create(l.path)
	l.size, l.created, l.number = 0, now, 0
	l.write(l.config.facts.auditHeader())
}

// write appends a line. Like Windows services, it ends lines with CR LF.
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
		_ = l.file.Close() // every line is already in the file
		l.file = nil
		l.err = os.ErrClosed
	}
}

// roll renames the file like the service and starts a new one. Names have a resolution of one second, so a second file within the same
// second gets the next one.
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

// auditEntry is the variable part of a line.
type auditEntry struct {
	directory, userID, accountID string
	// sessionID is the real id. The line contains a hash of it.
	sessionID                string
	command, origin, context string
	result                   int
	message                  string
}

func (l *auditLog) add(entry auditEntry, now time.Time) {
	if l.size >= auditMaxSize || now.Sub(l.created) >= auditMaxAge {
		l.roll(now)
	}
	l.number++
	resultText := "Success"
	if entry.result != 0 {
		resultText = "Error: Access denied"
	}
	fields := []string{
		strconv.Itoa(l.number), productVersion, l.config.facts.auditTime(now), l.node, stableID("line", fmt.Sprint(l.node, now.UnixNano(), l.number)),
		fmt.Sprintf("Command=%s;Result=%d;ResultText=%s", entry.command, entry.result, resultText),
		l.denials.proxySessionID(entry.sessionID), "0", "0", entry.directory, entry.userID, stableID("access", entry.accountID),
		"Not available", "License", "::1", "Repository", entry.origin, entry.context, entry.command, strconv.Itoa(entry.result),
		entry.message,
	}
	line := strings.Join(fields, "\t")
	checksum := sha256.Sum256([]byte(line))
	l.write(line + "\t" + base64.StdEncoding.EncodeToString(checksum[:]))
}

// AuditLogPath returns the path of the audit log of a node, or "" without Config.AuditLogDir.
func (s *Site) AuditLogPath(node string) string {
	n := s.node(node)
	if n.auditLog == nil {
		return ""
	}
	return n.auditLog.path
}

// RollAuditLog rolls over the audit log of a node like a restart of its repository: it renames the file to
// <NODE>_AuditSecurity_Repository_<time>Z.log and starts a new one.
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
