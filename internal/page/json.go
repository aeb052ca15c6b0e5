package page

import (
	"encoding/json"
	"mime"
	"net/http"
	"strings"

	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
)

// Failure is the body of an error for a program.
type Failure struct {
	Error string `json:"error"`
	// Sites lists the sites if the request names none of them, or one that does not
	// exist.
	Sites []string `json:"sites,omitempty"`
}

const jsonType = "application/json"

// wantsJSON reports whether a request is from a program that accepts JSON, not from a
// browser.
func wantsJSON(r *http.Request) bool {
	for _, header := range r.Header.Values("Accept") {
		for accepted := range strings.SplitSeq(header, ",") {
			switch kind, _, _ := mime.ParseMediaType(accepted); kind {
			case jsonType:
				return true
			case "text/html":
				return false
			}
		}
	}
	return false
}

// failJSON returns a function that sends an error as JSON. Other errors than those about
// the name of the site do not need the names.
func failJSON(names []string) func(w http.ResponseWriter, text string, status int) {
	return func(w http.ResponseWriter, text string, status int) {
		body := Failure{Error: text}
		if status == http.StatusBadRequest || status == http.StatusNotFound {
			body.Sites = names
		}
		w.Header().Set("Content-Type", jsonType)
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body)
	}
}

// buildJSON writes the users that match the query as JSON, all on one page.
func (*handler) buildJSON(w http.ResponseWriter, r *http.Request, o *opened) {
	answer, q := o.newest(), o.query
	rows, lower := answer.rows(), strings.ToLower(q.Text)
	var matching []*sessions.Row
	for i := range rows {
		if q.matches(&rows[i], lower) {
			matching = append(matching, &rows[i])
		}
	}
	sortBy(matching, q.Sort)
	if r.Context().Err() != nil {
		return
	}
	list := sessions.NewList(answer.Snapshot, matching)
	list.Site, list.Hosts = q.Site, o.site.Hosts
	w.Header().Set("Content-Type", jsonType)
	_ = json.NewEncoder(w).Encode(list) // an error means that the client is gone
}
