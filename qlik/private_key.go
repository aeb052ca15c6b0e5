package qlik

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/youmark/pkcs8"
)

var errPassphrase = errors.New("the key is encrypted")

const encryptedPKCS8 = "ENCRYPTED PRIVATE KEY"

// decryptKey returns the private key as unencrypted PEM. The QMC encrypts the key if
// the export has a password. decryptKey accepts both formats of OpenSSL: PKCS#8, and
// the older format with a Proc-Type header.
func decryptKey(pemKey, passphrase []byte) ([]byte, error) {
	blocks := pemBlocks(pemKey)
	encrypted := slices.IndexFunc(blocks, func(b *pem.Block) bool {
		return b.Type == encryptedPKCS8 || b.Headers["DEK-Info"] != ""
	})
	if encrypted < 0 {
		return pemKey, nil
	}
	block := blocks[encrypted]
	if err := decryptable(block); err != nil {
		return nil, err
	}
	if len(passphrase) == 0 {
		return nil, fmt.Errorf("%w, but no passphrase is given; write it to a file, and set this setting to the path of the file", errPassphrase)
	}
	// "echo PASSPHRASE > FILE" writes a blank behind the passphrase in cmd.exe.
	for _, candidate := range [][]byte{passphrase, bytes.TrimSpace(passphrase)} {
		if decrypted, err := decryptBlock(block, candidate); err == nil {
			return decrypted, nil
		}
	}
	return nil, fmt.Errorf("%w, but the passphrase does not decrypt it; write the password of the export to the file", errPassphrase)
}

// decryptBlock returns the key in an encrypted block as unencrypted PEM.
func decryptBlock(block *pem.Block, passphrase []byte) ([]byte, error) {
	if block.Type == encryptedPKCS8 {
		key, err := pkcs8.ParsePKCS8PrivateKey(block.Bytes, passphrase)
		if err != nil {
			return nil, err
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, err
		}
		return pem.EncodeToMemory(&pem.Block{Type: privateKey, Bytes: der}), nil
	}
	// The old format does not protect against manipulation of the file. Some releases
	// still export it, and root.pem in the same folder is not protected either.
	der, err := x509.DecryptPEMBlock(block, passphrase) //nolint:staticcheck // deprecated, still in use by exports
	if err != nil {
		return nil, err
	}
	if !parsesAsKey(der) { // one in 256 wrong passphrases passes the padding check
		return nil, x509.IncorrectPasswordError
	}
	return pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: der}), nil
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

// decryptable returns an error if no passphrase can decrypt a block, because it is
// damaged, or because this program does not know its encryption.
func decryptable(block *pem.Block) error {
	if info := block.Headers["DEK-Info"]; block.Type != encryptedPKCS8 {
		cipher, _, _ := strings.Cut(info, ",")
		if !slices.Contains([]string{"DES-CBC", "DES-EDE3-CBC", "AES-128-CBC", "AES-192-CBC", "AES-256-CBC"}, cipher) {
			return unsupported(cipher, !strings.HasPrefix(cipher, "CAMELLIA") && !strings.HasPrefix(cipher, "ARIA"))
		}
		return nil
	}
	var key struct {
		Encryption pkix.AlgorithmIdentifier
		Data       []byte
	}
	if rest, err := asn1.Unmarshal(block.Bytes, &key); err != nil || len(rest) > 0 {
		return errDamaged
	}
	if oid := key.Encryption.Algorithm.String(); oid != oidPBES2 {
		return unsupportedOID(oid)
	}
	var scheme struct{ Derivation, Cipher pkix.AlgorithmIdentifier }
	if rest, err := asn1.Unmarshal(key.Encryption.Parameters.FullBytes, &scheme); err != nil || len(rest) > 0 {
		return errDamaged
	}
	size := blockSizes[scheme.Cipher.Algorithm.String()]
	if size == 0 {
		return unsupportedOID(scheme.Cipher.Algorithm.String())
	}
	var vector []byte
	// Package pkcs8 panics on other lengths.
	if _, err := asn1.Unmarshal(scheme.Cipher.Parameters.FullBytes, &vector); err != nil || len(vector) != size || len(key.Data)%size != 0 {
		return errDamaged
	}
	return derivable(scheme.Derivation)
}

// Limits of the cost of a passphrase, so that a damaged file neither blocks the program
// nor takes its memory. The defaults of OpenSSL are far lower.
const (
	maxIterations  = 10_000_000
	maxScryptBytes = 64 << 20
)

