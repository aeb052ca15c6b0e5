package sessions_test

import (
	"errors"
	"io"
	"reflect"
	"testing"

	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions/sessionstest"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

func TestState(t *testing.T) {
	notJSON := &qlik.Error{Op: "GET", Target: "https://qlik2:4243/qps/sales/session", Kind: qlik.KindNotJSON, Err: io.ErrUnexpectedEOF}
	const wait = "run qlik_exporter check in a minute; if the problem persists, compare the REST API listen port of the proxy in the QMC with the port on which the proxy listens, and look for a reverse proxy or load balancer in front of it"
	for _, test := range []struct {
		name   string
		change func(links []headroom.LinkResult) []headroom.LinkResult
		want   sessions.State
	}{
		{
			"all answered",
			func(links []headroom.LinkResult) []headroom.LinkResult { return links },
			sessions.State{Known: true, Complete: true, Links: 3, Answered: 3},
		},
		{
			"one failed",
			func(links []headroom.LinkResult) []headroom.LinkResult { links[2].Err = notJSON; return links },
			sessions.State{Known: true, Links: 3, Answered: 2, Failures: []sessions.Failure{
				{Node: "qlik2", VirtualProxies: []string{"/sales"}, Cause: "the response is not JSON, so the service is starting or another program responds", Remedy: wait},
			}},
		},
		{
			"one has stopped",
			func(links []headroom.LinkResult) []headroom.LinkResult {
				links[2].Err, links[2].Stopped = notJSON, true
				return links
			},
			sessions.State{Known: true, Complete: true, Links: 3, Answered: 2, Stopped: 1},
		},
		{
			"two of a node failed for one cause",
			func(links []headroom.LinkResult) []headroom.LinkResult {
				links[0].Err, links[1].Err = io.EOF, io.EOF
				return links
			},
			sessions.State{Known: true, Links: 3, Answered: 1, Failures: []sessions.Failure{
				{Node: "qlik1", VirtualProxies: []string{"/", "/sales"}, Cause: "the connection closed before the answer was complete"},
			}},
		},
		{
			"all failed for different causes",
			func(links []headroom.LinkResult) []headroom.LinkResult {
				links[0].Err, links[1].Err, links[2].Err = io.EOF, errors.New("a\u202eb"), notJSON
				return links
			},
			sessions.State{Links: 3, Failures: []sessions.Failure{
				{Node: "qlik1", VirtualProxies: []string{"/"}, Cause: "the connection closed before the answer was complete"},
				{Node: "qlik1", VirtualProxies: []string{"/sales"}, Cause: "a‹U+202E›b"},
				{Node: "qlik2", VirtualProxies: []string{"/sales"}, Cause: "the response is not JSON, so the service is starting or another program responds", Remedy: wait},
			}},
		},
		{
			"no link known",
			func([]headroom.LinkResult) []headroom.LinkResult { return nil },
			sessions.State{},
		},
	} {
		snapshot := sessionstest.Snapshot(nil)
		snapshot.Links = test.change(snapshot.Links)
		if got := sessions.NewState(snapshot); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s:\n got %+v\nwant %+v", test.name, got, test.want)
		}
	}
}
