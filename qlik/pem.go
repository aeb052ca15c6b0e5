package qlik

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/qlik-exporter/qlik_exporter/qlik/textfile"
)

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

// Kinds of blocks. The type of a private key can begin with its algorithm.
const (
	certificate = "CERTIFICATE"
	privateKey  = "PRIVATE KEY"
)

// pemBlocks returns the blocks of a file. Text between them is ignored.
func pemBlocks(content []byte) []*pem.Block {
	var blocks []*pem.Block
	for {
		var block *pem.Block
		if block, content = pem.Decode(content); block == nil {
			return blocks
		}
		blocks = append(blocks, block)
	}
}

// containsBlock returns an error if a file contains no block of a kind. The error
// continues a sentence that starts with the file, and says what the file is instead.
func containsBlock(content []byte, kind string) error {
	var others []string
	for _, block := range pemBlocks(content) {
		if block.Type == kind || kind == privateKey && strings.HasSuffix(block.Type, " "+kind) {
			return nil
		}
		others = append(others, block.Type)
	}
	const again = "; export the certificates again in PEM format"
	switch {
	case len(others) > 0:
		return fmt.Errorf("contains %s instead of a %s", strings.Join(others, ", "), strings.ToLower(kind))
	case bytes.HasPrefix(content, []byte{0x30, 0x82}), bytes.HasPrefix(content, []byte{0x30, 0x80}): // the start of DER
		return errors.New("is in a binary format such as DER or PFX" + again)
	case bytes.Contains(content, []byte("LS0tLS1CRUdJTi")): // -----BEGIN
		return errors.New("is PEM that was encoded in Base64 once more; decode it once")
	case bytes.Contains(content, []byte("-----BEGIN")) && bytes.Contains(content, []byte(`\n`)):
		return errors.New(`contains \n instead of line ends; replace each \n by a line end`)
	case bytes.Contains(content, []byte("-----BEGIN")):
		return errors.New("contains a block that is damaged or not complete; copy the file again")
	default:
		return fmt.Errorf("contains no %s in PEM format%s", strings.ToLower(kind), again)
	}
}
