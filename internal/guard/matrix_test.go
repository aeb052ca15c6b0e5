package guard

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/site"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// scene is a test in which Anna opens four windows a minute apart, and uses only the last
// one. When the guard reads the site again, it is about to end the first one.
type scene struct {
	*guarded

	windows []string
}

// TestBetweenReads checks what the guard does if something happens between its two reads, or
// after the second one. A session that is used after the second read, and before the request
// that ends it, ends: Qlik knows no condition, so the guard cannot prevent that.
func TestBetweenReads(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name      string
		between   func(s *scene)
		afterRead func(s *scene)
		left      string
		ended     uint64
		heldBack  string
		results   string // in the journal: ended, already gone, left alone, failed
		longest   time.Duration
	}{
		{name: "nothing", left: "1 2 3", ended: 1, heldBack: "in_use 1", results: "1000"},
		{
			name: "the repository fails", between: func(s *scene) { s.server.SetRepositoryFault("qlik1", qliktest.ServerError) },
			left: "0 1 2 3", heldBack: "in_use 1, rows_unknown 1",
		},
		{
			name: "the repository hangs", between: func(s *scene) { s.server.SetRepositoryFault("qlik1", qliktest.Hanging) },
			left: "0 1 2 3", heldBack: "in_use 1, rows_unknown 1", longest: 10 * time.Second,
		},
		{
			name: "a node fails", between: func(s *scene) { s.server.SetProxyFault("qlik3", qliktest.ServerError) },
			left: "0 1 2 3", heldBack: "in_use 1, incomplete 1",
		},
		{
			name: "a node hangs", between: func(s *scene) { s.server.SetProxyFault("qlik2", qliktest.Hanging) },
			left: "0 1 2 3", heldBack: "in_use 1, incomplete 1", longest: endTimeout,
		},
		{
			name: "all nodes fail", between: func(s *scene) {
				for _, node := range []string{"qlik1", "qlik2", "qlik3"} {
					s.server.SetProxyFault(node, qliktest.Refused)
				}
			},
			left: "0 1 2 3", heldBack: "in_use 1, incomplete 1",
		},
		{
			name: "the read takes too long", between: func(*scene) { time.Sleep(endTimeout + time.Second) },
			left: "1 2 3", ended: 1, heldBack: "in_use 1, incomplete 1", results: "1000", longest: 2 * endTimeout, // the next look ends it
		},
		{
			name: "Anna logs in", between: func(s *scene) { s.windows = append(s.windows, s.login("anna", "more", "")) },
			left: "0 1 2 3 4", heldBack: "changed 1, in_use 1",
		},
		{
			name: "Anna logs out", between: func(s *scene) { s.server.Logout(s.windows[1]) },
			left: "0 2 3", heldBack: "changed 1, in_use 1",
		},
		{
			name: "the window ends", between: func(s *scene) { s.server.Logout(s.windows[0]) },
			left: "1 2 3", heldBack: "changed 1, in_use 1",
		},
		{
			name: "Anna uses the window", between: func(s *scene) { s.server.Touch(s.windows[0]) },
			left: "0 2 3", ended: 1, heldBack: "changed 1, in_use 1", results: "1000", // the next look ends another one
		},
		{
			name: "the stop file", between: func(s *scene) { s.stop() },
			left: "0 1 2 3", heldBack: "in_use 1, stop_file 1",
		},
		{
			name: "the stop file after the read", afterRead: func(s *scene) { s.stop() },
			left: "0 1 2 3", heldBack: "in_use 1, stop_file 1",
		},
		{
			name: "the window ends after the read", afterRead: func(s *scene) { s.checked = false; s.server.Logout(s.windows[0]) },
			left: "1 2 3", heldBack: "in_use 1", results: "0100",
		},
		{
			name: "its node fails after the read", afterRead: func(s *scene) { s.server.SetProxyFault("qlik1", qliktest.Refused) },
			left: "0 1 2 3", heldBack: "failed 1, in_use 1, incomplete 1", results: "0001",
		},
		{
			name: "its node hangs after the read", afterRead: func(s *scene) { s.server.SetProxyFault("qlik1", qliktest.Hanging) },
			left: "0 1 2 3", heldBack: "failed 1, in_use 1, incomplete 1", results: "0001", longest: endTimeout,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &scene{guarded: start(t, nil, nil)}
				var begun time.Time
				s.between = func(n int) {
					begun = time.Now()
					if test.between != nil && n == 1 {
						test.between(s)
					}
				}
				s.afterRead = func(n int) {
					if took := time.Since(begun); took > max(test.longest, time.Second) {
						t.Errorf("the second read took %s", took)
					}
					if test.afterRead != nil && n == 1 {
						test.afterRead(s)
					}
				}
				for i := range 4 {
					s.windows = append(s.windows, s.login("anna", fmt.Sprint(i), ""))
					s.pass(time.Minute, s.windows[i])
				}
				s.pass(12*time.Minute, s.windows[3])
				if s.reads.Load() == 0 {
					t.Error("the guard has not read the site again")
				}
				if left := s.exist(s.windows); left != test.left {
					t.Errorf("the windows %s are left, want %s", left, test.left)
				}
				if ended := s.guard.Counts().Ended; ended != test.ended {
					t.Errorf("%d sessions ended, want %d", ended, test.ended)
				}
				if why := s.heldBack(); why != test.heldBack {
					t.Errorf("held back: %s, want %s", why, test.heldBack)
				}
				if results := s.results(); results != test.results {
					t.Errorf("the journal has the results %s, want %s", results, test.results)
				}
			})
		})
	}
}

