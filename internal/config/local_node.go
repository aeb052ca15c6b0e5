package config

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/qlik-exporter/qlik_exporter/qlik/textfile"
)

// UseLocalNode fills in missing settings if this machine is a Qlik Sense node, and
// returns a description of each (docs/qlik.md, "Certificates" and "Audit security
// log"). Qlik keeps its data in a folder of programData, which is the value of
// %ProgramData%.
func (s *Site) UseLocalNode(programData string) []string {
	if programData == "" {
		return nil // not Windows
	}
	dir := filepath.Join(programData, "Qlik", "Sense")
	name, err := registeredName(filepath.Join(dir, "Host.cfg"))
	if err != nil {
		return nil
	}
	var found []string
	if len(s.Host) == 0 && len(s.Proxy) == 0 {
		s.Host = []string{name}
		found = append(found, fmt.Sprintf("--qlik.host=%s, the name in Host.cfg", name))
	}
	certificates := filepath.Join(dir, "Repository", "Exported Certificates", ".Local Certificates")
	if s.CertDir == "" && exists(certificates) {
		s.CertDir = certificates
		found = append(found, fmt.Sprintf("--qlik.cert-dir=%s, the local certificates", certificates))
	}
	logs := filepath.Join(dir, "Log", "Repository", "Audit")
	isOfSite := slices.ContainsFunc(s.Host, func(host string) bool {
		host, _, _ = strings.Cut(host, ":")
		return strings.EqualFold(host, name)
	})
	if isOfSite && exists(logs) {
		s.LocalLogs = filepath.Join(dir, "Log")
	}
	if len(s.AuditLog) == 0 && isOfSite && exists(logs) {
		log := AuditLog{name, filepath.Join(logs, "*_AuditSecurity_Repository.txt")}
		s.AuditLog = []AuditLog{log}
		found = append(found, fmt.Sprintf("--qlik.audit-log=%s, the log of this node's repository", log))
	}
	return found
}

// registeredName reads the registered host name of a node from a file that contains
// only this name in base64.
func registeredName(path string) (string, error) {
	content, err := textfile.Read(path)
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(content))
	name, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	if len(name) == 0 || !utf8.Valid(name) || strings.ContainsAny(string(name), " \t\r\n/\\") {
		return "", fmt.Errorf("%s: contains no host name", path)
	}
	return string(name), nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
