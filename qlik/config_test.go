package qlik

import (
	"strings"
	"testing"
)

func TestAddresses(t *testing.T) {
	for _, test := range []struct{ given, want string }{
		{"qlik1", "qlik1:4242"},
		{"qlik1.company.com:14242", "qlik1.company.com:14242"},
		{"10.0.0.1", "10.0.0.1:4242"},
		{"::1", "[::1]:4242"},
		{"[::1]", "[::1]:4242"},
		{"[::1]:14242", "[::1]:14242"},
		{"", ""},
		{"https://qlik1", ""},
		{"qlik1/qrs", ""},
		{"qlik1:", ""},
		{"qlik1:https", ""},
		{"qlik1:70000", ""},
		{":4242", ""},
		{"user@qlik1", ""},
	} {
		got, err := completeAddress(test.given, repositoryPort)
		if got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%q: got %q, %v, want %q", test.given, got, err, test.want)
		}
	}
}

func TestParseNodeAddress(t *testing.T) {
	node, address, err := ParseNodeAddress("qlik2=10.0.0.2:14243")
	if node != "qlik2" || address != (NodeAddress{"10.0.0.2", "14243"}) || err != nil {
		t.Errorf("got %s, %v, %v", node, address, err)
	}
	for _, wrong := range []string{"", "qlik2", "=10.0.0.2", "qlik2=", "qlik2=https://10.0.0.2", "qlik2:5555=10.0.0.2"} {
		if _, _, err := ParseNodeAddress(wrong); err == nil {
			t.Errorf("%q is accepted", wrong)
		}
	}
}

func TestImpossibleConfig(t *testing.T) {
	for _, test := range []struct {
		config Config
		want   string
	}{
		{Config{CertDir: "x"}, "Hosts: is missing"},
		{Config{CertDir: "x", Proxies: []string{"qlik1"}}, "Hosts: is missing"},
		{Config{Hosts: []string{"qlik1"}}, "CertDir: is missing"},
		{Config{Hosts: []string{"https://qlik1"}, CertDir: "x"}, `Hosts: "https://qlik1": write HOST or HOST:PORT`},
		{Config{Hosts: []string{"qlik1"}, Proxies: []string{"a:b"}, CertDir: "x"}, `Proxies: "a:b"`},
	} {
		_, err := NewClient(test.config)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v, want one line with %q", err, test.want)
		}
	}
}
