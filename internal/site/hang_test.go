package site

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// TestPatience checks how long a link is waited for after various events.
func TestPatience(t *testing.T) {
	const unbounded = -1
	hung := &qlik.Error{Kind: qlik.KindTimeout}
	refused := &qlik.Error{Kind: qlik.KindRefused}
	answered := func(took time.Duration, err error) func(*watch) {
		return func(w *watch) { w.answered(took/2, took, err) }
	}
	late := func(took time.Duration, err error) func(*watch) {
		return func(w *watch) { w.answeredLate(took/2, took, 9*time.Second, err) }
	}
	missed := func(w *watch) { w.missed(9 * time.Second) }
	hurried := func(w *watch) { w.missed(time.Second) }
	for name, test := range map[string]struct {
		events []func(*watch)
		want   time.Duration
	}{
		"never asked":                                {nil, unbounded},
		"answered":                                   {[]func(*watch){answered(time.Second, nil)}, unbounded},
		"never answered in time":                     {[]func(*watch){missed}, 250 * time.Millisecond},
		"five times the usual":                       {[]func(*watch){answered(2*time.Second, nil), missed}, 10 * time.Second},
		"at least 250 ms":                            {[]func(*watch){answered(10*time.Millisecond, nil), missed}, 250 * time.Millisecond},
		"the usual rises slowly":                     {[]func(*watch){answered(time.Second, nil), answered(3*time.Second, nil), missed}, 6250 * time.Millisecond},
		"and falls fast":                             {[]func(*watch){answered(3*time.Second, nil), answered(time.Second, nil), missed}, 10 * time.Second},
		"in time again":                              {[]func(*watch){missed, answered(time.Second, nil)}, unbounded},
		"a late answer is no answer in time":         {[]func(*watch){answered(100*time.Millisecond, nil), missed, late(50*time.Millisecond, nil)}, 500 * time.Millisecond},
		"less each time it hangs on":                 {[]func(*watch){answered(2*time.Second, nil), missed, missed, missed}, 2500 * time.Millisecond},
		"down to what is hardly noticed":             {[]func(*watch){answered(2*time.Second, nil), missed, missed, missed, missed, missed}, 625 * time.Millisecond},
		"the deadline was short":                     {[]func(*watch){answered(800*time.Millisecond, nil), hurried}, unbounded},
		"before it ever answered":                    {[]func(*watch){hurried}, unbounded},
		"in a hurry, but too long all the same":      {[]func(*watch){answered(400*time.Millisecond, nil), hurried}, 2 * time.Second},
		"nobody waited, and it ran into the timeout": {[]func(*watch){hurried, late(10*time.Second, hung)}, 250 * time.Millisecond},
		"nobody could have waited so long":           {[]func(*watch){hurried, late(10*time.Second, nil)}, 250 * time.Millisecond},
		"but shows how long it takes now":            {[]func(*watch){answered(10*time.Millisecond, nil), missed, late(4*time.Second, nil)}, 5 * time.Second},
		"unless no scrape could wait so long":        {[]func(*watch){answered(10*time.Millisecond, nil), missed, late(10*time.Second, nil)}, 250 * time.Millisecond},
		"a late failure shows nothing":               {[]func(*watch){answered(10*time.Millisecond, nil), missed, late(time.Second, refused)}, 250 * time.Millisecond},
		"refused at once":                            {[]func(*watch){missed, answered(time.Millisecond, refused)}, unbounded},
		"its request ran into the timeout":           {[]func(*watch){answered(10*time.Second, hung)}, 250 * time.Millisecond},
		"a failure that takes long is as bad":        {[]func(*watch){answered(5*time.Second, errors.New("no name server"))}, 250 * time.Millisecond},
		"a failure that takes what an answer takes":  {[]func(*watch){answered(2*time.Second, nil), answered(3*time.Second, refused)}, unbounded},
		"failures do not count as the usual answers": {[]func(*watch){answered(time.Second, nil), answered(time.Millisecond, refused), missed}, 5 * time.Second},
	} {
		w := newWatch(target{})
		for _, event := range test.events {
			event(w)
		}
		got, begins := time.Duration(unbounded), time.Duration(0)
		if w.late {
			begins, got = w.patience()
		}
		if got != test.want {
			t.Errorf("%s: waited for %s, want %s", name, got, test.want)
		}
		if want := max(got/2, minPatience); w.late && begins != want {
			t.Errorf("%s: waited for the beginning for %s, want %s", name, begins, want)
		}
	}
}

