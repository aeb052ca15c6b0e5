package sites

import (
	"bytes"
	"testing"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/qlik-exporter/qlik_exporter/internal/config"
)

// FuzzAnswer checks that Prometheus gets valid metrics for any response of a proxy.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`[]`, `{}`, `<html>`, `[{"SessionId":"1","UserDirectory":"LAB","UserId":"anna"}]`,
		`[{"SessionId":"1","UserDirectory":"LAB","UserId":"anna"},{"SessionId":"2","UserDirectory":"lab","UserId":"ANNA"}]`,
		`[{"SessionId":"1","UserDirectory":"NONE","UserId":"anonymous1"}]`,
		`[{"SessionId":"1","UserDirectory":"\u0000","UserId":"\ud800\n\"\\"}]`,
		"[{\"SessionId\":\"1\",\"UserDirectory\":\"a\xff\",\"UserId\":\"{}=,\"}]",
		`[{"sessionid":"1","USERDIRECTORY":"a","userId":"b","SessionId":"2"}]`,
	} {
		f.Add([]byte(seed))
	}
	server, settings := simulated(f, "emea")
	set, err := Open(func() (*config.Configuration, error) {
		return &config.Configuration{Sites: []config.Site{settings}}, nil
	}, Guarding{}, log.NewNopLogger())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(set.Close)
	f.Fuzz(func(t *testing.T, body []byte) {
		server.SetAnswer("emea1", "", body)
		site, done, _ := set.Use("emea")
		defer done()
		families, err := prometheus.Gatherers{site.Exporter.Scrape(t.Context())}.Gather() // performs all checks
		if err != nil {
			t.Fatalf("%q: %v", body, err)
		}
		var text bytes.Buffer
		for _, family := range families {
			if _, err := expfmt.MetricFamilyToText(&text, family); err != nil {
				t.Fatalf("%q: %v", body, err)
			}
		}
		parser := expfmt.NewTextParser(model.UTF8Validation)
		if parsed, err := parser.TextToMetricFamilies(&text); err != nil || len(parsed) != len(families) {
			t.Errorf("%q: %d families written, %d read, %v", body, len(families), len(parsed), err)
		}
	})
}
