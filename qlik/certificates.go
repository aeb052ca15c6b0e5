package qlik

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/youmark/pkcs8"

	"github.com/qlik-exporter/qlik_exporter/qlik/textfile"
)

// Names of the certificate files in an export of the QMC (docs/qlik.md,
// "Certificates").
const (
	clientCertificateFile = "client.pem"
	clientKeyFile         = "client_key.pem"
	rootCertificateFile   = "root.pem"
)

// Certificates describes the certificates in use.
type Certificates struct {
	ClientExpiry time.Time // end of validity of client.pem
	RootExpiry   time.Time // earliest end of validity of the certificates in root.pem
}

// certificateFiles is the content of the certificate files.
type certificateFiles struct {
	client, key, root, passphrase []byte
}

func (f *certificateFiles) equal(other *certificateFiles) bool {
	return other != nil && bytes.Equal(f.client, other.client) && bytes.Equal(f.key, other.key) &&
		bytes.Equal(f.root, other.root) && bytes.Equal(f.passphrase, other.passphrase)
}

// Credentials are the parsed certificate files. The client certificate and the roots
// have separate errors, so that a problem with one does not hide the other.
type Credentials struct {
	ClientFile, KeyFile, RootFile string

	Client      tls.Certificate
	ClientError error
	Roots       []*x509.Certificate
	RootError   error
}

// readCredentials implements Client.Credentials.
func readCredentials(dir, passphraseFile string) (*Credentials, error) {
	read := &Credentials{
		ClientFile: filepath.Join(dir, clientCertificateFile),
		KeyFile:    filepath.Join(dir, clientKeyFile),
		RootFile:   filepath.Join(dir, rootCertificateFile),
	}
	files, err := readCertificateFiles(dir, passphraseFile)
	if err != nil {
		return read, err
	}
	read.Client, read.ClientError = files.pair(dir)
	read.Roots, read.RootError = files.roots(dir)
	return read, nil
}

// readCertificateFiles reads the certificate files. The passphraseFile may be "". It
// always reads the whole files, because timestamps do not reveal every change and the
// files are only a few kilobytes.
func readCertificateFiles(dir, passphraseFile string) (*certificateFiles, error) {
	var (
		files certificateFiles
		err   error
	)
	for _, file := range []struct {
		name string
		to   *[]byte
	}{
		{clientCertificateFile, &files.client},
		{clientKeyFile, &files.key},
		{rootCertificateFile, &files.root},
	} {
		if *file.to, err = readPEM(filepath.Join(dir, file.name)); err != nil {
			return nil, configErrorf("CertDir", "%w; the folder must contain %s, %s and %s as the QMC exports them",
				err, clientCertificateFile, clientKeyFile, rootCertificateFile)
		}
		if len(*file.to) == 0 {
			return nil, configErrorf("CertDir", "%s is empty; export the certificates again", filepath.Join(dir, file.name))
		}
	}
	if passphraseFile != "" {
		if files.passphrase, err = textfile.ReadKey(passphraseFile); err != nil {
			return nil, configErrorf("KeyPassphraseFile", "%w", err)
		}
	}
	return &files, nil
}

// readPEM reads a file in PEM format. It removes what package encoding/pem does not
// accept around a line: blanks, and byte order marks where files were put together.
func readPEM(path string) ([]byte, error) {
	content, err := textfile.Read(path)
	if err != nil {
		return nil, err
	}
	var lines bytes.Buffer
	for line := range bytes.Lines(content) {
		lines.Write(bytes.Trim(line, " \t\r\n\ufeff"))
		lines.WriteByte('\n')
	}
	return lines.Bytes(), nil
}