// scraped is the duration of a snapshot and its content for qlik2, which hangs.
type scraped struct {
	took     time.Duration
	complete bool
	qlik2    qlik.Kind
}

func scrapeIn(t *testing.T, site *Site, timeout time.Duration) (scraped, *headroom.Snapshot) {
	t.Helper()
	begin := time.Now()
	snapshot := within(t, site, timeout)
	return scraped{time.Since(begin), snapshot.Complete(), kinds(snapshot)["qlik2/"]}, snapshot
}

func expectScrape(t *testing.T, what string, got, want scraped) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %+v, want %+v", what, got, want)
	}
}

// TestHangingNodeCostsOneSlowScrape checks that the first scrape waits for a node
// that hangs until its deadline, and that the next scrapes do not.
func TestHangingNodeCostsOneSlowScrape(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := start(t, threeNodes(), nil)
		login(t, server, "anna", "laptop", "", "qlik1")
		login(t, server, "bert", "laptop", "", "qlik3")
		login(t, server, "carla", "laptop", "", "qlik2")
		for _, node := range []string{"qlik1", "qlik2", "qlik3"} {
			server.SetProxyLatency(node, 100*time.Millisecond)
		}
		const timeout = 9 * time.Second
		got, _ := scrapeIn(t, site, timeout)
		expectScrape(t, "healthy", got, scraped{100 * time.Millisecond, true, ""})

		server.SetProxyFault("qlik2", qliktest.Hanging)
		got, snapshot := scrapeIn(t, site, timeout)
		expectScrape(t, "first", got, scraped{timeout, false, qlik.KindTimeout})
		if users := counts(snapshot); !slices.Equal(users, []string{"anna /:1", "bert /:1"}) {
			t.Errorf("users: %q", users)
		}

		// Its requests stay in progress for another second.
		before := server.Requests().SessionLists
		got, snapshot = scrapeIn(t, site, timeout)
		expectScrape(t, "while its requests run on", got, scraped{100 * time.Millisecond, false, qlik.KindTimeout})
		if asked := server.Requests().SessionLists - before; asked != 5 {
			t.Errorf("%d links asked, want the 5 of the others", asked)
		}
		if up := len(snapshot.Links) - len(kinds(snapshot)); up != 5 {
			t.Errorf("%d links answered, want 5", up)
		}

		for i := range 5 {
			time.Sleep(15 * time.Second)
			got, snapshot = scrapeIn(t, site, timeout)
			expectScrape(t, fmt.Sprint("later ", i), got, scraped{500 * time.Millisecond, false, qlik.KindTimeout})
			if users := counts(snapshot); !slices.Equal(users, []string{"anna /:1", "bert /:1"}) {
				t.Errorf("users: %q", users)
			}
		}

		server.SetProxyFault("qlik2", qliktest.NoFault)
		time.Sleep(15 * time.Second)
		got, snapshot = scrapeIn(t, site, timeout)
		expectScrape(t, "back", got, scraped{100 * time.Millisecond, true, ""})
		if users := counts(snapshot); !slices.Equal(users, []string{"anna /:1", "bert /:1", "carla /:1"}) {
			t.Errorf("users: %q", users)
		}
	})
}

