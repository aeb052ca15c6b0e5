package site

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// TestOddTopology checks that a link that can no longer be read from the repository
// keeps its last data, that a link that never could is unknown, and that the topology is
// read again soon. What is left out is logged once.
func TestOddTopology(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var output bytes.Buffer
		config := threeNodes()
		config.VirtualProxies = config.VirtualProxies[:2] // MissingField changes the last one
		server, known := start(t, config, func(c *Config) { c.Logger = log.NewLogfmtLogger(log.NewSyncWriter(&output)) })
		login(t, server, "anna", "laptop", "sales", "qlik1")
		server.SetRepositoryLatency("qlik1", 10*time.Millisecond) // so that a read ends after its start
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		defer running.Wait()
		defer cancel()
		running.Go(func() { known.Run(ctx) })
		within(t, known, time.Second)

		server.SetRepositoryFault("qlik1", qliktest.MissingField)
		time.Sleep(topologyInterval + time.Minute)
		snapshot := within(t, known, time.Second)
		if !snapshot.Complete() || len(snapshot.Sessions) != 1 || len(snapshot.Links) != 6 {
			t.Errorf("known: complete %t, %d sessions, %d links", snapshot.Complete(), len(snapshot.Sessions), len(snapshot.Links))
		}

		unknown := connect(t, server, nil)
		running.Go(func() { unknown.Run(ctx) })
		snapshot = within(t, unknown, time.Second)
		if snapshot.Complete() || !snapshot.Up() || len(snapshot.Links) != 6 || len(kinds(snapshot)) != 3 {
			t.Errorf("unknown: complete %t, up %t, failed %v of %d links", snapshot.Complete(), snapshot.Up(), kinds(snapshot), len(snapshot.Links))
		}
		for _, link := range snapshot.Links {
			if unread := strings.HasPrefix(link.VirtualProxy, "unreadable:"); unread != link.Unread || unread != (qlik.KindOf(link.Err) == qlik.KindDecode) {
				t.Errorf("%s %s: %v", link.Node, link.VirtualProxy, link.Err)
			}
		}

		server.SetRepositoryFault("qlik1", qliktest.NoFault)
		time.Sleep(servicesInterval + time.Second)
		for name, site := range map[string]*Site{"known": known, "unknown": unknown} {
			if snapshot := within(t, site, time.Second); !snapshot.Complete() || len(snapshot.Sessions) != 1 {
				t.Errorf("%s, later: complete %t, failed %v", name, snapshot.Complete(), kinds(snapshot))
			}
		}
		if n := known.Status().Skipped[qlik.SourceTopology]; n < 2 || n > 4 {
			t.Errorf("%d elements left out, want that of each read", n)
		}
		var lines []string
		for line := range strings.Lines(output.String()) {
			if strings.Contains(strings.ToLower(line), "the response") {
				lines = append(lines, line)
			}
		}
		want := []string{
			"level=warn msg=\"A part of the response cannot be read; the rest is used\" source=topology left_out=\"element of virtualproxyconfig\"\n",
			"level=info msg=\"The response can be read completely again\" source=topology\n",
		}
		if strings.Join(lines, "") != strings.Join(want, "") {
			t.Errorf("logged\n%s\nwant\n%s", strings.Join(lines, ""), strings.Join(want, ""))
		}
	})
}
