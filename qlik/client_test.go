package qlik

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// body is the body of an answer. It knows whether it was closed.
type body struct {
	io.Reader

	closed bool
}

func (b *body) Close() error {
	b.closed = true
	return nil
}

// answering answers each request with a function.
type answering func(*http.Request) *http.Response

func (a answering) RoundTrip(request *http.Request) (*http.Response, error) { return a(request), nil }

// TestEveryBodyIsClosed: the body of an answer is closed, whatever the answer is.
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
		_, _, err := client.Sessions(t.Context(), &link, nil)
		if kind := KindOf(err); kind != test.want || !given.closed {
			t.Errorf("%d with %q: closed %t, want true; kind %q, want %q", test.status, test.text, given.closed, kind, test.want)
		}
	}
}
