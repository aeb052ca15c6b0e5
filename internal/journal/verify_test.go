package journal

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/go-kit/log"
)

// written returns the lines of a journal with some endings, with their ends.
func written(tb testing.TB, endings int) [][]byte {
	tb.Helper()
	var content bytes.Buffer
	j := &Journal{config: Config{Now: time.Now, Logger: log.NewNopLogger()}, file: memory{content: &content}}
	add := func(l line) {
		l.At = time.Date(2026, 11, 27, 22, 15, j.number, 0, time.UTC)
		if err := j.write(&l); err != nil {
			tb.Fatal(err)
		}
	}
	add(line{Kind: kindBegin})
	for i := range endings {
		intent := anna(i%5 + 1)
		add(line{Kind: kindIntent, ID: fmt.Sprint("id", i), Intent: &intent})
		add(line{Kind: kindResult, ID: fmt.Sprint("id", i), Result: &Result{Ended: i}})
	}
	return slices.Collect(bytes.Lines(content.Bytes()))
}

// memory is a file that only grows.
type memory struct {
	file    // nil; write needs only the methods below
	content *bytes.Buffer
}

func (m memory) WriteAt(p []byte, _ int64) (int, error) { return m.content.Write(p) }
func (memory) Sync() error                              { return nil }

// TestVerify changes a journal of seven lines.
func TestVerify(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(lines [][]byte) [][]byte
		want   string // problems, separated by semicolons
	}{
		"nothing": {func(l [][]byte) [][]byte { return l }, ""},
		"changed text": {func(l [][]byte) [][]byte {
			l[3] = bytes.Replace(l[3], []byte("olga"), []byte("oleg"), 1)
			return l
		}, "line 4: changed: its hash is not the one in line 5"},
		"changed first line": {func(l [][]byte) [][]byte {
			l[0] = bytes.Replace(l[0], []byte("2026"), []byte("2025"), 1)
			return l
		}, "line 1: changed: its hash is not the one in line 2"},
		"changed prev": {func(l [][]byte) [][]byte {
			l[3][10] ^= 1
			return l
		}, "line 3: changed: its hash is not the one in line 4; line 4: changed: its hash is not the one in line 5"},
		"changed number": {func(l [][]byte) [][]byte {
			l[3] = bytes.Replace(l[3], []byte(`"n":4`), []byte(`"n":9`), 1)
			return l
		}, "line 4: changed: its number is 9 instead of 4; line 4: changed: its hash is not the one in line 5"},
		"unreadable line": {func(l [][]byte) [][]byte {
			l[3][0] = 'x'
			return l
		}, "line 4: not a line of a journal; line 5: a result without an intent"},
		"unreadable and removed": {func(l [][]byte) [][]byte {
			l[1][0] = 'x'
			return slices.Delete(l, 4, 5)
		}, "line 2: not a line of a journal; line 3: a result without an intent; line 5: missing before it: 1 line"},
		"unreadable last line": {func(l [][]byte) [][]byte {
			l[6][0] = 'x'
			return l
		}, "line 7: not a line of a journal"},
		"removed pair":       {func(l [][]byte) [][]byte { return slices.Delete(l, 3, 5) }, "line 4: missing before it: 2 lines"},
		"removed intent":     {func(l [][]byte) [][]byte { return slices.Delete(l, 3, 4) }, "line 4: missing before it: 1 line; line 4: a result without an intent"},
		"removed first line": {func(l [][]byte) [][]byte { return l[1:] }, "line 1: the lines before it are missing, because a file starts with a line of kind begin"},
		"inserted copy": {func(l [][]byte) [][]byte {
			return slices.Insert(l, 5, l[1])
		}, "line 6: inserted or moved: it has number 2 after number 5"},
		"inserted noise": {func(l [][]byte) [][]byte { return slices.Insert(l, 5, []byte("\n")) }, "line 6: not a line of a journal"},
		"inserted other kind": {func(l [][]byte) [][]byte {
			return slices.Insert(l, 5, bytes.Replace(l[1], []byte("intent"), []byte("note"), 1))
		}, `line 6: not a line of a journal: kind "note"`},
		"swapped lines": {func(l [][]byte) [][]byte {
			l[3], l[5] = l[5], l[3]
			return l
		}, "line 4: missing before it: 2 lines; line 5: inserted or moved: it has number 5 after number 6; line 6: inserted or moved: it has number 4 after number 6"},
		"appended journal": {func(l [][]byte) [][]byte { return append(l, l...) }, "line 8: another file begins here: it was appended or inserted"},
		"empty":            {func([][]byte) [][]byte { return nil }, "line 1: the file has no complete line"},
		"cut in a line":    {func(l [][]byte) [][]byte { l[6] = l[6][:20]; return l }, ""},
		"cut tail":         {func(l [][]byte) [][]byte { return l[:5] }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			original := written(t, 3)
			last := hash(bytes.TrimSpace(original[6]))
			report := verified(t, bytes.Join(c.change(original), nil))
			var problems []string
			for _, p := range report.Problems {
				problems = append(problems, p.String())
			}
			if got := strings.Join(problems, "; "); got != c.want {
				t.Errorf("the problems are\n%s, want\n%s", got, c.want)
			}
			if torn := name == "cut in a line"; (report.Torn == 20) != torn {
				t.Errorf("%d bytes are torn", report.Torn)
			}
			if cut := strings.HasPrefix(name, "cut"); len(problems) == 0 && report.Has(last) == cut {
				t.Errorf("the last hash is in the file: %v", !cut)
			}
		})
	}
}

