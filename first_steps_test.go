package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// TestFirstSteps types the commands of docs/first-steps.md in a folder with nothing but the
// program and the exported certificates, and compares everything that they print with the
// transcript in the page. The first commands need at most four answers.
func TestFirstSteps(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs addresses of its own with the ports of Qlik")
	}
	// The time of the site and of the commands stands still, so that a busy machine changes
	// nothing.
	now := time.Now().UTC().Truncate(time.Second)
	site := startNamedSite(t, now)
	clock := filepath.Join(t.TempDir(), "clock")
	if err := os.WriteFile(clock, []byte(now.Format(time.RFC3339)), 0o600); err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if err := os.Symlink(os.Args[0], filepath.Join(folder, "qlik_exporter")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(folder, "certs"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := site.WriteCertificates(filepath.Join(folder, "certs")); err != nil {
		t.Fatal(err)
	}
	var transcript strings.Builder
	answers := 0
	for _, step := range []struct {
		args    string
		answers []string
	}{
		{"init", []string{"qlik1.company.com", "certs"}},
		{"sessions @qlik_exporter.flags", nil},
		{"why anna @qlik_exporter.flags", nil},
	} {
		answers += len(step.answers)
		process := exec.CommandContext(t.Context(), filepath.Join(folder, "qlik_exporter"), strings.Fields(step.args)...)
		process.Args[0] = "./qlik_exporter"
		process.Dir = folder
		process.Stdin = strings.NewReader(strings.Join(append(step.answers, ""), "\n"))
		// The simulated names do not resolve. No other exporter is running.
		process.Env = append(os.Environ(), asExporter+"=1", clockFileOf+"="+clock, "QLIK_EXPORTER_DIRECT=true", "QLIK_EXPORTER_QLIK_NODE_ADDRESS="+strings.Join(addressesOf(site), "\n"))
		output, err := process.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", step.args, err, output)
		}
		fmt.Fprintf(&transcript, "    $ ./qlik_exporter %s\n", step.args)
		for line := range strings.Lines(recorded(string(output), now)) {
			transcript.WriteString(strings.TrimRight("    "+line, " \n") + "\n")
		}
		transcript.WriteString("\n")
	}
	if answers > 4 {
		t.Errorf("%d questions", answers)
	}
	path := filepath.Join("docs", "first-steps.md")
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(page), "<!-- transcript -->\n\n")
	shown, after, closed := strings.Cut(rest, "<!-- end -->")
	switch {
	case !found || !closed:
		t.Fatalf("%s has no place for the transcript", path)
	case *update:
		err = os.WriteFile(path, []byte(before+"<!-- transcript -->\n\n"+transcript.String()+"<!-- end -->"+after), 0o600)
	case shown != transcript.String():
		t.Errorf("the transcript in %s differs from what the commands print now; go test . -run TestFirstSteps -update writes it anew:\n%s", path, transcript.String())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// nodesOfTranscript are the nodes in the transcript, with the addresses that it shows.
var nodesOfTranscript = map[string]string{"qlik1.company.com": "10.0.0.11", "qlik2.company.com": "10.0.0.12"}

// startNamedSite starts a small site whose nodes listen on the ports of Qlik.
func startNamedSite(t *testing.T, now time.Time) *qliktest.Site {
	t.Helper()
	clock := qliktest.NewClock(now.Add(-time.Hour))
	config := qliktest.Config{
		Now:            clock.Now,
		Nodes:          []qliktest.Node{{Name: "qlik1.company.com", Central: true}, {Name: "qlik2.company.com"}},
		VirtualProxies: []qliktest.VirtualProxy{{}, {Prefix: "sales"}},
		Users: []qliktest.User{
			{Directory: "ACME", ID: "anna.berg", Name: "Anna Berg", License: qliktest.Professional},
			{Directory: "ACME", ID: "jonas.wolf", Name: "Jonas Wolf", License: qliktest.Analyzer},
		},
	}
	var site *qliktest.Site
	for range 5 { // another program may have the address
		network := fmt.Sprintf("127.%d.%d.", 1+rand.IntN(254), rand.IntN(256))
		for i := range config.Nodes {
			config.Nodes[i].Address = network + fmt.Sprint(1+i)
		}
		var err error
		if site, err = qliktest.Start(config); err == nil {
			break
		}
	}
	if site == nil {
		t.Fatal("no address is free")
	}
	t.Cleanup(site.Close)
	for _, login := range []struct {
		user, device, prefix, node string
		ago                        time.Duration
	}{
		{"anna.berg", "laptop", "", "qlik1.company.com", 28 * time.Minute},
		{"anna.berg", "phone", "", "qlik2.company.com", 24 * time.Minute},
		{"anna.berg", "laptop", "sales", "qlik1.company.com", 21 * time.Minute},
		{"jonas.wolf", "laptop", "", "qlik1.company.com", 12 * time.Minute},
		{"anna.berg", "meeting room", "sales", "qlik2.company.com", 9 * time.Minute},
		{"anna.berg", "tablet", "", "qlik2.company.com", 3 * time.Minute},
	} {
		clock.Set(now.Add(-login.ago))
		if _, err := site.Login("ACME", login.user, login.device, login.prefix, login.node); err != nil {
			t.Fatal(err)
		}
	}
	clock.Set(now)
	return site
}

// addressesOf returns the addresses of the nodes as --qlik.node-address takes them.
func addressesOf(site *qliktest.Site) []string {
	var addresses []string
	for node := range nodesOfTranscript {
		addresses = append(addresses, node+"="+site.ProxyAddress(node))
	}
	return addresses
}

// recorded replaces what differs between runs, or belongs to the simulated site alone. It
// shows the time now as 9:30.
func recorded(output string, now time.Time) string {
	for _, by := range []replacement{
		{regexp.MustCompile(`(qlik\d\.company\.com +)127\.[\d.]+, set by [^\n]*`), "$1<ADDRESS>"},
		{regexp.MustCompile(`open at [\d.:]+`), "open"},
		{regexp.MustCompile(`valid until \d{4}-\d\d-\d\d`), "valid until 2036-11-25"},
		{regexp.MustCompile(`last day \d{4}-\d\d-\d\d`), "last day 2027-11-28"},
		{regexp.MustCompile(`\d+ ms\b`), "12 ms"},
		{regexp.MustCompile(`within \d+s of`), "within 1s of"},
		{regexp.MustCompile(`/tmp/\S+/qlik_exporter\.flags`), "/home/anna/qlik_exporter.flags"},
		{regexp.MustCompile(`=/tmp/\S+/certs`), "=/home/anna/certs"},
	} {
		output = by.pattern.ReplaceAllString(output, by.by)
	}
	output = regexp.MustCompile(`\d\d:\d\d:\d\d UTC`).ReplaceAllStringFunc(output, func(text string) string {
		at, err := time.Parse("15:04:05 MST", text)
		if err != nil {
			return text
		}
		midnight := now.Truncate(24 * time.Hour)
		at = midnight.Add(at.Sub(at.Truncate(24 * time.Hour)))
		if at.Before(now.Add(-12 * time.Hour)) {
			at = at.Add(24 * time.Hour) // after midnight
		}
		return midnight.Add(9*time.Hour + 30*time.Minute).Add(at.Sub(now)).Format("15:04:05 MST")
	})
	for node, address := range nodesOfTranscript {
		output = regexp.MustCompile(`(`+regexp.QuoteMeta(node)+` +)<ADDRESS>`).ReplaceAllString(output, "${1}"+address)
	}
	return output
}
