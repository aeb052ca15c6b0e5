package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// A simulatedSite is the demo as other programs see it.
type simulatedSite struct {
	address string // of the central node
	folder  string // with the certificates
	client  *http.Client
}

var centralNode = regexp.MustCompile(`(?m)^  qlik-central +([0-9.]+) +4242 +4243 +4747$`)

// startSimulated starts the demo, whose nodes have the ports of real ones.
func startSimulated(t *testing.T) simulatedSite {
	t.Helper()
	d := startDemo(t)
	found := centralNode.FindStringSubmatch(d.stdout.String())
	if found == nil {
		t.Fatalf("the demo does not print the address of the central node:\n%s", d.stdout.String())
	}
	s := simulatedSite{address: found[1], folder: d.folder}
	certificate, err := tls.LoadX509KeyPair(filepath.Join(s.folder, "client.pem"), filepath.Join(s.folder, "client_key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	authorities := x509.NewCertPool()
	authorities.AppendCertsFromPEM(readFile(t, filepath.Join(s.folder, "root.pem")))
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, RootCAs: authorities},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, _ := net.SplitHostPort(address)
			return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(s.address, port))
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	s.client = &http.Client{Transport: transport, Timeout: 10 * time.Second}
	return s
}

// get returns the status of a response of the central node, and decodes its body if the status is 200.
func (s simulatedSite) get(t *testing.T, path string, into any) int {
	t.Helper()
	const key = "0123456789abcdef"
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://qlik-central:"+path+"?Xrfkey="+key, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Qlik-Xrfkey", key)
	response, err := s.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode == http.StatusOK {
		if err := json.Unmarshal(content, into); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	return response.StatusCode
}

// names returns a field of the entities of a kind that fit.
func (s simulatedSite) names(t *testing.T, kind, field string, fits func(map[string]any) bool) []string {
	t.Helper()
	var all []map[string]any
	if status := s.get(t, "4242/qrs/"+kind+"/full", &all); status != http.StatusOK {
		t.Fatalf("%s: status %d", kind, status)
	}
	names := []string{}
	for _, each := range all {
		if fits == nil || fits(each) {
			names = append(names, fmt.Sprint(each[field]))
		}
	}
	return names
}

// ended reports whether a session of a virtual proxy has ended.
func (s simulatedSite) ended(t *testing.T, prefix, id string) bool {
	t.Helper()
	var session map[string]any
	return s.get(t, "4243/qps/"+prefix+"session/"+id, &session) == http.StatusNotFound
}

// clients returns a folder with the clients from npm and the scripts that use them.
func clients(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("clients")); err != nil {
		t.Fatal(err)
	}
	npm := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	npm.Dir = dir
	if output, err := npm.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v; see the top of main_test.go for what these tests need\n%s", err, output)
	}
	return dir
}

// node runs a script, and decodes what it prints.
func (s simulatedSite) node(t *testing.T, dir, script string, into any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "node", script, s.address, s.folder)
	command.Dir = dir
	var complaints strings.Builder
	command.Stderr = &complaints
	output, err := command.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, complaints.String())
	}
	if err := json.Unmarshal(output, into); err != nil {
		t.Fatalf("%s: %v in %s", script, err, output)
	}
	t.Logf("%s prints %.2000s", script, output)
}

// examples returns the code of a language in the page about the simulated site. Instead of 127.0.0.1, it uses the address of the site.
func (s simulatedSite) examples(t *testing.T, language string) []string {
	t.Helper()
	page := readFile(t, filepath.Join(repository, "docs", "simulated-site.md"))
	var all []string
	for _, block := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		all = append(all, strings.ReplaceAll(block[1], "127.0.0.1", s.address))
	}
	return all
}