// TestEveryByte flips each bit of a journal. A flip in the last line is found by its
// hash, any other also without.
func TestEveryByte(t *testing.T) {
	original := written(t, 2)
	content := bytes.Join(original, nil)
	last := hash(bytes.TrimSpace(original[len(original)-1]))
	for at := range content {
		for bit := range 8 {
			changed := bytes.Clone(content)
			changed[at] ^= 1 << bit
			report := verified(t, changed)
			inLast := at >= len(content)-len(original[len(original)-1])
			if len(report.Problems) == 0 && (!inLast || report.Has(last)) {
				t.Fatalf("bit %d of byte %d was flipped unseen: %+v", bit, at, report)
			}
		}
	}
}

// TestManyProblems checks that a report stays short.
func TestManyProblems(t *testing.T) {
	report := verified(t, bytes.Repeat([]byte("x\n"), 1000))
	if len(report.Problems) != maxProblems || report.More != 1000-maxProblems || report.Entries != 1000 {
		t.Errorf("%d problems, %d more, %d lines", len(report.Problems), report.More, report.Entries)
	}
}

// TestLongLines checks that a reader does not keep a line without end.
func TestLongLines(t *testing.T) {
	lines := newLineReader(io.MultiReader(io.LimitReader(zeros{}, 50<<20), strings.NewReader("\nnext")))
	content, size, ended, err := lines.next()
	if len(content) > maxLine+1 || size != 50<<20+1 || !ended || err != nil {
		t.Errorf("read %d of %d bytes, %v, %v", len(content), size, ended, err)
	}
	if content, _, ended, err := lines.next(); string(content) != "next" || ended || err != nil {
		t.Errorf("read %q, %v, %v", content, ended, err)
	}
	if _, err := Verify(iotest.ErrReader(io.ErrClosedPipe)); err != io.ErrClosedPipe { //nolint:errorlint // unchanged
		t.Errorf("Verify returned %v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// FuzzVerify checks that whatever Verify accepts is an unchanged start of a journal, or
// a journal that was written anew.
func FuzzVerify(f *testing.F) {
	content := bytes.Join(written(f, 2), nil)
	f.Add(content)
	f.Add(content[:len(content)/2])
	f.Add([]byte("{}\n{\"prev\":\"\"}"))
	f.Fuzz(func(t *testing.T, content []byte) {
		report := verified(t, content)
		if report.Entries != bytes.Count(content, []byte("\n")) {
			t.Errorf("%d entries", report.Entries)
		}
		if len(report.Problems) > 0 {
			return
		}
		if report.Last-report.First+1 != report.Entries || !report.Has(report.Hash) {
			t.Errorf("the report is %+v", report)
		}
		prev := report.Prev
		for text := range bytes.Lines(content[:int64(len(content))-report.Torn]) {
			l, err := decode(text)
			if err != nil || l.Prev != prev {
				t.Errorf("%s was accepted after %s", text, prev)
			}
			prev = hash(bytes.TrimSuffix(text, []byte("\n")))
		}
	})
}
