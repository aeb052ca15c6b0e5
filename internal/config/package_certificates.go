package config

import (
	"fmt"
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

// usePackage sets a missing folder of certificates to that of the package and returns a
// description of it.
func (s *Site) usePackage(folder string) []string {
	if s.CertDir != "" || folder == "" || !exists(folder) {
		return nil
	}
	s.CertDir = folder
	return []string{fmt.Sprintf("--qlik.cert-dir=%s, the folder of the package", folder)}
}