// TestClients uses the demo with clients of Qlik Sense that others wrote for real sites.
func TestClients(t *testing.T) { //nolint:tparallel // its parts share a site
	t.Parallel()
	dir := clients(t)
	s := startSimulated(t)

	same := func(t *testing.T, what string, got, want []string) {
		t.Helper()
		slices.Sort(got)
		slices.Sort(want)
		expect(t, slices.Equal(got, want) && len(want) > 0, what, fmt.Sprintf("%q, on the site %q", got, want))
	}

	t.Run("qlik-repo-api", func(t *testing.T) {
		var r struct {
			Version, Filter, User, License, Ended                            string
			Users, Nodes, Central, VirtualProxies, SAML                      []string
			Reloads, Streams, Tags, Table                                    []string
			ProxyPorts, EnginePorts                                          []int
			NodeCount, EngineHealths, Engines, ServiceCount, UserDirectories int
			Executions, DataConnections, EndedStatus                         int
			CustomProperties, Tokens                                         *int
		}
		s.node(t, dir, "qlik-repo-api.mjs", &r)
		same(t, "users that match "+r.Filter, r.Users, s.names(t, "user", "userId", func(u map[string]any) bool {
			return u["userDirectory"] == "PARTNER" && u["removedExternally"] == false &&
				(strings.HasPrefix(fmt.Sprint(u["name"]), "I") || strings.Contains(fmt.Sprint(u["userId"]), "yusuf"))
		}))
		expect(t, slices.Contains(r.Users, r.User), "one user by id", r.User)
		same(t, "nodes", r.Nodes, s.names(t, "servernodeconfiguration", "hostName", nil))
		same(t, "the central node", r.Central, []string{"qlik-central"})
		same(t, "virtual proxies", r.VirtualProxies, s.names(t, "virtualproxyconfig", "prefix", nil))
		same(t, "virtual proxies with SAML", r.SAML, []string{"finance", "sales"})
		same(t, "reload tasks", r.Reloads, s.names(t, "reloadtask", "name", func(task map[string]any) bool { return task["name"] != "Reload Sales" }))
		same(t, "streams", r.Streams, []string{"Everyone", "Monitoring apps"})
		same(t, "tags", r.Tags, []string{"Central node", "Rim node"})
		all := s.names(t, "user", "userId", nil)
		slices.Sort(all)
		same(t, "first rows of a table", r.Table, all[:3])
		expect(t, slices.Equal(r.ProxyPorts, []int{4243, 4243, 4243}) && slices.Equal(r.EnginePorts, []int{4747, 4747, 4747}), "ports", fmt.Sprint(r.ProxyPorts, r.EnginePorts))
		expect(t, r.NodeCount == 3 && r.EngineHealths == 3 && r.Engines == 3 && r.ServiceCount == 15 && r.UserDirectories == 2, "numbers of entities",
			fmt.Sprint(r.NodeCount, r.EngineHealths, r.Engines, r.ServiceCount, r.UserDirectories))
		expect(t, r.Executions > 300 && r.DataConnections == 10 && *r.CustomProperties == 0 && *r.Tokens == 0, "more numbers",
			fmt.Sprint(r.Executions, r.DataConnections, *r.CustomProperties, *r.Tokens))
		expect(t, r.Version != "" && r.License != "", "version and license", r.Version+" "+r.License)
		expect(t, r.EndedStatus == http.StatusOK && s.ended(t, "", r.Ended), "it ends a session", r.Ended)
	})

	t.Run("qrs-interact", func(t *testing.T) {
		var r struct {
			Version, Filter, Refused          string
			Connections, Licensed, RowsOfNode []string
			Count, Rows                       int
		}
		s.node(t, dir, "qrs-interact.cjs", &r)
		same(t, "data connections that match "+r.Filter, r.Connections, s.names(t, "dataconnection", "name", func(c map[string]any) bool {
			return strings.HasPrefix(fmt.Sprint(c["name"]), "monitor_apps_REST_") && c["username"] == `ACME\svc_qlik_reload`
		}))
		expect(t, r.Count == len(r.Connections), "their number", r.Count)
		same(t, "the license of a user", r.Licensed, []string{"svc_qlik_reload"})
		expect(t, 0 < len(r.RowsOfNode) && len(r.RowsOfNode) < r.Rows && len(slices.Compact(r.RowsOfNode)) == 1, "usage rows of one node",
			fmt.Sprintf("%d of %d", len(r.RowsOfNode), r.Rows))
		expect(t, strings.Contains(r.Refused, "405"), "it cannot delete a user", r.Refused)
	})

	t.Run("qlik-rest-api", func(t *testing.T) {
		type session struct {
			UserDirectory, UserID, SessionID string
			NewUser                          bool
		}
		var r struct {
			Apps, Left, OfUser                                 []string
			Wrong, Again, Ended, EngineVersion                 string
			Sessions, EndedStatus, AddedStatus, EngineSessions int
			Added                                              session
		}
		s.node(t, dir, "qlik-rest-api.mjs", &r)
		same(t, "apps", r.Apps, []string{"Operations Monitor"})
		expect(t, strings.Contains(r.Wrong, "400"), "an unknown field in a filter", r.Wrong)
		expect(t, r.Sessions > 20 && len(r.Left) > 20 && !slices.Contains(r.Left, r.Ended), "the list without the session that it ends", len(r.Left))
		expect(t, r.EndedStatus == http.StatusOK && strings.Contains(r.Again, "404") && s.ended(t, "", r.Ended), "it ends a session", r.Again)
		same(t, "sessions of a user", r.OfUser, []string{"chosen-by-qlik-rest-api"})
		var added session
		status := s.get(t, "4243/qps/api/session/chosen-by-qlik-rest-api", &added)
		expect(t, r.AddedStatus == http.StatusCreated && r.Added.NewUser && status == http.StatusOK && added.UserID == "added.by.rest" && added.SessionID == r.Added.SessionID,
			"it adds a session", fmt.Sprintf("%+v", added))
		expect(t, r.EngineVersion != "" && r.EngineSessions > 20, "health of the engine", fmt.Sprint(r.EngineVersion, ", sessions: ", r.EngineSessions))
	})

	t.Run("qlik-auth", func(t *testing.T) {
		type session struct{ UserDirectory, UserID, SessionID string }
		var r struct {
			Ticket struct {
				Status   int
				Location string
			}
			Added, Listed, Ended session
		}
		s.node(t, dir, "qlik-auth.cjs", &r)
		ticket := regexp.MustCompile(`^https://qlik-central/api/hub/\?QlikTicket=\w{16}$`)
		expect(t, r.Ticket.Status == http.StatusFound && ticket.MatchString(r.Ticket.Location), "it redirects with a ticket", r.Ticket.Location)
		want := session{"ACME", "added.by.auth", "chosen-by-qlik-auth"}
		expect(t, r.Added == want && r.Listed == want && r.Ended == want && s.ended(t, "api/", want.SessionID), "it adds, finds and ends a session", r.Ended)
	})

	t.Run("documentation", func(t *testing.T) {
		certificates := "CERTIFICATES=" + s.folder
		curls := s.examples(t, "sh")
		expect(t, len(curls) == 1, "one example for curl", len(curls))
		output := shell(t, certificates+"\n"+curls[0])
		for _, part := range []string{`"buildVersion"`, `{"value":`, `"SessionId":"chosen-by-curl"`, `"NewUser":true`, `"saturated":false`} {
			expect(t, strings.Contains(output, part), "curl gets "+part, len(output))
		}
		programs := s.examples(t, "js")
		expect(t, len(programs) == 4, "examples for Node.js", len(programs))
		for _, each := range []struct{ client, extension, prints string }{
			{"qlik-repo-api", "mjs", "Anna Albers anna.albers\n"},
			{"qrs-interact", "cjs", "'svc_qlik_reload'"},
			{"qlik-rest-api", "mjs", " sessions\n200\n"},
			{"qlik-auth", "cjs", "http://localhost:"},
		} {
			i := slices.IndexFunc(programs, func(program string) bool { return strings.Contains(program, `"`+each.client+`"`) })
			if i < 0 {
				t.Errorf("no example for %s", each.client)
				continue
			}
			port := freePort(t)
			writeFile(t, filepath.Join(dir, "example."+each.extension), []byte(strings.ReplaceAll(programs[i], "1337", port)))
			command := exec.Command("node", filepath.Join(dir, "example."+each.extension))
			command.Env = append(os.Environ(), certificates)
			p := start(t, command)
			if each.client != "qlik-auth" {
				expect(t, p.wait(t) == 0 && strings.Contains(p.stdout.String(), each.prints), each.client+" prints", p.stdout.String())
				continue
			}
			p.waitFor(t, each.client, readyWithin, func() bool { return strings.Contains(p.stdout.String(), each.prints) })
			head := shell(t, "curl -sSi --noproxy '*' 'http://localhost:"+port+"/?targetId=1'")
			expect(t, strings.Contains(head, "https://qlik-central/hub/?QlikTicket="), "qlik-auth redirects", head)
			_ = p.cmd.Process.Kill()
			p.wait(t)
		}
	})
}
