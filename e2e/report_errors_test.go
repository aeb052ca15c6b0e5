package e2e

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

const reportPassword = "correct-horse"

// TestReportErrors checks that a report that cannot be made ends soon, with one sentence
// that says why.
func TestReportErrors(t *testing.T) {
	t.Parallel()
	answering := func(status int, contentType, body string) string {
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}))
		t.Cleanup(web.Close)
		return web.URL
	}
	empty := serveHistory(t, t.TempDir())
	folder := t.TempDir()
	secured := startSecured(t, folder)
	password := func(name, words string, more ...string) string {
		file := filepath.Join(folder, name)
		writeFile(t, file, []byte("basic_auth: {username: report, password: "+words+"}\n"+strings.Join(more, "\n")))
		return "--prometheus.http-config-file=" + file
	}
	certificate := "tls_config: {ca_file: certificate.pem}\n"
	noPassword := filepath.Join(folder, "no-password.yml")
	writeFile(t, noPassword, []byte(certificate))

	for name, test := range map[string]struct {
		arguments []string
		want      []string
	}{
		"nobody listens":      {[]string{"--prometheus.url=http://127.0.0.1:" + freePort(t)}, []string{"no answer from a Prometheus at http://127.0.0.1:", "refuses the connection", "--prometheus.url"}},
		"packets are dropped": {[]string{"--prometheus.url=http://" + unresponsive(t)}, []string{"no answer from a Prometheus at http://127.0.0.1:", "does not respond", "--prometheus.url"}},
		"unknown name":        {[]string{"--prometheus.url=http://prometheus.invalid:9090"}, []string{"http://prometheus.invalid:9090", "--prometheus.url"}},
		"a web page":          {[]string{"--prometheus.url=" + answering(http.StatusOK, "text/html", "<html><body>Welcome</body></html>")}, []string{"does not answer like a Prometheus", "--prometheus.url"}},
		"not found":           {[]string{"--prometheus.url=" + answering(http.StatusNotFound, "text/html", "<html>not here</html>")}, []string{"no Prometheus API", "404", "--prometheus.url"}},
		"starting":            {[]string{"--prometheus.url=" + answering(http.StatusServiceUnavailable, "text/plain", "Service Unavailable")}, []string{"503"}},
		"without a password":  {[]string{"--prometheus.url=" + secured, "--prometheus.http-config-file=" + noPassword}, []string{"password", "--prometheus.http-config-file"}},
		"a wrong password":    {[]string{"--prometheus.url=" + secured, password("wrong.yml", "wrong-horse", certificate)}, []string{"password", "401", "--prometheus.http-config-file"}},
		"unknown certificate": {[]string{"--prometheus.url=" + secured, password("unknown.yml", reportPassword)}, []string{"certificate", "ca_file", "--prometheus.http-config-file"}},
		"plain text to TLS":   {[]string{"--prometheus.url=" + strings.Replace(secured, "https", "http", 1)}, []string{"status 400"}},
		// The answer shows that the password and the certificate were accepted.
		"the right password":  {[]string{"--prometheus.url=" + secured, password("right.yml", reportPassword, certificate)}, []string{"no data of qlik_exporter", "qlik_sessions"}},
		"an empty Prometheus": {[]string{"--prometheus.url=http://" + empty.address}, []string{"no data of qlik_exporter", "qlik_sessions", "Targets"}},
		"a site without data": {[]string{"--prometheus.url=http://" + empty.address, "--site=emea"}, []string{"no data of qlik_exporter"}},
		"password in the URL": {[]string{"--prometheus.url=http://report:" + reportPassword + "@" + empty.address}, []string{"--prometheus.url"}},
		"no such file":        {[]string{"--prometheus.url=" + secured, "--prometheus.http-config-file=" + filepath.Join(folder, "missing.yml")}, []string{"missing.yml"}},
		"no such folder":      {[]string{"--prometheus.url=http://" + empty.address, "--file=" + filepath.Join(folder, "missing", "report.html")}, []string{""}},
		"no whole weeks":      {[]string{"--since=3d"}, []string{"--since"}},
		"the future":          {[]string{"--until=2999-01-01"}, []string{"--until", "future"}},
		"no language":         {[]string{"--language=la"}, []string{"--language"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			p := start(t, exec.Command(exporter, append([]string{"report"}, test.arguments...)...))
			code := p.wait(t)
			took, said := since(began), p.stderr.String()
			expect(t, code == 1 && took < 5*time.Second, "exit code 1 within five seconds", fmt.Sprintf("code %d after %s", code, took))
			expect(t, strings.Count(said, "\n") == 1 && len(said) < 500, "one line", said)
			for _, want := range test.want {
				expect(t, strings.Contains(said, want), fmt.Sprintf("%q", want), said)
			}
			for _, secret := range []string{"horse", "goroutine", "<html"} {
				expect(t, !strings.Contains(said, secret), "not "+secret, said)
			}
			expect(t, p.stdout.String() == "", "nothing on standard output", p.stdout.String())
		})
	}
	t.Run("Ctrl-C while a server hangs", func(t *testing.T) {
		t.Parallel()
		asked := make(chan struct{}, 100)
		hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_ = r.ParseForm() // a server notices that a client has gone once it has read the request
			asked <- struct{}{}
			<-r.Context().Done()
		}))
		defer hanging.Close()
		file := filepath.Join(folder, "report.html")
		writeFile(t, file, []byte("the last report"))
		p := start(t, exec.Command(exporter, "report", "--prometheus.url="+hanging.URL, "--file="+file))
		select {
		case <-asked:
		case <-time.After(readyWithin):
			t.Fatal("the server is not asked")
		}
		began := time.Now()
		p.interrupt(t)
		code := p.wait(t)
		expect(t, code == 1 && since(began) < 2*time.Second, "exit code 1 within two seconds", fmt.Sprintf("code %d after %s", code, since(began)))
		expect(t, strings.Count(p.stderr.String(), "\n") == 1 && strings.Contains(p.stderr.String(), "interrupted"), "one line", p.stderr.String())
		expect(t, string(readFile(t, file)) == "the last report", "the file is as before", string(readFile(t, file)))
	})
}

