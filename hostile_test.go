//go:build linux && !race

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// hostileMemory is the maximum memory, in MiB, that a hostile node, repository or client
// costs.
const hostileMemory = 256

// peakMemory returns the peak of the resident memory of a process in MiB.
func peakMemory(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	fields := strings.Fields(rest)
	kilobytes, err := strconv.Atoi(fields[0])
	if err != nil {
		t.Fatal(err)
	}
	return kilobytes >> 10
}

// many joins n texts to a JSON array.
func many(n int, element func(i int) string) []byte {
	var list bytes.Buffer
	list.WriteByte('[')
	for i := range n {
		if i > 0 {
			list.WriteByte(',')
		}
		list.WriteString(element(i))
	}
	list.WriteByte(']')
	return list.Bytes()
}

// TestHostileMemory checks that a hostile node or repository costs at most 256 MiB of
// memory, and nothing but its own links or data.
func TestHostileMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("moves gigabytes")
	}
	const links = 64
	session := func(user, id string) string {
		return `{"UserDirectory":"LAB","UserId":"` + user + `","SessionId":"` + id + `"}`
	}
	long := strings.Repeat("x", 500)
	everywhere := func(f *hostile, answer func(link int) []byte) {
		for i := range links {
			f.SetAnswer("qlik2", prefixOf(i), answer(i))
		}
	}
	usual := newHostile(t, links).attack(nil)
	if usual.first != "1" || usual.second != links {
		t.Fatalf("usually: %+v", usual)
	}
	for name, attack := range map[string]struct {
		prepare func(f *hostile)
		down    bool // the links of the node fail
		rare    bool // needs -all, because another one is alike
	}{
		"ids of 1 MB of 63 users": {func(f *hostile) {
			f.SetAnswer("qlik2", prefixOf(0), many(63, func(i int) string { return session(strings.Repeat("x", 1<<20)+fmt.Sprint(i), fmt.Sprint(i)) }))
		}, true, true},
		"elements of 1 MB on all links": {func(f *hostile) {
			everywhere(f, func(int) []byte {
				return many(2, func(i int) string {
					return `{"Attributes":[{"group":"` + strings.Repeat("x", 1000<<10) + `"}],` + session("anna", fmt.Sprint(i))[1:]
				})
			})
		}, true, false},
		"150,000 sessions of as many users": {func(f *hostile) {
			f.SetAnswer("qlik2", prefixOf(0), many(149_000, func(i int) string {
				return session(fmt.Sprint("user", i), fmt.Sprint("0123456789abcdef0123456789abcdef", i))
			}))
		}, false, true},
		"long names": {func(f *hostile) {
			f.SetAnswer("qlik2", prefixOf(0), many(22_000, func(i int) string { return session(fmt.Sprint(long, `\\\"`, i), long+fmt.Sprint(i)) }))
		}, false, true},
		"200,000 sessions on each of ten links": {func(f *hostile) {
			list := many(200_000, func(i int) string {
				return session(fmt.Sprint("user", i), fmt.Sprint("0123456789abcdef0123456789abcdef", i))
			})
			for i := range 10 {
				f.SetAnswer("qlik2", prefixOf(i), list)
			}
		}, true, false},
		"users on all links": {func(f *hostile) {
			everywhere(f, func(link int) []byte {
				return many(2000, func(i int) string { return session(fmt.Sprint("user", i), fmt.Sprint(link, "-", i)) })
			})
		}, false, true},
		"licenses": {func(f *hostile) {
			for _, list := range []string{"professionalaccesstype", "analyzeraccesstype", "useraccesstype", "loginaccesstype", "analyzertimeaccesstype"} {
				f.SetRepositoryAnswer("/qrs/license/"+list+"/full", many(70_000, func(i int) string {
					return `{"user":{"userDirectory":"LAB","userId":"` + long + list + fmt.Sprint(i) + `"}}`
				}))
			}
		}, false, true},
		"usage rows": {func(f *hostile) {
			for _, list := range []string{"professionalaccessusage", "analyzeraccessusage"} {
				f.SetRepositoryAnswer("/qrs/license/"+list+"/full", many(500_000, func(i int) string {
					return `{"sessionID":"` + fmt.Sprint(i) + `","user":{"userDirectory":"LAB","userId":"` + fmt.Sprint(list, i) + `"}}`
				}))
			}
		}, false, false},
		"services": {func(f *hostile) {
			f.SetRepositoryAnswer("/qrs/servicestatus/full", many(500_000, func(i int) string {
				return `{"serverNodeConfiguration":{"hostName":"a` + fmt.Sprint(i) + `"},"serviceType":1,"serviceState":2}`
			}))
		}, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			if attack.rare && !*all {
				t.Skip("needs -all")
			}
			attacked := newHostile(t, links).attack(attack.prepare)
			t.Logf("at most %d MiB, usually %d", attacked.peak, usual.peak)
			if attacked.peak > usual.peak+hostileMemory {
				t.Errorf("at most %d MiB, usually %d", attacked.peak, usual.peak)
			}
			if attacked.first != "1" {
				t.Errorf("the links of the other node: %s", attacked.first)
			}
			if (attacked.second < links) != attack.down {
				t.Errorf("%d links of the hostile node are up, of %d", attacked.second, links)
			}
		})
	}
}