// TestSlowLinkDoesNotFlap checks that a link that usually takes two seconds and
// misses once gets two seconds again.
func TestSlowLinkDoesNotFlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := start(t, threeNodes(), nil)
		server.SetProxyLatency("qlik2", 2*time.Second)
		const timeout = 9 * time.Second
		got, _ := scrapeIn(t, site, timeout)
		expectScrape(t, "usually", got, scraped{2 * time.Second, true, ""})
		server.SetProxyFault("qlik2", qliktest.Hanging)
		got, _ = scrapeIn(t, site, timeout)
		expectScrape(t, "hangs", got, scraped{timeout, false, qlik.KindTimeout})
		server.SetProxyFault("qlik2", qliktest.NoFault)
		for i := range 3 {
			time.Sleep(15 * time.Second)
			got, _ = scrapeIn(t, site, timeout)
			expectScrape(t, fmt.Sprint("again ", i), got, scraped{2 * time.Second, true, ""})
		}
	})
}

// TestSlowerThanBefore checks that a link that hung and is slower since then
// misses once more and then gets enough time.
func TestSlowerThanBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := start(t, threeNodes(), nil)
		const timeout = 9 * time.Second
		within(t, site, timeout)
		server.SetProxyFault("qlik2", qliktest.Hanging)
		within(t, site, timeout)
		server.SetProxyFault("qlik2", qliktest.NoFault)
		server.SetProxyLatency("qlik2", time.Second)
		time.Sleep(15 * time.Second)
		got, _ := scrapeIn(t, site, timeout)
		expectScrape(t, "missed", got, scraped{minPatience, false, qlik.KindTimeout})
		for i := range 3 {
			time.Sleep(15 * time.Second)
			got, _ = scrapeIn(t, site, timeout)
			expectScrape(t, fmt.Sprint("given the time ", i), got, scraped{time.Second, true, ""})
		}
	})
}

// TestAlwaysTooLate checks that a link that answers later than any scrape can wait
// costs only one slow scrape.
func TestAlwaysTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := start(t, threeNodes(), nil)
		server.SetProxyLatency("qlik2", 5*time.Second)
		const timeout = 4 * time.Second
		got, _ := scrapeIn(t, site, timeout)
		expectScrape(t, "first", got, scraped{timeout, false, qlik.KindTimeout})
		for i := range 3 {
			time.Sleep(15 * time.Second)
			got, _ = scrapeIn(t, site, timeout)
			expectScrape(t, fmt.Sprint("later ", i), got, scraped{minPatience, false, qlik.KindTimeout})
		}
	})
}

// stalling is a connection that delivers a number of bytes and then nothing more.
type stalling struct {
	net.Conn

	left   *atomic.Int64
	closed chan struct{}
	once   sync.Once
}

func (s *stalling) Read(p []byte) (int, error) {
	left := s.left.Load()
	if left <= 0 {
		<-s.closed
		return 0, net.ErrClosed
	}
	n, err := s.Conn.Read(p[:min(int64(len(p)), left)])
	s.left.Add(-int64(n))
	return n, err
}

func (s *stalling) Close() error {
	s.once.Do(func() { close(s.closed) })
	return s.Conn.Close()
}

// TestAnswerThatStalls checks that a link with an answer that begins as usual but
// never ends costs only one slow scrape.
func TestAnswerThatStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := threeNodes()
		config.VirtualProxies = config.VirtualProxies[:1] // one link per node, so that all bytes of a node belong to it
		server, err := qliktest.Start(config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(server.Close)
		for i := range 500 { // several TLS records
			login(t, server, fmt.Sprint("user", i), "laptop", "", "qlik2")
		}
		var left atomic.Int64
		left.Store(math.MaxInt64)
		site := connect(t, server, func(c *Config) {
			dial := c.Client.DialContext
			c.Client.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := dial(ctx, network, address)
				if err != nil || address != "qlik2:4243" {
					return conn, err
				}
				return &stalling{Conn: conn, left: &left, closed: make(chan struct{})}, nil
			}
		})
		server.SetProxyLatency("qlik2", 100*time.Millisecond)
		const timeout = 9 * time.Second
		got, _ := scrapeIn(t, site, timeout)
		expectScrape(t, "healthy", got, scraped{100 * time.Millisecond, true, ""})
		for i, want := range []time.Duration{timeout, 500 * time.Millisecond, 500 * time.Millisecond} {
			left.Store(20_000)
			got, _ = scrapeIn(t, site, timeout)
			expectScrape(t, fmt.Sprint("stalls ", i), got, scraped{want, false, qlik.KindTimeout})
			left.Store(math.MaxInt64)
			time.Sleep(15 * time.Second)
		}
		got, _ = scrapeIn(t, site, timeout)
		expectScrape(t, "back", got, scraped{100 * time.Millisecond, true, ""})
	})
}