// startSecured starts an empty Prometheus that requires TLS and a password, and returns its
// URL. The folder gets its certificate.
func startSecured(t *testing.T, folder string) (url string) {
	t.Helper()
	certificate, key := selfSigned(t)
	writeFile(t, filepath.Join(folder, "certificate.pem"), certificate)
	writeFile(t, filepath.Join(folder, "key.pem"), key)
	hash, err := bcrypt.GenerateFromPassword([]byte(reportPassword), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	web := filepath.Join(folder, "web.yml")
	writeFile(t, web, fmt.Appendf(nil, "tls_server_config: {cert_file: certificate.pem, key_file: key.pem}\nbasic_auth_users: {report: %s}\n", hash))
	address := freeAddress(t)
	p := start(t, exec.Command("prometheus", "--config.file=/dev/null", "--storage.tsdb.path="+t.TempDir(), "--web.listen-address="+address, "--web.config.file="+web))
	p.waitFor(t, "a TLS server", readyWithin, func() bool {
		connection, err := tls.DialWithDialer(&net.Dialer{Timeout: time.Second}, "tcp", address, &tls.Config{InsecureSkipVerify: true})
		return err == nil && connection.Close() == nil && strings.Contains(p.stderr.String(), "Server is ready")
	})
	return "https://" + address
}

// unresponsive returns an address whose packets are dropped, as a firewall does: the queue
// of a listener that accepts nothing is full.
func unresponsive(t *testing.T) (address string) {
	t.Helper()
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(socket) })
	if err := errors.Join(syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(socket, 0)); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(socket)
	bound, ok := name.(*syscall.SockaddrInet4)
	if err != nil || !ok {
		t.Fatal(name, err)
	}
	address = fmt.Sprintf("127.0.0.1:%d", bound.Port)
	for range 10 {
		connection, err := net.DialTimeout("tcp", address, 200*time.Millisecond)
		if err != nil {
			return address
		}
		t.Cleanup(func() { _ = connection.Close() })
	}
	t.Fatal("the queue of the listener is never full")
	return ""
}