func prefixOf(link int) string { return fmt.Sprint("vp", link) }

// hostile is a site with two nodes, of which the second one is hostile.
type hostile struct {
	*qliktest.Site
	t     *testing.T
	flags []string
}

func newHostile(t *testing.T, links int) *hostile {
	t.Helper()
	config := qliktest.Config{
		Nodes:          []qliktest.Node{{Name: "qlik1"}, {Name: "qlik2"}},
		VirtualProxies: []qliktest.VirtualProxy{{Nodes: []string{"qlik1"}}},
		Users:          []qliktest.User{{Directory: "LAB", ID: "anna", License: qliktest.Professional}},
	}
	for i := range links {
		config.VirtualProxies = append(config.VirtualProxies, qliktest.VirtualProxy{Prefix: prefixOf(i), Nodes: []string{"qlik2"}})
	}
	site, flags := startSite(t, config)
	if _, err := site.Login("LAB", "anna", "browser", "", "qlik1"); err != nil {
		t.Fatal(err)
	}
	return &hostile{site, t, flags}
}

// hostileResult is the result of an attack.
type hostileResult struct {
	peak   int    // MiB
	first  string // sessions on the first node
	second int    // links of the second node that are up
}

// attack scrapes a new exporter some times during an attack.
func (f *hostile) attack(prepare func(*hostile)) hostileResult {
	f.t.Helper()
	if prepare != nil {
		prepare(f)
	}
	address := freeAddress(f.t)
	exporter := command(f.t, append(f.flags, "--web.listen-address="+address, "--qlik.timeout=30s")...)
	metrics := start(f.t, address, exporter)
	var last answer
	faulty := &faulty{f.Site, f.t, f.flags}
	for range 4 {
		last = faulty.scrapeWithin(metrics, 30*time.Second)
		if last.status != "200 OK" {
			f.t.Errorf("got %s", last.status)
		}
	}
	second, _ := strconv.Atoi(last.sum("qlik_virtual_proxy_up", "qlik_node=qlik2"))
	result := hostileResult{peakMemory(f.t, exporter.Process.Pid), last.sum("qlik_virtual_proxy_sessions", "qlik_node=qlik1"), second}
	_ = exporter.Process.Kill()
	_ = exporter.Wait()
	return result
}

// TestHostileClients checks that clients without a password cost at most 256 MiB of
// memory, and do not delay a scrape by more than a second.
func TestHostileClients(t *testing.T) {
	if testing.Short() {
		t.Skip("moves gigabytes")
	}
	f := newHostile(t, 1)
	f.SetAnswer("qlik2", prefixOf(0), many(30_000, func(i int) string {
		return `{"UserDirectory":"LAB","UserId":"user` + fmt.Sprint(i%20_000) + `","SessionId":"` + fmt.Sprint(i) + `"}`
	}))
	address := freeAddress(t)
	exporter := command(t, append(f.flags, "--web.listen-address="+address)...)
	metrics := start(t, address, exporter)
	scrape := func() time.Duration {
		t.Helper()
		client.CloseIdleConnections() // a new connection is the harder case
		begin := time.Now()
		response, err := client.Get(metrics)
		if err != nil {
			t.Error(err)
			return 0
		}
		defer response.Body.Close()
		if n, err := io.Copy(io.Discard, response.Body); err != nil || n < 1<<20 || response.StatusCode != http.StatusOK {
			t.Errorf("%s, %d bytes, %v", response.Status, n, err)
		}
		return time.Since(begin)
	}
	usual := time.Duration(0)
	for range 5 {
		usual = max(usual, scrape())
	}
	// What people and programs ask for takes memory too, if they read it.
	paths := []string{"/metrics", "/sessions?sort=-user", "/sessions?q=user1"}
	for _, path := range paths {
		response, err := client.Get("http://" + address + path)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, response.Body)
		if err := errors.Join(err, response.Body.Close()); err != nil {
			t.Error(err)
		}
	}
	before := peakMemory(t, exporter.Process.Pid)

	// Many clients that never read, from one address that is not Prometheus'.
	hostile := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	for i := range 600 {
		connection, err := hostile.DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = connection.Close() })
		if _, err := fmt.Fprintf(connection, "GET %s HTTP/1.1\r\nHost: x\r\nX-Padding: %s\r\n\r\n", paths[i%len(paths)], strings.Repeat("x", 30<<10)); err != nil {
			t.Logf("connection %d: %v", i, err)
		}
	}
	slowest := time.Duration(0)
	for range 10 {
		slowest = max(slowest, scrape())
	}
	after := peakMemory(t, exporter.Process.Pid)
	t.Logf("scrapes took %s, then at most %s; memory %d MiB, then %d", usual, slowest, before, after)
	if after > before+hostileMemory {
		t.Errorf("%d MiB, before %d", after, before)
	}
	if slowest > 10*usual+time.Second { // it also shares the processors with this and other tests
		t.Errorf("a scrape took %s, before at most %s", slowest, usual)
	}
}
