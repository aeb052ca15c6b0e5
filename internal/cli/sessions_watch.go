package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/config"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/internal/terminal"
	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// minInterval is the shortest interval between two looks.
const minInterval = 5 * time.Second

// watchList shows the list again and again.
func (c *sessionsCommand) watchList(ctx context.Context, look *look, streams Streams) error {
	switch {
	case c.output != formatTable:
		return errors.New("--watch: shows a table, so it cannot be combined with --output")
	case !terminal.Escapes(streams.Out):
		return errors.New("--watch: requires a terminal that can move the cursor; without one, run the command as often as needed")
	case c.interval < minInterval:
		return &config.Error{Flag: "interval", Err: fmt.Errorf("must be at least %s, not %s", minInterval, c.interval)}
	}
	notes := new(notes)
	look.streams.Err = notes // what is said would move the table
	limit := noLimit
	if c.limitIsSet {
		limit = c.limit
	}
	w := &listWatch{
		interval: c.interval, limit: limit, notes: notes, out: streams.Out, color: terminal.Colors(streams.Out),
		size: func() (columns, rows int) { return terminal.Size(streams.Out) },
		look: func(ctx context.Context) (*sessions.List, int, error) {
			list, from, err := look.at(ctx)
			if err != nil {
				return nil, 0, err
			}
			all, err := from.choose(ctx, list, c.query, c.atLeast)
			return list, all, err
		},
	}
	first := func() lookedAt {
		begun := time.Now()
		defer terminal.NewStatus(streams.Err).Follow(func() string {
			return fmt.Sprintf("Waiting for the first answer (%s)", text.Duration(time.Since(begun)))
		})()
		return w.lookNow(ctx)
	}()
	return w.run(ctx, first)
}

// notes keeps what a look says until the next one. It is safe for concurrent use.
type notes struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (n *notes) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.Write(p)
}

// take returns the notes and removes them.
func (n *notes) take() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	defer n.text.Reset()
	return n.text.String()
}

// listWatch shows a list of users on the whole terminal until its context ends.
type listWatch struct {
	interval time.Duration
	limit    int
	notes    *notes
	out      io.Writer
	color    bool
	size     func() (columns, rows int)
	// look returns the selected users, and the number of all users.
	look func(context.Context) (*sessions.List, int, error)

	list    *sessions.List // of the last look that succeeded
	all     int
	said    string               // by the last look
	failure error                // of the last look; nil if it succeeded
	before  *sessions.List       // the look before, with an older snapshot
	changed map[qlik.User]string // from before to list
	gone    int                  // users of before that are not in list
}

// lookedAt is the result of a look.
type lookedAt struct {
	list *sessions.List
	all  int
	said string
	err  error
}

// Sequences of a terminal.
const (
	wholeScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l" // another screen, without a cursor, which cuts wide lines
	lastScreen  = "\x1b[?7h\x1b[?25h\x1b[?1049l"
	toTop       = "\x1b[H"
	eraseLine   = "\x1b[2K"
	eraseBelow  = "\x1b[J"
)

// run shows the first look, and looks again after each interval. If the first look failed,
// it returns the error.
func (w *listWatch) run(ctx context.Context, first lookedAt) error {
	if w.take(first); w.failure != nil {
		return w.failure
	}
	if _, err := io.WriteString(w.out, wholeScreen); err != nil {
		return err
	}
	defer func() {
		// What was seen last stays in the terminal.
		_, _ = io.WriteString(w.out, lastScreen+w.text(time.Now()))
	}()
	// A look can take long. Meanwhile, the countdowns go on.
	looked := make(chan lookedAt, 1)
	next := time.NewTimer(w.interval)
	defer next.Stop()
	second := time.NewTicker(time.Second)
	defer second.Stop()
	var looking sync.WaitGroup
	defer looking.Wait()
	for {
		if err := w.draw(time.Now()); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-second.C:
		case <-next.C:
			looking.Go(func() { looked <- w.lookNow(ctx) })
		case result := <-looked:
			w.take(result)
			next.Reset(w.interval)
		}
	}
}

