package config

import (
	"strings"
	"testing"
)

// TestNearest checks that a suggestion is what people mean, and that there is none rather
// than an absurd one. The common beginning of names makes none of them alike.
func TestNearest(t *testing.T) {
	t.Parallel()
	names := []string{"qlik.host", "qlik.cert-dir", "qlik.user", "web.listen-address", "desk.listen-address", "config.file", "config.check", "log.level", "job", "burst", "at-least", "user-labels", "user-labels.key-file"}
	for word, want := range map[string]string{
		"qlik.hots":           "qlik.host",
		"qlik_host":           "qlik.host",
		"QLIK-HOST":           "qlik.host",
		"host":                "qlik.host",
		"qlik.cert":           "qlik.cert-dir", // not qlik.host, with as many different letters
		"cert_dir":            "qlik.cert-dir",
		"listen":              "desk.listen-address or web.listen-address",
		"config":              "config.check or config.file",
		"atleast":             "at-least",
		"user":                "qlik.user",
		"hosted":              "",
		"log":                 "log.level",
		"port":                "",
		"url":                 "",
		"password":            "",
		"qlik.password":       "",
		"":                    "",
		"file":                "config.file",
		"user-labels.keyfile": "user-labels.key-file",
	} {
		if got := strings.Join(nearest(word, names), " or "); got != want {
			t.Errorf("%s: %q, want %q", word, got, want)
		}
	}
}
