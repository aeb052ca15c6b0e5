package deploy

// Why no machine of the test runs a command.
const (
	onWindows     = "on Windows"
	onMacOS       = "on macOS"
	ofPrometheus  = "for prometheus.yml"
	ofRPM         = "needs Red Hat or SUSE; .ci/packages compares the files of the rpm with those of the deb"
	ofContainer   = ".ci/image tests the image"
	ofChart       = "kubernetes/check tests the chart"
	ofGo          = "needs Go and the network; .ci/run and .ci/packages build the program"
	isName        = "the name of a command, or a part of it"
	isOutput      = "the output of a command"
	isInTable     = "for an interactive shell; the packages have the same completion"
	needsAStation = "needs a Prometheus; e2e tests it"
)

const (
	// The downloads are in the home folder.
	download = "cp /srv/release/*.deb ."
	// The exporter needs a moment to read the site.
	waitForQlik = "soon contains $'\\nqlik_up 1\\n' curl -s http://localhost:9986/metrics"
	noFlags     = "fails grep --quiet '^--' /etc/qlik_exporter/flags"
)

// documented says what to do with each command of each document, in their order.
var documented = map[string][]treatment{
	"README.md": {
		{begins: "qlik_user_sessions", instead: isOutput},
		{begins: "go run . demo", instead: ofGo},
		{begins: "curl -s http://localhost:9986/metrics", instead: "the metrics of go run"},
		{begins: "go install github.com", instead: ofGo},
		{begins: "certutil", instead: isName},
		{begins: "curl -fLO", on: "package", prints: []string{"^qlik-exporter_.*deb: OK$"}},
		{begins: "apt install", on: "package", after: noFlags},
		{begins: "qlik_exporter init", on: "package", input: "qlik-central\n", prints: []string{"^ok +port", "^  --qlik.host=qlik-central$"}},
		{begins: "ok    authority", instead: isOutput},
		{begins: "systemctl enable --now", on: "package", after: waitForQlik},
		{begins: "qlik_exporter sessions --at-least 4", on: "package", user: "anna", prints: []string{"^FREE  +USER"}},
		{begins: "scrape_configs", instead: ofPrometheus},
		{begins: "qlik_exporter check", on: "package", prints: []string{" 0 failed"}},
		{begins: "qlik_exporter why USER", on: "package", user: "anna", prints: []string{`^ACME\\adm.kessler holds no license`}},
		{begins: "$ qlik_exporter why", instead: isOutput},
		{begins: "qlik_exporter sessions end", instead: isName},
		{begins: "$ qlik_exporter sessions --at-least 5", instead: isOutput},
		{begins: "qlik_exporter licenses", on: "package"},
		{begins: "qlik_exporter report", instead: needsAStation},
		{begins: "qlik_exporter assets DIR", on: "package", after: "test -s assets/qlik.rules.yml"},
		{begins: "qlik_exporter check", on: "package"},
	},
	"docs/installation.md": {
		{begins: "go install github.com", instead: ofGo},
		{begins: "curl -fLO", on: "package", prints: []string{"^qlik-exporter_.*deb: OK$"}},
		{begins: "shasum", instead: onMacOS},
		{begins: "Get-FileHash", instead: onWindows},
		{begins: "certutil", instead: onWindows},
		{begins: "Unblock-File", instead: onWindows},
		{begins: "xattr", instead: onMacOS},
		{begins: "git clone", instead: ofGo},
		{begins: "make build", instead: ofGo},
		{begins: "Start-Process msiexec", instead: onWindows},
		{begins: "start /wait msiexec", instead: onWindows},
		{begins: "icacls", instead: onWindows},
		{begins: "pushd", instead: onWindows},
		{begins: `.\qlik_exporter service start`, instead: onWindows},
		{begins: "curl.exe", instead: onWindows},
		{begins: "netsh", instead: onWindows},
		{begins: "scrape_configs", instead: ofPrometheus},
		{begins: "--qlik.audit-log", instead: onWindows},
		{begins: "dnf install", instead: ofRPM},
		{begins: "zypper install", instead: ofRPM},
		{begins: "tar -xzf", instead: onMacOS},
		{begins: "apt install", on: "package"},
		{begins: "install -m 0640 -g qlik_exporter client.pem", on: "package"},
		{begins: "install -d /etc/qlik_exporter/certs", on: "archive"},
		{begins: "qlik_exporter init", on: "package", input: "qlik-central\n", prints: []string{"^  --qlik.host=qlik-central$"}},
		{begins: "qlik_exporter check", on: "package", prints: []string{" 0 failed"}},
		{begins: "ok    client certificate", instead: isOutput},
		{begins: "systemctl enable --now", on: "package", after: waitForQlik},
		{begins: "qlik_exporter @/etc/qlik_exporter/flags", on: "package", serves: true, before: "systemctl stop qlik_exporter", prints: []string{"Listening on"}, after: "systemctl start qlik_exporter\n" + waitForQlik},
		{begins: "curl -s http://localhost:9986/metrics", on: "package", prints: []string{"^qlik_up 1$"}},
		{begins: "scrape_configs", instead: ofPrometheus},
		{begins: "qlik_exporter --qlik.proxy=", on: "package", serves: true, before: "systemctl stop qlik_exporter", prints: []string{"Listening on"}, after: "systemctl start qlik_exporter\n" + waitForQlik},
		{begins: "tls_server_config", on: "package", file: "/root/web.yml", after: "qlik_exporter check --web.config.file=web.yml"},
		{begins: "scrape_configs", instead: ofPrometheus},
		{
			begins: "install -m 0640 -g qlik_exporter /dev/null", on: "package",
			after: "printf '%s\\n' --user-labels=hashed --user-labels.key-file=/etc/qlik_exporter/user-labels.key >>/etc/qlik_exporter/flags\n" +
				"systemctl restart qlik_exporter\n" + waitForQlik,
		},
		{begins: `cd "C:`, instead: onWindows},
		{begins: "qlik_exporter sessions --direct --user=HASH", on: "package", before: "curl -s http://localhost:9986/metrics >metrics\ngrep -om 1 'user_id=\"[0-9a-f]*\"' metrics | cut -d '\"' -f 2 >hash", prints: []string{`^FREE`, `ACME\\`}},
		{begins: `eval "$(qlik_exporter completion bash)"`, on: "package"},
		{begins: `eval "$(qlik_exporter completion zsh)"`, instead: isInTable},
		{begins: "qlik_exporter completion fish", instead: isInTable},
		{begins: "qlik_exporter completion powershell", instead: isInTable},
		{begins: "go install", instead: isName},
		{begins: "helm upgrade", instead: isName},
		{begins: "go install", instead: isName},
		{begins: `rm "$(go env GOPATH)`, instead: ofGo},
		{begins: "docker rm", instead: ofContainer},
		{begins: "docker rmi", instead: ofContainer},
		{begins: "helm uninstall", instead: ofChart},
	},
	"docs/linux.md": {
		{begins: "qlik_exporter assets", instead: isName},
		{begins: "apt install", on: "package", before: download, after: noFlags + "\nfails systemctl is-active qlik_exporter"},
		{begins: "dnf install", instead: ofRPM},
		{begins: "zypper install", instead: ofRPM},
		{begins: "tar -xzf", on: "archive", before: "cp /srv/release/*.tar.gz .", after: "fails systemctl is-active qlik_exporter\ncd /root"},
		{begins: "install -m 0640 -g qlik_exporter client.pem", on: "package archive"},
		{begins: "qlik_exporter init", on: "package archive", input: "qlik-central\n", prints: []string{"^  --qlik.host=qlik-central$"}},
		{begins: "runuser -u qlik_exporter -- qlik_exporter check", on: "package archive", prints: []string{" 0 failed"}},
		{begins: "systemctl enable --now", on: "package archive", after: waitForQlik},
		{begins: "curl -s http://localhost:9986/metrics", on: "package archive", prints: []string{"^qlik_up 1$"}},
		{begins: "qlik_exporter check", on: "package archive", before: `echo '--qlik.service-account=ACME\svc' >>/etc/qlik_exporter/flags`, prints: []string{`ACME\\svc`}, after: waitForQlik},
		{begins: "systemctl status", on: "package archive", prints: []string{"Active: active", "Read the topology"}},
		{begins: "journalctl -f", instead: "does not end; the same as without -f"},
		{begins: "qlik_exporter sessions --at-least 4", on: "package archive", user: "anna", prints: []string{"^FREE"}},
		{begins: "usermod", on: "package archive", before: "fails runuser -u anna -- qlik_exporter check", after: "runuser -u anna -- qlik_exporter check\nrunuser -u anna -- qlik_exporter licenses\nrunuser -u anna -- qlik_exporter sessions end --dry-run --all --user=ACME/adm.kessler"},
		{begins: "systemd-analyze security", on: "package archive", prints: []string{"1\\.1 OK"}},
		{begins: "systemctl edit", instead: "an editor; the next line is what to enter"},
		{begins: "[Service]", on: "package archive", file: "/etc/systemd/system/qlik_exporter.service.d/override.conf", after: "systemctl daemon-reload"},
		{begins: "systemctl restart", on: "package archive", after: "systemctl show -P IPAddressAllow qlik_exporter | grep 10.0.0.0/24\n" + waitForQlik},
		{begins: "install -m 0640 -g qlik_exporter client.pem", on: "package archive", before: "echo broken >/etc/qlik_exporter/certs/client.pem", after: "runuser -u qlik_exporter -- qlik_exporter check"},
		{begins: "install -m 0640 -g qlik_exporter /dev/null", on: "package archive", after: "echo secret >>/etc/qlik_exporter/passphrase"},
		{
			begins: "echo '--qlik.key-passphrase-file", on: "package archive",
			before: "openssl pkcs8 -topk8 -v2 aes256 -passout pass:secret -in client_key.pem -out /etc/qlik_exporter/certs/client_key.pem",
			after:  waitForQlik + "\ncp client_key.pem /etc/qlik_exporter/certs/", // the key that all sites have
		},
		{begins: "install -d -m 2750", on: "package archive"},
		{begins: "sites:", on: "package archive", file: "/etc/qlik_exporter/sites.yml"},
		{begins: "sed -i", on: "package archive"},
		{begins: "runuser -u qlik_exporter -- qlik_exporter check", on: "package archive", prints: []string{"test", "production"}, after: "soon contains $'\\nqlik_up 1\\n' curl -s 'http://localhost:9986/probe?target=test'"},
		{begins: "curl -s 'http://localhost:9986/probe?target=test'", on: "package archive", prints: []string{"^qlik_up 1$"}},
		{
			begins: "systemctl reload", on: "package archive",
			before: "sed -i 's/^  test:/  other:/' /etc/qlik_exporter/sites.yml\nsystemctl show -P MainPID qlik_exporter >pid",
			after: "soon contains $'\\nqlik_up 1\\n' curl -s 'http://localhost:9986/probe?target=other'\n" +
				`test "$(cat pid)" = "$(systemctl show -P MainPID qlik_exporter)"`,
		},
		{
			begins: "install -m 0640 -g qlik_exporter web.yml", on: "package archive",
			before: "printf '%s\\n' 'tls_server_config: {cert_file: server.crt, key_file: server.key}' 'basic_auth_users: {prometheus: $2y$04$E7oeX6K5EFFPlcl4v4HUWOKF./jSHU/m1/AUGQk./izPjnqw7c9ou}' >web.yml",
		},
		{
			begins: "echo '--web.config.file", on: "package archive",
			after: "soon contains qlik_exporter_build_info curl -s --cacert server.crt -u prometheus:secret https://localhost:9986/metrics\n" +
				`test "$(curl -s --cacert server.crt -o /dev/null -w '%{http_code}' https://localhost:9986/metrics)" = 401`,
		},
		{
			begins: "apt install", on: "package", version: "later",
			before: download + "\nsystemctl show -P MainPID qlik_exporter >pid\nmd5sum /etc/qlik_exporter/flags >flags.md5\ninstall -o qlik_exporter -m 0600 /dev/null /var/lib/qlik_exporter/desk.jsonl",
			after:  "md5sum -c flags.md5\nsystemctl is-active qlik_exporter\n" + `test "$(cat pid)" != "$(systemctl show -P MainPID qlik_exporter)"`,
		},
		{begins: "dnf upgrade", instead: ofRPM},
		{
			begins: "install -m 0755 qlik_exporter /usr/bin/", on: "archive",
			before: "systemctl show -P MainPID qlik_exporter >pid\ninstall -o qlik_exporter -m 0600 /dev/null /var/lib/qlik_exporter/desk.jsonl\ncd qlik_exporter-*/",
			after:  "cd /root\nsystemctl is-active qlik_exporter\n" + `test "$(cat pid)" != "$(systemctl show -P MainPID qlik_exporter)"`,
		},
		{begins: "apt remove", on: "package", after: "fails systemctl is-active qlik_exporter\nfails test -e /etc/qlik_exporter\nfails test -e /usr/bin/qlik_exporter\ntest -e /var/lib/qlik_exporter/desk.jsonl\nfails pgrep qlik_exporter --uid qlik_exporter"},
		{begins: "dnf remove", instead: ofRPM},
		{begins: "systemctl disable --now", on: "archive", after: "fails systemctl is-active qlik_exporter\ntest -e /var/lib/qlik_exporter/desk.jsonl\nfails pgrep --uid qlik_exporter"},
		{begins: "rm -r /var/lib/qlik_exporter", on: "package archive", after: "fails getent passwd qlik_exporter"},
		{begins: "groupdel", on: "package archive"}, // anna was added
	},
}
