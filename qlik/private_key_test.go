package qlik

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/youmark/pkcs8"
)

// encryptedKey returns a PKCS#8 key with any data, encrypted with an algorithm.
func encryptedKey(t *testing.T, algorithm asn1.ObjectIdentifier, parameters any, data []byte) []byte {
	t.Helper()
	encoded, err := asn1.Marshal(parameters)
	if err != nil {
		t.Fatal(err)
	}
	der, err := asn1.Marshal(struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}{pkix.AlgorithmIdentifier{Algorithm: algorithm, Parameters: asn1.RawValue{FullBytes: encoded}}, data})
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: encryptedPKCS8, Bytes: der})
}

// TestUnsupportedEncryption checks that an encryption that this program does not know
// is not reported as a wrong passphrase.
func TestUnsupportedEncryption(t *testing.T) {
	const (
		convert = `"openssl pkcs8 -topk8 -v2 aes-256-cbc -in client_key.pem -out converted.pem"`
		legacy  = `"openssl pkcs8 -topk8 -v2 aes-256-cbc -in client_key.pem -out converted.pem -provider legacy -provider default"`
	)
	type parameters struct {
		Salt       []byte
		Iterations int
	}
	type derivation struct {
		Salt       []byte
		Iterations int
		Function   pkix.AlgorithmIdentifier
	}
	pbes2 := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	raw := func(value any) asn1.RawValue {
		encoded, err := asn1.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		return asn1.RawValue{FullBytes: encoded}
	}
	scheme := func(function, cipher asn1.ObjectIdentifier, vector []byte) any {
		return struct{ Derivation, Cipher pkix.AlgorithmIdentifier }{
			pkix.AlgorithmIdentifier{
				Algorithm:  asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12},
				Parameters: raw(derivation{make([]byte, 8), 2048, pkix.AlgorithmIdentifier{Algorithm: function, Parameters: asn1.NullRawValue}}),
			},
			pkix.AlgorithmIdentifier{Algorithm: cipher, Parameters: raw(vector)},
		}
	}
	sha256, sha512 := asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}, asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 11}
	aes256, camellia := asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}, asn1.ObjectIdentifier{1, 2, 392, 200011, 61, 1, 1, 1, 4}
	pkcs12 := func(n int) asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1, n} }
	old := func(cipher string) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": cipher + ",00"}})
	}
	salted := parameters{make([]byte, 8), 2048}
	const damaged = "the encrypted key is damaged or not complete; copy the file again"
	for name, test := range map[string]struct {
		key  []byte
		want string
	}{
		"PBES1 with 3DES":    {encryptedKey(t, pkcs12(3), salted, make([]byte, 64)), "with pbeWithSHA1And3-KeyTripleDES-CBC, which is not supported, whatever the passphrase; convert the key with " + convert},
		"PBES1 with RC2":     {encryptedKey(t, pkcs12(6), salted, make([]byte, 64)), "with pbeWithSHA1And40BitRC2-CBC, which is not supported, whatever the passphrase; convert the key with " + legacy},
		"PBES1 with DES":     {encryptedKey(t, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 3}, salted, make([]byte, 64)), "with pbeWithMD5AndDES-CBC, which is not supported, whatever the passphrase; convert the key with " + legacy},
		"another scheme":     {encryptedKey(t, asn1.ObjectIdentifier{1, 2, 3}, salted, make([]byte, 64)), "with the algorithm 1.2.3, which is not supported"},
		"another function":   {encryptedKey(t, pbes2, scheme(sha512, aes256, make([]byte, 16)), make([]byte, 64)), "with hmacWithSHA512, which is not supported"},
		"another cipher":     {encryptedKey(t, pbes2, scheme(sha256, camellia, make([]byte, 16)), make([]byte, 64)), "with camellia-256-cbc, which is not supported"},
		"Camellia, old":      {old("CAMELLIA-256-CBC"), "with CAMELLIA-256-CBC, which is not supported, whatever the passphrase; convert the key with " + convert},
		"SEED, old":          {old("SEED-CBC"), "with SEED-CBC, which is not supported, whatever the passphrase; convert the key with " + legacy},
		"a wrong passphrase": {encryptedKey(t, pbes2, scheme(sha256, aes256, make([]byte, 16)), make([]byte, 64)), "the passphrase does not decrypt it"},
		"cut off":            {encryptedKey(t, pbes2, scheme(sha256, aes256, make([]byte, 16)), make([]byte, 63)), damaged},
		"a short vector":     {encryptedKey(t, pbes2, scheme(sha256, aes256, make([]byte, 8)), make([]byte, 64)), damaged},
		"no structure":       {pem.EncodeToMemory(&pem.Block{Type: encryptedPKCS8, Bytes: []byte{0x30, 0x82, 1}}), damaged},
	} {
		if _, err := decryptKey(test.key, []byte("any")); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", name, err, test.want)
		}
	}
}

