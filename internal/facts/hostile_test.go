package facts_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/facts"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// A part of every name of the site of newCanaries.
const canary = "canary"

// newCanaries starts a site of which every name is a canary. It returns what must not be
// in a file.
func newCanaries(t *testing.T) (*office, []string) {
	t.Helper()
	time.Sleep(time.Until(theDay))
	logs := filepath.Join(t.TempDir(), canary+"-logs")
	if err := os.Mkdir(logs, 0o700); err != nil {
		t.Fatal(err)
	}
	site, err := qliktest.Start(qliktest.Config{
		InMemory: true, AuditLogDir: logs, TraceLogDir: logs, ServiceUser: `CANARY\canary-service`,
		Nodes: []qliktest.Node{{Name: "canary-node1"}, {Name: "canary-node2", RESTListenPort: 34243}},
		VirtualProxies: []qliktest.VirtualProxy{
			{Description: "canary default"}, {Prefix: "canary/sales", SessionCookie: "canary-cookie"}, {Prefix: "canary-hr", Nodes: []string{"canary-node2"}},
		},
		Users: []qliktest.User{
			{Directory: "CANARY", ID: "canary-anna", License: qliktest.Professional, Name: "Canary Anna"},
			{Directory: "CANARY", ID: "canary-root", Admin: true},
		},
		DataConnections: []qliktest.DataConnection{{Name: "monitor_apps_REST_canary", Username: `CANARY\canary-svc`, Password: "canary-password"}},
		ReloadTasks:     []qliktest.ReloadTask{{Name: "canary task", App: "canary app", Stream: "Monitoring apps", Every: time.Hour}},
		LicenseExpiry:   time.Date(2033, time.July, 14, 0, 0, 0, 0, time.UTC),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(site.Close)
	dir := filepath.Join(t.TempDir(), canary+"-certificates")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := site.WriteCertificates(dir); err != nil {
		t.Fatal(err)
	}
	secrets := []string{canary, "34243", "9999000000001000", "eyJ", "2033", "Berg"}
	for i := range 8 {
		for _, place := range [][2]string{{"", "canary-node1"}, {"canary/sales", "canary-node2"}} {
			session, err := site.Login("CANARY", []string{"canary-anna", "canary-root", "canary-guest"}[i%3], fmt.Sprint("canary", i), place[0], place[1])
			if err != nil {
				t.Fatal(err)
			}
			secrets = append(secrets, session.ID, session.ID[:8])
		}
	}
	return &office{Site: site, t: t, config: facts.Config{
		Qlik:      qlik.Config{Hosts: []string{"canary-node1"}, CertDir: dir, DialContext: site.DialContext},
		Program:   "1.2.3",
		AuditLogs: map[string]string{"canary-node1": site.AuditLogPath("canary-node1")},
		LocalLogs: logs, Watch: time.Minute,
	}}, secrets
}

// inspect asks the site and checks that the file has only answers of the lists, and
// nothing of the site.
func (o *office) inspect(about string, secrets []string) *facts.File {
	o.t.Helper()
	file, err := facts.Ask(o.t.Context(), o.config)
	if err != nil {
		o.t.Fatalf("%s: %v", about, err)
	}
	content, err := file.JSON()
	if err != nil {
		o.t.Fatal(err)
	}
	for _, secret := range secrets {
		if strings.Contains(strings.ToLower(string(content)), strings.ToLower(secret)) {
			o.t.Errorf("%s: the file contains %q:\n%s", about, secret, content)
		}
	}
	var read map[string]json.RawMessage
	if err := json.Unmarshal(content, &read); err != nil || len(read) != 3 || string(read["schema"]) != "1" || string(read["program"]) != `"1.2.3"` {
		o.t.Errorf("%s: %v\n%s", about, err, content)
	}
	questions := facts.Questions()
	for _, q := range questions {
		if answer := file.Facts[q.ID]; answer != facts.Unknown && !slices.Contains(q.Answers, answer) {
			o.t.Errorf("%s: %s is %q", about, q.ID, answer)
		}
	}
	if len(file.Facts) != len(questions) {
		o.t.Errorf("%s: %d answers", about, len(file.Facts))
	}
	return file
}

// TestCanaries checks that nothing of a site is in its file, whatever it answers.
func TestCanaries(t *testing.T) {
	t.Parallel()
	t.Run("well", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			o, secrets := newCanaries(t)
			if file := o.inspect("well", secrets); file.Known() < 40 {
				t.Errorf("only %d answers: %v", file.Known(), file.Facts)
			}
		})
	})
	for _, fault := range qliktest.Faults() {
		t.Run(fault.String(), func(t *testing.T) {
			t.Parallel()
			if testing.Short() && fault == qliktest.EndlessBody {
				t.Skip("moves half a gigabyte")
			}
			synctest.Test(t, func(t *testing.T) {
				o, secrets := newCanaries(t)
				for _, node := range []string{"canary-node1", "canary-node2"} {
					o.SetProxyFault(node, fault)
					o.SetEngineFault(node, fault)
				}
				begin := time.Now()
				if fault != qliktest.EndlessBody { // it takes long
					o.inspect("proxies", secrets)
				}
				o.SetRepositoryFault("canary-node1", fault)
				if file := o.inspect("all", secrets); file.Facts["client_key"] != "not_encrypted" {
					t.Errorf("the files on this machine are unknown: %v", file.Facts)
				}
				if took := time.Since(begin); took > 8*time.Minute {
					t.Errorf("took %s", took)
				}
			})
		})
	}
}

