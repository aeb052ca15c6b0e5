package e2e

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// relay is a proxy between an exporter and the proxies of a demo. It counts
// connections and holds back requests until the test lets them through.
type relay struct {
	flags       []string // for an exporter that queries the demo through the relay
	connections atomic.Int64
	waiting     atomic.Int64 // number of requests held back
	gate        sync.RWMutex // write-locked while requests are held back
}

// startRelay puts a relay in front of every proxy of the demo.
func startRelay(t *testing.T, d demo) *relay {
	t.Helper()
	flags, err := os.ReadFile(filepath.Join(d.folder, "flags"))
	if err != nil {
		t.Fatal(err)
	}
	r := new(relay)
	for flag := range strings.FieldsSeq(string(flags)) {
		if nodeAddress, found := strings.CutPrefix(flag, "--qlik.node-address="); found {
			node, host, _ := strings.Cut(nodeAddress, "=")
			flag = "--qlik.node-address=" + node + "=" + r.listen(t, host)
		}
		r.flags = append(r.flags, flag)
	}
	return r
}

// listen relays connections to the proxy of a node and returns the address to use
// instead. It has the same host, because the repository of the node keeps its port.
func (r *relay) listen(t *testing.T, host string) string {
	t.Helper()
	target := net.JoinHostPort(host, "4243")
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return // the end of the test
			}
			r.connections.Add(1)
			to, err := net.Dial("tcp", target)
			if err != nil {
				_ = from.Close()
				continue
			}
			go func() {
				r.pass(to, from)
				_ = to.Close()
			}()
			go func() {
				_, _ = io.Copy(from, to)
				_ = from.Close()
			}()
		}
	}()
	return listener.Addr().String()
}

// pass forwards requests through the gate until either side closes the
// connection.
func (r *relay) pass(to, from net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		r.waiting.Add(1)
		r.gate.RLock()
		r.waiting.Add(-1)
		_, err = to.Write(buffer[:n])
		r.gate.RUnlock()
		if err != nil {
			return
		}
	}
}
