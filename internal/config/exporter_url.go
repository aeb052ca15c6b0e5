package config

import (
	"net"
	"net/url"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/qlik-exporter/qlik_exporter/qlik/textfile"
)

// ExporterURL returns the URL of an exporter that runs on this machine with the same
// flags. It returns nil if the flags do not tell the port. The path of an external URL
// is not needed, because the exporter also answers without it.
func (f *Flags) ExporterURL() *url.URL {
	for _, address := range *f.Web.WebListenAddresses {
		host, port, err := net.SplitHostPort(address)
		if err != nil || port == "0" || strings.HasPrefix(address, "vsock:") {
			continue
		}
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			host = "localhost"
		}
		scheme := "http"
		if usesTLS(*f.Web.WebConfigFile) {
			scheme = "https"
		}
		return &url.URL{Scheme: scheme, Host: net.JoinHostPort(host, port)}
	}
	return nil
}

// usesTLS reports whether a web configuration file enables TLS. If only the service can
// read the file, TLS is likely, and without it a password would not be protected.
func usesTLS(webConfigFile string) bool {
	if webConfigFile == "" {
		return false
	}
	content, err := textfile.Read(webConfigFile)
	if err != nil {
		return true
	}
	var settings struct {
		TLS struct {
			File string `yaml:"cert_file"`
			Text string `yaml:"cert"`
		} `yaml:"tls_server_config"`
	}
	return yaml.Unmarshal(content, &settings) != nil || settings.TLS.File != "" || settings.TLS.Text != ""
}
