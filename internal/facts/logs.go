package facts

import (
	"bufio"
	"bytes"
	"context"
	"encoding/pem"
	"io"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik/auditlog"
	"github.com/qlik-exporter/qlik_exporter/qlik/textfile"
)

// logs is what the files on this machine are: the client key, the audit log, and the
// Trace logs.
type logs struct {
	keyFile   string
	keyFormat string

	header, columns, bom  string
	offsets, ids, denials forms
	serviceUser           string
}

// readTimeout is the maximum time for all files. A system call about a file of a network
// share cannot be canceled.
const readTimeout = 20 * time.Second

func (s *site) readLogs(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	read := make(chan logs, 1)
	go func(l logs) {
		l.readKey()
		for _, node := range slices.Sorted(maps.Keys(s.AuditLogs)) {
			if l.readAuditLog(s.AuditLogs[node]) {
				break
			}
		}
		l.readTraceLog(s.LocalLogs)
		read <- l
	}(s.logs)
	select {
	case s.logs = <-read:
	case <-ctx.Done():
	}
}

// readKey reads the format of the client key.
func (l *logs) readKey() {
	if l.keyFile == "" {
		return
	}
	content, err := textfile.Read(l.keyFile)
	if err != nil {
		return
	}
	for {
		var block *pem.Block
		if block, content = pem.Decode(content); block == nil {
			return
		}
		switch {
		case block.Type == "ENCRYPTED PRIVATE KEY":
			l.keyFormat = "pkcs8"
		case strings.HasSuffix(block.Type, "PRIVATE KEY") && block.Headers["DEK-Info"] != "":
			l.keyFormat = "traditional"
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			l.keyFormat = "not_encrypted"
		}
	}
}

// expectedColumns are the columns of the audit log (docs/qlik.md, "Audit log").
var expectedColumns = []string{
	"Sequence#", "ProductVersion", "Timestamp", "HostName", "Id", "Description", "ProxySessionId", "ProxyPackageId",
	"RequestSequenceId", "UserDirectory", "UserId", "ObjectId", "ObjectName", "SecurityClass", "ClientHostAddress", "Service",
	"Origin", "Context", "Command", "Result", "Message", "Checksum",
}

const (
	maxLog  = 32 << 20 // Qlik begins a new file at 8 MB
	maxLine = 1 << 20
)

// Forms of the lines of the audit log.
var (
	denied       = regexp.MustCompile(`OperationType:\s*['"]UsageDenied['"]`)
	deniedID     = regexp.MustCompile(`\bSession(?:ID|Id):\s*['"]([0-9a-fA-F-]+)['"]`)
	withoutColon = regexp.MustCompile(`^\d{8}T\d{6}(?:\.\d+)?[+-]\d{4}$`)
	withColon    = regexp.MustCompile(`^\d{8}T\d{6}(?:\.\d+)?[+-]\d{2}:\d{2}$`)
)

// readAuditLog reads the current audit log of a node. It reports whether it could.
func (l *logs) readAuditLog(pattern string) bool {
	name, err := auditlog.Find(pattern)
	if err != nil {
		return false
	}
	file, err := auditlog.Open(name)
	if err != nil {
		return false
	}
	defer func() { _ = file.Close() }() // it was only read
	lines := bufio.NewScanner(io.LimitReader(file, maxLog))
	lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	if !lines.Scan() {
		return false
	}
	first := lines.Bytes()
	l.bom = yesNo(bytes.HasPrefix(first, []byte("\uFEFF")))
	columns := strings.Split(string(bytes.TrimPrefix(first, []byte("\uFEFF"))), "\t")
	l.readHeader(columns)
	at, message := slices.Index(columns, "Timestamp"), slices.Index(columns, "Message")
	l.offsets, l.ids, l.denials = make(forms), make(forms), make(forms)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), "\t")
		if at >= 0 && at < len(fields) {
			l.offsets[offset(fields[at])] = true
		}
		if message >= 0 && message < len(fields) && denied.MatchString(fields[message]) {
			l.readDenial(fields[message])
		}
	}
	return true
}

func (l *logs) readHeader(columns []string) {
	switch n := len(columns); {
	case n == len(expectedColumns):
		l.columns = "22"
	case n < len(expectedColumns):
		l.columns = "fewer"
	default:
		l.columns = "more"
	}
	sorted := func(names []string) []string { return slices.Sorted(slices.Values(names)) }
	switch {
	case slices.Equal(columns, expectedColumns):
		l.header = "as_expected"
	case slices.Equal(sorted(columns), sorted(expectedColumns)):
		l.header = "other_order"
	default:
		l.header = "other_names"
	}
}

func offset(text string) string {
	switch {
	case withoutColon.MatchString(text):
		return "without_colon"
	case withColon.MatchString(text):
		return "with_colon"
	case strings.HasSuffix(text, "Z"):
		return "utc"
	}
	return other
}

func (l *logs) readDenial(message string) {
	if match := deniedID.FindStringSubmatch(message); match != nil {
		if strings.HasPrefix(strings.ToLower(match[1]), "c0de") {
			l.ids["c0de"] = true
		} else {
			l.ids["plain"] = true
		}
	}
	switch {
	case strings.Contains(message, "SessionCount"):
		// The form of the limit is the same everywhere.
	case strings.HasPrefix(message, "Login access denied for "):
		l.denials["login_access_denied"] = true
	case strings.HasPrefix(message, "Access was denied for "):
		l.denials["access_was_denied"] = true
	default:
		l.denials[other] = true
	}
}

// readTraceLog reads the first line of a Trace log of the repository of this machine.
func (l *logs) readTraceLog(dir string) {
	if dir == "" {
		return
	}
	names, err := filepath.Glob(filepath.Join(dir, "Repository", "Trace", "*_System_Repository.txt"))
	if err != nil || len(names) == 0 {
		return
	}
	file, err := auditlog.Open(names[0])
	if err != nil {
		return
	}
	defer func() { _ = file.Close() }() // it was only read
	first, err := bufio.NewReader(io.LimitReader(file, maxLine)).ReadString('\n')
	if err != nil {
		return
	}
	l.serviceUser = "missing"
	for column := range strings.SplitSeq(strings.TrimPrefix(strings.TrimSpace(first), "\uFEFF"), "\t") {
		if column == "ServiceUser" {
			l.serviceUser = "present"
		}
	}
}
