package qlik

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Maximum sizes of a response. A list of 100,000 sessions is about 20 MB. An element
// with hundreds of group attributes is about 10 kB.
const (
	maxAnswerBytes  = 64 << 20
	maxElementBytes = 1 << 20
	// maxSessionBytes is the maximum size of an element of a session list. It is smaller,
	// because many session lists are read at once.
	maxSessionBytes = 256 << 10
)

var utf8BOM = []byte("\uFEFF")

// boundedReader limits the size of a body and of one element, so that an endless
// body cannot fill the memory.
type boundedReader struct {
	r             io.Reader
	limit         int64 // maximum size of an element
	left, element int64 // bytes left for the body and for the element
	failed        error // read error other than io.EOF
}

func newBoundedReader(r io.Reader, limit int64) *boundedReader {
	return &boundedReader{r: r, limit: limit, left: maxAnswerBytes, element: limit}
}

func (b *boundedReader) Read(p []byte) (n int, err error) {
	switch {
	case b.left <= 0:
		err = kindErrorf(KindTooLarge, "the response is larger than %d MiB", maxAnswerBytes>>20)
	case b.element <= 0:
		err = kindErrorf(KindTooLarge, "an element of the response is larger than %d KiB", b.limit>>10)
	default:
		n, err = b.r.Read(p[:min(int64(len(p)), b.left, b.element)])
		b.left -= int64(n)
		b.element -= int64(n)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		b.failed = err
	}
	return n, err
}

// cause returns the cause of an error of a decoder that reads from b. A read error
// takes precedence, because the decoder may report it as a JSON error.
func (b *boundedReader) cause(err error) error {
	if err != nil && b.failed != nil {
		return b.failed
	}
	return err
}

// tolerant makes the decoder accept the same JSON as encoding/json: field names in
// any case, duplicate names, and invalid UTF-8. It also ignores underscores and
// hyphens in names. The decoder is the basis of encoding/json/v2 and takes less than
// half the time of encoding/json (docs/performance.md).
var tolerant = json.JoinOptions(
	json.MatchCaseInsensitiveNames(true),
	jsontext.AllowDuplicateNames(true),
	jsontext.AllowInvalidUTF8(true),
)

// decodeArray reads a JSON array and calls each for every element. It keeps only one
// element in memory and reuses it for the next one. Field names match in any case. One
// element that cannot be read makes the response invalid.
func decodeArray[T any](body io.Reader, each func(element *T) error) error {
	var element T
	return decodeBounded(newBoundedReader(body, maxSessionBytes), func(decoder *jsontext.Decoder) error {
		var zero T
		element = zero
		if err := json.UnmarshalDecode(decoder, &element); err != nil {
			return err
		}
		return each(&element)
	})
}

// decodeList reads a JSON array. It calls next for every element, and next must read
// it from the decoder.
func decodeList(body io.Reader, next func(*jsontext.Decoder) error, options ...json.Options) error {
	return decodeBounded(newBoundedReader(body, maxElementBytes), next, options...)
}

func decodeBounded(bounded *boundedReader, next func(*jsontext.Decoder) error, options ...json.Options) error {
	decoder := jsontext.NewDecoder(withoutBOM(bounded), append(options, tolerant)...)
	token, err := decoder.ReadToken()
	err = bounded.cause(err)
	switch {
	case isSyntax(err), errors.Is(err, io.EOF):
		return kindErrorf(KindNotJSON, "the response is not JSON; is this the right port?")
	case err != nil:
		return decodeError(err)
	case token.Kind() != jsontext.KindBeginArray:
		return otherShapef("the response is not a JSON array")
	}
	for decoder.PeekKind() != jsontext.KindEndArray {
		bounded.element = bounded.limit
		if err := next(decoder); err != nil {
			return decodeError(bounded.cause(err))
		}
	}
	if _, err := decoder.ReadToken(); err != nil { // the closing bracket
		return decodeError(bounded.cause(err))
	}
	bounded.element = bounded.limit
	if _, err := decoder.ReadToken(); !errors.Is(err, io.EOF) {
		err = bounded.cause(err)
		if err == nil || isSyntax(err) {
			return kindErrorf(KindDecode, "the response continues after the JSON array")
		}
		return decodeError(err)
	}
	return nil
}

// decodeObject reads a single JSON object. It returns nil for null.
func decodeObject[T any](body io.Reader, options ...json.Options) (*T, error) {
	bounded := newBoundedReader(body, maxElementBytes)
	bounded.left = maxElementBytes
	var object *T
	// Read the whole value first, so that an endless body is reported as too large.
	value, err := jsontext.NewDecoder(withoutBOM(bounded), tolerant).ReadValue()
	if err == nil {
		err = json.Unmarshal(value, &object, append(options, tolerant)...)
	}
	err = bounded.cause(err)
	if isSyntax(err) || errors.Is(err, io.EOF) {
		return nil, kindErrorf(KindNotJSON, "the response is not JSON; is this the right port?")
	}
	return object, decodeError(err)
}

// withoutBOM skips a byte order mark before the JSON.
func withoutBOM(r io.Reader) io.Reader {
	buffered := bufio.NewReader(r)
	if start, _ := buffered.Peek(len(utf8BOM)); bytes.Equal(start, utf8BOM) {
		_, _ = buffered.Discard(len(utf8BOM))
	}
	return buffered
}

// decodeError replaces JSON errors by errors with a kind. Errors of the connection
// stay unchanged. The text of a JSON error is dropped, because it can contain a part
// of the response.
func decodeError(err error) error {
	var wrongType *json.SemanticError
	switch {
	case errors.As(err, &wrongType) && wrongType.JSONPointer == "":
		return otherShapef("the response is not a JSON object")
	case errors.As(err, &wrongType):
		return otherShapef("the JSON field %q has an unexpected type", wrongType.JSONPointer.LastToken())
	case isSyntax(err):
		return kindErrorf(KindDecode, "the JSON is invalid")
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return kindErrorf(KindDecode, "the JSON is truncated")
	}
	return err
}

// isSyntax reports whether the input is not JSON. Truncated JSON is not a syntax
// error.
func isSyntax(err error) bool {
	var syntax *jsontext.SyntacticError
	return errors.As(err, &syntax) && !errors.Is(err, io.ErrUnexpectedEOF)
}