// derivable returns an error if the derivation of a key from the passphrase is not
// supported.
func derivable(derivation pkix.AlgorithmIdentifier) error {
	switch oid := derivation.Algorithm.String(); oid {
	case oidScrypt:
		var parameters struct {
			Salt                         []byte
			Cost, BlockSize, Parallelism int64
		}
		if _, err := asn1.Unmarshal(derivation.Parameters.FullBytes, &parameters); err != nil {
			return errDamaged
		}
		cost, size, parallelism := parameters.Cost, parameters.BlockSize, parameters.Parallelism
		if cost < 1 || size < 1 || parallelism < 1 || parallelism > 16 || cost > maxScryptBytes/128 || size > maxScryptBytes/128/cost {
			return unsupported("scrypt at an unusual cost", false)
		}
		return nil
	case oidPBKDF2:
		var parameters struct {
			Salt       []byte
			Iterations int64
			KeyLength  int64                    `asn1:"optional"`
			Function   pkix.AlgorithmIdentifier `asn1:"optional"`
		}
		if _, err := asn1.Unmarshal(derivation.Parameters.FullBytes, &parameters); err != nil {
			return errDamaged
		}
		switch function := parameters.Function.Algorithm.String(); {
		case parameters.KeyLength != 0:
			return unsupported("PBKDF2 and a key length", false)
		case parameters.Iterations < 1 || parameters.Iterations > maxIterations:
			return unsupported("PBKDF2 at an unusual cost", false)
		case function != "" && function != oidHMACWithSHA1 && function != oidHMACWithSHA256:
			return unsupportedOID(function)
		}
		return nil
	default:
		return unsupportedOID(oid)
	}
}

const (
	oidPBES2          = "1.2.840.113549.1.5.13"
	oidPBKDF2         = "1.2.840.113549.1.5.12"
	oidScrypt         = "1.3.6.1.4.1.11591.4.11"
	oidHMACWithSHA1   = "1.2.840.113549.2.7"
	oidHMACWithSHA256 = "1.2.840.113549.2.9"
)

// blockSizes are the block sizes of the ciphers that package pkcs8 supports, in bytes.
var blockSizes = map[string]int{
	"1.2.840.113549.3.7":      8,  // DES-EDE3-CBC
	"2.16.840.1.101.3.4.1.2":  16, // AES-128-CBC
	"2.16.840.1.101.3.4.1.22": 16, // AES-192-CBC
	"2.16.840.1.101.3.4.1.42": 16, // AES-256-CBC
}

// unsupportedNames are the names of algorithms in OpenSSL. Legacy means that OpenSSL 3
// decrypts a key only with its legacy provider.
var unsupportedNames = map[string]struct {
	name   string
	legacy bool
}{
	"1.2.840.113549.1.5.1":    {"pbeWithMD2AndDES-CBC", true},
	"1.2.840.113549.1.5.3":    {"pbeWithMD5AndDES-CBC", true},
	"1.2.840.113549.1.5.4":    {"pbeWithMD2AndRC2-CBC", true},
	"1.2.840.113549.1.5.6":    {"pbeWithMD5AndRC2-CBC", true},
	"1.2.840.113549.1.5.10":   {"pbeWithSHA1AndDES-CBC", true},
	"1.2.840.113549.1.5.11":   {"pbeWithSHA1AndRC2-CBC", true},
	"1.2.840.113549.1.12.1.1": {"pbeWithSHA1And128BitRC4", true},
	"1.2.840.113549.1.12.1.2": {"pbeWithSHA1And40BitRC4", true},
	"1.2.840.113549.1.12.1.3": {"pbeWithSHA1And3-KeyTripleDES-CBC", false},
	"1.2.840.113549.1.12.1.4": {"pbeWithSHA1And2-KeyTripleDES-CBC", false},
	"1.2.840.113549.1.12.1.5": {"pbeWithSHA1And128BitRC2-CBC", true},
	"1.2.840.113549.1.12.1.6": {"pbeWithSHA1And40BitRC2-CBC", true},

	"1.3.14.3.2.7":              {"des-cbc", true},
	"1.2.840.113549.3.2":        {"rc2-cbc", true},
	"1.2.392.200011.61.1.1.1.4": {"camellia-256-cbc", false},
	"1.2.410.200046.1.1.12":     {"aria-256-cbc", false},
	"1.2.840.113549.2.10":       {"hmacWithSHA384", false},
	"1.2.840.113549.2.11":       {"hmacWithSHA512", false},
}

func unsupportedOID(oid string) error {
	if algorithm, known := unsupportedNames[oid]; known {
		return unsupported(algorithm.name, algorithm.legacy)
	}
	return unsupported("the algorithm "+oid, false)
}

var errDamaged = errors.New("the encrypted key is damaged or not complete; copy the file again")

// unsupported returns the error about an encryption that this program does not know,
// with the command that converts the key.
func unsupported(encryption string, legacy bool) error {
	command := "openssl pkcs8 -topk8 -v2 aes-256-cbc -in " + clientKeyFile + " -out converted.pem"
	if legacy {
		command += " -provider legacy -provider default"
	}
	return fmt.Errorf("the key is encrypted with %s, which is not supported, whatever the passphrase; convert the key with %q, and replace %s by converted.pem",
		encryption, command, clientKeyFile)
}
