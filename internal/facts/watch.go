package facts

import (
	"context"
	"time"
)

const (
	// pollInterval is the time between two readings. More often would ask more of the
	// repository than an exporter does.
	pollInterval = 15 * time.Second
	// coolingTime is how long a slot stays taken after its session ended at the limit
	// (docs/qlik.md, "Five-minute tail").
	coolingTime = 5 * time.Minute
	// slack is by how much a watched time can be wrong: a poll before it and one after.
	slack = 2*pollInterval + 15*time.Second
)

// watched is what changed while the site was watched.
type watched struct {
	rowEnds  forms         // how long rows outlived their sessions
	leftover forms         // what became of rows that had no session at first
	interval time.Duration // the shortest time between two activities of a row; 0 while unknown
	delay    time.Duration // the longest time until an activity was in a row

	intervals, delays int // how many were seen
}

// Limits of watching.
const (
	minSeen = 10 // fewer activities do not tell how short or long it gets
	maxGaps = 4  // a site that cannot be read so often in a row is not watched any longer
)

// watch reads sessions and usage rows again and again, if there are rows and if they are
// those of sessions.
func (s *site) watch(ctx context.Context) {
	if s.Watch <= 0 || s.joins() != yes || ctx.Err() != nil {
		return
	}
	w := &s.watched
	w.rowEnds, w.leftover = make(forms), make(forms)
	begin := time.Now()
	sessions := s.proxy.sessionIDs()
	latest, leftover := make(map[key]time.Time), make(map[key]key) // of rows; leftover has the sessions
	present, hadRows := make(map[key]bool), make(map[key]bool)     // sessions
	ended := make(map[key]time.Time)                               // sessions that ended, but not their rows
	for id := range sessions {
		present[id] = true
	}
	for _, each := range s.usage.rows {
		latest[each.id], hadRows[each.session] = each.latest, true
		if !present[each.session] {
			leftover[each.id] = each.session
		}
	}
	complete := s.complete()
	var last time.Time // of the last complete reading
	gaps := 0
	for now := begin; now.Sub(begin) < s.Watch; {
		select {
		case <-time.After(pollInterval):
			now = time.Now()
		case <-ctx.Done():
			return
		}
		if s.Progress != nil {
			s.Progress(min(now.Sub(begin), s.Watch), s.Watch)
		}
		still, ok := s.present(ctx)
		rows := s.rows(ctx, s.usage.used)
		if !ok || !rows.read {
			if gaps++; gaps == maxGaps {
				break
			}
			continue
		}
		// After a gap, it is unknown when something changed. The lists that were read before
		// watching can be old, too.
		known := now.Sub(last) <= 2*pollInterval
		last, gaps = now, 0
		for id := range present {
			if known && !still[id] && hadRows[id] && len(ended) < maxSessions {
				ended[id] = now
			}
		}
		present = still
		clear(hadRows)
		current := make(map[key]time.Time, len(rows.rows))
		for _, each := range rows.rows {
			hadRows[each.session] = true
			before := latest[each.id]
			if known {
				w.see(before, each.latest, rows.date)
			}
			if current[each.id] = each.latest; known && !each.started.IsZero() && !before.Equal(each.started) {
				w.between(before, each.latest)
			}
		}
		latest = current
		for id, at := range ended {
			if len(rows.of[id]) == 0 {
				if known {
					w.rowEnds[lasted(now.Sub(at))] = true
				}
				delete(ended, id)
			}
		}
		for id, session := range leftover {
			_, there := current[id]
			switch {
			case present[session]: // it began after the lists were read
				delete(leftover, id)
			case !there && complete:
				w.leftover["end"] = true
				delete(leftover, id)
			}
		}
	}
	for _, at := range ended {
		if last.Sub(at) > coolingTime+slack {
			w.rowEnds["longer"] = true
		}
	}
	if len(leftover) > 0 && complete && last.Sub(begin) > coolingTime+slack {
		w.leftover["stay"] = true
	}
}

// see records how late an activity is in its row.
func (w *watched) see(before, latest, clock time.Time) {
	if !before.IsZero() && latest.After(before) && !clock.IsZero() {
		w.delay = max(w.delay, clock.Sub(latest))
		w.delays++
	}
}

// between records the time between two activities of a row. The first one must not be
// the start of the row, because that is always recorded.
func (w *watched) between(before, latest time.Time) {
	took := latest.Sub(before)
	if before.IsZero() || took <= 0 {
		return
	}
	if w.intervals++; w.interval == 0 || took < w.interval {
		w.interval = took
	}
}

// present returns the sessions of all lists that were read at first. It returns false if
// one of them cannot be read.
func (s *site) present(ctx context.Context) (map[key]bool, bool) {
	present := make(map[key]bool)
	for i := range s.proxy.links {
		read, _ := s.list(ctx, &s.proxy.links[i].link, maxSessions-len(present), nil)
		if !read.whole {
			return nil, false
		}
		for _, each := range read.sessions {
			present[each.id] = true
		}
	}
	return present, true
}

// lasted returns how long rows outlived their session.
func lasted(d time.Duration) string {
	switch {
	case d <= pollInterval:
		return "at_once"
	case d < coolingTime-slack:
		return "within_5_minutes"
	case d <= coolingTime+slack:
		return "after_5_minutes"
	}
	return "longer"
}

// shortestInterval returns the shortest time between two activities of a row.
func (w *watched) shortestInterval() string {
	switch {
	case w.interval == 0:
		return ""
	case w.interval < time.Minute:
		return "under_1_minute"
	case w.intervals < minSeen:
		return ""
	case w.interval < coolingTime-slack:
		return "under_4_minutes"
	case w.interval <= coolingTime+slack:
		return "about_5_minutes"
	}
	return "longer"
}

// longestDelay returns the longest time until an activity was in a row.
func (w *watched) longestDelay() string {
	switch {
	case w.delays < minSeen:
		return ""
	case w.delay <= slack:
		return "under_1_minute"
	case w.delay <= coolingTime+slack:
		return "up_to_5_minutes"
	}
	return "longer"
}
