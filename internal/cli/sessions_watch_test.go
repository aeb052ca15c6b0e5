package cli

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions/sessionstest"
)

// screen is a terminal. It is safe for concurrent use.
type screen struct {
	mu      sync.Mutex
	written []string
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.written = append(s.written, string(p))
	return len(p), nil
}

// last returns the lines that were drawn last.
func (s *screen) last() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Split(regexp.MustCompile(`\x1b\[[?\d]*[a-zA-Z]`).ReplaceAllString(s.written[len(s.written)-1], ""), "\n")
}

func (s *screen) all() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.written, "")
}

// TestWatch checks what a person sees while users log in and out, while nobody answers, and
// at the end.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := sessionstest.Start(t, nil)
		for i := range 4 {
			sessionstest.Login(t, server, "bert", fmt.Sprint("device", i), "", "qlik3")
		}
		leaving := sessionstest.Login(t, server, "anna", "laptop", "", "qlik1")
		c := commands(site)
		var looks []time.Time
		var broken atomic.Pointer[error]
		shown := new(screen)
		w := &listWatch{
			interval: 10 * time.Second, limit: noLimit, notes: new(notes), out: shown, size: func() (int, int) { return 100, 20 },
			look: func(ctx context.Context) (*sessions.List, int, error) {
				looks = append(looks, time.Now())
				if err := broken.Load(); err != nil {
					return nil, 0, *err
				}
				snapshot, err := c.read(ctx)
				if err != nil {
					return nil, 0, err
				}
				list := listOf(snapshot)
				all, err := c.choose(ctx, list, Query{}, 0)
				return list, all, err
			},
		}
		ctx, stop := context.WithCancel(t.Context())
		begun := time.Now()
		first := w.lookNow(ctx)
		ended := make(chan error, 1)
		go func() { ended <- w.run(ctx, first) }()

		has := func(when string, want ...string) {
			t.Helper()
			lines := shown.last()
			for _, part := range want {
				if !slices.ContainsFunc(lines, func(line string) bool {
					return strings.Contains(strings.Join(strings.Fields(line), " "), part)
				}) {
					t.Errorf("%s: no %q in\n%s", when, part, strings.Join(lines, "\n"))
				}
			}
			if len(lines) > 20 {
				t.Errorf("%s: %d lines", when, len(lines))
			}
		}
		time.Sleep(5500 * time.Millisecond)
		has("at first", "(5 s ago)", "; 2 users; Ctrl-C ends.", `- 1 LAB\bert 4`, `- 4 LAB\anna 1`)

		sessionstest.Login(t, server, "bert", "phone", "", "qlik3")
		server.Logout(leaving.ID)
		time.Sleep(5 * time.Second) // 10.5 s
		has("at the limit", "2 users, 1 without a free slot; Ctrl-C ends.", `+1, no slot 0 LAB\bert 5`)
		next := regexp.MustCompile(`  \d+:\d\d  `)
		at := func() string {
			for _, line := range shown.last() {
				if found := next.FindString(line); found != "" && strings.Contains(line, "bert") {
					return found
				}
			}
			t.Fatalf("no countdown in\n%s", strings.Join(shown.last(), "\n"))
			return ""
		}
		before := at()
		time.Sleep(time.Second)
		if after := at(); after == before {
			t.Errorf("the countdown stands still at %s", after)
		}

		time.Sleep(9 * time.Second) // 20.5 s
		has("nothing new", `- 0 LAB\bert 5`)
		failure := errors.New("the network\x1b is gone")
		broken.Store(&failure)
		time.Sleep(10 * time.Second) // 30.5 s
		has("broken", "No new answer: the network‹U+001B› is gone", `0 LAB\bert 5`, "(10 s ago)")
		broken.Store(nil)
		time.Sleep(10 * time.Second) // 40.5 s
		if strings.Contains(strings.Join(shown.last(), "\n"), "No new answer") {
			t.Error("an old failure is still shown")
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		for i, at := range looks {
			if got := at.Sub(begun).Round(time.Second); got != time.Duration(i)*10*time.Second {
				t.Errorf("look %d after %s", i, got)
			}
		}
		if len(looks) != 5 {
			t.Errorf("%d looks", len(looks))
		}
		all := shown.all()
		if !strings.HasPrefix(all, wholeScreen) || strings.Count(all, lastScreen) != 1 {
			t.Error("the screen of before is not shown again")
		}
		has("after the end", `0 LAB\bert 5`)
	})
}

// TestWatchLooksOnce checks that there is one look at a time, however slow it is, and that the
// countdown goes on meanwhile. The end does not wait for it.
func TestWatchLooksOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks, shown := 0, new(screen)
		w := &listWatch{
			interval: 5 * time.Second, limit: noLimit, notes: new(notes), out: shown, size: func() (int, int) { return 0, 0 },
			look: func(ctx context.Context) (*sessions.List, int, error) {
				if looks++; looks > 1 {
					<-ctx.Done()
					return nil, 0, ctx.Err()
				}
				return &sessions.List{Time: time.Now(), Complete: true, UsageKnown: true}, 0, nil
			},
		}
		ctx, stop := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, stop)
		if err := w.run(ctx, w.lookNow(ctx)); err != nil {
			t.Error(err)
		}
		if looks != 2 || !strings.Contains(shown.all(), "(59 s ago)") {
			t.Errorf("%d looks; last shown\n%s", looks, strings.Join(shown.last(), "\n"))
		}
		failure := errors.New("no answer")
		if err := w.run(t.Context(), lookedAt{err: failure}); !errors.Is(err, failure) {
			t.Errorf("first look: %v", err)
		}
	})
}

func TestChanges(t *testing.T) {
	free := func(n int) *int { return &n }
	list := func(users ...sessions.Listed) *sessions.List { return &sessions.List{Users: users} }
	user := func(id string, sessionsOf, headroom int) sessions.Listed {
		return sessions.Listed{Directory: "LAB", ID: id, Sessions: sessionsOf, EffectiveHeadroom: free(headroom)}
	}
	changed, gone := changes(list(user("same", 2, 3), user("more", 2, 3), user("full", 4, 1), user("freed", 5, 0), user("gone", 1, 4), user("slot", 5, 0)),
		list(user("same", 2, 3), user("more", 3, 2), user("full", 5, 0), user("freed", 4, 1), user("new", 1, 4), user("slot", 5, 1)))
	got := make(map[string]string)
	for user, words := range changed {
		got[user.ID] = words
	}
	want := map[string]string{"more": "+1", "full": "+1, no slot", "freed": "-1, free", "new": "+1", "slot": "free"}
	if fmt.Sprint(got) != fmt.Sprint(want) || gone != 1 {
		t.Errorf("%d gone, changed %v", gone, got)
	}
	if changed, gone := changes(nil, list(user("new", 1, 4))); len(changed) > 0 || gone != 0 {
		t.Errorf("without a look before: %d gone, changed %v", gone, changed)
	}
}

func TestCountdown(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "now", 0: "now", time.Millisecond: "0:01", 59 * time.Second: "0:59", 252 * time.Second: "4:12", time.Hour + 2*time.Minute + 3*time.Second: "1:02:03",
	} {
		if got := countdown(d); got != want {
			t.Errorf("%s: %s", d, got)
		}
	}
}
