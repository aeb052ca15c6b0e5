package qlik

import (
	"cmp"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// The lists of the repository are read leniently: an element or a field that cannot be
// read is left out and counted, and the rest of the response is used. Session lists are
// strict, because a session that is left out would free a slot that is taken.
//
// A field of a record is one of:
//   - optional[T], if the element is useful without it,
//   - elements[T], for a list within the element,
//   - any other type, if the element is useless without it.

// record is an element of a list of the repository.
type record interface {
	// usable reports whether the element has the fields without which it is useless.
	usable() bool
}

// optional is a field of a record that may be missing.
type optional[T any] struct {
	value T
	known bool // the response contains the field, and it can be read
	odd   bool // the response contains the field, but it cannot be read
}

// pointer returns the value, or nil if it is unknown.
func (o *optional[T]) pointer() *T {
	if !o.known {
		return nil
	}
	value := o.value
	return &value
}

// is reports whether a field is known and has a value.
func is[T comparable](o optional[T], value T) bool { return o.known && o.value == value }

func (o *optional[T]) decode(d *jsontext.Decoder, left leftOut) error {
	*o = optional[T]{}
	if d.PeekKind() == jsontext.KindNull {
		_, err := d.ReadToken()
		return err
	}
	readable, err := decodeNext(d, &o.value)
	if err != nil {
		return err
	}
	if o.known, o.odd = readable, !readable; o.odd {
		var zero T
		o.value = zero
		left.add(d.StackPointer().LastToken())
	}
	return nil
}

// elements is a field of a record that is a list. A single object is a list of one,
// because old releases have an object in place of a list (docs/qlik.md, "Topology").
type elements[T record] struct {
	list []T
	odd  bool // the list or an element of it cannot be read
}

func (e *elements[T]) decode(d *jsontext.Decoder, left leftOut) error {
	*e = elements[T]{}
	switch d.PeekKind() {
	case jsontext.KindNull:
		_, err := d.ReadToken()
		return err
	case jsontext.KindBeginArray:
		if _, err := d.ReadToken(); err != nil {
			return err
		}
		field := d.StackPointer().LastToken()
		for d.PeekKind() != jsontext.KindEndArray {
			if err := e.add(d, left, field); err != nil {
				return err
			}
		}
		_, err := d.ReadToken()
		return err
	default:
		return e.add(d, left, "")
	}
}

// add adds the next value. If it cannot be read, it is left out as a part of the field;
// "" is the field of the value itself.
func (e *elements[T]) add(d *jsontext.Decoder, left leftOut, field string) error {
	var element T
	readable, err := decodeElement(d, &element)
	switch {
	case err != nil:
		return err
	case readable:
		e.list = append(e.list, element)
	default:
		e.odd = true
		left.add(cmp.Or(field, d.StackPointer().LastToken()))
	}
	return nil
}

// lenientField is an optional or elements.
type lenientField interface {
	decode(d *jsontext.Decoder, left leftOut) error
}

// decodeNext decodes the next value. It skips a value that does not have the form of to,
// and returns false. Any error means that the rest of the response cannot be read.
func decodeNext(d *jsontext.Decoder, to any) (readable bool, err error) {
	depth := d.StackDepth()
	_, before := d.StackIndex(depth)
	err = json.UnmarshalDecode(d, to)
	if err == nil {
		return true, nil
	}
	if _, wrongForm := errors.AsType[*json.SemanticError](err); !wrongForm || isSyntax(err) {
		return false, err
	}
	for d.StackDepth() > depth { // the error was within the value
		if _, err := d.ReadToken(); err != nil {
			return false, err
		}
	}
	if _, after := d.StackIndex(depth); after == before { // nothing of the value was read
		return false, d.SkipValue()
	}
	return false, nil
}

// decodeElement decodes the next value as an element of a list. It returns false if the
// element cannot be used.
func decodeElement[T record](d *jsontext.Decoder, element *T) (bool, error) {
	if d.PeekKind() == jsontext.KindNull {
		return false, d.SkipValue()
	}
	readable, err := decodeNext(d, element)
	return readable && (*element).usable(), err
}

// decodeElements reads a list of the repository and calls each for every element that
// can be read. It keeps only one element in memory. A list of which no element can be
// read is invalid, and so is one for which each finds no room.
func decodeElements[T record](body io.Reader, left leftOut, room *Room, each func(*T)) error {
	var element T
	used := 0
	err := decodeList(body, func(d *jsontext.Decoder) error {
		var zero T
		element = zero
		readable, err := decodeElement(d, &element)
		switch {
		case err != nil:
			return err
		case readable:
			used++
			each(&element)
			if used > maxElements || room.exceeded() {
				return errNoRoom
			}
		default:
			left.add(wholeElement)
		}
		return nil
	}, left.count())
	if err == nil && used == 0 && left[wholeElement] > 0 {
		return errNothingReadable
	}
	return err
}

var errNothingReadable = otherShapef("no element of the list can be read")

// leftOut is what was left out of responses: the number of times by what it was.
type leftOut map[string]uint64

const (
	wholeElement = "element"
	others       = "other fields"
	// maxLeftOut bounds the number of names. A response can spell the name of a field in
	// many ways.
	maxLeftOut = 32
)

// count returns the option for a decoder that counts the fields that cannot be read.
func (l leftOut) count() json.Options {
	return json.WithUnmarshalers(json.UnmarshalFromFunc(func(d *jsontext.Decoder, field lenientField) error {
		return field.decode(d, l)
	}))
}

func (l leftOut) add(what string) { l.addTimes(what, 1) }

func (l leftOut) addTimes(what string, times uint64) {
	if _, known := l[what]; !known && len(l) >= maxLeftOut {
		what = others
	}
	l[what] += times
}

// merge adds what was left out of a list or an object, such as "virtualproxyconfig".
func (l leftOut) merge(other leftOut, of string) {
	for what, times := range other {
		l.addTimes(shortened(strings.ToValidUTF8(what, "\uFFFD"), maxFieldName)+" of "+of, times)
	}
}

// elementsOf returns the name of the elements of a list.
func elementsOf(list string) string { return wholeElement + " of " + list }

// name is an id, a prefix or a name of a host, a user or a directory, in valid UTF-8. A
// longer one does not come from Qlik Sense.
type name string

// maxName is the maximum number of characters of a name.
const maxName = 512

var errName = errors.New("not a name")

func isName(text string) bool { return len(text) <= maxName || utf8.RuneCountInString(text) <= maxName }

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (n *name) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	token, err := d.ReadToken()
	switch {
	case err != nil:
		return err
	case token.Kind() == jsontext.KindNull:
		*n = ""
		return nil
	case token.Kind() != jsontext.KindString:
		return errName
	}
	text := token.String()
	if !isName(text) {
		return errName
	}
	*n = name(strings.ToValidUTF8(text, "\uFFFD"))
	return nil
}

