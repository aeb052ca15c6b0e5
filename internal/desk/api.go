package desk

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"strings"
)

// isAPI reports whether a request is to the interface for programs.
func isAPI(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/api/") }

// addressOf returns the address of the client without the port.
func addressOf(r *http.Request) string {
	if address, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		return address.Addr().Unmap().String()
	}
	return r.RemoteAddr
}

// decode reads the body of a request of a program.
func decode(r *http.Request, into any) *refusal {
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
		return &refusal{http.StatusUnsupportedMediaType, badRequest, "Send the body as application/json."}
	}
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	const text = "The body is not one JSON object with the documented fields."
	if err := decoder.Decode(into); err != nil {
		return unreadable(err, text)
	}
	if err := decoder.Decode(new(any)); err != io.EOF {
		return unreadable(err, text)
	}
	return nil
}

// readForm reads the body of a request of a page.
func readForm(r *http.Request) *refusal {
	if err := r.ParseForm(); err != nil {
		return unreadable(err, "The body is not a form.")
	}
	return nil
}

// unreadable is the refusal of a body that cannot be read.
func unreadable(err error, text string) *refusal {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &refusal{http.StatusRequestEntityTooLarge, badRequest, "The body is too long."}
	}
	return &refusal{http.StatusBadRequest, badRequest, text}
}

// servePlan serves POST /api/plan.
func (d *Desk) servePlan(w http.ResponseWriter, r *http.Request) {
	a := new(ask)
	if err := decode(r, a); err != nil {
		d.fail(w, r, err)
		return
	}
	plan, err := d.plan(r.Context(), operatorOf(r), a)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, plan)
}

// serveFree serves POST /api/free.
func (d *Desk) serveFree(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Plan string `json:"plan"`
	}
	if err := decode(r, &body); err != nil {
		d.fail(w, r, err)
		return
	}
	freed, err := d.free(r.Context(), operatorOf(r), body.Plan, "", addressOf(r))
	if err != nil {
		d.fail(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, freed)
}
