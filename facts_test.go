package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// TestFactsTellNothing checks that what check shows after its report, and what it writes,
// contains nothing of the site, whatever the site answers.
func TestFactsTellNothing(t *testing.T) {
	t.Parallel()
	site, flags := startSite(t, qliktest.Config{
		Nodes:          []qliktest.Node{{Name: "canary-node1"}, {Name: "canary-node2"}},
		VirtualProxies: []qliktest.VirtualProxy{{}, {Prefix: "canary-prefix"}},
		Users:          []qliktest.User{{Directory: "CANARY", ID: "canary-anna", License: qliktest.Professional}},
	})
	secrets := []string{"canary", "127.0.0.1", "eyJ", "99990000"}
	for i, prefix := range []string{"", "canary-prefix", ""} {
		session, err := site.Login("CANARY", "canary-anna", fmt.Sprint(i), prefix, "")
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, session.ID)
	}
	for _, flag := range flags { // addresses and the folder
		_, value, _ := strings.Cut(flag, "=")
		secrets = append(secrets, value)
	}
	folder := t.TempDir()
	for i, fault := range []qliktest.Fault{qliktest.NoFault, qliktest.Unauthorized, qliktest.Redirect, qliktest.HTMLPage, qliktest.Truncated, qliktest.WrongName} {
		site.SetProxyFault("canary-node2", fault)
		site.SetRepositoryFault("canary-node1", fault)
		name := fmt.Sprint("facts", i, ".json")
		check := command(t, append(flags, "check", "--facts="+name, "--facts-watch=0s")...)
		check.Dir = folder
		output, err := check.Output()
		if _, failed := errors.AsType[*exec.ExitError](err); failed != (fault != qliktest.NoFault) {
			t.Errorf("%v: %v", fault, err)
		}
		_, shown, found := strings.Cut(string(output), "\nThis site answers ")
		written, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil || !found || !strings.Contains(shown, string(written)) {
			t.Fatalf("%v: %v:\n%s", fault, err, output)
		}
		for _, secret := range secrets {
			if strings.Contains(strings.ToLower(shown), strings.ToLower(secret)) {
				t.Errorf("%v: %q in\n%s", fault, secret, shown)
			}
		}
	}
}
