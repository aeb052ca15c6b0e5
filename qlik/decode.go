package qlik

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Bounds of an answer. A list of 100,000 sessions is about 20 MB; an element of
// it, with hundreds of group attributes, some 10 kB.
const (
	maxAnswerBytes  = 64 << 20
	maxElementBytes = 1 << 20
)

var utf8BOM = []byte("\uFEFF")

// boundedReader fails a body that does not end, before it fills the memory:
// because it is too long in all, or because one element is.
type boundedReader struct {
	r             io.Reader
	left, element int64
	failed        error // why there is no more to read, but for the end
}

func (b *boundedReader) Read(p []byte) (n int, err error) {
	switch {
	case b.left <= 0:
		err = kindErrorf(KindTooLarge, "the answer is larger than %d MiB", maxAnswerBytes>>20)
	case b.element <= 0:
		err = kindErrorf(KindTooLarge, "one element of the answer is larger than %d KiB", maxElementBytes>>10)
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

// cause returns why a decoder that reads from b failed: what reading failed of,
// which the decoder may call an error of the JSON, or else its own error.
func (b *boundedReader) cause(err error) error {
	if err != nil && b.failed != nil {
		return b.failed
	}
	return err
}

// tolerant makes the decoder read what encoding/json reads: field names in any
// case, a name twice, text that is not UTF-8. (In names an underscore or a hyphen
// does not matter to it, either.) It is the one that encoding/json/v2 is made of,
// and takes less than half of the time (docs/performance.md).
var tolerant = json.JoinOptions(
	json.MatchCaseInsensitiveNames(true),
	jsontext.AllowDuplicateNames(true),
	jsontext.AllowInvalidUTF8(true),
)

// decodeArray reads a JSON array and hands over its elements one by one, so
// that memory is bounded by one element whatever the length of the answer.
// The element is used again for the next one; field names match in any case.
func decodeArray[T any](body io.Reader, each func(element *T) error) error {
	bounded := &boundedReader{r: body, left: maxAnswerBytes, element: maxElementBytes}
	decoder := jsontext.NewDecoder(withoutBOM(bounded), tolerant)
	token, err := decoder.ReadToken()
	err = bounded.cause(err)
	switch {
	case isSyntax(err), errors.Is(err, io.EOF):
		return kindErrorf(KindNotJSON, "the answer is not JSON; is this the right port?")
	case err != nil:
		return decodeError(err)
	case token.Kind() != jsontext.KindBeginArray:
		return kindErrorf(KindDecode, "the answer is not a JSON array")
	}
	var element T
	for decoder.PeekKind() != jsontext.KindEndArray {
		bounded.element = maxElementBytes
		var zero T
		element = zero
		if err := json.UnmarshalDecode(decoder, &element); err != nil {
			return decodeError(bounded.cause(err))
		}
		if err := each(&element); err != nil {
			return err
		}
	}
	if _, err := decoder.ReadToken(); err != nil { // the closing bracket
		return decodeError(bounded.cause(err))
	}
	bounded.element = maxElementBytes
	if _, err := decoder.ReadToken(); !errors.Is(err, io.EOF) {
		err = bounded.cause(err)
		if err == nil || isSyntax(err) {
			return kindErrorf(KindDecode, "the answer goes on after the JSON array")
		}
		return decodeError(err)
	}
	return nil
}

// decodeObject reads a single JSON object, or null, which gives nil.
func decodeObject[T any](body io.Reader) (*T, error) {
	bounded := &boundedReader{r: body, left: maxElementBytes, element: maxElementBytes}
	var object *T
	// What does not end is too large, whatever else is wrong with it.
	value, err := jsontext.NewDecoder(withoutBOM(bounded), tolerant).ReadValue()
	if err == nil {
		err = json.Unmarshal(value, &object, tolerant)
	}
	err = bounded.cause(err)
	if isSyntax(err) || errors.Is(err, io.EOF) {
		return nil, kindErrorf(KindNotJSON, "the answer is not JSON; is this the right port?")
	}
	return object, decodeError(err)
}

// withoutBOM drops the byte order mark that some services write before JSON.
func withoutBOM(r io.Reader) io.Reader {
	buffered := bufio.NewReader(r)
	if start, _ := buffered.Peek(len(utf8BOM)); bytes.Equal(start, utf8BOM) {
		_, _ = buffered.Discard(len(utf8BOM))
	}
	return buffered
}

// decodeError marks errors of JSON, and leaves those of the connection alone.
// The text of a JSON error can hold a part of the answer, so it is not kept.
func decodeError(err error) error {
	var wrongType *json.SemanticError
	switch {
	case errors.As(err, &wrongType):
		return kindErrorf(KindDecode, "the JSON has a field %q of another type than expected", wrongType.JSONPointer.LastToken())
	case isSyntax(err):
		return kindErrorf(KindDecode, "the JSON is broken")
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return kindErrorf(KindDecode, "the JSON ends too early")
	}
	return err
}

// isSyntax says whether an error means that something else than JSON was read; JSON
// that ends too early is not that.
func isSyntax(err error) bool {
	var syntax *jsontext.SyntacticError
	return errors.As(err, &syntax) && !errors.Is(err, io.ErrUnexpectedEOF)
}