// stop creates the stop file.
func (g *guarded) stop() {
	if err := os.WriteFile(g.stopFile, nil, 0o600); err != nil {
		g.t.Error(err)
	}
}

// results returns the results in the journal, such as "1000" for an ended session.
func (g *guarded) results() string {
	g.t.Helper()
	content, err := os.ReadFile(filepath.Join(filepath.Dir(g.stopFile), "journal.jsonl"))
	if err != nil {
		g.t.Fatal(err)
	}
	var all []string
	for text := range strings.Lines(string(content)) {
		var line struct {
			Kind                                    string
			Ended, Already_gone, Left_alone, Failed int //nolint:revive // as in the file
		}
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			g.t.Fatal(err)
		}
		if line.Kind == "result" {
			all = append(all, fmt.Sprint(line.Ended, line.Already_gone, line.Left_alone, line.Failed))
		}
	}
	return strings.ReplaceAll(strings.Join(all, ", "), " ", "")
}

// TestUsers checks which sessions of which users end, if they leave all windows but the last.
func TestUsers(t *testing.T) {
	t.Parallel()
	limited := func(id string) qliktest.User {
		return qliktest.User{Directory: "LAB", ID: id, License: qliktest.Analyzer}
	}
	// open opens windows a minute apart, and uses the last one from then on.
	open := func(g *guarded, login ...func(i int) string) []string {
		var windows []string
		for i, open := range login {
			windows = append(windows, open(i))
			g.pass(time.Minute, windows[i])
		}
		g.pass(14*time.Minute, windows[len(windows)-1])
		return windows
	}
	as := func(g *guarded, id, prefix string) func(int) string {
		return func(i int) string { return g.login(id, fmt.Sprint(i), prefix) }
	}
	times := func(n int, login func(int) string) []func(int) string {
		return slices.Repeat([]func(int) string{login}, n)
	}
	four := func(id string) func(g *guarded) []string {
		return func(g *guarded) []string {
			return open(g, times(4, as(g, id, ""))...)
		}
	}
	for _, test := range []struct {
		name     string
		site     func(*qliktest.Config, *site.Config)
		windows  func(g *guarded) []string
		left     string
		heldBack string
	}{
		{"a limited user", nil, four("anna"), "1 2 3", "in_use 1"},
		{"an unlimited user", nil, four("robot"), "0 1 2 3", ""},
		{"an anonymous user", nil, func(g *guarded) []string {
			return open(g, times(4, as(g, "anonymous1", "portal"))...)
		}, "0 1 2 3", ""},
		{"an internal user", func(c *qliktest.Config, _ *site.Config) {
			c.Users = append(c.Users, qliktest.User{Directory: "INTERNAL", ID: "sa_repository", License: qliktest.Analyzer})
		}, func(g *guarded) []string {
			login := func(i int) string {
				session, err := g.server.Login("INTERNAL", "sa_repository", fmt.Sprint(i), "", "qlik1")
				if err != nil {
					g.t.Fatal(err)
				}
				return session.ID
			}
			return open(g, times(4, login)...)
		}, "0 1 2 3", "never_ended 1"},
		{"a named service account", func(_ *qliktest.Config, c *site.Config) {
			c.Headroom.ServiceAccounts = []qlik.User{qlik.NewUser("LAB", "reload")}
		}, four("reload"), "0 1 2 3", "never_ended 1"},
		{"the account of the services", func(_ *qliktest.Config, c *site.Config) {
			c.ServiceUsers = func() ([]qlik.User, error) { return []qlik.User{qlik.NewUser("LAB", "bert")}, nil }
		}, func(g *guarded) []string {
			g.Refresh()
			return four("bert")(g)
		}, "0 1 2 3", "never_ended 1"},
		{"a user without a license", nil, four("guest"), "0 1 2 3", ""},
		{"a user whose license was taken", nil, func(g *guarded) []string {
			var windows []string
			for i := range 4 {
				windows = append(windows, g.login("anna", fmt.Sprint(i), ""))
				g.pass(time.Minute, windows...)
			}
			g.server.TakeLicense("LAB", "anna", qliktest.Analyzer)
			g.pass(6*time.Minute, windows...)
			g.Refresh() // reads the licenses
			g.pass(15*time.Minute, windows[3])
			return windows
		}, "0 1 2 3", "in_use 1"},
		{"a user who writes the name in several ways", nil, func(g *guarded) []string {
			spelled := func(directory, id string) func(int) string {
				return func(i int) string {
					session, err := g.server.Login(directory, id, fmt.Sprint(i), "", "qlik1")
					if err != nil {
						g.t.Fatal(err)
					}
					return session.ID
				}
			}
			return open(g, spelled("lab", "ANNA"), spelled("Lab", "Anna"), spelled("LAB", "anna"), spelled("lAB", "aNNA"))
		}, "1 2 3", "in_use 1"},
		{"the QMC takes a second slot", func(c *qliktest.Config, _ *site.Config) { c.QMC = qliktest.QMCSecondRow }, func(g *guarded) []string {
			qmc := func(int) string {
				session, err := g.server.OpenQMC("LAB", "anna", "1", "", "qlik1")
				if err != nil {
					g.t.Fatal(err)
				}
				return session.ID
			}
			return open(g, append(times(2, as(g, "anna", "")), qmc, as(g, "anna", ""))...)
		}, "1 2 3", "in_use 1"},
		{"leftover rows fill slots", nil, func(g *guarded) []string {
			g.server.AddLeftoverRow("LAB", "anna")
			g.server.AddLeftoverRow("LAB", "anna")
			return open(g, times(2, as(g, "anna", ""))...)
		}, "1", "in_use 1"},
		{"leftover rows fill all slots but that of one window", nil, func(g *guarded) []string {
			for range 3 {
				g.server.AddLeftoverRow("LAB", "anna")
			}
			windows := open(g, as(g, "anna", ""))
			g.pass(14 * time.Minute)
			return windows
		}, "0", "in_use 1"},
		{"windows that were last used at the same time", nil, func(g *guarded) []string {
			login := as(g, "anna", "")
			windows := []string{login(0), login(1), login(2)}
			g.pass(time.Minute)
			windows = append(windows, login(3))
			g.pass(14*time.Minute, windows[3])
			slices.Sort(windows[:3]) // the first one ends
			return windows
		}, "1 2 3", "in_use 1"},
		{"all windows were last used at the same time", nil, func(g *guarded) []string {
			login := as(g, "anna", "")
			windows := []string{login(0), login(1), login(2), login(3)}
			g.pass(16 * time.Minute)
			return windows
		}, "0 1 2 3", "in_use 1"},
		{"two nodes list a window", nil, func(g *guarded) []string {
			windows := []string{g.login("anna", "first", "")}
			g.list("qlik2", "", windows[0])
			return append(windows, open(g, append(times(1, as(g, "anna", "")), as(g, "anna", "sales"), as(g, "anna", ""))...)...)
		}, "1 2 3", "in_use 1"},
		{"a virtual proxy that is not allowed lists a window, too", nil, func(g *guarded) []string {
			windows := []string{g.login("anna", "first", "")}
			g.list("qlik2", "portal", windows[0])
			return append(windows, open(g, times(3, as(g, "anna", "portal"))...)...)
		}, "0 1 2 3", "in_use 1, virtual_proxy 1"},
		{"two users at once", nil, func(g *guarded) []string {
			var windows []string
			for i := range 4 {
				for _, id := range []string{"anna", "carla"} {
					windows = append(windows, g.login(id, fmt.Sprint(i), ""))
				}
				g.pass(time.Minute, windows[2*i:]...)
			}
			g.pass(14*time.Minute, windows[6:]...)
			return windows
		}, "2 3 4 5 6 7", "in_use 2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := start(t, nil, func(c *qliktest.Config, run *site.Config) {
					c.Users = append(c.Users, limited("svc"))
					if test.site != nil {
						test.site(c, run)
					}
				})
				windows := test.windows(g)
				if left := g.exist(windows); left != test.left {
					t.Errorf("the windows %s are left, want %s", left, test.left)
				}
				if why := g.heldBack(); why != test.heldBack {
					t.Errorf("held back: %s, want %s", why, test.heldBack)
				}
			})
		})
	}
}

