// Package exporter asks a running exporter over HTTP. The running exporter knows the
// past, which a command that has just started does not.
package exporter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/prometheus/common/config"

	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik/textfile"
)

const (
	// connectTimeout bounds the wait for a machine that does not respond.
	connectTimeout = 3 * time.Second
	// answerTimeout is longer than the exporter waits for Qlik.
	answerTimeout = 20 * time.Second
	// maxBytes is far more than the answer about the largest site.
	maxBytes = 256 << 20
	// maxText is the length of the longest text in an error of the exporter.
	maxText = 300
)

// Client asks an exporter.
type Client struct {
	base *url.URL
	http *http.Client
}

// New returns a client of the exporter at a URL, with the settings in a file.
func New(base *url.URL, file string) (*Client, error) {
	client, err := NewHTTPClient(file)
	if err != nil {
		return nil, err
	}
	return &Client{base, client}, nil
}

// NewHTTPClient returns a client with the TLS settings and passwords in a file in the
// format of HTTP clients of Prometheus. The file may be "".
func NewHTTPClient(file string) (*http.Client, error) {
	settings := config.DefaultHTTPClientConfig
	if file != "" {
		content, err := textfile.Read(file)
		if err != nil {
			return nil, err
		}
		fromFile, err := config.LoadHTTPConfig(string(content))
		if err != nil {
			return nil, oneLine(file, err)
		}
		fromFile.SetDirectory(filepath.Dir(file))
		settings = *fromFile
	}
	dialer := &net.Dialer{Timeout: connectTimeout}
	client, err := config.NewClientFromConfig(settings, "qlik_exporter", config.WithDialContextFunc(dialer.DialContext), config.WithKeepAlivesDisabled())
	if err != nil {
		return nil, oneLine(file, err)
	}
	client.Timeout = answerTimeout
	return client, nil
}

// quoted matches a value of a file in an error. It could be a password, or a URL with one.
var quoted = regexp.MustCompile("`[^`]*`|\"[^\"]*\"")

// oneLine returns the error of a library about a file as one line without values.
func oneLine(file string, err error) error {
	words := quoted.ReplaceAllString(strings.Join(strings.Fields(err.Error()), " "), "a value")
	if strings.Contains(words, file) {
		return errors.New(words)
	}
	return fmt.Errorf("%s: %s", file, words)
}

// String returns the URL of the exporter.
func (c *Client) String() string { return c.base.Redacted() }

// RefusedError is an answer of an exporter that refuses a request. Its texts are safe to
// show.
type RefusedError struct {
	Status int // 400, 401, 403, or 404
	Text   string
	Sites  []string // if the request must name one of them
}

// UnknownSite reports whether the exporter has no site with the name in the request.
func (e *RefusedError) UnknownSite() bool { return e.Status == http.StatusNotFound }

// NeedsPassword reports whether the exporter requires a password.
func (e *RefusedError) NeedsPassword() bool { return e.Status == http.StatusUnauthorized }

func (e *RefusedError) Error() string {
	words := fmt.Sprintf("%d %s", e.Status, http.StatusText(e.Status))
	if e.Text != "" {
		words += ": " + e.Text
	}
	return words
}

// Sessions returns the users of a site with their sessions. The site is "" if the
// exporter serves only one. All texts of the list are unchecked.
func (c *Client) Sessions(ctx context.Context, site string) (*sessions.List, error) {
	query := make(url.Values)
	if site != "" {
		query.Set("site", site)
	}
	list := new(sessions.List)
	if err := c.Get(ctx, "sessions", query, list); err != nil {
		return nil, err
	}
	if list.Time.IsZero() {
		return nil, errors.New("the answer is not a list of sessions")
	}
	return list, nil
}

// Get decodes the answer for a path below the URL of the exporter. It returns a
// RefusedError if the exporter refuses the request, and other errors if no exporter
// answers.
func (c *Client) Get(ctx context.Context, path string, query url.Values, answer any) error {
	at := c.base.JoinPath(path)
	at.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), http.NoBody)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "application/json")
	response, err := c.http.Do(request)
	if err != nil {
		if inner, ok := errors.AsType[*url.Error](err); ok {
			err = inner.Err // without the URL
		}
		return errors.New(text.Visible(text.Error(err)))
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBytes+1))
	switch {
	case err != nil:
		return errors.New(text.Visible(text.Error(err)))
	case len(body) > maxBytes:
		return fmt.Errorf("the answer is larger than %d MiB", maxBytes>>20)
	}
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	isJSON := kind == "application/json"
	switch status := response.StatusCode; {
	case status == http.StatusOK && isJSON:
		if err := json.Unmarshal(body, answer); err != nil {
			return fmt.Errorf("the answer is not the JSON of an exporter: %s", text.Visible(text.Error(err)))
		}
		return nil
	case status == http.StatusOK:
		return fmt.Errorf("the answer is %s, not JSON", text.Visible(cut(response.Header.Get("Content-Type"))))
	case status == http.StatusUnauthorized, status == http.StatusForbidden, isJSON && (status == http.StatusBadRequest || status == http.StatusNotFound):
		return refused(status, body, isJSON)
	default:
		return errors.New(strings.TrimSuffix(fmt.Sprintf("%d %s: %s", status, http.StatusText(status), text.Visible(cut(strings.TrimSpace(string(body))))), ": "))
	}
}

// refused returns the error of an exporter that refuses a request.
func refused(status int, body []byte, isJSON bool) error {
	failure := struct {
		Error string
		Sites []string
	}{Error: strings.TrimSpace(string(body))}
	if isJSON {
		failure.Error = ""
		_ = json.Unmarshal(body, &failure) // the status says enough
	}
	err := &RefusedError{Status: status, Text: strings.TrimSuffix(text.Visible(cut(failure.Error)), ".")}
	if err.Text == http.StatusText(status) {
		err.Text = ""
	}
	for _, site := range failure.Sites {
		if site != "" { // flags describe the only site
			err.Sites = append(err.Sites, text.Visible(cut(site)))
		}
	}
	return err
}

// cut shortens a text of unknown length.
func cut(s string) string {
	if len(s) > maxText {
		return strings.ToValidUTF8(s[:maxText], "") + "…"
	}
	return s
}
