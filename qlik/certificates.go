package qlik

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"path/filepath"
	"strings"
	"time"

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
	files, err := newCertificateReader(dir, passphraseFile).read()
	if err != nil {
		return read, err
	}
	read.Client, read.ClientError = files.pair(dir)
	read.Roots, read.RootError = files.roots(dir)
	return read, nil
}

// readTimeout is the maximum time to wait for the certificate files.
const readTimeout = 10 * time.Second

// certificateReader reads the certificate files. On a network share that does not
// respond, it stops waiting, and does not start a second read while one is in progress.
type certificateReader struct {
	dir     string
	files   func() (*certificateFiles, error)
	pending chan certificateResult // of the read in progress; nil if there is none
}

type certificateResult struct {
	files *certificateFiles
	err   error
}

func newCertificateReader(dir, passphraseFile string) *certificateReader {
	return &certificateReader{dir: dir, files: func() (*certificateFiles, error) { return readCertificateFiles(dir, passphraseFile) }}
}

// read returns the files. It must not be called concurrently.
func (r *certificateReader) read() (*certificateFiles, error) {
	if r.pending == nil {
		pending := make(chan certificateResult, 1)
		go func() {
			files, err := r.files()
			pending <- certificateResult{files, err}
		}()
		r.pending = pending
	}
	timer := time.NewTimer(readTimeout)
	defer timer.Stop()
	select {
	case result := <-r.pending:
		r.pending = nil
		return result.files, result.err
	case <-timer.C:
		return nil, configErrorf("CertDir", "%s: the file system does not respond", r.dir)
	}
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
	if err := containsBlock(f.client, certificate); err != nil {
		return tls.Certificate{}, configErrorf("CertDir", "%s %w", filepath.Join(dir, clientCertificateFile), err)
	}
	if err := containsBlock(f.key, privateKey); err != nil {
		return tls.Certificate{}, configErrorf("CertDir", "%s %w", filepath.Join(dir, clientKeyFile), err)
	}
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
		problem := "do not match"
		if !strings.Contains(err.Error(), "does not match") { // it has no type
			problem = "cannot be used"
		}
		return tls.Certificate{}, configErrorf("CertDir", "%s and %s %s: %w; copy %s, %s and %s from the same export",
			filepath.Join(dir, clientCertificateFile), clientKeyFile, problem, err, clientCertificateFile, clientKeyFile, rootCertificateFile)
	}
	return pair, nil
}

// roots returns the certificates in root.pem, at least one.
func (f *certificateFiles) roots(dir string) ([]*x509.Certificate, error) {
	if err := containsBlock(f.root, certificate); err != nil {
		return nil, configErrorf("CertDir", "%s %w", filepath.Join(dir, rootCertificateFile), err)
	}
	var roots []*x509.Certificate
	for _, block := range pemBlocks(f.root) {
		if block.Type != certificate {
			continue
		}
		root, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, configErrorf("CertDir", "%s: %w", filepath.Join(dir, rootCertificateFile), err)
		}
		roots = append(roots, root)
	}
	return roots, nil
}
