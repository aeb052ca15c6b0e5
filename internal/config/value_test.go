package config

import "testing"

func TestTelemetryPath(t *testing.T) {
	for path, ok := range map[string]bool{
		"/metrics": true, "/": true, "/qlik/metrics": true,
		"/probe": false, "/sd": false, "/sessions/page.css": false,
		"": false, "metrics": false, "/metrics/": false, "//x": false, "/metrics{": false, "/{x}": false, "/{$}": false, "/a b": false,
		"/-/healthy": false, "/debug/pprof": false, "/a/../b": false, "/a?b": false,
	} {
		if _, err := telemetryPath(path); (err == nil) != ok {
			t.Errorf("%q: %v", path, err)
		}
	}
}

func TestExternalURL(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "http://a": "http://a", "https://a:8443/": "https://a:8443", "https://a/b/c//": "https://a/b/c", "http://[::1]:9986": "http://[::1]:9986",
	} {
		if u, err := externalURL(text); err != nil || showURL(u) != want {
			t.Errorf("%q: got %s, %v, want %s", text, showURL(u), err, want)
		}
	}
	for _, text := range []string{"a", "a:80", "/qlik", "//a/b", "ftp://a", "https://", "https://a:", "https://u:p@a", "https://a?", "https://a#b", "https://a/b//c", "https://a/%zz"} {
		if u, err := externalURL(text); err == nil {
			t.Errorf("%q is accepted as %s", text, u)
		}
	}
}

func TestShowDuration(t *testing.T) {
	for text, want := range map[string]string{"5m": "5m", "90s": "1m30s", "2h": "2h", "1h30m": "1h30m", "0s": "0s", "20m": "20m", "10s": "10s", "1h0m5s": "1h0m5s", "250ms": "250ms"} {
		d, err := duration(text)
		if got := showDuration(d); err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", text, got, err, want)
		}
	}
}
