package cli

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/config"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// TestUntrustedAnswer checks that an answer of another program cannot write to the
// terminal what it likes, whatever field it uses.
func TestUntrustedAnswer(t *testing.T) {
	const nasty = "\x1b[2J\u202e\r\nrm"
	list := func() *sessions.List {
		return &sessions.List{
			Site: nasty, Hosts: []string{nasty}, Time: time.Now(), Links: 2, LinksAnswered: 1, UsageKnown: true,
			VirtualProxies: []string{nasty}, Nodes: []string{nasty},
			Missing: []sessions.Missing{{VirtualProxy: nasty, Node: nasty, Kind: qlik.Kind(nasty), Cause: nasty}},
			Users: []sessions.Listed{{
				Directory: nasty, ID: nasty, License: nasty, EffectiveHeadroom: new(-1 << 40), SlotsWithoutSession: new(1 << 40),
				Sessions: -1, SessionsWithSlot: new(5), SlotsOfSessions: new(-5), NextSlot: time.Unix(1<<37, 0),
				Places: []sessions.Place{{VirtualProxy: nasty, Node: nasty, Sessions: 2}},
			}},
		}
	}
	clean := func(what, output string) {
		t.Helper()
		if output == "" || strings.ContainsAny(output, "\x1b\u202e\r") || strings.Contains(output, "\nrm") {
			t.Errorf("%s: %q", what, output)
		}
	}
	for _, format := range []string{formatTable, formatCSV, formatJSON} {
		c := commands(nil)
		c.Site = nil
		if err := c.write(t.Context(), list(), Query{}, -1, noLimit, format); !errors.Is(err, ErrIncomplete) {
			t.Errorf("%s: error %v", format, err)
		}
		clean(format, c.out.String())
		if format == formatCSV {
			clean("incomplete", c.err.String())
		}
		if format == formatJSON && !json.Valid(c.out.Bytes()) {
			t.Errorf("not JSON: %s", &c.out)
		}
		var query Query
		query.Nodes = []string{"qlik9"}
		clean("node", c.write(t.Context(), list(), query, -1, noLimit, format).Error())
	}
	none := list()
	none.LinksAnswered = 0
	clean("no data", noData(none).Error())
	clean("hosts", sameSite(&config.Site{Host: []string{"qlik1"}}, none.Hosts).Error())
}

func TestSameSite(t *testing.T) {
	for _, test := range []struct {
		own, others []string
		same        bool
	}{
		{nil, []string{"qlik1"}, true},
		{[]string{"qlik1"}, nil, true},
		{[]string{"qlik1"}, []string{"QLIK1:4242"}, true},
		{[]string{"qlik2", "qlik1:4242"}, []string{"qlik3", "qlik1"}, true},
		{[]string{"qlik1"}, []string{"qlik2"}, false},
		{[]string{"qlik1:4242"}, []string{"qlik1:4244"}, false},
	} {
		if err := sameSite(&config.Site{Host: test.own}, test.others); (err == nil) != test.same {
			t.Errorf("%v and %v: error %v", test.own, test.others, err)
		}
	}
	if err := sameSite(nil, []string{"qlik1"}); err != nil {
		t.Error(err)
	}
}
