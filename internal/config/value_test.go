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
