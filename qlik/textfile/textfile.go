// Package textfile reads the small text files that people write: flags, keys,
// passphrases, certificates, and configurations. It accepts what editors and shells
// make of them, such as a byte order mark, or UTF-16 from PowerShell.
package textfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// maxBytes is far more than any of these files needs.
const maxBytes = 1 << 20

// ErrTooLarge is within the error about a file that is larger than any text file.
var ErrTooLarge = fmt.Errorf("is larger than %d MiB", maxBytes>>20)

// Read returns the content of a file in UTF-8 without a byte order mark. It converts
// UTF-16 with a byte order mark, and without one if there is no doubt. It returns any
// other content unchanged, because a key can consist of any bytes. It reads no pipe or
// device, which could block or never end.
func Read(path string) ([]byte, error) {
	if info, err := os.Stat(path); err == nil {
		if err := regular(info.Mode()); err != nil {
			return nil, &fs.PathError{Op: "read", Path: path, Err: err}
		}
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, maxBytes+1))
	switch {
	case err != nil:
		return nil, err
	case len(content) > maxBytes:
		return nil, &fs.PathError{Op: "read", Path: path, Err: ErrTooLarge}
	}
	return decode(content), nil
}

// regular returns an error if the mode is not that of a file. A file on Windows can
// have other bits, for example if a cloud drive stores it.
func regular(mode fs.FileMode) error {
	switch {
	case mode.IsDir():
		return errors.New("is a folder, not a file")
	case mode&(fs.ModeNamedPipe|fs.ModeSocket|fs.ModeDevice|fs.ModeCharDevice) != 0:
		return errors.New("is a pipe or a device, not a file")
	}
	return nil
}

// ReadKey returns the content of a file that contains a key or a passphrase. Line ends
// at the end do not belong to it, because editors add them. Blanks do.
func ReadKey(path string) ([]byte, error) {
	content, err := Read(path)
	return bytes.TrimRight(content, "\r\n"), err
}

var (
	markUTF8    = []byte{0xEF, 0xBB, 0xBF}
	markUTF16LE = []byte{0xFF, 0xFE}
	markUTF16BE = []byte{0xFE, 0xFF}
)

// decode implements the conversion of Read.
func decode(content []byte) []byte {
	if text, found := bytes.CutPrefix(content, markUTF8); found {
		return text
	}
	if units, found := bytes.CutPrefix(content, markUTF16LE); found {
		return fromUTF16(units, binary.LittleEndian, content)
	}
	if units, found := bytes.CutPrefix(content, markUTF16BE); found {
		return fromUTF16(units, binary.BigEndian, content)
	}
	if order := unmarkedOrder(content); order != nil {
		return fromUTF16(content, order, content)
	}
	return content
}

// unmarkedOrder returns the byte order of UTF-16 without a byte order mark, or nil. The
// upper bytes of nearly all characters are zero in UTF-16, while UTF-8 has no zeros and
// a random key has few.
func unmarkedOrder(content []byte) binary.ByteOrder {
	var zeros [2]int // at even and at odd positions
	for i, b := range content {
		if b == 0 {
			zeros[i%2]++
		}
	}
	switch most := len(content) / 2 * 3 / 4; {
	case len(content)%2 != 0 || len(content) == 0:
		return nil
	case zeros[1] > most:
		return binary.LittleEndian
	case zeros[0] > most:
		return binary.BigEndian
	}
	return nil
}

// fromUTF16 converts UTF-16 to UTF-8. It returns the original if this is not text in
// UTF-16.
func fromUTF16(content []byte, order binary.ByteOrder, original []byte) []byte {
	if len(content)%2 != 0 {
		return original
	}
	units := make([]uint16, 0, len(content)/2)
	for i := 0; i < len(content); i += 2 {
		units = append(units, order.Uint16(content[i:]))
	}
	runes := utf16.Decode(units)
	text := make([]byte, 0, len(content))
	for _, r := range runes {
		if r == utf8.RuneError || unicode.IsControl(r) && r != '\t' && r != '\r' && r != '\n' {
			return original
		}
		text = utf8.AppendRune(text, r)
	}
	return text
}
