package qlik

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/youmark/pkcs8"
)

const testPassphrase = "correct horse"

// writeFiles writes a folder of certificate files with a certificate for key. It
// writes keyPEM unchanged.
func writeFiles(t *testing.T, dir string, public, signer any, keyPEM []byte) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "QlikClient"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, signer)
	if err != nil {
		t.Fatal(err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, content := range map[string][]byte{clientCertificateFile: certificate, rootCertificateFile: certificate, clientKeyFile: keyPEM} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// inUTF16 converts ASCII to UTF-16 with a byte order mark.
func inUTF16(text []byte) []byte {
	content := []byte{0xff, 0xfe}
	for _, b := range text {
		content = binary.LittleEndian.AppendUint16(content, uint16(b))
	}
	return content
}

// load creates a client and loads its certificates.
func load(config Config) error {
	client, err := NewClient(config)
	if err != nil {
		return err
	}
	defer client.Close()
	return client.Reload()
}

func TestKeyForms(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	must := func(der []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	block := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	pkcs1 := x509.MarshalPKCS1PrivateKey(rsaKey)
	legacy, err := x509.EncryptPEMBlock(rand.Reader, "RSA PRIVATE KEY", pkcs1, []byte(testPassphrase), x509.PEMCipherAES256) //nolint:staticcheck // the form under test
	if err != nil {
		t.Fatal(err)
	}
	encrypted := must(pkcs8.MarshalPrivateKey(rsaKey, []byte(testPassphrase), nil))

	passphraseFile := filepath.Join(t.TempDir(), "passphrase")
	wrongFile := filepath.Join(t.TempDir(), "wrong")
	emptyFile := filepath.Join(t.TempDir(), "empty")
	// As "echo PASSPHRASE > FILE" writes it in cmd.exe, and "Out-File" in PowerShell.
	blankFile, utf16File := filepath.Join(t.TempDir(), "blank"), filepath.Join(t.TempDir(), "utf16")
	for file, content := range map[string]string{
		passphraseFile: testPassphrase + "\r\n", wrongFile: "incorrect horse", emptyFile: "\r\n",
		blankFile: testPassphrase + " \r\n", utf16File: string(inUTF16([]byte(testPassphrase + "\r\n"))),
	} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	for _, test := range []struct {
		name       string
		public     any
		signer     any
		key        []byte
		passphrase string
		wantError  string // empty: works
	}{
		{"PKCS#1", rsaKey.Public(), rsaKey, block("RSA PRIVATE KEY", pkcs1), "", ""},
		{"PKCS#8", rsaKey.Public(), rsaKey, block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(rsaKey))), "", ""},
		{"elliptic curve", ecKey.Public(), ecKey, block("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(ecKey))), "", ""},
		{"a passphrase nobody needs", rsaKey.Public(), rsaKey, block("RSA PRIVATE KEY", pkcs1), passphraseFile, ""},
		{"encrypted PKCS#8", rsaKey.Public(), rsaKey, block("ENCRYPTED PRIVATE KEY", encrypted), passphraseFile, ""},
		{"encrypted PKCS#1", rsaKey.Public(), rsaKey, pem.EncodeToMemory(legacy), passphraseFile, ""},
		{"passphrase with a blank", rsaKey.Public(), rsaKey, block("ENCRYPTED PRIVATE KEY", encrypted), blankFile, ""},
		{"passphrase in UTF-16", rsaKey.Public(), rsaKey, block("ENCRYPTED PRIVATE KEY", encrypted), utf16File, ""},
		{"UTF-16", rsaKey.Public(), rsaKey, inUTF16(pem.EncodeToMemory(legacy)), passphraseFile, ""},
		{"line ends of Windows", rsaKey.Public(), rsaKey, bytes.ReplaceAll(pem.EncodeToMemory(legacy), []byte("\n"), []byte("\r\n")), passphraseFile, ""},
		{"indented", rsaKey.Public(), rsaKey, bytes.ReplaceAll(pem.EncodeToMemory(legacy), []byte("\n"), []byte(" \n\t  ")), passphraseFile, ""},
		{"text before it", rsaKey.Public(), rsaKey, append([]byte("Bag Attributes\r\n    friendlyName: QlikClient\r\n\ufeff"), block("RSA PRIVATE KEY", pkcs1)...), "", ""},
		{"byte order mark", rsaKey.Public(), rsaKey, append([]byte("\uFEFF"), block("RSA PRIVATE KEY", pkcs1)...), "", ""},
		{"encrypted PKCS#8, no passphrase", rsaKey.Public(), rsaKey, block("ENCRYPTED PRIVATE KEY", encrypted), "", "KeyPassphraseFile: "},
		{"encrypted PKCS#8, wrong passphrase", rsaKey.Public(), rsaKey, block("ENCRYPTED PRIVATE KEY", encrypted), wrongFile, "passphrase does not decrypt it"},
		{"encrypted PKCS#1, wrong passphrase", rsaKey.Public(), rsaKey, pem.EncodeToMemory(legacy), wrongFile, "passphrase does not decrypt it"},
		{"passphrase file missing", rsaKey.Public(), rsaKey, block("ENCRYPTED PRIVATE KEY", encrypted), wrongFile + "x", "KeyPassphraseFile: open "},
		{"key of another certificate", rsaKey.Public(), rsaKey, block("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(ecKey))), "", "do not match"},
		{"empty passphrase", rsaKey.Public(), rsaKey, block("ENCRYPTED PRIVATE KEY", encrypted), emptyFile, "no passphrase is given"},
		{"no key", rsaKey.Public(), rsaKey, []byte("nothing"), "", "contains no private key in PEM format; export the certificates again in PEM format"},
		{"a certificate", rsaKey.Public(), rsaKey, block("CERTIFICATE", []byte("x")), "", "contains CERTIFICATE instead of a private key"},
		{"DER", rsaKey.Public(), rsaKey, pkcs1, "", "is in a binary format such as DER or PFX"},
		{"cut off", rsaKey.Public(), rsaKey, block("RSA PRIVATE KEY", pkcs1)[:500], "", "contains a block that is damaged or not complete"},
		{"Base64 twice", rsaKey.Public(), rsaKey, []byte(base64.StdEncoding.EncodeToString(block("RSA PRIVATE KEY", pkcs1))), "", "decode it once"},
		{"from JSON", rsaKey.Public(), rsaKey, bytes.ReplaceAll(block("RSA PRIVATE KEY", pkcs1), []byte("\n"), []byte(`\n`)), "", `replace each \n by a line end`},
		{"encrypted PKCS#8, cut off", rsaKey.Public(), rsaKey, block("ENCRYPTED PRIVATE KEY", encrypted[:len(encrypted)-5]), passphraseFile, "the encrypted key is damaged or not complete"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			writeFiles(t, dir, test.public, test.signer, test.key)
			err := load(Config{Hosts: []string{"qlik1"}, CertDir: dir, KeyPassphraseFile: test.passphrase})
			var config *ConfigError
			switch {
			case test.wantError == "" && err != nil:
				t.Error(err)
			case test.wantError != "" && (err == nil || !strings.Contains(err.Error(), test.wantError) || !errors.As(err, &config)):
				t.Errorf("got %v, want a ConfigError with %q", err, test.wantError)
			case err != nil && (strings.Contains(err.Error(), "horse") || strings.Contains(err.Error(), "\n")):
				t.Errorf("the error shows a passphrase or is not one line: %v", err)
			}
		})
	}
}

// TestRootsPutTogether checks that root.pem may contain more than certificates, and byte
// order marks where files were put together.
func TestRootsPutTogether(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
	writeFiles(t, dir, key.Public(), key, keyPEM)
	path := filepath.Join(dir, rootCertificateFile)
	root, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	mark := []byte("\ufeff")
	if err := os.WriteFile(path, slices.Concat(mark, root, mark, keyPEM, mark, root, []byte("\x1a")), 0o600); err != nil {
		t.Fatal(err)
	}
	credentials, err := readCredentials(dir, "")
	if err != nil || credentials.RootError != nil || len(credentials.Roots) != 2 {
		t.Errorf("%d roots, %v, %v", len(credentials.Roots), err, credentials.RootError)
	}
	trusted := pem.EncodeToMemory(&pem.Block{Type: "TRUSTED CERTIFICATE", Bytes: []byte("x")})
	if err := os.WriteFile(path, trusted, 0o600); err != nil {
		t.Fatal(err)
	}
	const want = "root.pem contains TRUSTED CERTIFICATE instead of a certificate"
	if err := load(Config{Hosts: []string{"qlik1"}, CertDir: dir}); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestCertificateFilesMissing(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{clientCertificateFile, clientKeyFile, rootCertificateFile} {
		dir := t.TempDir()
		writeFiles(t, dir, key.Public(), key, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := load(Config{Hosts: []string{"qlik1"}, CertDir: dir}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("empty %s: got %v", name, err)
		}
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if err := load(Config{Hosts: []string{"qlik1"}, CertDir: dir}); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, name)) {
			t.Errorf("no %s: got %v", name, err)
		}
	}
	if err := load(Config{Hosts: []string{"qlik1"}, CertDir: os.Args[0]}); err == nil || !strings.Contains(err.Error(), "is a file") {
		t.Errorf("a file instead of the folder: got %v", err)
	}
}

// TestFileSystemThatHangs checks that a share that does not respond delays a reload
// only for some time, that only one read is in progress, and that its files are used
// when it responds again.
func TestFileSystemThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		responds := make(chan struct{})
		want := new(certificateFiles)
		reads := 0
		r := &certificateReader{dir: "//share/certs", files: func() (*certificateFiles, error) {
			reads++
			<-responds
			return want, nil
		}}
		for range 3 {
			begin := time.Now()
			files, err := r.read()
			if err == nil || err.Error() != "CertDir: //share/certs: the file system does not respond" || files != nil || time.Since(begin) != readTimeout {
				t.Errorf("%v, %v after %s", files, err, time.Since(begin))
			}
		}
		close(responds)
		if files, err := r.read(); err != nil || files != want || reads != 1 {
			t.Errorf("%v, %v after %d reads", files, err, reads)
		}
		if files, err := r.read(); err != nil || files != want || reads != 2 {
			t.Errorf("%v, %v after %d reads", files, err, reads)
		}
	})
}
