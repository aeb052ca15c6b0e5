package journal

// Recent returns the endings of the last hour, oldest first.
func (j *Journal) Recent() []Recent {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.recent.since(j.now().Add(-recently))
}
