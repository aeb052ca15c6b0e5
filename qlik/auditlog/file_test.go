package auditlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// readAll reads data as a log file. It returns the refusals, and the reasons for skipped
// lines.
func readAll(t *testing.T, p *position, data string) (refused []Denial, skipped []error) {
	t.Helper()
	err := p.read(t.Context(), strings.NewReader(data), make([]byte, bufferSize),
		func(d Denial) { refused = append(refused, d) }, func(err error) { skipped = append(skipped, err) })
	if err != nil {
		t.Fatal(err)
	}
	return refused, skipped
}

func beginning(t *testing.T, data string) *position {
	t.Helper()
	h, err := readHead(strings.NewReader(data), make([]byte, bufferSize))
	if err != nil {
		t.Fatal(err)
	}
	return &position{head: h, offset: h.first}
}

func TestLongLines(t *testing.T) {
	entry := line("20240514T091502.113Z", "LAB", "goran", limitMessage)
	longest := entry + strings.Repeat("x", maxLine-len(entry))
	for name, test := range map[string]struct {
		lines            []string
		refused, skipped int
	}{
		"longest":             {[]string{entry, longest, entry}, 3, 0},
		"a byte too long":     {[]string{entry, longest + "x", entry}, 2, 1},
		"two buffers":         {[]string{entry, strings.Repeat(longest, 5), entry}, 2, 1},
		"two long ones":       {[]string{entry, strings.Repeat(longest, 5), longest + "x", entry}, 2, 2},
		"first one long":      {[]string{longest + "x", entry}, 1, 1},
		"first one very long": {[]string{strings.Repeat(longest, 5), entry}, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			data := header + "\n" + strings.Join(test.lines, "\n") + "\n"
			p := beginning(t, data)
			refused, skipped := readAll(t, p, data)
			if len(refused) != test.refused || len(skipped) != test.skipped || p.offset != int64(len(data)) {
				t.Errorf("%d refused, skipped %v, offset %d of %d", len(refused), skipped, p.offset, len(data))
			}
			for _, reason := range skipped {
				if !errors.Is(reason, errLong) {
					t.Error(reason)
				}
			}
		})
	}
}

func TestReadHead(t *testing.T) {
	entry := line("20240514T091502.113Z", "LAB", "goran", grantedMessage)
	for name, test := range map[string]struct {
		data string
		size int
		err  error
	}{
		"empty":                     {"", 0, nil},
		"half a first line":         {header[:20], 0, nil},
		"only column names":         {header + "\n", 0, nil},
		"half an entry":             {header + "\n" + entry, 0, nil},
		"an entry":                  {header + "\n" + entry + "\n" + entry, len(header) + len(entry) + 2, nil},
		"column names again":        {header + "\n" + header + "\n\n" + entry + "\n", 0, nil}, // size below
		"no times":                  {header + "\n" + line("now", "LAB", "goran", grantedMessage) + "\n", 0, errNoTimes},
		"endless first line":        {strings.Repeat("x", 3*maxLine), 0, errFirstLine},
		"an entry behind the step":  {header + "\n" + strings.Repeat("x", headStep) + "\n" + entry + "\n", len(header) + headStep + len(entry) + 3, nil},
		"an entry without end":      {header + "\n" + strings.Repeat("x", 3*maxLine), bufferSize, nil},
		"a first line of some size": {header + strings.Repeat("\tx", headStep) + "\n" + entry + "\n", len(header) + 2*headStep + len(entry) + 2, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "column names again" {
				test.size = len(test.data)
			}
			h, err := readHead(strings.NewReader(test.data), make([]byte, bufferSize))
			if h.size != test.size || !errors.Is(err, test.err) {
				t.Errorf("%+v, %v", h, err)
			}
		})
	}
}

// growing is a file that is only partly written.
type growing struct{ data []byte }

func (g growing) ReadAt(p []byte, offset int64) (int, error) {
	return bytes.NewReader(g.data).ReadAt(p, offset)
}

// FuzzRead reads random data at once and in two steps, with the same result.
func FuzzRead(f *testing.F) {
	entry := line("20240514T091502.113Z", "LAB", "goran", limitMessage)
	f.Add([]byte(header+"\r\n"+entry+"\r\n"+entry+"\r\n"), 700)
	f.Add([]byte("\uFEFF"+header+"\n"+header+"\n\n"+entry+"\n1\n"+entry+"\n"), 20)
	f.Add([]byte(strings.Repeat("\t", 1000)+"\n"), 3)
	buffer := make([]byte, bufferSize)
	f.Fuzz(func(t *testing.T, data []byte, at int) {
		read := func(parts ...[]byte) (seen []string) {
			var p *position
			for _, part := range parts {
				if p == nil {
					h, err := readHead(growing{part}, buffer)
					if err != nil || h.size == 0 {
						continue
					}
					p = &position{head: h, offset: h.first}
				}
				err := p.read(t.Context(), growing{part}, buffer,
					func(d Denial) { seen = append(seen, fmt.Sprint(d)) }, func(err error) { seen = append(seen, err.Error()) })
				if err != nil {
					t.Fatal(err)
				}
				if p.offset > int64(len(part)) {
					t.Fatalf("offset %d of %d", p.offset, len(part))
				}
			}
			return seen
		}
		if at < 0 || at > len(data) {
			at = len(data) / 2
		}
		if once, twice := read(data), read(data[:at], data); !slices.Equal(once, twice) {
			t.Errorf("at once %q, in two steps %q", once, twice)
		}
	})
}

// emptied is a file that is rewritten while it is read.
type emptied struct {
	before, after io.ReaderAt
	reads         int
}

func (e *emptied) ReadAt(p []byte, offset int64) (int, error) {
	e.reads++
	if e.reads == 1 {
		return e.before.ReadAt(p, offset)
	}
	return e.after.ReadAt(p, offset)
}

func TestReplacedWhileRead(t *testing.T) {
	entry := line("20240514T091502.113Z", "LAB", "goran", limitMessage)
	data := header + "\n" + entry + "\n" + entry + "\n"
	for name, after := range map[string]string{
		"emptied":   "",
		"rewritten": header + "\n" + strings.Replace(entry, "1288", "1289", 1) + "\n" + entry + "\n",
	} {
		p := beginning(t, data)
		before := *p
		err := p.read(t.Context(), &emptied{before: strings.NewReader(data), after: strings.NewReader(after)}, make([]byte, bufferSize),
			func(d Denial) { t.Error(name, d) }, func(err error) { t.Error(name, err) })
		if !errors.Is(err, errReplaced) || *p != before {
			t.Error(name, err, p.offset)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	var data strings.Builder
	data.WriteString(header + "\r\n")
	const lines = 10_000
	for i := range lines {
		message := grantedMessage
		if i%10 == 0 {
			message = limitMessage
		}
		data.WriteString(line("20240514T091502.113+0200", "LAB", "goran", message) + "\r\n")
	}
	file, buffer := strings.NewReader(data.String()), make([]byte, bufferSize)
	h, err := readHead(file, buffer)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(data.Len()))
	b.ReportAllocs()
	for b.Loop() {
		p, refused := position{head: h, offset: h.first}, 0
		if err := p.read(b.Context(), file, buffer, func(Denial) { refused++ }, func(err error) { b.Fatal(err) }); err != nil || refused != lines/10 {
			b.Fatal(refused, err)
		}
	}
	b.ReportMetric(float64(b.N)*lines/b.Elapsed().Seconds(), "lines/s")
}
