//go:build !race

package headroom

// raceDetector says whether the race detector is on, which makes tests ten times slower.
const raceDetector = false
