package server

import (
	"os"

	"github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v2"
)

// Authenticates returns whether a web configuration file requires a password or a
// client certificate for every request. Like exporter-toolkit, it reads the file
// each time. It returns false if the file cannot be read.
func Authenticates(webConfigFile string) bool {
	if webConfigFile == "" {
		return false
	}
	content, err := os.ReadFile(webConfigFile)
	if err != nil {
		return false
	}
	var config web.Config
	if yaml.Unmarshal(content, &config) != nil {
		return false
	}
	return len(config.Users) > 0 || config.TLSConfig.ClientAuth == "RequireAndVerifyClientCert"
}