// TestConvertWithOpenSSL runs the command of the error.
func TestConvertWithOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, encrypt := range map[string]string{
		"PBES1":        "pkcs8 -topk8 -v1 PBE-SHA1-3DES -in plain.pem -out client_key.pem -passout file:passphrase",
		"PBES1 legacy": "pkcs8 -topk8 -v1 PBE-SHA1-RC2-40 -in plain.pem -out client_key.pem -passout file:passphrase -provider legacy -provider default",
		"SHA-512":      "pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA512 -in plain.pem -out client_key.pem -passout file:passphrase",
		"old format":   "rsa -traditional -camellia256 -in plain.pem -out client_key.pem -passout file:passphrase",
	} {
		dir := t.TempDir()
		for file, content := range map[string][]byte{
			"plain.pem":  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
			"passphrase": []byte(testPassphrase + "\n"),
		} {
			if err := os.WriteFile(filepath.Join(dir, file), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		run := func(args ...string) {
			command := exec.CommandContext(t.Context(), openssl, args...)
			command.Dir = dir
			if out, err := command.CombinedOutput(); err != nil {
				t.Skipf("%s: this openssl cannot run %q: %v\n%s", name, args, err, out)
			}
		}
		run(strings.Fields(encrypt)...)
		load := func(file string) error {
			writeFiles(t, dir, key.Public(), key, read(t, filepath.Join(dir, file)))
			return load(Config{Hosts: []string{"qlik1"}, CertDir: dir, KeyPassphraseFile: filepath.Join(dir, "passphrase")})
		}
		refused := load("client_key.pem")
		command := regexp.MustCompile(`"openssl (.*?)"`).FindStringSubmatch(refused.Error())
		if command == nil {
			t.Errorf("%s: the error has no command: %v", name, refused)
			continue
		}
		run(append(strings.Fields(command[1]), "-passin", "pass:"+testPassphrase, "-passout", "pass:"+testPassphrase)...)
		if err := load("converted.pem"); err != nil {
			t.Errorf("%s: the converted key: %v", name, err)
		}
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// FuzzDecryptKey checks that no file makes the program panic.
func FuzzDecryptKey(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	for _, kdf := range []pkcs8.KDFOpts{pkcs8.PBKDF2Opts{SaltSize: 8, IterationCount: 1, HMACHash: crypto.SHA256}, pkcs8.ScryptOpts{SaltSize: 8, CostParameter: 2, BlockSize: 1, ParallelizationParameter: 1}} {
		der, err := pkcs8.MarshalPrivateKey(key, []byte("a"), &pkcs8.Opts{Cipher: pkcs8.AES256CBC, KDFOpts: kdf})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
	}
	f.Fuzz(func(_ *testing.T, der []byte) {
		_, _ = decryptKey(pem.EncodeToMemory(&pem.Block{Type: encryptedPKCS8, Bytes: der}), []byte("a "))
	})
}