// TestManyLinksOfAHangingNode checks that requests in progress count toward the
// maximum of a node, so that they do not pile up.
func TestManyLinksOfAHangingNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := qliktest.Config{InMemory: true, Nodes: []qliktest.Node{{Name: "qlik1", Central: true}, {Name: "qlik2"}}}
		const virtualProxies = 3 * qlik.MaxConnectionsPerNode
		for i := range virtualProxies {
			config.VirtualProxies = append(config.VirtualProxies, qliktest.VirtualProxy{Prefix: fmt.Sprint("vp", i), Nodes: []string{"qlik2"}})
		}
		config.VirtualProxies = append(config.VirtualProxies, qliktest.VirtualProxy{Nodes: []string{"qlik1"}})
		server, site := start(t, config, nil)
		within(t, site, time.Second)
		server.SetProxyFault("qlik2", qliktest.Hanging)
		for i, want := range []time.Duration{2 * time.Second, 0, 0, 0} {
			before := site.Status().Requests.Requests[qlik.APIProxy]
			begin := time.Now()
			snapshot := within(t, site, 2*time.Second)
			if took := time.Since(begin); took != want {
				t.Errorf("scrape %d: took %s, want %s", i, took, want)
			}
			if failed := len(kinds(snapshot)); failed != virtualProxies || !snapshot.Up() {
				t.Errorf("scrape %d: %d links failed, want %d", i, failed, virtualProxies)
			}
			asked := site.Status().Requests.Requests[qlik.APIProxy] - before
			if want := uint64(1 + qlik.MaxConnectionsPerNode*boolInt(i == 0)); asked != want {
				t.Errorf("scrape %d: %d requests, want %d", i, asked, want)
			}
			time.Sleep(time.Second)
		}
	})
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestRoundEndsWithItsAnswersFresh checks that callers who join late cannot extend
// a round beyond the timeout of a request. Otherwise a node that reads its links
// in batches could extend it to several times that.
func TestRoundEndsWithItsAnswersFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := qliktest.Config{InMemory: true, Nodes: []qliktest.Node{{Name: "qlik1", Central: true}}}
		for i := range 3 * qlik.MaxConnectionsPerNode {
			config.VirtualProxies = append(config.VirtualProxies, qliktest.VirtualProxy{Prefix: fmt.Sprint("vp", i)})
		}
		server, site := start(t, config, func(c *Config) { c.Client.Timeout = 4 * time.Second })
		within(t, site, time.Second)
		server.SetProxyFault("qlik1", qliktest.Hanging)
		var callers sync.WaitGroup
		for _, after := range []time.Duration{0, time.Second, 3 * time.Second} {
			callers.Go(func() {
				time.Sleep(after)
				begin := time.Now()
				within(t, site, time.Minute)
				if took, want := time.Since(begin), 4*time.Second+sameMoment-after; took != want {
					t.Errorf("who came after %s waited %s, want %s", after, took, want)
				}
			})
		}
		callers.Wait()
	})
}

// TestExtendedJustNow checks that a timer that fires just after its deadline was
// extended ends nothing.
func TestExtendedJustNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, site := start(t, threeNodes(), nil)
		links := site.rounds.asker
		q := links.prepare(time.Now().Add(time.Second))
		links.expire(q)
		select {
		case <-q.over:
			t.Error("ended a second before its deadline")
		default:
		}
		time.Sleep(time.Second)
		links.expire(q)
		<-q.over
	})
}

