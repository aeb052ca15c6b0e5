package deploy

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	windows "github.com/qlik-exporter/qlik_exporter/internal/service"
)

// msiOf is the environment variable that names the MSI of a build. Without it, the tests build
// one with a placeholder as the program.
const msiOf = "QLIK_EXPORTER_MSI"

// builtMSI returns the path of an MSI.
func builtMSI(t *testing.T) string {
	t.Helper()
	if path := os.Getenv(msiOf); path != "" {
		return path
	}
	for _, tool := range []string{"wixl", "msibuild", "msiinfo"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not in PATH (Debian: packages wixl and msitools)", tool)
		}
	}
	program, msi := filepath.Join(t.TempDir(), "qlik_exporter.exe"), filepath.Join(t.TempDir(), "qlik_exporter-1.2.3-amd64.msi")
	if err := os.WriteFile(program, []byte("placeholder"), 0o600); err != nil {
		t.Fatal(err)
	}
	if output, err := exec.Command("windows/msi.sh", "1.2.3", msi, program).CombinedOutput(); err != nil || len(output) > 0 {
		t.Fatalf("msi.sh: %v\n%s", err, output)
	}
	return msi
}

// table returns the rows of a table of an MSI, each by the names of its columns.
func table(t *testing.T, msi, name string) []map[string]string {
	t.Helper()
	output, err := exec.Command("msiinfo", "export", msi, name).Output()
	if err != nil {
		t.Fatalf("the table %s: %v", name, err)
	}
	lines := strings.Split(strings.TrimRight(strings.ReplaceAll(string(output), "\r", ""), "\n"), "\n")
	var rows []map[string]string
	columns := strings.Split(lines[0], "\t")
	for _, line := range lines[3:] { // below the types and the keys
		row := make(map[string]string)
		for i, value := range strings.Split(line, "\t") {
			row[columns[i]] = value
		}
		rows = append(rows, row)
	}
	return rows
}