// tlsConfig returns the client configuration for mutual TLS.
func (f *certificateFiles) tlsConfig(dir string) (*tls.Config, Certificates, error) {
	pair, err := f.pair(dir)
	if err != nil {
		return nil, Certificates{}, err
	}
	roots, err := f.roots(dir)
	if err != nil {
		return nil, Certificates{}, err
	}
	pool, expiry := x509.NewCertPool(), roots[0].NotAfter
	for _, root := range roots {
		pool.AddCert(root)
		if root.NotAfter.Before(expiry) {
			expiry = root.NotAfter
		}
	}
	config := &tls.Config{
		Certificates: []tls.Certificate{pair},
		RootCAs:      pool,
		MinVersion:   tls.VersionTLS12, // see docs/qlik.md, "TLS versions"
	}
	return config, Certificates{ClientExpiry: pair.Leaf.NotAfter, RootExpiry: expiry}, nil
}

// pair returns the client certificate with its key.
func (f *certificateFiles) pair(dir string) (tls.Certificate, error) {
	key, err := decryptKey(f.key, f.passphrase)
	if err != nil {
		field := "CertDir"
		if errors.Is(err, errPassphrase) {
			field = "KeyPassphraseFile"
		}
		return tls.Certificate{}, configErrorf(field, "%s: %w", filepath.Join(dir, clientKeyFile), err)
	}
	pair, err := tls.X509KeyPair(f.client, key)
	if err != nil {
		return tls.Certificate{}, configErrorf("CertDir", "%s and %s do not match: %w",
			filepath.Join(dir, clientCertificateFile), clientKeyFile, err)
	}
	return pair, nil
}

// roots returns the certificates in root.pem, at least one.
func (f *certificateFiles) roots(dir string) ([]*x509.Certificate, error) {
	var roots []*x509.Certificate
	for rest := f.root; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		root, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, configErrorf("CertDir", "%s: %w", filepath.Join(dir, rootCertificateFile), err)
		}
		roots = append(roots, root)
	}
	if len(roots) == 0 {
		return nil, configErrorf("CertDir", "%s contains no certificate in PEM format; export the certificates again in PEM format",
			filepath.Join(dir, rootCertificateFile))
	}
	return roots, nil
}

var errPassphrase = errors.New("the key is encrypted")

// decryptKey returns the private key as unencrypted PEM. The QMC encrypts the key if
// the export has a password. decryptKey accepts both formats of OpenSSL: PKCS#8, and
// the older format with a Proc-Type header.
func decryptKey(pemKey, passphrase []byte) ([]byte, error) {
	blocks := []*pem.Block{}
	for rest := pemKey; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		blocks = append(blocks, block)
	}
	encrypted := slices.IndexFunc(blocks, func(b *pem.Block) bool {
		return b.Type == "ENCRYPTED PRIVATE KEY" || b.Headers["DEK-Info"] != ""
	})
	if encrypted < 0 {
		return pemKey, nil
	}
	block := blocks[encrypted]
	if len(passphrase) == 0 {
		return nil, fmt.Errorf("%w, but no passphrase is given; write it to a file and specify the file", errPassphrase)
	}
	wrong := fmt.Errorf("%w, but the passphrase does not decrypt it; write the password of the export to the file", errPassphrase)
	if block.Type == "ENCRYPTED PRIVATE KEY" {
		key, err := pkcs8.ParsePKCS8PrivateKey(block.Bytes, passphrase)
		if err != nil {
			return nil, wrong
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, err
		}
		return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
	}
	// The old format does not protect against manipulation of the file. Some releases
	// still export it, and root.pem in the same folder is not protected either.
	der, err := x509.DecryptPEMBlock(block, passphrase) //nolint:staticcheck // deprecated, still in use by exports
	if err != nil {
		return nil, wrong
	}
	decrypted := pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: der})
	if !parsesAsKey(der) { // one in 256 wrong passphrases passes the padding check
		return nil, wrong
	}
	return decrypted, nil
}

func parsesAsKey(der []byte) bool {
	if _, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return true
	}
	if _, err := x509.ParseECPrivateKey(der); err == nil {
		return true
	}
	_, err := x509.ParsePKCS8PrivateKey(der)
	return err == nil
}
