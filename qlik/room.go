package qlik

import (
	"io"
	"sync/atomic"
)

// Limits of the memory for the responses of one server. They are far above
// what real sites need: a list of 100,000 sessions has 10 MB of names.
const (
	// MaxSessions is the maximum number of sessions of one node.
	MaxSessions = 150_000
	// maxSessionNames is the maximum number of bytes of the ids and names of these
	// sessions.
	maxSessionNames = 24 << 20
	// maxNodeBytes is the maximum size of all session lists of a node in one round.
	maxNodeBytes = 256 << 20

	// maxElements and maxNames are the limits of the data that is kept from a source of
	// the repository.
	maxElements = 200_000
	maxNames    = 16 << 20

	// maxLinks and maxLinkNames are the limits of a topology.
	maxLinks     = 5000
	maxLinkNames = 2 << 20

	// maxServices is the maximum number of services of all nodes.
	maxServices = 5000
)

// Room is what the responses of one server may still take in memory. Concurrent
// responses share it, so that a hostile server cannot multiply its share.
type Room struct{ elements, names, bytes atomic.Int64 }

func newRoom(elements, names int64) *Room {
	r := new(Room)
	r.elements.Store(elements)
	r.names.Store(names)
	r.bytes.Store(maxNodeBytes)
	return r
}

// NewRoom returns the room for the session lists of one node in one round.
func NewRoom() *Room { return newRoom(MaxSessions, maxSessionNames) }

// take takes an element with its names. It returns false if there is no room.
func (r *Room) take(names ...string) bool {
	bytes := 0
	for _, name := range names {
		bytes += len(name)
	}
	elements := r.elements.Add(-1)
	return r.names.Add(-int64(bytes)) >= 0 && elements >= 0
}

// takeName takes a name of an element.
func (r *Room) takeName(name string) bool { return r.names.Add(-int64(len(name))) >= 0 }

// mark returns a function that gives back what was taken in the meantime. A list that
// fails on one repository is read again from another.
func (r *Room) mark() (reset func()) {
	elements, names := r.elements.Load(), r.names.Load()
	return func() {
		r.elements.Store(elements)
		r.names.Store(names)
	}
}

// exceeded reports whether there was no room for an element.
func (r *Room) exceeded() bool { return r.elements.Load() < 0 || r.names.Load() < 0 }

var (
	errNoRoomForSessions = kindErrorf(KindTooLarge, "the session lists of the node have more than %d sessions, or names of more than %d MiB", MaxSessions, maxSessionNames>>20)
	errNoRoom            = kindErrorf(KindTooLarge, "the response has more elements, or longer names, than any site")
)

// roomReader reads a response into the room of a server.
type roomReader struct {
	io.Reader

	room *Room
}

// Read implements io.Reader.
func (r roomReader) Read(p []byte) (n int, err error) {
	if r.room.bytes.Load() < 0 {
		return 0, kindErrorf(KindTooLarge, "the session lists of the node are larger than %d MiB", maxNodeBytes>>20)
	}
	n, err = r.Reader.Read(p)
	r.room.bytes.Add(-int64(n))
	return n, err
}
