package config

import (
	"fmt"
	"path/filepath"
	"runtime"
)

// packageCertificates returns the folder that the packages for Linux create for the
// certificates. A container has them there too.
func packageCertificates() string {
	if runtime.GOOS == "windows" {
		return ""
	}
	return "/etc/qlik_exporter/certs"
}

// usePackage sets a missing folder of certificates and returns a description of it. A
// service finds the certificates among the credentials of systemd. Everyone else finds
// them in the folder of the package.
func (s *Site) usePackage(credentials, folder string) []string {
	switch {
	case s.CertDir != "":
		return nil
	case credentials != "" && exists(filepath.Join(credentials, "client.pem")):
		s.CertDir = credentials
		return []string{fmt.Sprintf("--qlik.cert-dir=%s, the credentials of the service", credentials)}
	case folder != "" && exists(folder):
		s.CertDir = folder
		return []string{fmt.Sprintf("--qlik.cert-dir=%s, the folder of the package", folder)}
	default:
		return nil
	}
}