// find returns the only row with a value in a column.
func find(t *testing.T, rows []map[string]string, column, value string) map[string]string {
	t.Helper()
	var found []map[string]string
	for _, row := range rows {
		if row[column] == value {
			found = append(found, row)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d rows have %s in %s, want 1: %v", len(found), value, column, rows)
	}
	return found[0]
}

// guide is docs/windows.md.
type guide struct{ text string }

// section returns the text below a heading up to the next one.
func (g guide) section(t *testing.T, heading string) string {
	t.Helper()
	_, text, found := strings.Cut(g.text, "\n"+heading+"\n")
	if !found {
		t.Fatalf("docs/windows.md has no %q", heading)
	}
	if end := regexp.MustCompile(`(?m)^#`).FindStringIndex(text); end != nil {
		text = text[:end[0]]
	}
	return text
}

// commands returns the indented lines of a text.
func commands(text string) []string {
	var all []string
	for _, match := range regexp.MustCompile(`(?m)^(?: {4}| {7})(\S.*)$`).FindAllStringSubmatch(text, -1) {
		all = append(all, match[1])
	}
	return all
}

// TestWindowsGuide reads docs/windows.md against the tables of the MSI, step by step.
func TestWindowsGuide(t *testing.T) {
	msi := builtMSI(t)
	g := guide{string(read(t, filepath.Join(repository, "docs", "windows.md")))}
	says := func(heading string, words ...string) {
		t.Helper()
		text := strings.Join(strings.Fields(g.section(t, heading)), " ")
		for _, word := range words {
			if !strings.Contains(text, strings.Join(strings.Fields(word), " ")) {
				t.Errorf("%s does not say: %s", heading, word)
			}
		}
	}
	actions, sequence := table(t, msi, "CustomAction"), table(t, msi, "InstallExecuteSequence")
	at := func(action string) int {
		t.Helper()
		number, err := strconv.Atoi(find(t, sequence, "Action", action)["Sequence"])
		if err != nil {
			t.Fatal(err)
		}
		return number
	}
	condition := func(action string) string {
		t.Helper()
		return find(t, sequence, "Action", action)["Condition"]
	}

	t.Run("files", func(t *testing.T) {
		folder := find(t, table(t, msi, "Directory"), "Directory", "INSTALLFOLDER")
		if folder["Directory_Parent"] != "ProgramFiles64Folder" || folder["DefaultDir"] != "qlik_exporter" {
			t.Errorf("the folder is %v, want %s", folder, `C:\Program Files\qlik_exporter`)
		}
		var names []string
		for _, file := range table(t, msi, "File") {
			_, long, _ := strings.Cut("|"+file["FileName"], "|")
			if _, after, isShort := strings.Cut(long, "|"); isShort {
				long = after
			}
			names = append(names, long)
		}
		slices.Sort(names)
		if want := []string{"LICENSE.txt", "THIRD_PARTY_NOTICES.txt", "flags.txt", "qlik_exporter.exe"}; !slices.Equal(names, want) {
			t.Errorf("the files are %q, want %q", names, want)
		}
		for _, name := range names {
			says("## The installer", "`"+name+"`", "`C:\\Program Files\\qlik_exporter`")
		}
		// 16 is permanent, 128 never overwrite, 256 64-bit.
		for component, attributes := range map[string]string{"Flags": "400", "Exporter": "256"} {
			if got := find(t, table(t, msi, "Component"), "Component", component)["Attributes"]; got != attributes {
				t.Errorf("the component %s has the attributes %s, want %s", component, got, attributes)
			}
		}
		says("## Remove", "| `flags.txt`, the folder with the key")
		says("## Upgrade", "`flags.txt`, all permissions, the firewall rule and the entry in PATH stay")
	})

	t.Run("service", func(t *testing.T) {
		got := find(t, table(t, msi, "ServiceInstall"), "Name", windows.Name)
		for column, want := range map[string]string{
			"DisplayName": windows.DisplayName, "Description": windows.Description, "StartName": windows.DefaultAccount, "Password": "",
			"ServiceType": "16", "StartType": "2", "Arguments": `"@[INSTALLFOLDER]flags.txt"`, "Component_": "Exporter",
		} {
			if got[column] != want {
				t.Errorf("%s of the service is %q, want %q", column, got[column], want)
			}
		}
		// 2 and 32 stop it, 8 and 128 delete it, during installation and removal. 1 would start it.
		if control := find(t, table(t, msi, "ServiceControl"), "Name", windows.Name); control["Event"] != "170" || control["Wait"] != "1" {
			t.Errorf("the service is controlled by %v", control)
		}
		says("## The installer", "It starts no service", "restarts it after 5 seconds, then after 30 seconds, and then every minute. A day without", "with the machine, delayed")
		for action, command := range map[string]string{
			"Restarts":            "failure qlik_exporter reset= 86400 actions= restart/5000/restart/30000/restart/60000",
			"RestartsAfterErrors": "failureflag qlik_exporter 1",
			"DelayedStart":        "config qlik_exporter start= delayed-auto",
			"StartAgain":          "start qlik_exporter",
		} {
			if got := find(t, actions, "Action", action); got["Target"] != command || got["Source"] != "ScExe" {
				t.Errorf("%s runs %s %s, want sc.exe %s", action, got["Source"], got["Target"], command)
			}
		}
		if got := condition("StartAgain"); got != "WIX_UPGRADE_DETECTED" {
			t.Errorf("the service starts under the condition %s", got)
		}
		var source []string
		for _, row := range table(t, msi, "Registry") {
			if strings.HasSuffix(row["Key"], `EventLog\Application\`+windows.Name) && row["Component_"] == "Exporter" {
				source = append(source, row["Name"]+"="+row["Value"])
			}
		}
		if want := []string{"CustomSource=#1", "EventMessageFile=[System64Folder]EventCreate.exe", "TypesSupported=#7"}; !slices.Equal(slices.Sorted(slices.Values(source)), want) {
			t.Errorf("the source in the event log is %q, want %q", source, want)
		}
	})

	t.Run("order", func(t *testing.T) {
		last := 0
		for _, action := range []string{
			"AppSearch", "KeepListenPort", "DefaultListenPort", "KeepFirewall", "KeepRemoteAddr", "KeepPath", "LaunchConditions",
			"CostFinalize", "ListenFlag", "InstallInitialize", "RemoveExistingProducts", "StopServices", "DeleteServices",
			"RemoveRegistryValues", "RemoveEnvironmentStrings", "RemoveFiles", "InstallFiles", "WriteRegistryValues",
			"WriteEnvironmentStrings", "InstallServices", "Restarts", "RestartsAfterErrors", "DelayedStart", "WriteFlags",
			"StartServices", "StartAgain", "RestoreRule", "RemoveRule", "AddRule", "InstallFinalize",
		} {
			if now := at(action); now <= last {
				t.Errorf("%s is at %d, after an action at %d", action, now, last)
			} else {
				last = now
			}
		}
		// 51 sets a property. 1024 is deferred, 2048 runs as the system, 64 ignores the exit
		// status, 256 is for a rollback, 50 runs a program of Windows, and 18 an installed one.
		for action, number := range map[string]int{
			"KeepListenPort": 51, "DefaultListenPort": 51, "KeepFirewall": 51, "KeepRemoteAddr": 51, "KeepPath": 51, "ListenFlag": 51,
			"WriteFlags": 18 + 1024 + 2048, "AddRule": 50 + 1024 + 2048, "RemoveRule": 50 + 64 + 1024 + 2048, "RestoreRule": 50 + 64 + 256 + 1024 + 2048,
			"StartAgain": 50 + 64 + 1024 + 2048,
		} {
			if got := find(t, actions, "Action", action)["Type"]; got != strconv.Itoa(number) {
				t.Errorf("%s has the type %s, want %d", action, got, number)
			}
		}
	})

	t.Run("properties", func(t *testing.T) {
		values := make(map[string]string)
		for _, row := range table(t, msi, "Property") {
			values[row["Property"]] = row["Value"]
		}
		secure := strings.Split(values["SecureCustomProperties"], ";")
		defaults := make(map[string]string)
		for _, row := range regexp.MustCompile("(?m)^\\| `([A-Z_]+)` \\| (\\S+) \\| ").FindAllStringSubmatch(g.section(t, "## The installer"), -1) {
			defaults[row[1]] = strings.Trim(row[2], "`")
		}
		if want := map[string]string{"FLAGS": "none", "LISTEN_PORT": "9986", "FIREWALL": "0", "REMOTE_ADDR": "none", "PATH": "0"}; !maps.Equal(defaults, want) {
			t.Errorf("the guide has the properties %v, want %v", defaults, want)
		}
		searches, locations, registry := table(t, msi, "AppSearch"), table(t, msi, "RegLocator"), table(t, msi, "Registry")
		for name := range defaults {
			if _, there := values[name]; there || !slices.Contains(secure, name) {
				t.Errorf("%s must have no value in the table, and must be secure: %q", name, secure)
			}
			if name == "FLAGS" { // they are in flags.txt
				continue
			}
			remembered := "REMEMBERED_" + name
			location := find(t, locations, "Signature_", find(t, searches, "Property", remembered)["Signature_"])
			stored := find(t, registry, "Name", location["Name"])
			keep := find(t, actions, "Target", "["+remembered+"]")
			// 2 is HKEY_LOCAL_MACHINE and a value, 16 is 64-bit.
			if !slices.Contains(secure, remembered) || location["Root"] != "2" || location["Type"] != "18" ||
				stored["Root"] != "2" || stored["Key"] != location["Key"] || keep["Source"] != name || !strings.Contains(condition(keep["Action"]), name+` = ""`) {
				t.Errorf("%s is not remembered: %v, %v, %v under %q", name, location, stored, keep, condition(keep["Action"]))
			}
		}
		if got := find(t, actions, "Action", "DefaultListenPort"); got["Target"] != defaults["LISTEN_PORT"] || got["Source"] != "LISTEN_PORT" {
			t.Errorf("the default port is %v", got)
		}
		// Upgrades replace the same version too.
		upgrade := find(t, table(t, msi, "Upgrade"), "ActionProperty", "WIX_UPGRADE_DETECTED")
		if upgrade["UpgradeCode"] != "{8C5E1B4D-63A7-4F0E-9C41-2E7A86D5B3F9}" || upgrade["VersionMax"] != values["ProductVersion"] || upgrade["Attributes"] != "513" {
			t.Errorf("upgrades are %v", upgrade)
		}
		var conditions []string
		for _, row := range table(t, msi, "LaunchCondition") {
			conditions = append(conditions, row["Condition"])
		}
		for _, want := range []string{
			"NOT WIX_DOWNGRADE_DETECTED", `LISTEN_PORT = "" OR (LISTEN_PORT >= 1 AND LISTEN_PORT <= 65535)`, `FIREWALL = "" OR FIREWALL = "0" OR FIREWALL = "1"`,
			`FIREWALL <> "1" OR REMOTE_ADDR <> "" OR REMEMBERED_REMOTE_ADDR <> ""`, `PATH = "" OR PATH = "0" OR PATH = "1"`,
		} {
			if !slices.Contains(conditions, want) {
				t.Errorf("no condition is %s: %q", want, conditions)
			}
		}
	})

	t.Run("FLAGS and LISTEN_PORT", func(t *testing.T) {
		write := find(t, actions, "Action", "WriteFlags")
		if write["Source"] != "qlik_exporter.exe" || write["Target"] != "service configure -- [ListenFlag] [FLAGS]" || condition("WriteFlags") != `NOT REMOVE AND (FLAGS <> "" OR ListenFlag <> "")` {
			t.Errorf("%v under %s", write, condition("WriteFlags"))
		}
		if got := find(t, actions, "Action", "ListenFlag")["Target"]; got != "--web.listen-address=:[LISTEN_PORT]" ||
			condition("ListenFlag") != `NOT Installed AND NOT WIX_UPGRADE_DETECTED AND LISTEN_PORT <> "9986"` {
			t.Errorf("the port is %s under %s", got, condition("ListenFlag"))
		}
		says("## The installer", "the first installation writes `--web.listen-address`", "each flag reaches to the next `--`", "a file that already has flags stays as it is")
	})

	t.Run("FIREWALL", func(t *testing.T) {
		name := regexp.MustCompile("as the rule\\s+`([^`]+)`").FindStringSubmatch(g.section(t, "## Firewall"))
		if name == nil {
			t.Fatal("the guide does not name the rule")
		}
		const rule = `dir=in action=allow protocol=TCP program="[INSTALLFOLDER]qlik_exporter.exe" `
		for action, want := range map[string][2]string{
			"AddRule":     {"add rule name=%q " + rule + `localport=[LISTEN_PORT] remoteip="[REMOTE_ADDR]"`, `FIREWALL = "1" AND NOT REMOVE`},
			"RemoveRule":  {"delete rule name=%q", `(REMEMBERED_FIREWALL = "1" OR FIREWALL = "1") AND NOT UPGRADINGPRODUCTCODE`},
			"RestoreRule": {"add rule name=%q " + rule + `localport=[REMEMBERED_LISTEN_PORT] remoteip="[REMEMBERED_REMOTE_ADDR]"`, `REMEMBERED_FIREWALL = "1" AND NOT UPGRADINGPRODUCTCODE`},
		} {
			got := find(t, actions, "Action", action)
			if command := "advfirewall firewall " + fmt.Sprintf(want[0], name[1]); got["Source"] != "NetshExe" || got["Target"] != command || condition(action) != want[1] {
				t.Errorf("%s runs\n%s %s under %s, want netsh.exe\n%s under %s", action, got["Source"], got["Target"], condition(action), command, want[1])
			}
		}
		if got := find(t, table(t, msi, "Component"), "Component", "Firewall")["Condition"]; got != `FIREWALL = "1"` {
			t.Errorf("the rule is remembered under %s", got)
		}
		says("## Remove", "The installer removes its own firewall rule, its entry in PATH")
	})

	t.Run("PATH", func(t *testing.T) {
		// = sets a variable of the machine (*), which - removes.
		if got := find(t, table(t, msi, "Environment"), "Name", "=-*PATH"); got["Value"] != "[~];[INSTALLFOLDER]" || got["Component_"] != "Path" {
			t.Errorf("the entry is %v", got)
		}
		if got := find(t, table(t, msi, "Component"), "Component", "Path")["Condition"]; got != `PATH = "1"` {
			t.Errorf("the entry is added under %s", got)
		}
	})
}

// TestWindowsCommands checks that the commands of the guide fit together and to what they name.
func TestWindowsCommands(t *testing.T) {
	t.Parallel()
	g := guide{string(read(t, filepath.Join(repository, "docs", "windows.md")))}
	onNode := strings.Join(commands(g.section(t, "### On a Qlik Sense node")), "\n")
	for _, text := range []string{onNode, strings.Join(commands(installationOnNode(t)), "\n")} {
		place := -1
		for _, step := range []string{"start /wait msiexec /i", "icacls", `.\qlik_exporter check`, `.\qlik_exporter service start`} {
			now := strings.Index(text, step)
			if now <= place {
				t.Errorf("%s is missing or too early in\n%s", step, text)
			}
			place = now
		}
	}
	removal := strings.Join(commands(g.section(t, "## Remove")), "\n")
	if strings.Index(removal, "/remove") > strings.Index(removal, "msiexec /x") {
		t.Errorf("the account is removed before its permissions:\n%s", removal)
	}
	// Each folder with a grant is in the removal. The grants are relative to a folder.
	for _, folder := range regexp.MustCompile(`"(C:\\ProgramData\\Qlik[^"]*)"`).FindAllStringSubmatch(onNode, -1) {
		if !strings.Contains(removal, folder[1]) {
			t.Errorf("the removal leaves the permissions in %s", folder[1])
		}
	}
	all := append(commands(g.text), commands(installationOnNode(t))...)
	if len(all) < 60 {
		t.Fatalf("only %d commands", len(all))
	}
	for _, command := range all {
		words := strings.Fields(command)
		switch {
		case strings.HasPrefix(command, "cd ") || strings.HasPrefix(command, "cd\t"):
			t.Errorf("%s: use pushd, which works in both shells", command)
		case words[0] == "qlik_exporter" || words[0] == "qlik_exporter.exe":
			t.Errorf(`%s: PowerShell needs .\qlik_exporter`, command)
		case words[0] == "msiexec":
			t.Errorf("%s: does not wait; use start /wait and Start-Process", command)
		case words[0] == "sc" || words[0] == "curl" && !strings.Contains(command, "| grep"):
			t.Errorf("%s: is another command in Windows PowerShell", command)
		}
		for _, account := range regexp.MustCompile(`NT SERVICE\\\w+`).FindAllString(command, -1) {
			if account != windows.DefaultAccount {
				t.Errorf("%s: the account is %s", command, windows.DefaultAccount)
			}
		}
		for _, property := range regexp.MustCompile(`\s([A-Z_]+)=`).FindAllStringSubmatch(command, -1) {
			if strings.Contains(command, "msiexec") && !strings.Contains(g.section(t, "## The installer"), "| `"+property[1]+"` |") {
				t.Errorf("%s: %s is no property", command, property[1])
			}
		}
	}
	// The two shells do the same.
	var shells [2][]string
	for _, command := range all {
		if rest, found := strings.CutPrefix(command, "Start-Process msiexec -Wait -ArgumentList '"); found {
			shells[0] = append(shells[0], strings.TrimSuffix(rest, "'"))
		} else if rest, found := strings.CutPrefix(command, "start /wait msiexec "); found {
			shells[1] = append(shells[1], rest)
		}
	}
	if !slices.Equal(shells[0], shells[1]) || len(shells[0]) < 4 {
		t.Errorf("PowerShell runs\n%q\ncmd runs\n%q", shells[0], shells[1])
	}
}

// installationOnNode returns the section of docs/installation.md about a node.
func installationOnNode(t *testing.T) string {
	t.Helper()
	return guide{string(read(t, filepath.Join(repository, "docs", "installation.md")))}.section(t, "## On a Qlik Sense node")
}

// TestWinget checks the manifests for winget: what its schemas 1.12.0 require of the fields in
// use, and that they name the MSI.
func TestWinget(t *testing.T) {
	t.Parallel()
	msi, dir := builtMSI(t), t.TempDir()
	version := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(msi), "qlik_exporter-"), "-amd64.msi")
	if output, err := exec.Command("windows/winget.sh", version, msi, dir).CombinedOutput(); err != nil || len(output) > 0 {
		t.Fatalf("winget.sh: %v\n%s", err, output)
	}
	type common struct {
		PackageIdentifier string `yaml:"PackageIdentifier"`
		PackageVersion    string `yaml:"PackageVersion"`
		ManifestType      string `yaml:"ManifestType"`
		ManifestVersion   string `yaml:"ManifestVersion"`
	}
	const name = "qlik-exporter.qlik_exporter"
	manifest := func(file, kind string, into any) {
		t.Helper()
		content := read(t, filepath.Join(dir, file))
		if err := yaml.Unmarshal(content, into); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		var got common
		if err := yaml.Unmarshal(content, &got); err != nil {
			t.Fatal(err)
		}
		if want := (common{name, version, kind, "1.12.0"}); got != want {
			t.Errorf("%s has %+v, want %+v", file, got, want)
		}
		if want := "# yaml-language-server: $schema=https://aka.ms/winget-manifest." + kind + ".1.12.0.schema.json\n"; !strings.HasPrefix(string(content), want) {
			t.Errorf("%s does not begin with %s", file, want)
		}
		for placeholder := range strings.FieldsSeq("VERSION FILE HASH DATE PRODUCT_CODE UPGRADE_CODE") {
			if regexp.MustCompile(`\b` + placeholder + `\b`).Match(content) {
				t.Errorf("%s still has %s", file, placeholder)
			}
		}
	}
	matches := func(what, text, pattern string) {
		t.Helper()
		if !regexp.MustCompile(`^(?:` + pattern + `)$`).MatchString(text) {
			t.Errorf("%s is %q, which does not match %s", what, text, pattern)
		}
	}
	matches("the identifier", name, `[^.\s\\/:*?"<>|]{1,32}(\.[^.\s\\/:*?"<>|]{1,32}){1,7}`)

	var whole map[string]any
	manifest(name+".yaml", "version", &whole)
	if whole["DefaultLocale"] != "en-US" {
		t.Errorf("the locale is %v", whole["DefaultLocale"])
	}

	var installer map[string]any
	manifest(name+".installer.yaml", "installer", &installer)
	for field, want := range map[string]string{
		"InstallerType": "msi", "Scope": "machine", "UpgradeBehavior": "install", "ReleaseDate": `\d{4}-\d\d-\d\d`, "MinimumOSVersion": `\d+(\.\d+){0,3}`, "Platform": `\[Windows\.Desktop\]`,
	} {
		matches(field, fmt.Sprint(installer[field]), want)
	}
	var only struct {
		Installers []struct {
			Architecture string `yaml:"Architecture"`
			URL          string `yaml:"InstallerUrl"`
			Hash         string `yaml:"InstallerSha256"`
			ProductCode  string `yaml:"ProductCode"`
			Entries      []struct {
				UpgradeCode string `yaml:"UpgradeCode"`
			} `yaml:"AppsAndFeaturesEntries"`
		} `yaml:"Installers"`
	}
	manifest(name+".installer.yaml", "installer", &only)
	if len(only.Installers) != 1 || len(only.Installers[0].Entries) != 1 {
		t.Fatalf("the installers are %+v", only)
	}
	properties := table(t, msi, "Property")
	got := only.Installers[0]
	if want := "https://github.com/qlik-exporter/qlik_exporter/releases/download/v" + version + "/" + filepath.Base(msi); got.Architecture != "x64" || got.URL != want ||
		got.Hash != fmt.Sprintf("%X", sha256.Sum256(read(t, msi))) || got.ProductCode != find(t, properties, "Property", "ProductCode")["Value"] ||
		got.Entries[0].UpgradeCode != find(t, properties, "Property", "UpgradeCode")["Value"] {
		t.Errorf("the installer is %+v", got)
	}

	var texts map[string]any
	manifest(name+".locale.en-US.yaml", "defaultLocale", &texts)
	for field, most := range map[string]int{"PackageLocale": 20, "Publisher": 256, "PackageName": 256, "License": 512, "ShortDescription": 256, "Moniker": 40, "InstallationNotes": 10_000} {
		if text, _ := texts[field].(string); len(text) < 3 || len(text) > most {
			t.Errorf("%s has %d characters, want 3 to %d", field, len(text), most)
		}
	}
	for field, value := range texts {
		if strings.HasSuffix(field, "Url") {
			matches(field, fmt.Sprint(value), `https://github\.com/qlik-exporter(/.*)?`)
		}
	}
	for _, field := range []string{"Publisher", "PackageName"} { // Windows shows them, and winget compares them
		if want := find(t, properties, "Property", map[string]string{"Publisher": "Manufacturer", "PackageName": "ProductName"}[field])["Value"]; texts[field] != want {
			t.Errorf("%s is %v, want %s", field, texts[field], want)
		}
	}
}
