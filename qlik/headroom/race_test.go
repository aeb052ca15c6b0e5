//go:build race

package headroom

// raceDetector reports whether the race detector is on. It makes tests ten times slower.
const raceDetector = true
