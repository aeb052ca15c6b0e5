package facts_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/facts"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// askSite asks a site that prepare makes out of a configuration. The test must run in a
// bubble.
func askSite(t *testing.T, config qliktest.Config, watch time.Duration, prepare func(s *qliktest.Site, c *facts.Config)) map[string]string {
	t.Helper()
	time.Sleep(time.Until(theDay))
	config.InMemory = true
	site, err := qliktest.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(site.Close)
	dir := t.TempDir()
	if err := site.WriteCertificates(dir); err != nil {
		t.Fatal(err)
	}
	asked := facts.Config{Qlik: qlik.Config{Hosts: []string{"qlik1"}, CertDir: dir, DialContext: site.DialContext}, Watch: watch}
	prepare(site, &asked)
	file, err := facts.Ask(t.Context(), asked)
	if err != nil {
		t.Fatal(err)
	}
	return file.Facts
}

func login(t *testing.T, s *qliktest.Site, user, device string) string {
	t.Helper()
	session, err := s.Login("LAB", user, device, "", "qlik1")
	if err != nil {
		t.Fatal(err)
	}
	return session.ID
}

// TestUnknown checks that a site that does not show enough gets no wrong answer.
func TestUnknown(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		config  qliktest.Config
		watch   time.Duration
		prepare func(t *testing.T, s *qliktest.Site, c *facts.Config)
		want    map[string]string
	}{
		{
			// Administrators have no rows, and rows can be left over.
			name:   "sessions of administrators only, and a row that is left over",
			config: qliktest.Config{Users: []qliktest.User{{Directory: "LAB", ID: "root", Admin: true}, {Directory: "LAB", ID: "anna", License: qliktest.Professional}}},
			prepare: func(t *testing.T, s *qliktest.Site, _ *facts.Config) {
				t.Helper()
				s.AddLeftoverRow("LAB", "anna")
				for _, device := range []string{"a", "b", "c", "d", "e", "f", "g"} {
					login(t, s, "root", device)
				}
			},
			want: map[string]string{"usage_rows": facts.Unknown, "usage_row_session": facts.Unknown, "usage_row_left": facts.Unknown},
		},
		{
			name:   "sessions of administrators only",
			config: qliktest.Config{Users: []qliktest.User{{Directory: "LAB", ID: "root", Admin: true}}},
			prepare: func(t *testing.T, s *qliktest.Site, _ *facts.Config) {
				t.Helper()
				for _, device := range []string{"a", "b", "c", "d", "e", "f", "g"} {
					login(t, s, "root", device)
				}
			},
			want: map[string]string{"usage_rows": facts.Unknown, "usage_row_session": facts.Unknown},
		},
		{
			name:   "lists of licenses are empty for want of rights",
			config: qliktest.Config{NoUsageRows: true, Users: []qliktest.User{{Directory: "LAB", ID: "anna", License: qliktest.Professional}, {Directory: "LAB", ID: "ben", License: qliktest.Professional}}},
			prepare: func(t *testing.T, s *qliktest.Site, _ *facts.Config) {
				t.Helper()
				for _, device := range []string{"a", "b", "c", "d"} {
					login(t, s, "anna", device)
					login(t, s, "ben", device)
				}
				s.SetRepositoryAnswer("/qrs/license/professionalaccesstype/full", []byte("[]"))
			},
			want: map[string]string{"usage_rows": facts.Unknown},
		},
		{
			name: "default virtual proxy on another node",
			config: qliktest.Config{
				Nodes:          []qliktest.Node{{Name: "qlik1"}, {Name: "qlik2"}},
				VirtualProxies: []qliktest.VirtualProxy{{Nodes: []string{"qlik2"}}, {Prefix: "sales", Nodes: []string{"qlik1"}}},
			},
			prepare: func(*testing.T, *qliktest.Site, *facts.Config) {},
			want:    map[string]string{"user_without_sessions": "empty_list", "unknown_session": "status_404", "proxy_description": "offered"},
		},
		{
			name:   "one activity",
			config: qliktest.Config{Users: []qliktest.User{{Directory: "LAB", ID: "anna", License: qliktest.Professional}}},
			watch:  10 * time.Minute,
			prepare: func(t *testing.T, s *qliktest.Site, c *facts.Config) {
				t.Helper()
				id, polls := login(t, s, "anna", "a"), 0
				c.Progress = func(time.Duration, time.Duration) {
					if polls++; polls%15 == 2 {
						s.Touch(id)
					}
				}
			},
			want: map[string]string{"activity_interval": facts.Unknown, "activity_delay": facts.Unknown},
		},
		{
			name:   "a repository that fails while the site is watched",
			config: qliktest.Config{Users: []qliktest.User{{Directory: "LAB", ID: "anna", License: qliktest.Professional}}},
			watch:  8 * time.Minute,
			prepare: func(t *testing.T, s *qliktest.Site, c *facts.Config) {
				t.Helper()
				login(t, s, "anna", "a")
				s.AddLeftoverRow("LAB", "anna")
				time.Sleep(2 * time.Minute)
				ends, polls := login(t, s, "anna", "b"), 0
				c.Progress = func(time.Duration, time.Duration) {
					switch polls++; polls {
					case 3:
						s.SetRepositoryFault("qlik1", qliktest.ServerError)
						s.Logout(ends)
					case 6:
						s.SetRepositoryFault("qlik1", qliktest.NoFault)
					case 8:
						s.SetRepositoryFault("qlik1", qliktest.ServerError)
					}
				}
			},
			want: map[string]string{"usage_row_left": "yes", "usage_row_left_end": facts.Unknown, "usage_row_end": facts.Unknown},
		},
		{
			name:    "an engine with the certificate of another host",
			prepare: func(_ *testing.T, s *qliktest.Site, _ *facts.Config) { s.SetEngineFault("qlik1", qliktest.WrongName) },
			want:    map[string]string{"engine_health": facts.Unknown},
		},
		{
			name:    "an engine that hangs",
			prepare: func(_ *testing.T, s *qliktest.Site, _ *facts.Config) { s.SetEngineFault("qlik1", qliktest.Hanging) },
			want:    map[string]string{"engine_health": facts.Unknown},
		},
		{
			name:    "an engine without a port",
			prepare: func(_ *testing.T, s *qliktest.Site, _ *facts.Config) { s.SetEngineFault("qlik1", qliktest.Refused) },
			want:    map[string]string{"engine_health": "no_connection"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				if test.config.Nodes == nil {
					test.config.Nodes = []qliktest.Node{{Name: "qlik1"}}
				}
				got := askSite(t, test.config, test.watch, func(s *qliktest.Site, c *facts.Config) { test.prepare(t, s, c) })
				for id, want := range test.want {
					if got[id] != want {
						t.Errorf("%s: %s, want %s", id, got[id], want)
					}
				}
			})
		})
	}
}
