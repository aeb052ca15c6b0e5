package desk

import (
	"encoding/json"
	"net/http"

	"github.com/go-kit/log/level"
)

// refusal is why the desk does not do what a request asks.
type refusal struct {
	status int
	reason reason
	text   string // one sentence for the operator
}

func (r *refusal) Error() string { return r.text }

// reason is the label reason of qlik_desk_refused_total.
type reason string

// The reasons of refusals.
const (
	notReady      reason = "not_ready"
	noRole        reason = "no_role"
	roleTooSmall  reason = "role"
	foreignOrigin reason = "foreign_origin"
	badRequest    reason = "bad_request"
	planInvalid   reason = "plan_invalid"
	planExpired   reason = "plan_expired"
	planUsed      reason = "plan_used"
	planOfAnother reason = "plan_of_another"
	stopFile      reason = "stop_file"
	overLimit     reason = "limit"
	incomplete    reason = "incomplete"
	neverEnded    reason = "never_ended"
	nothingToEnd  reason = "nothing_to_end"
	notRecorded   reason = "not_recorded"
)

// reasons are all of them, so that each has a counter from the start.
var reasons = []reason{
	notReady, noRole, roleTooSmall, foreignOrigin, badRequest, planInvalid, planExpired, planUsed, planOfAnother, stopFile, overLimit, incomplete,
	neverEnded, nothingToEnd, notRecorded,
}

// fail responds with a refusal: as JSON to programs, as text to others.
func (d *Desk) fail(w http.ResponseWriter, r *http.Request, why *refusal) {
	d.count(r, why)
	if isAPI(r) {
		writeJSON(w, why.status, map[string]string{"error": why.text})
		return
	}
	http.Error(w, why.text, why.status)
}

// count counts and logs a refusal. It logs nobody who is unknown, because that is everybody
// while the file requires no password.
func (d *Desk) count(r *http.Request, why *refusal) {
	d.metrics.refused.WithLabelValues(string(why.reason)).Inc()
	if operatorOf(r).name == "" {
		return
	}
	_ = level.Info(d.config.Logger).Log("msg", "The desk refused a request", "reason", why.reason, "operator", operatorOf(r).name, "address", addressOf(r))
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // an error means that the client is gone
}