// list makes a virtual proxy of a node list a session of Anna, and nothing else.
func (g *guarded) list(node, prefix, id string) {
	g.server.SetAnswer(node, prefix, fmt.Appendf(nil, `[{"UserDirectory":"LAB","UserId":"anna","Attributes":[],"SessionId":%q}]`, id))
}

// TestManyUsers checks that at most fifty sessions end in a look, and the others in the next
// one. The dry run counts the same.
func TestManyUsers(t *testing.T) {
	t.Parallel()
	const people = 60
	for _, dryRun := range []bool{false, true} {
		t.Run(fmt.Sprint("dry run ", dryRun), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := start(t, func(c *Config) { c.DryRun = dryRun }, func(c *qliktest.Config, _ *site.Config) {
					for i := range people {
						c.Users = append(c.Users, qliktest.User{Directory: "LAB", ID: fmt.Sprint("user", i), License: qliktest.Analyzer})
					}
				})
				var last []string
				for i := range 4 {
					for user := range people {
						id := g.login(fmt.Sprint("user", user), fmt.Sprint(i), "")
						if i == 3 {
							last = append(last, id)
						}
					}
					if i < 3 {
						g.pass(time.Second) // thirty seconds
					}
				}
				var ended []uint64
				for range 26 {
					g.pass(time.Second, last...)
					if n := g.guard.Counts().Ended; n > 0 {
						ended = append(ended, n)
					}
				}
				if want := []uint64{maxPerLook, people}; !slices.Equal(ended[:2], want) || ended[len(ended)-1] != people {
					t.Errorf("after each look, %v sessions ended, want %v", ended, want)
				}
			})
		})
	}
}