// TestOneSnapshotAtADeadline checks that callers with about the deadline of the
// round share its snapshot. Only a caller with an earlier deadline gets a separate
// one.
func TestOneSnapshotAtADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := start(t, threeNodes(), nil)
		within(t, site, time.Second)
		server.SetProxyFault("qlik2", qliktest.Hanging)
		snapshots := make([]*headroom.Snapshot, 4)
		var callers sync.WaitGroup
		for i, timeout := range []time.Duration{2 * time.Second, 3950 * time.Millisecond, 4 * time.Second, 4 * time.Second} {
			callers.Go(func() {
				begin := time.Now()
				snapshots[i] = within(t, site, timeout)
				if took := time.Since(begin); took < timeout || took > timeout+sameMoment {
					t.Errorf("caller %d: took %s of %s", i, took, timeout)
				}
			})
		}
		callers.Wait()
		for i, snapshot := range snapshots {
			if own := snapshot != snapshots[3]; own != (i == 0) {
				t.Errorf("caller %d has a snapshot of its own: %t", i, own)
			}
		}
	})
}

// TestPreviewLeavesNoTrace checks that a caller with a short deadline gets the
// known state, and that counters do not run ahead.
func TestPreviewLeavesNoTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := start(t, threeNodes(), nil)
		login(t, server, "anna", "laptop", "", "qlik1")
		within(t, site, time.Second)
		login(t, server, "anna", "phone", "", "qlik1")
		server.SetProxyLatency("qlik2", 2*time.Second)
		var patient sync.WaitGroup
		var whole *headroom.Snapshot
		patient.Go(func() { whole = within(t, site, 5*time.Second) })
		synctest.Wait()
		early := within(t, site, time.Second)
		if anna := status(t, early, "anna"); anna.Sessions != 2 || early.Complete() || early.Tracking.Started["/"] != 0 {
			t.Errorf("early: %+v, complete %t, %d started", anna, early.Complete(), early.Tracking.Started["/"])
		}
		patient.Wait()
		if anna := status(t, whole, "anna"); anna.Sessions != 2 || !whole.Complete() || whole.Tracking.Started["/"] != 1 {
			t.Errorf("whole: %+v, complete %t, %d started", anna, whole.Complete(), whole.Tracking.Started["/"])
		}
	})
}

// TestSiblingOfALinkThatHangs checks that the other link of a node is still read
// if one link hangs with a request in progress.
func TestSiblingOfALinkThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		both := []qlik.Link{{Node: "qlik2", VirtualProxy: "/"}, {Node: "qlik2", VirtualProxy: "/sales"}}
		l := &asker{timeout: 10 * time.Second, watches: map[targetKey]*watch{
			newTargets(both, nil)[0].key(): {minimum: minPatience, late: true, running: []time.Time{time.Now()}},
		}}
		time.Sleep(unknownPatience)
		q := l.prepare(time.Now().Add(9 * time.Second))
		queues := l.begin(q, newTargets(both, nil))
		if len(queues) != 1 || queues[0].requests != 1 || len(queues[0].targets) != 1 || <-queues[0].targets != 1 {
			t.Errorf("asked: %+v, want the second link, by one request", queues)
		}
		if want := []bool{false, true}; !slices.Equal(q.waiting, want) {
			t.Errorf("waited for: %v, want %v", q.waiting, want)
		}
		if answers := l.finish(q); answers[0].duration != unknownPatience || qlik.KindOf(answers[0].err) != qlik.KindTimeout {
			t.Errorf("the link that hangs: %s, %v; want the age of its request", answers[0].duration, answers[0].err)
		}
	})
}