// TestHostileAnswers checks that answers that no site gives are harmless.
func TestHostileAnswers(t *testing.T) {
	t.Parallel()
	repository := []string{
		"/qrs/servicestatus/full", "/qrs/proxyservice/full", "/qrs/virtualproxyconfig/full", "/qrs/engineservice/full", "/qrs/license",
		"/qrs/license/professionalaccesstype/full", "/qrs/license/professionalaccessusage/full", "/qrs/license/loginaccessusage/full",
		"/qrs/user", "/qrs/user/full", "/qrs/dataconnection/full", "/qrs/reloadtask/full", "/qrs/executionresult/count",
	}
	fields := []string{
		"id", "SessionId", "UserDirectory", "UserId", "UserName", "Attributes", "serviceType", "serviceState", "timestamp", "serverNodeConfiguration", "settings",
		"prefix", "lef", "keyDetails", "lastUsed", "user", "sessionID", "sessions", "latestActivity", "useStartTime", "modifiedByUserName",
		"roles", "name", "username", "app", "value", "mem", "session", "started", "virtualProxies", "restListenPort",
	}
	// filled returns an object of which every field has the same value.
	filled := func(value string) string {
		var parts []string
		for _, name := range fields {
			parts = append(parts, fmt.Sprintf("%q:%s", name, value))
		}
		return "{" + strings.Join(parts, ",") + "}"
	}
	many := "[" + strings.Repeat(filled(`"canary"`)+",", 1000) + filled("null") + "]"
	bodies := map[string]string{
		"nothing": "", "null": "null", "a number": "42", "a text": `"canary"`, "not JSON": "canary", "HTML": "<html>canary</html>",
		"empty objects": "[{},{}]", "texts": "[" + filled(`"canary"`) + "]", "nulls": "[" + filled("null") + "]", "numbers": "[" + filled("-1e999") + "]",
		"objects": "[" + filled(`{"canary":"canary"}`) + "]", "arrays": "[" + filled(`["canary",null,{},[[]]]`) + "]",
		"one object": filled(`"canary"`), "nested": strings.Repeat("[", 100_000), "broken": `[{"SessionId":"canary`, "many": many,
		"one large element": `[{"canary":"` + strings.Repeat("canary", 2<<20) + `"}]`,
	}
	for _, name := range slices.Sorted(maps.Keys(bodies)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o, secrets := newCanaries(t)
				body := []byte(bodies[name])
				for _, path := range repository {
					o.SetRepositoryAnswer(path, body)
					if len(body) < 1<<20 && !testing.Short() {
						o.inspect(path, secrets)
						o.SetRepositoryAnswer(path, nil)
					}
				}
				for _, node := range []string{"canary-node1", "canary-node2"} {
					for _, prefix := range []string{"", "canary/sales", "canary-hr"} {
						o.SetAnswer(node, prefix, body)
					}
					o.SetEngineAnswer(node, body)
				}
				o.inspect("proxies and engines", secrets)
				for _, path := range repository {
					o.SetRepositoryAnswer(path, body)
				}
				o.inspect("everything", secrets)
			})
		})
	}
}

// TestInterrupted checks that an interrupt ends the questions and the watching at once,
// and that what is known when watching begins is not lost.
func TestInterrupted(t *testing.T) {
	for _, fault := range []qliktest.Fault{qliktest.NoFault, qliktest.Hanging} {
		synctest.Test(t, func(t *testing.T) {
			o, _ := newCanaries(t)
			o.SetProxyFault("canary-node1", fault)
			o.config.Watch = time.Hour
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			begin := time.Now()
			file, err := facts.Ask(ctx, o.config)
			if err == nil || err.Error() != "interrupted" {
				t.Errorf("%v: %v", fault, err)
			}
			if watched := fault == qliktest.NoFault; (file != nil) != watched || watched && file.Known() < 30 {
				t.Errorf("%v: %v", fault, file)
			}
			if took := time.Since(begin); took > 3*time.Second {
				t.Errorf("%v: took %s", fault, took)
			}
		})
	}
}

// TestRequests checks that the site gets only GET requests, each kind about once.
func TestRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, nil)
		o.ask()
		got := o.Requests()
		if got.Writes != 0 {
			t.Errorf("%d requests that could change something", got.Writes)
		}
		for path, n := range got.Repository {
			// The client joins the topology itself.
			if n > 1 && (n > 2 || path != "/qrs/proxyservice/full" && path != "/qrs/virtualproxyconfig/full") {
				t.Errorf("%s: %d requests", path, n)
			}
		}
		const links, odd = 5, 7
		if n := got.SessionLists + got.OtherProxy; n > links+odd || got.Engine > 3 {
			t.Errorf("%d requests to proxies, %d to engines", n, got.Engine)
		}
	})
}