func (w *listWatch) lookNow(ctx context.Context) lookedAt {
	list, all, err := w.look(ctx)
	return lookedAt{list, all, w.notes.take(), err}
}

// take takes the result of a look.
func (w *listWatch) take(now lookedAt) {
	w.said, w.failure = now.said, now.err
	if now.err != nil {
		return
	}
	if w.list == nil || now.list.Time.After(w.list.Time) { // the exporter may return the same snapshot again
		w.before = w.list
	}
	w.list, w.all = now.list, now.all
	w.changed, w.gone = changes(w.before, w.list)
}

// changes returns what has changed for users, and the number of users that are not in the
// list any more.
func changes(before, now *sessions.List) (changed map[qlik.User]string, gone int) {
	changed = make(map[qlik.User]string)
	if before == nil {
		return changed, 0
	}
	then := make(map[qlik.User]*sessions.Listed)
	for i := range before.Users {
		then[before.Users[i].User()] = &before.Users[i]
	}
	gone = len(then)
	for i := range now.Users {
		user := &now.Users[i]
		was := then[user.User()]
		if was == nil {
			was = new(sessions.Listed)
		} else {
			gone--
		}
		var words []string
		if more := user.Sessions - was.Sessions; more != 0 {
			words = append(words, fmt.Sprintf("%+d", more))
		}
		switch {
		case isStuck(user) && !isStuck(was):
			words = append(words, "no slot")
		case !isStuck(user) && isStuck(was):
			words = append(words, "free")
		}
		if len(words) > 0 {
			changed[user.User()] = strings.Join(words, ", ")
		}
	}
	return changed, gone
}

// text returns what is shown.
func (w *listWatch) text(now time.Time) string {
	columns, rows := w.size()
	now = now.In(time.Local)
	var b strings.Builder
	heading := fmt.Sprintf("Every %s; sessions of %s (%s ago); %s", text.Duration(w.interval), text.Moment(w.list.Time, now), text.Duration(now.Sub(w.list.Time)), text.Count(len(w.list.Users), "user"))
	if stuck := countStuck(w.list.Users); stuck > 0 {
		heading += fmt.Sprintf(", %s without a free slot", text.Number(stuck))
	}
	if w.gone > 0 {
		heading += fmt.Sprintf("; %s gone", text.Number(w.gone))
	}
	b.WriteString(terminal.Wrap(heading+"; Ctrl-C ends.", 0, 0, columns) + "\n")
	if w.failure != nil {
		failure := terminal.Wrap("No new answer: "+text.Visible(w.failure.Error()), 0, 0, columns)
		if w.color {
			failure = red + failure + plain
		}
		b.WriteString(failure + "\n")
	}
	var said strings.Builder
	said.WriteString(w.said + "\n")
	_ = sayIncomplete(&said, w.list) // into memory
	for line := range strings.Lines(said.String()) {
		b.WriteString(terminal.Wrap(strings.TrimSuffix(line, "\n"), 0, 0, columns) + "\n")
	}
	height := 0
	if rows > 0 {
		height = max(rows-strings.Count(b.String(), "\n"), 1)
	}
	table := &listTable{
		list: w.list, all: w.all, at: now, width: columns, height: height, limit: w.limit, color: w.color,
		watched: true, changed: w.changed,
	}
	return b.String() + table.text()
}

// draw shows the text. It cuts what does not fit, because the terminal would scroll.
func (w *listWatch) draw(now time.Time) error {
	_, rows := w.size()
	lines := strings.Split(strings.TrimSuffix(w.text(now), "\n"), "\n")
	if rows > 0 {
		lines = lines[:min(len(lines), rows)]
	}
	// A line is erased before it is written: after a line of full width, the cursor is still on
	// its last character.
	frame := toTop + eraseLine + strings.Join(lines, "\n"+eraseLine)
	if len(lines) < rows {
		frame += "\n" + eraseBelow
	}
	_, err := io.WriteString(w.out, frame)
	return err
}
