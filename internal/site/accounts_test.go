package site

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// TestCandidates checks that service accounts are found when the licenses are read, that
// only those that run the services are protected, and that a failure forgets nothing.
func TestCandidates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var output bytes.Buffer
		config := threeNodes()
		config.DataConnections = []qliktest.DataConnection{
			{Name: "monitor_apps_REST_app", Username: `LAB\Monitor`, Password: "s3cret"}, {Name: "sales", Username: `LAB\reader`, Password: "s3cret"},
		}
		running, failure := []qlik.User{qlik.NewUser("LAB", "svc")}, error(nil)
		server, s := start(t, config, func(c *Config) {
			c.Licenses = true
			c.Logger = log.NewLogfmtLogger(log.NewSyncWriter(&output))
			c.ServiceUsers = func() ([]qlik.User, error) { return running, failure }
		})
		const want = `[{LAB\svc services} {LAB\monitor data_connections}] [LAB\svc]`
		expect := func(name string) {
			t.Helper()
			time.Sleep(licensesInterval)
			s.Refresh()
			if got := fmt.Sprint(s.Status().Candidates, s.ServiceUsers()); got != want {
				t.Errorf("%s: %s", name, got)
			}
		}
		if got := fmt.Sprint(s.Status().Candidates, s.ServiceUsers()); got != "[] []" {
			t.Errorf("before: %s", got)
		}
		expect("found")
		if strings.Contains(output.String(), "Cannot") {
			t.Errorf("logged %s", &output)
		}
		running, failure = nil, errors.New("broken log")
		server.SetRepositoryAnswer("/qrs/dataconnection/full", []byte(`{"password":"s3cret"}`))
		expect("both fail")
		expect("both fail again")
		if n := strings.Count(output.String(), "source=data_connections kind=decode"); n != 1 {
			t.Errorf("logged %d times", n)
		}
		server.SetRepositoryFault("qlik1", qliktest.Forbidden)
		expect("everything fails")
		if n := strings.Count(output.String(), "source=data_connections"); n != 1 {
			t.Errorf("logged %d times", n)
		}
		if text := output.String(); strings.Count(text, "broken log") != 1 || strings.Contains(text, "s3cret") {
			t.Errorf("logged %s", text)
		}
		if s.Status().Refreshed[qlik.SourceDataConnections].IsZero() {
			t.Error("the time of the last read is unknown")
		}
		server.SetRepositoryFault("qlik1", qliktest.NoFault)
		server.SetRepositoryAnswer("/qrs/dataconnection/full", nil)
		running, failure = nil, nil
		time.Sleep(licensesInterval)
		s.Refresh()
		if got := fmt.Sprint(s.Status().Candidates, s.ServiceUsers()); got != `[{LAB\monitor data_connections}] []` {
			t.Errorf("gone: %s", got)
		}
	})
}
