package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/alecthomas/kingpin/v2"
	dto "github.com/prometheus/client_model/go"

	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// TestFlagReference keeps the tables in docs/flags.md equal to the flags. A
// section of the page lists the flags with a prefix, such as "qlik.", or the flags of
// a command, such as "sessions end".
func TestFlagReference(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("exporter-toolkit has one flag more on Linux, which the tables show")
	}
	path := filepath.Join("docs", "flags.md")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rows := flagRows()
	text := regexp.MustCompile(`(?s)(<!-- flags of ([^>]*) -->\n).*?(<!-- end -->)`).ReplaceAllStringFunc(string(content), func(section string) string {
		start, _, _ := strings.Cut(section, "\n")
		owner := strings.TrimSuffix(strings.TrimPrefix(start, "<!-- flags of "), " -->")
		var table strings.Builder
		table.WriteString(start + "\n| flag | default | meaning |\n| --- | --- | --- |\n")
		var left []flagRow
		for _, row := range rows {
			if row.command == owner || row.command == "" && strings.HasPrefix(row.name, "--"+owner) {
				table.WriteString(row.text)
			} else {
				left = append(left, row)
			}
		}
		rows = left
		return table.String() + "<!-- end -->"
	})
	for _, row := range rows {
		t.Errorf("docs/flags.md has no section for %s %s", row.command, row.name)
	}
	if *update {
		err = os.WriteFile(path, []byte(text), 0o600)
	} else if text != string(content) {
		t.Errorf("the tables in docs/flags.md differ from the flags; go test . -run TestFlagReference -update writes them anew")
	}
	if err != nil {
		t.Fatal(err)
	}
}

type flagRow struct {
	command, name string
	text          string // as a line of a table in Markdown
}

func flagRows() []flagRow {
	app, _, _ := newApp(nil)
	var rows []flagRow
	add := func(command string, flags []*kingpin.FlagModel) {
		for _, f := range flags {
			if f.Hidden || f.Name == "help" || strings.HasPrefix(f.Name, "help-") || strings.HasPrefix(f.Name, "completion-") {
				continue
			}
			shown, value := "--"+f.Name, strings.Join(f.Default, ", ")
			if f.IsBoolFlag() && value == "true" {
				shown, value = "--[no-]"+f.Name, "on"
			} else if f.IsBoolFlag() {
				value = "off"
			}
			if value != "" {
				value = "`" + value + "`"
			}
			text := fmt.Sprintf("| %s | %s | %s |\n", "`"+shown+"`", value, strings.ReplaceAll(f.Help, "|", `\|`))
			rows = append(rows, flagRow{command, "--" + f.Name, text})
		}
	}
	add("", app.Model().Flags)
	var walk func(commands []*kingpin.CmdModel)
	walk = func(commands []*kingpin.CmdModel) {
		for _, command := range commands {
			add(command.FullCommand, command.Flags)
			walk(command.Commands)
		}
	}
	walk(app.Model().Commands)
	return rows
}

// TestMetricReference checks that docs/metrics.md has a row for every metric of the
// exporter. Package collector writes the rows for the metrics of a site. The other rows
// are written by hand.
func TestMetricReference(t *testing.T) {
	reference, err := os.ReadFile(filepath.Join("docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	for name := range everyMetric(t) {
		if strings.HasPrefix(name, "qlik_") && !strings.Contains(string(reference), "| `"+name+"` |") {
			t.Errorf("docs/metrics.md has no row for %s", name)
		}
	}
}

// everyMetric scrapes an exporter with a password and a desk, which have metrics of their own.
func everyMetric(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	_, flags := startSite(t, qliktest.Config{Nodes: []qliktest.Node{{Name: "qlik1"}}})
	web := filepath.Join(t.TempDir(), "web.yml")
	if err := os.WriteFile(web, []byte("basic_auth_users: {prometheus: "+webHash+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	flags = append(append(flags, "--web.config.file="+web), deskFlags(t, strings.TrimPrefix(flags[0], "--qlik.cert-dir="))...)
	return scrape(t, strings.Replace(startExporter(t, flags...), "://", "://prometheus:"+webPassword+"@", 1))
}

// deskFlags returns the flags of a desk with the certificate of the site, whose help desk is
// user:prometheus.
func deskFlags(t *testing.T, certificates string) []string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"desk.yml": "tls_server_config: {cert_file: " + strconv.Quote(filepath.Join(certificates, "client.pem")) +
			", key_file: " + strconv.Quote(filepath.Join(certificates, "client_key.pem")) + "}\nbasic_auth_users: {prometheus: " + webHash + "}\n",
		"roles.yml": "helpdesk: [\"user:prometheus\"]\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return []string{
		"--desk.listen-address=" + freeAddress(t), "--desk.web.config.file=" + filepath.Join(dir, "desk.yml"),
		"--desk.roles-file=" + filepath.Join(dir, "roles.yml"), "--desk.journal-file=" + filepath.Join(dir, "desk.jsonl"),
	}
}

// TestGuardReference checks that docs/guard.md explains every value of the labels of the
// guard's metrics.
func TestGuardReference(t *testing.T) {
	reference, err := os.ReadFile(filepath.Join("docs", "guard.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, flags := startSite(t, qliktest.Config{Nodes: []qliktest.Node{{Name: "qlik1"}}})
	found := 0
	for name, family := range scrape(t, startExporter(t, append(flags, "--guard=dry-run")...)) {
		if !strings.HasPrefix(name, "qlik_guard_") {
			continue
		}
		if !strings.Contains(string(reference), "| `"+name) {
			t.Errorf("docs/guard.md has no row for %s", name)
		}
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				if found++; !strings.Contains(string(reference), "`"+label.GetValue()+"`") {
					t.Errorf("docs/guard.md does not explain %s=%q of %s", label.GetName(), label.GetValue(), name)
				}
			}
		}
	}
	if found < 10 {
		t.Errorf("%d labels", found)
	}
}
