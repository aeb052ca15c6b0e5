package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/exporter-toolkit/web"
)

// onLoopback returns the flags of a listener on a free port.
func onLoopback(webConfigFile string) *web.FlagConfig {
	return &web.FlagConfig{WebListenAddresses: &[]string{"127.0.0.1:0"}, WebConfigFile: &webConfigFile}
}

// withDesk returns a configuration with a desk.
func withDesk(desk http.Handler) Config {
	return Config{
		Sites:         nothing,
		Sessions:      say("the sessions page"),
		Landing:       say("Metrics"),
		Responses:     NewResponses(),
		TelemetryPath: "/metrics",
		Connections:   10,
		Pprof:         true,
		Lifecycle:     true,
		Web:           onLoopback(""),
		Desk:          &Desk{Handler: desk, Web: onLoopback("")},
		Logger:        log.NewNopLogger(),
		Slog:          slog.New(slog.DiscardHandler),
	}
}

// ask sends a request and returns status and body of the response.
func ask(t *testing.T, method, address, path, body string) (int, string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+address+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// TestDeskIsOnItsOwnPort checks that each port serves its own handler only, that the
// limits of a request apply to both, and that both stop.
func TestDeskIsOnItsOwnPort(t *testing.T) {
	desk := http.NewServeMux()
	desk.HandleFunc("GET /{$}", say("the desk"))
	desk.HandleFunc("POST /api/free", func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
			return
		}
		_, _ = io.WriteString(w, "freed "+r.PostForm.Get("user"))
	})
	addresses := make(chan string)
	config := withDesk(desk)
	config.Slog = slog.New(listening{slog.DiscardHandler, addresses})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := Run(ctx, config); err != nil {
			t.Error(err)
		}
	})
	exporterPort, deskPort := <-addresses, <-addresses
	if status, _ := ask(t, http.MethodGet, exporterPort, "/-/healthy", ""); status != http.StatusOK {
		exporterPort, deskPort = deskPort, exporterPort // they begin in any order
	}
	for _, test := range []struct {
		address, method, path, body string
		status                      int
		text                        string
	}{
		{deskPort, http.MethodGet, "/", "", 200, "the desk"},
		{deskPort, http.MethodPost, "/api/free", "user=anna", 200, "freed anna"},
		{deskPort, http.MethodPost, "/api/free", "user=anna&more=" + strings.Repeat("x", maxBodyBytes-100), 200, "freed anna"},
		{deskPort, http.MethodPost, "/api/free", "user=anna&more=" + strings.Repeat("x", maxBodyBytes), 413, "too large"},
		{deskPort, http.MethodGet, "/?user=" + url.QueryEscape(strings.Repeat("x", maxQueryValue+1)), "", 400, "longer than"},
		{deskPort, http.MethodGet, "/metrics", "", 404, ""},
		{deskPort, http.MethodGet, "/probe", "", 404, ""},
		{deskPort, http.MethodGet, "/sd", "", 404, ""},
		{deskPort, http.MethodGet, "/config", "", 404, ""},
		{deskPort, http.MethodGet, "/sessions", "", 404, ""},
		{deskPort, http.MethodGet, "/-/healthy", "", 404, ""},
		{deskPort, http.MethodPost, "/-/reload", "", 404, ""},
		{deskPort, http.MethodGet, "/debug/pprof/", "", 404, ""},
		{exporterPort, http.MethodGet, "/", "", 200, "Metrics"},
		{exporterPort, http.MethodGet, "/sessions", "", 200, "the sessions page"},
		{exporterPort, http.MethodPost, "/api/free", "user=anna", 404, ""},
	} {
		status, text := ask(t, test.method, test.address, test.path, test.body)
		if status != test.status || !strings.Contains(text, test.text) {
			t.Errorf("%s %.40s: got %d %.60q, want %d %q", test.method, test.path, status, text, test.status, test.text)
		}
	}
	cancel()
	running.Wait()
	for _, address := range []string{exporterPort, deskPort} {
		if conn, err := net.Dial("tcp", address); err == nil {
			_ = conn.Close()
			t.Errorf("%s still accepts connections", address)
		}
	}
}

// TestDeskStopsInTime checks that requests in progress on both ports end together, after
// drainTimeout.
func TestDeskStopsInTime(t *testing.T) {
	t.Parallel()
	began, hang := make(chan struct{}), make(chan struct{})
	defer close(hang)
	stuck := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		began <- struct{}{}
		<-hang
	})
	addresses := make(chan string)
	config := withDesk(stuck)
	config.Sessions = stuck
	config.Slog = slog.New(listening{slog.DiscardHandler, addresses})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- Run(ctx, config) }()
	for range 2 {
		conn, err := net.Dial("tcp", <-addresses)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }() //nolint:gocritic // two connections
		if _, err := io.WriteString(conn, "GET /sessions HTTP/1.1\r\nHost: exporter\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		<-began
	}
	begin := time.Now()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > 2*drainTimeout {
		t.Errorf("stopped after %s", took)
	}
}

// TestBothPortsOrNone checks that a port that cannot be served ends the other one, and
// that the error names its flag.
func TestBothPortsOrNone(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	missing := t.TempDir() + "/web.yml"
	for flag, spoil := range map[string]func(*Config){
		"web.listen-address":   func(c *Config) { c.Web.WebListenAddresses = &[]string{taken.Addr().String()} },
		"web.config.file":      func(c *Config) { c.Web.WebConfigFile = &missing },
		"desk.listen-address":  func(c *Config) { c.Desk.Web.WebListenAddresses = &[]string{taken.Addr().String()} },
		"desk.web.config.file": func(c *Config) { c.Desk.Web.WebConfigFile = &missing },
	} {
		config := withDesk(http.NotFoundHandler())
		spoil(&config)
		err := Run(t.Context(), config)
		if wrong, ok := errors.AsType[*FlagError](err); !ok || wrong.Flag != flag {
			t.Errorf("%s: got %v", flag, err)
		}
	}
}