// prefix is the prefix of a virtual proxy.
type prefix string

var errPrefix = errors.New("not a prefix")

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (p *prefix) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	var text name
	if err := text.UnmarshalJSONFrom(d); err != nil {
		return err
	}
	if !isPrefix(string(text)) {
		return errPrefix
	}
	*p = prefix(text)
	return nil
}

// port is the number of a TCP port, or 0 if it cannot be one.
type port int

var (
	errPort  = errors.New("not a number")
	errRange = errors.New("the number is out of range")
)

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (p *port) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	token, err := d.ReadToken()
	switch {
	case err != nil:
		return err
	case token.Kind() != jsontext.KindNumber:
		return errPort
	}
	*p = 0
	if number, err := strconv.Atoi(token.String()); err == nil && number >= 1 && number <= 65535 {
		*p = port(number)
	}
	return nil
}

// minutes is a time in minutes.
type minutes time.Duration

// maxMinutes is the longest time that makes sense. Sums of such times fit in a Duration.
const maxMinutes = 60 * 24 * 365 * 100

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (m *minutes) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	var number float64
	if err := json.UnmarshalDecode(d, &number); err != nil {
		return err
	}
	if number < 0 || number > maxMinutes {
		return errRange
	}
	*m = minutes(number * float64(time.Minute))
	return nil
}

const (
	// maxLabel is the maximum number of bytes of a text for people, such as a description.
	// Prometheus can refuse a whole scrape because of one long label value.
	maxLabel     = 200
	maxFieldName = 64
)

// label is a text for people that becomes a label value. It is valid UTF-8 and ends with
// an ellipsis if it was too long.
type label string

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (l *label) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	var text string
	if err := json.UnmarshalDecode(d, &text); err != nil {
		return err
	}
	*l = label(shortened(strings.ToValidUTF8(text, "\uFFFD"), maxLabel))
	return nil
}

// shortened returns a text of at most limit bytes.
func shortened(text string, limit int) string {
	const ellipsis = "…"
	if len(text) <= limit {
		return text
	}
	cut := limit - len(ellipsis)
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + ellipsis
}