// TestHurriedCallerTakesNothingFromTheNext checks that of two Prometheus servers
// with different timeouts, the second gets all answers although the first had no
// time for some.
func TestHurriedCallerTakesNothingFromTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := start(t, threeNodes(), nil)
		for _, node := range []string{"qlik1", "qlik2", "qlik3"} {
			server.SetProxyLatency(node, 1200*time.Millisecond)
		}
		for i := range 4 {
			if snapshot := within(t, site, time.Second); snapshot.Up() {
				t.Fatalf("cycle %d: the hurried caller got an answer", i)
			}
			time.Sleep(100 * time.Millisecond)
			got, _ := scrapeIn(t, site, 9*time.Second)
			expectScrape(t, fmt.Sprint("cycle ", i), got, scraped{1200 * time.Millisecond, true, ""})
			time.Sleep(15 * time.Second)
		}
	})
}

// TestRoundThatHasEnded checks that a caller who comes when the deadline of another has just
// ended the round, before its snapshot is ready, waits and gets the next round, unless its own
// deadline is over by then.
func TestRoundThatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, site := start(t, threeNodes(), nil)
		within(t, site, time.Second)
		ended := &round{requests: site.rounds.asker.prepare(time.Now().Add(time.Millisecond)), done: make(chan struct{})}
		ended.snapshot = &headroom.Snapshot{}
		site.rounds.current = ended
		<-ended.over
		var callers sync.WaitGroup
		callers.Go(func() {
			if snapshot := within(t, site, 9*time.Second); !snapshot.Complete() {
				t.Errorf("the patient caller got the answers of the hurried one: %+v", snapshot)
			}
		})
		callers.Go(func() {
			if snapshot := within(t, site, sameMoment+time.Millisecond); snapshot != ended.snapshot {
				t.Errorf("the caller whose time was over got %+v", snapshot)
			}
		})
		time.Sleep(time.Second)
		site.rounds.mu.Lock()
		site.rounds.current = nil
		site.rounds.mu.Unlock()
		close(ended.done)
		callers.Wait()
	})
}

// TestSlowFirstTopology checks that the next scrape reads all links if the
// topology took all the time of the first one.
func TestSlowFirstTopology(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := start(t, threeNodes(), nil)
		server.SetRepositoryLatency("qlik1", 7*time.Second)
		server.SetProxyLatency("qlik2", 800*time.Millisecond)
		const timeout = 7500 * time.Millisecond
		if got, _ := scrapeIn(t, site, timeout); got.complete {
			t.Fatalf("%+v; the first scrape was to be short of time", got)
		}
		time.Sleep(15 * time.Second)
		got, _ := scrapeIn(t, site, timeout)
		expectScrape(t, "second", got, scraped{800 * time.Millisecond, true, ""})
	})
}

// TestThawsAndHangsAgain checks that a single late answer gives a link more time,
// and that the link loses it again while it keeps hanging.
func TestThawsAndHangsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := start(t, threeNodes(), nil)
		server.SetProxyLatency("qlik2", 50*time.Millisecond)
		const timeout = 9 * time.Second
		within(t, site, timeout)
		scrape := func(what string, want time.Duration) {
			t.Helper()
			got, snapshot := scrapeIn(t, site, timeout)
			expectScrape(t, what, got, scraped{want, false, qlik.KindTimeout})
			for _, link := range snapshot.Links {
				if link.Node == "qlik2" && link.Duration != want {
					t.Errorf("%s: %s was given up after %s, want %s", what, link.VirtualProxy, link.Duration, want)
				}
			}
			time.Sleep(15 * time.Second)
		}
		server.SetProxyFault("qlik2", qliktest.Hanging)
		scrape("hangs", timeout)
		scrape("hangs on", minPatience)
		server.SetProxyFault("qlik2", qliktest.NoFault)
		server.SetProxyLatency("qlik2", 6*time.Second)
		scrape("thaws, too late", minPatience)
		server.SetProxyFault("qlik2", qliktest.Hanging)
		for i, want := range []time.Duration{7500 * time.Millisecond, 3750 * time.Millisecond, 1875 * time.Millisecond, 937500 * time.Microsecond, 937500 * time.Microsecond} {
			scrape(fmt.Sprint("hangs again ", i), want)
		}
	})
}

