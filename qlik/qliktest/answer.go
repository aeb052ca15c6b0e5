package qliktest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// answer is the response of a service before faults and compression.
type answer struct {
	status      int
	contentType string
	body        []byte
}

const (
	contentJSON  = "application/json;charset=utf-8"
	contentText  = "text/plain; charset=utf-8"
	contentHTML  = "text/html; charset=utf-8"
	xsrfText     = "XSRF prevention check failed. Possible XSRF discovered." // docs/qlik.md, "XSRF key"
	loginPage    = "<!DOCTYPE html>\n<html><head><title>Qlik Sense</title></head><body><form method=\"post\" action=\"/form\">User name <input name=\"username\"></form></body></html>\n"
	aboutPath    = "/qrs/about"
	redirectedTo = "https://elsewhere.invalid/form/?targetId=0"
)

func text(status int, body string) answer { return answer{status, contentText, []byte(body)} }

func ok(value any) answer {
	body, err := json.Marshal(value)
	if err != nil {
		return text(http.StatusInternalServerError, err.Error())
	}
	return answer{http.StatusOK, contentJSON, body}
}

// ServeHTTP handles a request to the service.
func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.service.count(r)
	fault, latency := e.state()
	if latency > 0 {
		timer := time.NewTimer(latency)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
	switch fault {
	case Hanging:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case Unauthorized:
		e.write(w, r, text(http.StatusUnauthorized, "Unauthorized"))
	case XSRF:
		e.write(w, r, text(http.StatusForbidden, xsrfText))
	case Forbidden:
		e.write(w, r, text(http.StatusForbidden, "Forbidden"))
	case NoRights:
		a := text(http.StatusForbidden, "Forbidden")
		if r.URL.Path == aboutPath {
			a = e.respond(r)
		}
		e.write(w, r, a)
	case ServerError:
		e.write(w, r, text(http.StatusInternalServerError, "Internal server error"))
	case Redirect:
		w.Header().Set("Location", redirectedTo)
		e.write(w, r, text(http.StatusFound, "Object moved"))
	case HTMLPage:
		e.write(w, r, answer{http.StatusOK, contentHTML, []byte(loginPage)})
	case NotJSON:
		e.write(w, r, answer{http.StatusOK, contentJSON, []byte("The service is starting up.")})
	case Object:
		e.write(w, r, answer{http.StatusOK, contentJSON, []byte(`{"message":"The service is starting up."}`)})
	case Truncated:
		truncate(w, e.respond(r))
	case MissingField:
		e.write(w, r, dropField(e.respond(r)))
	case EndlessBody:
		writeForever(w, e.respond(r))
	case CloseAfterAnswer:
		w.Header().Set("Connection", "close")
		e.write(w, r, e.respond(r))
	default:
		e.write(w, r, e.respond(r))
	}
}

// respond handles a request without faults: it checks the client certificate and the Xrfkey pair, then calls the service.
func (e *endpoint) respond(r *http.Request) answer {
	if len(r.TLS.PeerCertificates) == 0 {
		if a, refused := e.withoutCertificate(); refused {
			return a
		}
	}
	if !matchingKeys(r) {
		if a, refused := e.wrongKey(); refused {
			return a
		}
	}
	return e.ask(r)
}

// matchingKeys reports whether the Xrfkey parameter and header are equal and have sixteen letters and digits (docs/qlik.md, "XSRF key").
func matchingKeys(r *http.Request) bool {
	key := r.Header.Get("X-Qlik-Xrfkey")
	if len(key) != 16 {
		return false
	}
	for _, c := range []byte(key) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	for name, values := range r.URL.Query() {
		if strings.EqualFold(name, "Xrfkey") {
			return len(values) == 1 && values[0] == key
		}
	}
	return false
}

func (e *endpoint) write(w http.ResponseWriter, r *http.Request, a answer) {
	body := a.body
	w.Header().Set("Content-Type", a.contentType)
	w.Header().Set("Date", e.site.now().UTC().Format(http.TimeFormat))
	if e.site.config.Gzip && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		var compressed bytes.Buffer
		z := gzip.NewWriter(&compressed)
		_, _ = z.Write(body) // into memory
		_ = z.Close()
		body = compressed.Bytes()
		w.Header().Set("Content-Encoding", "gzip")
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(a.status)
	_, _ = w.Write(body) // the client may have disconnected
}

// truncate announces the length of the whole response, sends half of it, and closes the connection.
func truncate(w http.ResponseWriter, a answer) {
	w.Header().Set("Content-Type", a.contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body[:len(a.body)/2])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// dropField removes the identifier from the last element of an array. To an empty array it adds an element without one.
func dropField(a answer) answer {
	var elements []map[string]json.RawMessage
	if a.status != http.StatusOK || json.Unmarshal(a.body, &elements) != nil {
		return a
	}
	if len(elements) == 0 {
		elements = []map[string]json.RawMessage{{"UserDirectory": []byte(`"LAB"`), "UserId": []byte(`"goran"`), "Attributes": []byte("[]")}}
	}
	last := elements[len(elements)-1]
	delete(last, "SessionId")
	delete(last, "id")
	return ok(elements)
}

// writeForever repeats the elements of an array until the client disconnects. For an empty array it makes up an element.
func writeForever(w http.ResponseWriter, a answer) {
	element := bytes.Trim(bytes.TrimSpace(a.body), "[]")
	if a.status != http.StatusOK || len(element) == 0 {
		element = []byte(`{"UserDirectory":"LAB","UserId":"goran","Attributes":[],"SessionId":"ea7821ab-dbad-4b1f-851d-cb06a73e10a7"}`)
	}
	w.Header().Set("Content-Type", contentJSON)
	w.WriteHeader(http.StatusOK)
	if _, err := w.Write([]byte("[")); err != nil {
		return
	}
	more := append(bytes.Clone(element), ',')
	for {
		if _, err := w.Write(more); err != nil {
			return
		}
	}
}
