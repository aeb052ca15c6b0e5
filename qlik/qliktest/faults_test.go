package qliktest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// checkFault sends a request to a service with a fault, and returns what is wrong with the response.
func checkFault(t *testing.T, client *http.Client, url string, fault Fault) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	if fault == Hanging {
		ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	}
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"?Xrfkey="+testKey, nil)
	if err != nil {
		return err
	}
	request.Header.Set("X-Qlik-Xrfkey", testKey)
	response, err := client.Do(request)
	var body []byte
	status := 0
	if err == nil {
		defer response.Body.Close()
		status = response.StatusCode
		if fault == EndlessBody {
			if _, err := io.CopyN(io.Discard, response.Body, 3<<20); err != nil {
				return fmt.Errorf("ended: %w", err)
			}
			return nil
		}
		body, err = io.ReadAll(response.Body)
	}
	expect := func(fine bool) error {
		if fine {
			return nil
		}
		return fmt.Errorf("status %d, body %.200s, error %w", status, body, err)
	}
	var array []map[string]any
	isArray := json.Unmarshal(body, &array) == nil
	switch fault { //nolint:exhaustive // an endless body never comes here
	case NoFault:
		return expect(status == 200 && err == nil && isArray)
	case CloseAfterAnswer:
		return expect(status == 200 && err == nil && isArray && response.Close)
	case Refused:
		return expect(errors.Is(err, syscall.ECONNREFUSED))
	case Hanging:
		return expect(errors.Is(err, context.DeadlineExceeded))
	case Unauthorized:
		return expect(status == 401)
	case XSRF:
		return expect(status == 403 && string(body) == xsrfText)
	case Forbidden, NoRights:
		return expect(status == 403 && string(body) != xsrfText)
	case ServerError:
		return expect(status == 500)
	case Redirect:
		return expect(status == 302 && strings.HasPrefix(response.Header.Get("Location"), "https://elsewhere"))
	case HTMLPage:
		return expect(status == 200 && bytes.HasPrefix(body, []byte("<!DOCTYPE")))
	case Truncated:
		return expect(status == 200 && errors.Is(err, io.ErrUnexpectedEOF) && bytes.HasPrefix(body, []byte("[")))
	case NotJSON:
		return expect(status == 200 && !json.Valid(body))
	case Object:
		return expect(status == 200 && json.Valid(body) && !isArray)
	case MissingField:
		if !isArray || len(array) == 0 {
			return expect(false)
		}
		last := array[len(array)-1]
		return expect(last["SessionId"] == nil && last["id"] == nil)
	case ExpiredCertificate:
		var invalid x509.CertificateInvalidError
		return expect(errors.As(err, &invalid) && invalid.Reason == x509.Expired)
	case FutureCertificate:
		var invalid x509.CertificateInvalidError
		return expect(errors.As(err, &invalid) && invalid.Reason == x509.Expired && strings.Contains(err.Error(), "is before"))
	case OtherAuthority:
		var unknown x509.UnknownAuthorityError
		return expect(errors.As(err, &unknown))
	case WrongName:
		var name x509.HostnameError
		return expect(errors.As(err, &name))
	}
	return fmt.Errorf("no expectation for %v", fault)
}

// TestFaults tests every fault over an existing connection, and the normal response after it.
func TestFaults(t *testing.T) { //nolint:tparallel // one site, one fault at a time
	t.Parallel()
	for _, inMemory := range []bool{false, true} {
		site, client := proxySite(t, Config{InMemory: inMemory})
		for i := range 20 {
			login(t, site, fmt.Sprint("user", i), "laptop", "", "a")
		}
		for _, fault := range Faults() {
			for _, service := range []struct {
				name, url string
				set       func(string, Fault)
				address   func(string) string
			}{
				{"proxy", "https://a:4243/qps/session", site.SetProxyFault, site.ProxyAddress},
				{"repository", "https://a:4242/qrs/servernodeconfiguration/full", site.SetRepositoryFault, site.RepositoryAddress},
			} {
				t.Run(fmt.Sprintf("InMemory %v/%s/%v", inMemory, service.name, fault), func(t *testing.T) {
					address := service.address("a")
					if err := checkFault(t, client, service.url, NoFault); err != nil {
						t.Fatal("before:", err)
					}
					service.set("a", fault)
					for range 2 {
						if err := checkFault(t, client, service.url, fault); err != nil {
							t.Error(err)
						}
					}
					service.set("a", NoFault)
					if err := checkFault(t, client, service.url, NoFault); err != nil {
						t.Error("after:", err)
					}
					if service.address("a") != address {
						t.Error("the address changed")
					}
				})
			}
		}
	}
}

