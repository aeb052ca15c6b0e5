package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// floorAddress is an environment variable. If it is set, this program runs as the
// floor and listens at that address.
const floorAddress = "BENCH_FLOOR_ADDRESS"

// session contains the fields that any exporter must read from an element.
type session struct{ SessionID, UserDirectory, UserID string }

// serveFloor answers each request by querying all targets concurrently over kept
// connections and parsing the responses. This is the minimum work of an exporter.
// The first argument is the certificate folder, the others are the targets.
func serveFloor(address string, arguments []string) error {
	dir, targets := arguments[0], arguments[1:]
	certificate, err := tls.LoadX509KeyPair(filepath.Join(dir, "client.pem"), filepath.Join(dir, "client_key.pem"))
	if err != nil {
		return err
	}
	root, err := os.ReadFile(filepath.Join(dir, "root.pem"))
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(root)
	client := http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{
			Certificates: []tls.Certificate{certificate}, RootCAs: roots,
			InsecureSkipVerify: true, // connects by IP address on loopback; the floor does not need verification
		},
		MaxIdleConnsPerHost: 64, MaxConnsPerHost: 64,
	}}
	const key = "0123456789abcdef"
	ask := func(target string) (int, error) {
		request, err := http.NewRequest(http.MethodGet, target+"?Xrfkey="+key, http.NoBody)
		if err != nil {
			return 0, err
		}
		request.Header.Set("X-Qlik-Xrfkey", key)
		response, err := client.Do(request)
		if err != nil {
			return 0, err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			return 0, err
		}
		var sessions []session
		err = json.Unmarshal(body, &sessions)
		return len(sessions), err
	}
	return http.ListenAndServe(address, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		var asking sync.WaitGroup
		var total atomic.Int64
		var failed atomic.Value
		for _, target := range targets {
			asking.Go(func() {
				n, err := ask(target)
				if err != nil {
					failed.Store(err)
				}
				total.Add(int64(n))
			})
		}
		asking.Wait()
		if err := failed.Load(); err != nil {
			http.Error(w, fmt.Sprint(err), http.StatusBadGateway)
			return
		}
		_, _ = fmt.Fprintf(w, "sessions %d\n", total.Load())
	}))
}
