package journal

import (
	"cmp"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"
)

// maxProblems limits the problems of a report. One cause may affect every line.
const maxProblems = 20

// Problem is a difference between a file and what a journal wrote.
type Problem struct {
	Line int // of the file, from 1
	Text string
}

func (p Problem) String() string { return "line " + strconv.Itoa(p.Line) + ": " + p.Text }

// OpenIntent is an intent without a result. What it ended is not known.
type OpenIntent struct {
	Line int // of the file, from 1; 0 if an earlier file contains the intent
	ID   string
	At   time.Time
	Intent
}

// Report describes the file of a journal.
type Report struct {
	Entries     int       // lines of the file
	First, Last int       // their numbers in the chain, which may span several files
	From, To    time.Time // their times
	Prev        string    // hash of the last line of the previous file, "" if this is the first file
	Hash        string    // of the last line
	Open        []OpenIntent
	Unknown     int   // intents that were settled without knowing the result
	Closed      int   // incomplete lines that a start of the program has replaced
	Torn        int64 // bytes of an incomplete last line, which the program may be writing now
	// Problems is empty if the chain is whole. It contains the first 20, and More counts
	// the others.
	Problems []Problem
	More     int

	hashes map[string]struct{}
}

// Has reports whether the file contains a line with this hash. If the last hash in the
// log of the program is missing, the end of the file was cut off or changed.
func (r *Report) Has(hash string) bool {
	_, ok := r.hashes[hash]
	return ok
}

// Verify reads the file of a journal and checks that no line was changed, inserted, or
// removed. The journal may be in use. Only the end of the file needs another source: see
// Report.Has. The error is that of reading.
func Verify(r io.Reader) (Report, error) {
	v := verification{Report: Report{hashes: make(map[string]struct{})}, open: make(map[string]OpenIntent)}
	lines := newLineReader(r)
	for {
		content, size, ended, err := lines.next()
		switch {
		case errors.Is(err, io.EOF):
			v.Open = slices.SortedFunc(maps.Values(v.open), func(a, b OpenIntent) int {
				return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.ID, b.ID))
			})
			if v.chain.lines == 0 {
				v.problem(Problem{1, "the file has no complete line"})
			}
			return v.Report, nil
		case err != nil:
			return v.Report, err
		case !ended:
			v.Torn = size
		default:
			v.add(content)
		}
	}
}

// verification is a report in progress.
type verification struct {
	Report
	chain chain
	open  map[string]OpenIntent
}

func (v *verification) problem(p Problem) {
	if len(v.Problems) == maxProblems {
		v.More++
		return
	}
	v.Problems = append(v.Problems, p)
}

// add checks a complete line. It returns nil if the line does not belong to the chain.
func (v *verification) add(content []byte) *line {
	l, problems := v.chain.add(content)
	v.Entries++
	for _, p := range problems {
		v.problem(p)
	}
	if l == nil {
		return nil
	}
	if v.hashes != nil { // only a report needs them
		v.hashes[v.chain.hash] = struct{}{}
	}
	v.Last, v.To, v.Hash = l.Number, l.At, v.chain.hash
	if v.First == 0 {
		v.First, v.From, v.Prev = l.Number, l.At, l.Prev
	}
	switch l.Kind {
	case kindBegin:
		for _, id := range l.Open {
			v.open[id] = OpenIntent{ID: id}
		}
	case kindIntent:
		if _, ok := v.open[l.ID]; ok {
			v.problem(Problem{v.chain.lines, "an intent before it has the same id " + l.ID})
		}
		v.open[l.ID] = OpenIntent{Line: v.chain.lines, ID: l.ID, At: l.At, Intent: *l.Intent}
	case kindResult, kindUnknown:
		if _, ok := v.open[l.ID]; !ok {
			v.problem(Problem{v.chain.lines, "a result without an intent"})
		}
		delete(v.open, l.ID)
		if l.Kind == kindUnknown {
			v.Unknown++
		}
	case kindTorn:
		v.Closed++
	}
	return l
}
