package check_test

import (
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/youmark/pkcs8"

	"github.com/qlik-exporter/qlik_exporter/internal/check"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// exportOf writes the certificate files of another site. The clock of that site is
// ahead of the local clock.
func exportOf(t *testing.T, central string, ahead time.Duration) (dir string) {
	t.Helper()
	site, err := qliktest.Start(qliktest.Config{
		InMemory: true, Nodes: []qliktest.Node{{Name: central}}, Now: func() time.Time { return time.Now().Add(ahead) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer site.Close()
	dir = t.TempDir()
	if err := site.WriteCertificates(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// replaceFiles overwrites certificate files in use with those of another export.
func replaceFiles(t *testing.T, config check.Config, from string, files ...string) {
	t.Helper()
	for _, name := range files {
		content, err := os.ReadFile(filepath.Join(from, name))
		if err := errors.Join(err, os.WriteFile(filepath.Join(config.Qlik.CertDir, name), content, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}

// encrypt encrypts the key as the QMC does for an export with a password.
func encrypt(config *check.Config, passphrase string) error {
	file := filepath.Join(config.Qlik.CertDir, "client_key.pem")
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	block, _ := pem.Decode(content)
	key, err := pkcs8.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return err
	}
	der, err := pkcs8.ConvertPrivateKeyToPKCS8(key, []byte(passphrase))
	if err != nil {
		return err
	}
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der}), 0o600)
}

func TestCertificates(t *testing.T) {
	const (
		year  = 365 * 24 * time.Hour
		mixed = ", which is not in root.pem: " + oneExport
	)
	pair, all := []string{"client.pem", "client_key.pem"}, []string{"client.pem", "client_key.pem", "root.pem"}
	for _, test := range []struct {
		name   string
		files  []string      // files from the export of another site
		of     string        // central node of that site
		ahead  time.Duration // how far its clock is ahead
		set    func(*check.Config) error
		strict bool // the servers require the client certificate in the handshake
		want   []string
	}{
		{
			name: "no folder",
			set:  func(c *check.Config) error { c.Qlik.CertDir += "/nosuch"; return nil },
			want: []string{
				"FAIL certificate files -: --qlik.cert-dir: the folder CERTS/nosuch does not exist; the folder must contain client.pem, client_key.pem and root.pem as the QMC exports them",
			},
		},
		{
			name: "no root.pem",
			set:  func(c *check.Config) error { return os.Remove(filepath.Join(c.Qlik.CertDir, "root.pem")) },
			want: []string{
				"FAIL certificate files -: --qlik.cert-dir: CERTS/root.pem does not exist; the folder must contain client.pem, client_key.pem and root.pem as the QMC exports them",
			},
		},
		{
			name: "root.pem in another format",
			set: func(c *check.Config) error {
				return os.WriteFile(filepath.Join(c.Qlik.CertDir, "root.pem"), []byte{0x30, 0x82}, 0o600)
			},
			want: []string{
				"FAIL authority root.pem: --qlik.cert-dir: CERTS/root.pem is in a binary format such as DER or PFX; export the certificates again in PEM format",
			},
		},
		{
			name: "key of another export", files: []string{"client_key.pem"}, of: "qlik1",
			want: []string{
				"FAIL client certificate client.pem: --qlik.cert-dir: CERTS/client.pem and client_key.pem do not match: private key does not match public key; " + oneExport,
			},
		},
		{
			name: "encrypted key without passphrase",
			set:  func(c *check.Config) error { return encrypt(c, "correct horse") },
			want: []string{
				"FAIL client certificate client.pem: --qlik.key-passphrase-file: CERTS/client_key.pem: the key is encrypted, but no passphrase is given; write it to a file, and set this setting to the path of the file",
			},
		},
		{
			name: "wrong passphrase",
			set: func(c *check.Config) error {
				c.Qlik.KeyPassphraseFile = filepath.Join(c.Qlik.CertDir, "root.pem") // any other text
				return encrypt(c, "correct horse")
			},
			want: []string{
				"FAIL client certificate client.pem: --qlik.key-passphrase-file: CERTS/client_key.pem: the key is encrypted, but the passphrase does not decrypt it; write the password of the export to the file",
			},
		},
		{
			name: "right passphrase",
			set: func(c *check.Config) error {
				c.Qlik.KeyPassphraseFile = filepath.Join(c.Qlik.CertDir, "passphrase")
				return errors.Join(encrypt(c, "correct horse"), os.WriteFile(c.Qlik.KeyPassphraseFile, []byte("correct horse\r\n"), 0o600))
			},
		},
		{
			name: "expired client certificate", files: pair, of: "qlik1", ahead: -11 * year,
			want: []string{
				"FAIL client certificate client.pem: the certificate expired on 1999-01-01 00:00 UTC (local clock: 2000-01-01 00:00 UTC): export the certificates again, or correct the clock of this machine",
			},
		},
		{
			name: "client certificate of tomorrow", files: pair, of: "qlik1", ahead: 48 * time.Hour,
			want: []string{
				"FAIL client certificate client.pem: the certificate is not valid before 2000-01-02 00:00 UTC (local clock: 2000-01-01 00:00 UTC): export the certificates again, or correct the clock of this machine",
			},
		},
		{
			name: "everything expired", files: all, of: "qlik1", ahead: -11 * year,
			want: []string{
				"FAIL client certificate client.pem: the certificate expired on 1999-01-01 00:00 UTC (local clock: 2000-01-01 00:00 UTC): export the certificates again, or correct the clock of this machine",
				"FAIL authority root.pem: the certificate of qlik1-CA expired on 1999-01-01 00:00 UTC (local clock: 2000-01-01 00:00 UTC): correct the clock of this machine, or export the certificates again in the QMC (format PEM, with the secrets key) and replace all three files; only if the new root.pem has expired too, recreate the site's certificates in a maintenance window, following Qlik's instructions",
				"FAIL server certificate qlik1:4242: the certificate was issued by a different qlik1-CA than the one in root.pem, because the site's certificates were recreated: " + export,
			},
		},
		{
			name: "export of before the certificates were recreated", files: all, of: "qlik1",
			want: []string{
				"FAIL server certificate qlik1:4242: the certificate was issued by a different qlik1-CA than the one in root.pem, because the site's certificates were recreated: " + export,
			},
		},
		{
			name: "export of another site", files: all, of: "sense",
			want: []string{
				"FAIL server certificate qlik1:4242: the certificate of qlik1 was issued by qlik1-CA, but root.pem contains sense-CA: if a load balancer or another site responds here, use the host name of the node itself; otherwise " + export,
			},
		},
		{
			name: "client certificate of before they were recreated", files: pair, of: "qlik1",
			want: []string{
				"warn client certificate client.pem: QlikClient was issued by qlik1-CA" + mixed,
				"FAIL request qlik1:4242: the server rejects the client certificate (unknown certificate authority): " + export,
			},
		},
		{
			name: "client certificate of another site", files: pair, of: "sense",
			want: []string{
				"warn client certificate client.pem: QlikClient was issued by sense-CA" + mixed,
				"FAIL request qlik1:4242: the response is 403, so the client certificate is not accepted: " + export,
			},
		},
		{
			name: "client certificate of another site, refused at once", files: pair, of: "sense", strict: true,
			want: []string{
				"warn client certificate client.pem: QlikClient was issued by sense-CA" + mixed,
				"FAIL request qlik1:4242: the server rejects the client certificate (certificate required): " + export,
			},
		},
		{
			name: "a key that others can read",
			set:  func(c *check.Config) error { return os.Chmod(filepath.Join(c.Qlik.CertDir, "client_key.pem"), 0o644) },
			want: []string{
				"warn client key client_key.pem: every user of this machine can access it (mode 0644), and it grants full access to the site: make the exporter's account its owner, and run chmod 600 on it",
			},
		},
		{
			name: "a key that the group can read", // such as that of the service
			set:  func(c *check.Config) error { return os.Chmod(filepath.Join(c.Qlik.CertDir, "client_key.pem"), 0o640) },
		},
		{
			name: "soon over",
			set: func(c *check.Config) error {
				c.Qlik.Now = func() time.Time { return time.Now().Add(10*year - 7*24*time.Hour) }
				return nil
			},
			want: []string{
				"warn client certificate client.pem: QlikClient from qlik1-CA; the key matches; expires on 2009-12-29: export the certificates again before that date",
				"warn authority root.pem: qlik1-CA; expires on 2009-12-29: recreate the site's certificates in a maintenance window, following Qlik's instructions, before that date",
				"warn server certificate qlik1:4242: qlik1 from qlik1-CA; expires on 2009-12-29: " + renew,
				"warn server certificate qlik1:4243: qlik1 from qlik1-CA; expires on 2009-12-29: " + renew,
				"warn clock qlik1: the clock is 87432h0m0s behind the clock of this machine, so last activity and next free slots are wrong: synchronize both with the same time server",
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, config := start(t, qliktest.Config{RequireClientCertificate: test.strict})
				if test.files != nil {
					replaceFiles(t, config, exportOf(t, test.of, test.ahead), test.files...)
				}
				certificates := config.Qlik.CertDir
				if test.set != nil {
					if err := test.set(&config); err != nil {
						t.Fatal(err)
					}
				}
				report := run(t, config)
				config.Qlik.CertDir = certificates
				expect(t, report, config, test.want...)
			})
		})
	}
}
