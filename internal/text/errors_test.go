package text

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ofGo matches words of Go's own packages.
var ofGo = regexp.MustCompile(`(?i)\b(dial|tcp|lookup|strconv|net/http|x509|tls:|EOF|context|open /|syscall|connect:|json|goroutine|invalid character|unmarshal)\b`)

// TestError checks the errors that Go's own packages return for files, the network, TLS,
// numbers, and JSON. The words of this program around them stay.
func TestError(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "no.txt")
	_, missing := os.ReadFile(file)
	_, isFolder := os.ReadFile(folder)
	inMissing := os.WriteFile(filepath.Join(folder, "none", "new.txt"), nil, 0o600)
	_, inFile := os.ReadFile(filepath.Join(os.Args[0], "new.txt"))
	link := filepath.Join(folder, "link")
	if err := os.Symlink("none", link); err != nil {
		t.Fatal(err)
	}
	_, toMissing := os.ReadFile(link)
	_, pattern := regexp.Compile(strings.Repeat("(", 1))
	_, number := strconv.ParseFloat("five", 64)
	_, boolean := strconv.ParseBool("maybe")
	_, large := strconv.ParseInt("99999999999999999999", 10, 64)
	syntax := json.Unmarshal([]byte("<html>"), new(any))
	kind := json.Unmarshal([]byte(`{"users":"none"}`), &struct{ Users []string }{})

	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	open := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer open.Close()
	closing := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer closing.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	get := func(url string) error {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		if url == open.URL {
			client.Timeout = time.Millisecond
		}
		if strings.HasPrefix(url, "https://"+silent.Addr().String()) {
			client = &http.Client{Transport: &http.Transport{TLSHandshakeTimeout: time.Millisecond}}
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err == nil {
			_ = response.Body.Close()
		}
		return err
	}
	_, taken := net.Listen("tcp", silent.Addr().String())
	const address = `127\.0\.0\.1:\d+`
	for _, test := range []struct {
		err  error
		want string // matches all of the text after "a step: "
	}{
		{missing, regexp.QuoteMeta(file) + " does not exist"},
		{isFolder, regexp.QuoteMeta(folder) + ": is a directory"},
		{&os.PathError{Op: "open", Path: "f", Err: os.ErrPermission}, "access to f is denied"},
		{get("http://127.0.0.1:1/"), `Get "http://127.0.0.1:1/": 127.0.0.1:1 refuses the connection`},
		{&net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "qlik9", IsNotFound: true}}, "the name qlik9 does not resolve"},
		{&net.DNSError{Err: "i/o timeout", Name: "qlik9", IsTimeout: true}, "the DNS server does not respond to the query for qlik9"},
		{&net.DNSError{Err: "server misbehaving", Name: "qlik9"}, `the name qlik9 cannot be looked up \(server misbehaving\)`},
		{&net.OpError{Op: "remote error", Err: errors.New("tls: bad certificate")}, "the server refuses: bad certificate"},
		{&net.OpError{Op: "read", Net: "tcp", Err: errors.New("connection reset by peer")}, "the connection broke"},
		{taken, "another program listens on " + address},
		{&net.OpError{Op: "listen", Net: "tcp", Addr: &net.TCPAddr{Port: 80}, Err: os.NewSyscallError("bind", syscall.EACCES)}, "access to the port of :80 is denied"},
		{&net.OpError{Op: "listen", Net: "tcp", Addr: &net.TCPAddr{Port: 80}, Err: errors.New("odd")}, `cannot listen on :80 \(odd\)`},
		{get(secure.URL), `Get "https://` + address + `": no trusted authority signed the certificate of the server`},
		{get(strings.Replace(open.URL, "http:", "https:", 1)), `Get "https://` + address + `": the server does not speak TLS`},
		{get("https://" + silent.Addr().String()), `Get "https://` + address + `": the server does not complete the TLS handshake`},
		{get(open.URL), `Get "http://` + address + `": there is no answer in time`},
		{get(closing.URL), `Get "http://` + address + `": the connection closed before the answer was complete`},
		{context.DeadlineExceeded, "there is no answer in time"},
		{context.Canceled, "interrupted"},
		{io.ErrUnexpectedEOF, "the connection closed before the answer was complete"},
		{number, `"five" is not a number`},
		{boolean, `"maybe" is neither true nor false`},
		{large, `"99999999999999999999" is too large`},
		{syntax, "it is not JSON"},
		{kind, `the JSON has another kind \(string\) in Users`},
		{json.Unmarshal([]byte("[]"), &struct{ Users []string }{}), `the JSON is of another kind \(array\)`},
		{inMissing, "the folder " + regexp.QuoteMeta(filepath.Join(folder, "none")) + " does not exist"},
		{inFile, regexp.QuoteMeta(os.Args[0]) + " is not a folder"},
		{toMissing, "the target none of the symbolic link " + regexp.QuoteMeta(link) + " does not exist"},
		{pattern, `is not a regular expression: missing closing \) in "\("`},
		{&net.OpError{Op: "listen", Net: "tcp", Addr: &net.TCPAddr{Port: 80}, Err: os.NewSyscallError("bind", syscall.EADDRNOTAVAIL)}, "this machine does not have the address of :80"},
		{errors.New("tls: private key does not match public key"), "private key does not match public key"},
		{fmt.Errorf("root.pem: %w", errors.New("x509: malformed certificate")), "root.pem: malformed certificate"},
		{errors.New(`net/http: HTTP/1.x transport connection broken: malformed HTTP response "\x00S\"SH"; check the URL`), "the server does not speak HTTP; check the URL"},
		{errors.New("yaml: unmarshal errors:\n  line 1: field foo not found in type web.Config"), "line 1: there is no key foo"},
		{errors.New("line 1: cannot unmarshal !!str `a` into config.plain"), "line 1: `a` is of the wrong kind"},
		{errors.New("must be a duration"), "must be a duration"},
	} {
		got := Error(fmt.Errorf("a step: %w", test.err))
		words := strings.ReplaceAll(strings.ReplaceAll(got, "JSON", ""), `"http`, "")
		if !regexp.MustCompile(`^a step: `+test.want+`$`).MatchString(got) || ofGo.MatchString(words) {
			t.Errorf("%v: got %q, want %q", test.err, got, test.want)
		}
	}
}