func TestMissingFieldInEmptyListAndEndlessEmptyList(t *testing.T) {
	site, client := proxySite(t, Config{})
	for _, fault := range []Fault{MissingField, EndlessBody} {
		site.SetProxyFault("a", fault)
		if err := checkFault(t, client, "https://a:4243/qps/session", fault); err != nil {
			t.Errorf("%v: %v", fault, err)
		}
	}
}

func TestStoppedProxy(t *testing.T) {
	for _, inMemory := range []bool{false, true} {
		site, client := proxySite(t, Config{InMemory: inMemory})
		const url = "https://a:4243/qps/session"
		check := func(when string, fault Fault) {
			t.Helper()
			if err := checkFault(t, client, url, fault); err != nil {
				t.Errorf("%s: %v", when, err)
			}
		}
		check("at first", NoFault)
		site.StopProxy("a")
		check("stopped", Refused)
		site.SetProxyFault("a", NoFault)
		check("still stopped", Refused)
		site.StartProxy("a")
		check("started", NoFault)
		before := site.Requests().ProxyConnections
		site.RestartProxy("a")
		check("restarted", NoFault)
		if site.Requests().ProxyConnections == before {
			t.Error("the restart kept the connection")
		}
		site.StopProxy("a")
		site.RestartProxy("a")
		check("restarted after a stop", NoFault)
	}
}

func TestLatency(t *testing.T) {
	site, client := proxySite(t, Config{})
	site.SetProxyLatency("a", 30*time.Millisecond)
	site.SetRepositoryLatency("a", 30*time.Millisecond)
	for _, url := range []string{"https://a:4243/qps/session", "https://a:4242/qrs/user/full"} {
		began := time.Now()
		if err := checkFault(t, client, url, NoFault); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took < 30*time.Millisecond {
			t.Errorf("%s took %v", url, took)
		}
	}
}

// TestCloseEndsHangingRequests also has an endless response that is not read, and a delayed response.
func TestCloseEndsHangingRequests(t *testing.T) {
	for _, inMemory := range []bool{false, true} {
		site, err := Start(Config{InMemory: inMemory, Nodes: []Node{{Name: "a"}, {Name: "b"}, {Name: "c"}}})
		if err != nil {
			t.Fatal(err)
		}
		client := site.Client()
		site.SetProxyFault("a", Hanging)
		site.SetProxyFault("b", EndlessBody)
		site.SetProxyLatency("c", time.Hour)
		done := make(chan error, 2)
		for _, node := range []string{"a", "c"} {
			go func() {
				_, _, err := ask(t, client, http.MethodGet, "https://"+node+":4243/qps/session")
				done <- err
			}()
		}
		request, _ := http.NewRequest(http.MethodGet, "https://b:4243/qps/session?Xrfkey="+testKey, nil)
		request.Header.Set("X-Qlik-Xrfkey", testKey)
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		for site.Requests().SessionLists < 3 {
			time.Sleep(time.Millisecond)
		}
		site.Close()
		site.Close()
		for range 2 {
			if err := <-done; err == nil {
				t.Error("a hanging request was answered")
			}
		}
		response.Body.Close()
		client.CloseIdleConnections()
	}
}

func TestUnknownNodePanics(t *testing.T) {
	site, _ := proxySite(t, Config{})
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	site.SetProxyFault("nosuch", Refused)
}

func TestCertificates(t *testing.T) {
	site := start(t, Config{Nodes: []Node{{Name: "qlik1.example.com", CertificateNames: []string{"qlik1"}}}})
	dir := t.TempDir()
	if err := site.WriteCertificates(dir); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(dir+"/client.pem", dir+"/client_key.pem")
	if err != nil {
		t.Fatal(err)
	}
	if name := pair.Leaf.Subject.CommonName; name != "QlikClient" {
		t.Errorf("client certificate CN=%s", name)
	}
	roots := x509.NewCertPool()
	if root, err := os.ReadFile(dir + "/root.pem"); err != nil || !roots.AppendCertsFromPEM(root) {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir + "/client_key.pem"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key: %v, error %v", info, err)
	}
	conn, err := tls.Dial("tcp", site.ProxyAddress("qlik1.example.com"), &tls.Config{
		Certificates: []tls.Certificate{pair}, RootCAs: roots, ServerName: "qlik1",
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	leaf := conn.ConnectionState().PeerCertificates[0]
	if leaf.Subject.CommonName != "qlik1.example.com" || leaf.Issuer.CommonName != "qlik1.example.com-CA" {
		t.Errorf("service certificate %v by %v", leaf.Subject, leaf.Issuer)
	}
	if err := site.WriteCertificates(dir + "/nosuch"); err == nil {
		t.Error("wrote to a folder that is not there")
	}
}
