package qlik

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
)

// body is a response body that records whether it was closed.
type body struct {
	io.Reader

	closed bool
}

func (b *body) Close() error {
	b.closed = true
	return nil
}

// answering is a transport that calls a function for each request.
type answering func(*http.Request) *http.Response

func (a answering) RoundTrip(request *http.Request) (*http.Response, error) { return a(request), nil }

// TestFailureWhoseBodyStalls checks that an error status is returned even if the body
// never ends.
func TestFailureWhoseBodyStalls(t *testing.T) {
	for status, want := range map[int]Kind{
		http.StatusUnauthorized: KindUnauthorized, http.StatusForbidden: KindForbidden, http.StatusNotFound: KindStatus,
		http.StatusInternalServerError: KindStatus, http.StatusFound: KindRedirect,
	} {
		synctest.Test(t, func(t *testing.T) {
			client, err := NewClient(Config{Hosts: []string{"qlik1"}, CertDir: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			client.http.Transport = answering(func(request *http.Request) *http.Response {
				body, _ := io.Pipe()
				return &http.Response{StatusCode: status, Header: make(http.Header), Body: body, Request: request}
			})
			link := newLink("qlik1", proxyPort, "")
			_, answer, err := client.Sessions(t.Context(), &link, nil, nil)
			if kind := KindOf(err); kind != want || answer.Took > errorBodyTimeout {
				t.Errorf("%d: kind %q after %s, want %q within %s", status, kind, answer.Took, want, errorBodyTimeout)
			}
		})
	}
}

// TestNoRepository checks that no user certainly lacks a license if there is no
// repository.
func TestNoRepository(t *testing.T) {
	client, err := NewClient(Config{Proxies: []string{"qlik1"}, VirtualProxies: []string{"/"}, CertDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx := t.Context()
	_, licenses := client.Licenses(ctx)
	_, topology := client.Topology(ctx)
	_, services := client.Services(ctx)
	_, _, about := client.About(ctx)
	for question, err := range map[string]error{"licenses": licenses, "topology": topology, "services": services, "about": about} {
		if !errors.Is(err, errNoRepository) || KindOf(err) == "" {
			t.Errorf("%s: error %v, want %v", question, err, errNoRepository)
		}
	}
}

// TestEveryBodyIsClosed checks that the body of every response is closed.
func TestEveryBodyIsClosed(t *testing.T) {
	client, err := NewClient(Config{Hosts: []string{"qlik1"}, CertDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	link := newLink("qlik1", proxyPort, "")
	for _, test := range []struct {
		status int
		text   string
		want   Kind // empty: no error
	}{
		{http.StatusOK, "[]", ""},
		{http.StatusOK, "<html>", KindNotJSON},
		{http.StatusOK, `[{"SessionId":"a"},`, KindDecode},
		{http.StatusFound, "", KindRedirect},
		{http.StatusUnauthorized, "", KindUnauthorized},
		{http.StatusForbidden, "XSRF prevention check failed", KindXSRF},
		{http.StatusForbidden, "no rights", KindForbidden},
		{http.StatusNotFound, "not found", KindStatus},
		{http.StatusInternalServerError, "an error", KindStatus},
	} {
		given := &body{Reader: strings.NewReader(test.text)}
		client.http.Transport = answering(func(request *http.Request) *http.Response {
			return &http.Response{StatusCode: test.status, Header: make(http.Header), Body: given, Request: request}
		})
		_, _, err := client.Sessions(t.Context(), &link, nil, nil)
		if kind := KindOf(err); kind != test.want || !given.closed {
			t.Errorf("%d with %q: closed %t, want true; kind %q, want %q", test.status, test.text, given.closed, kind, test.want)
		}
	}
}
