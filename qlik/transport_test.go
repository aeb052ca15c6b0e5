package qlik

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

// writeNewPair writes a folder of certificate files with a new client certificate and
// returns the hash of the certificate.
func writeNewPair(t *testing.T, dir string) (hash string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writeFiles(t, dir, key.Public(), key, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, clientCertificateFile), filepath.Join(dir, clientKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	return hashOf(pair.Leaf)
}

func writeRoot(t *testing.T, dir string, root *x509.Certificate) {
	t.Helper()
	content := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw})
	if err := os.WriteFile(filepath.Join(dir, rootCertificateFile), content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func hashOf(certificate *x509.Certificate) string {
	return fmt.Sprintf("%x", sha256.Sum256(certificate.Raw))
}

// watchedConnection is a connection that records when it is closed.
type watchedConnection struct {
	net.Conn

	close  sync.Once
	closed chan struct{}
}

func (c *watchedConnection) Close() error {
	c.close.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// TestReloadClosesOldConnections checks that after a reload no connection with the old
// certificate stays open and that the next request uses the new certificate.
func TestReloadClosesOldConnections(t *testing.T) {
	// The server returns one session. Its id identifies the client certificate.
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, `[{"SessionId":"1","UserDirectory":"LAB","UserId":%q}]`, hashOf(r.TLS.PeerCertificates[0]))
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	server.StartTLS()
	defer server.Close()
	address := server.Listener.Addr().String()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}

	dir := t.TempDir()
	before := writeNewPair(t, dir)
	writeRoot(t, dir, server.Certificate())
	var (
		mu          sync.Mutex
		connections []*watchedConnection
	)
	client, err := NewClient(Config{
		Hosts: []string{"example.com"}, CertDir: dir,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			connection, err := new(net.Dialer).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			watched := &watchedConnection{Conn: connection, closed: make(chan struct{})}
			mu.Lock()
			defer mu.Unlock()
			connections = append(connections, watched)
			return watched, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.Reload(); err != nil {
		t.Fatal(err)
	}

	// Both names are in the server's certificate.
	links := []Link{newLink("127.0.0.1", port, ""), newLink("example.com", port, "")}
	shown := func() (hashes []string) {
		t.Helper()
		for i := range links {
			sessions, _, err := client.Sessions(t.Context(), &links[i], nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			hashes = append(hashes, sessions[0].User.ID)
		}
		return hashes
	}
	// closed returns for each connection so far whether it is closed.
	closed := func() (all []bool) {
		mu.Lock()
		defer mu.Unlock()
		for _, connection := range connections {
			select {
			case <-connection.closed:
				all = append(all, true)
			default:
				all = append(all, false)
			}
		}
		return all
	}
	for range 2 { // the second time on the same connections
		if got, want := shown(), []string{before, before}; !slices.Equal(got, want) {
			t.Fatalf("the certificates shown are %q, want %q", got, want)
		}
	}
	if got, want := closed(), []bool{false, false}; !slices.Equal(got, want) {
		t.Fatalf("before the reload: connections closed %v, want %v", got, want)
	}

	after := writeNewPair(t, dir)
	writeRoot(t, dir, server.Certificate())
	if err := client.Reload(); err != nil {
		t.Fatal(err)
	}
	if got, want := closed(), []bool{true, true}; !slices.Equal(got, want) {
		t.Errorf("after the reload: connections closed %v, want %v", got, want)
	}
	if got, want := shown(), []string{after, after}; !slices.Equal(got, want) {
		t.Errorf("the certificates shown are %q, want %q", got, want)
	}
}

// TestPortWithoutTLS checks that a response in plain text has the kind tls. This is
// more specific than reset.
func TestPortWithoutTLS(t *testing.T) {
	for _, answer := range []string{
		"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
		"SSH-2.0-OpenSSH_9.9\r\n",
	} {
		var serving sync.WaitGroup
		dir := t.TempDir()
		writeNewPair(t, dir)
		client, err := NewClient(Config{
			Hosts: []string{"qlik1"}, CertDir: dir,
			DialContext: func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				serving.Go(func() {
					defer func() { _ = theirs.Close() }()
					if _, err := theirs.Read(make([]byte, 64<<10)); err != nil {
						t.Errorf("reading what the client begins with: %v", err)
					}
					_, _ = theirs.Write([]byte(answer)) // the client may close the connection earlier
				})
				return ours, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := client.Reload(); err != nil {
			t.Fatal(err)
		}
		link := newLink("qlik1", proxyPort, "")
		if _, _, err = client.Sessions(t.Context(), &link, nil, nil); KindOf(err) != KindTLS {
			t.Errorf("answer %q: kind %q, want %q: %v", answer, KindOf(err), KindTLS, err)
		}
		client.Close()
		serving.Wait()
	}
}
