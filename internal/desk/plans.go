package desk

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/ending"
	"github.com/qlik-exporter/qlik_exporter/qlik"
)

const (
	// planTime is how long a plan can be carried out.
	planTime = time.Minute
	// maxPlans limits the plans that wait. Of more, the oldest are forgotten.
	maxPlans = 1000
)

var errPlanUsed = &refusal{http.StatusForbidden, planUsed, "The plan was used already; make a new one."}

// promise is what the text of a plan says. It has no session ids.
type promise struct {
	ID       string            `json:"id"`
	Operator string            `json:"operator"`
	Site     string            `json:"site"`
	User     string            `json:"user"`
	Ticket   string            `json:"ticket"`
	Sessions []qlik.SessionKey `json:"sessions"` // hashes of the ids of those that end
	Expires  time.Time         `json:"expires"`
}

// waiting is a plan that waits to be carried out.
type waiting struct {
	promise
	plan *ending.Plan
}

// plans are the plans that wait. A plan is known by its signed text. The key is new at each
// start, so no plan outlives the process.
type plans struct {
	key [sha256.Size]byte
	now func() time.Time

	mu    sync.Mutex // guards the fields below
	known map[string]waiting
	order []string // ids in the order of their expiry
}

func newPlans(now func() time.Time) *plans {
	p := &plans{now: now, known: make(map[string]waiting)}
	_, _ = rand.Read(p.key[:]) // never fails
	return p
}

// add returns the signed text of a plan, and when it expires.
func (p *plans) add(of promise, plan *ending.Plan) (signed string, expires time.Time) {
	of.ID, of.Expires = rand.Text(), p.now().Add(planTime).UTC()
	for _, session := range plan.Ending() {
		of.Sessions = append(of.Sessions, session.ID.Key())
	}
	kept := *plan
	kept.Sessions = plan.Ending() // the ids of the others are not needed
	time.AfterFunc(planTime, p.forgetExpired)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forget(maxPlans - 1)
	p.known[of.ID] = waiting{of, &kept}
	p.order = append(p.order, of.ID)
	payload, _ := json.Marshal(of) // texts and numbers cannot fail
	text := encode(payload)
	return text + "." + p.sign(text), of.Expires
}

// take returns a plan by its text, once.
func (p *plans) take(text, operator string) (waiting, *refusal) {
	first, signature, _ := strings.Cut(text, ".")
	payload, err := base64.RawURLEncoding.DecodeString(first)
	var of promise
	if err != nil || !hmac.Equal([]byte(signature), []byte(p.sign(first))) || json.Unmarshal(payload, &of) != nil {
		return waiting{}, &refusal{http.StatusForbidden, planInvalid, "The plan is not one of this desk, or it is older than the last start; make a new one."}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	known, found := p.known[of.ID]
	switch {
	case of.Operator != operator:
		return waiting{}, &refusal{http.StatusForbidden, planOfAnother, "The plan is that of another operator; make a new one."}
	case !p.now().Before(of.Expires):
		return waiting{}, &refusal{http.StatusForbidden, planExpired, "The plan has expired; make a new one."}
	case !found:
		return waiting{}, errPlanUsed
	}
	delete(p.known, of.ID)
	return known, nil
}

// forgetExpired forgets expired plans, so that no session id stays in memory for longer.
func (p *plans) forgetExpired() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forget(maxPlans)
}

// forget forgets expired plans, and the oldest of more than a number. The caller holds the
// mutex.
func (p *plans) forget(most int) {
	now := p.now()
	for len(p.order) > 0 {
		known, found := p.known[p.order[0]]
		if found && now.Before(known.Expires) && len(p.known) <= most {
			return
		}
		delete(p.known, p.order[0])
		p.order = p.order[1:]
	}
}

// sign returns the signature of a text as it is sent, because different texts can have the
// same decoded form.
func (p *plans) sign(text string) string {
	mac := hmac.New(sha256.New, p.key[:])
	mac.Write([]byte(text))
	return encode(mac.Sum(nil))
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
