package demo

import (
	"fmt"
	"math/rand/v2"
	"net/netip"

	"github.com/qlik-exporter/qlik_exporter/internal/config"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// localhost is the address that every system has.
var localhost = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// startSite starts the site on an address, or on one of its own if the address is "".
// Nodes listen on the ports of real ones where the system allows it.
func startSite(company qliktest.Config, listen string) (*qliktest.Site, error) {
	if listen == "" {
		// All addresses that begin with 127 are local. Systems such as macOS have only
		// one of them.
		for range 5 {
			first := netip.AddrFrom4([4]byte{127, byte(1 + rand.IntN(254)), byte(rand.IntN(256)), 1}) //nolint:gosec // to avoid collisions
			if site, err := qliktest.Start(following(company, first)); err == nil {
				return site, nil
			}
		}
		return qliktest.Start(freePorts(company, localhost, 0))
	}
	address, err := netip.ParseAddr(listen)
	if err != nil {
		return nil, err
	}
	if address.Is4() && address.IsLoopback() {
		if site, err := qliktest.Start(following(company, address)); err == nil {
			return site, nil
		}
	}
	site, err := qliktest.Start(freePorts(company, address, 1))
	if err != nil {
		return nil, &config.Error{Flag: "demo.listen", Err: fmt.Errorf("a node with the ports of Qlik: %w", err)}
	}
	return site, nil
}

// following gives each node an address of its own, one after the other.
func following(company qliktest.Config, address netip.Addr) qliktest.Config {
	nodes := append([]qliktest.Node(nil), company.Nodes...)
	for i := range nodes {
		nodes[i].Address = address.String()
		address = address.Next()
	}
	company.Nodes = nodes
	return company
}

// freePorts gives all nodes the same address. All but the first few listen on free
// ports.
func freePorts(company qliktest.Config, address netip.Addr, except int) qliktest.Config {
	nodes := append([]qliktest.Node(nil), company.Nodes...)
	for i := range nodes {
		nodes[i].Address, nodes[i].FreePorts = address.String(), i >= except
	}
	company.Nodes = nodes
	return company
}

// open says that others on the network can reach the site.
func (d *Demo) open() bool {
	address, err := netip.ParseAddr(d.listen)
	return err == nil && !address.IsLoopback()
}
