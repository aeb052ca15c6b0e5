package qliktest

import (
	"cmp"
	"container/list"
	"iter"
	"time"
)

// queue is a priority queue ordered by due time. Entries with the same time keep their order.
type queue[T any] struct {
	entries []queued[T] // a binary heap
	count   uint64
}

type queued[T any] struct {
	at     time.Time
	number uint64
	value  T
}

func (e queued[T]) before(o queued[T]) bool {
	return cmp.Or(e.at.Compare(o.at), cmp.Compare(e.number, o.number)) < 0
}

func (q *queue[T]) push(at time.Time, value T) {
	q.count++
	q.entries = append(q.entries, queued[T]{at, q.count, value})
	for i := len(q.entries) - 1; i > 0; {
		parent := (i - 1) / 2
		if !q.entries[i].before(q.entries[parent]) {
			return
		}
		q.entries[i], q.entries[parent] = q.entries[parent], q.entries[i]
		i = parent
	}
}

// next returns the due time of the first entry.
func (q *queue[T]) next() (at time.Time, ok bool) {
	if len(q.entries) == 0 {
		return time.Time{}, false
	}
	return q.entries[0].at, true
}

// pop removes and returns the first entry if it is due at now.
func (q *queue[T]) pop(now time.Time) (at time.Time, value T, ok bool) {
	if len(q.entries) == 0 || q.entries[0].at.After(now) {
		return time.Time{}, value, false
	}
	first := q.entries[0]
	last := len(q.entries) - 1
	q.entries[0] = q.entries[last]
	q.entries[last] = queued[T]{}
	q.entries = q.entries[:last]
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < last; child++ {
			if q.entries[child].before(q.entries[least]) {
				least = child
			}
		}
		if least == i {
			return first.at, first.value, true
		}
		q.entries[i], q.entries[least] = q.entries[least], q.entries[i]
		i = least
	}
}

// values iterates over a list. The loop may remove the current element.
func values[T any](l *list.List) iter.Seq[T] {
	return func(yield func(T) bool) {
		for e := l.Front(); e != nil; {
			next := e.Next()
			if v, ok := e.Value.(T); ok && !yield(v) {
				return
			}
			e = next
		}
	}
}