// TestNoSnapshotForWhoLeft checks that no snapshot is computed for a canceled
// caller.
func TestNoSnapshotForWhoLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := start(t, threeNodes(), nil)
		login(t, server, "anna", "laptop", "", "qlik1")
		within(t, site, time.Second)
		server.SetProxyFault("qlik2", qliktest.Hanging)
		var patient sync.WaitGroup
		patient.Go(func() { within(t, site, 5*time.Second) })
		synctest.Wait()
		ctx, leave := context.WithCancel(t.Context())
		leave()
		if snapshot := site.Snapshot(ctx); len(snapshot.Users) > 0 || snapshot.Up() || snapshot.Complete() {
			t.Errorf("a snapshot of %d users, up %t", len(snapshot.Users), snapshot.Up())
		}
		if snapshot := within(t, site, time.Second); len(snapshot.Users) != 1 || !snapshot.Up() {
			t.Errorf("who stays sees %d users, up %t", len(snapshot.Users), snapshot.Up())
		}
		patient.Wait()
	})
}

// TestBusy checks when no new request is sent to a link.
func TestBusy(t *testing.T) {
	now := time.Now()
	for name, test := range map[string]struct {
		watch watch
		want  bool
	}{
		"no request in progress":  {watch{takes: time.Second, late: true}, false},
		"one of a moment ago":     {watch{takes: time.Second, running: []time.Time{now.Add(-2*time.Second + 1)}}, false},
		"one that takes too long": {watch{takes: time.Second, running: []time.Time{now.Add(-2 * time.Second)}}, true},
		"two are enough":          {watch{takes: time.Second, running: []time.Time{now, now}}, true},
	} {
		if got := test.watch.busy(now); got != test.want {
			t.Errorf("%s: %t, want %t", name, got, test.want)
		}
	}
}

// TestForgottenLink checks that a link that was removed while it failed logs a new
// failure when it is back.
func TestForgottenLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		server, site := start(t, threeNodes(), func(c *Config) { c.Logger = log.NewLogfmtLogger(log.NewSyncWriter(&logged)) })
		all := threeNodes().VirtualProxies
		server.SetProxyFault("qlik2", qliktest.Refused)
		for _, virtualProxies := range [][]qliktest.VirtualProxy{all, all, all[:1], all} {
			server.SetVirtualProxies(virtualProxies)
			time.Sleep(topologyInterval)
			site.Refresh()
			within(t, site, time.Second)
		}
		const failed = `msg="Virtual proxy does not answer" node=qlik2 virtual_proxy=`
		for virtualProxy, want := range map[string]int{"/ ": 1, "/sales ": 2} {
			if got := strings.Count(logged.String(), failed+virtualProxy); got != want {
				t.Errorf("%sfails %d times in the log, want %d:\n%s", virtualProxy, got, want, logged.String())
			}
		}
	})
}

// TestOldRequestsSayNothing checks that the result of an old request has no effect
// after a newer one was answered.
func TestOldRequestsSayNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := start(t, threeNodes(), nil)
		within(t, site, time.Second)
		server.SetProxyFault("qlik2", qliktest.Hanging)
		within(t, site, 500*time.Millisecond) // its request stays in progress for up to 10 s
		server.SetProxyFault("qlik2", qliktest.NoFault)
		for i := range 3 {
			got, _ := scrapeIn(t, site, 9*time.Second)
			expectScrape(t, fmt.Sprint("while it runs ", i), got, scraped{0, true, ""})
			time.Sleep(2 * time.Second)
		}
		time.Sleep(15 * time.Second)
		server.SetProxyLatency("qlik2", 2*minPatience) // too slow for a link that hung
		got, _ := scrapeIn(t, site, 9*time.Second)
		expectScrape(t, "when it has timed out", got, scraped{2 * minPatience, true, ""})
	})
}
