package site

import (
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// target is what a round asks for: the sessions of a link, or the health of an engine. One
// of the two is nil.
type target struct {
	link   *qlik.Link
	engine *qlik.Engine
}

// targetKey identifies a target within its site.
type targetKey struct {
	link   qlik.LinkKey
	engine string // its address
}

func (t target) key() targetKey {
	if t.engine != nil {
		return targetKey{engine: t.engine.Address}
	}
	return targetKey{link: t.link.Key()}
}

// notInTime returns the error of a target that did not answer before the deadline.
func (t target) notInTime() error {
	if t.engine != nil {
		return qlik.EngineNotInTime(t.engine)
	}
	return qlik.NotInTime(t.link)
}

// newTargets returns the targets of a round.
func newTargets(links []qlik.Link, engines []qlik.Engine) []target {
	all := make([]target, 0, len(links)+len(engines))
	for i := range links {
		all = append(all, target{link: &links[i]})
	}
	for i := range engines {
		all = append(all, target{engine: &engines[i]})
	}
	return all
}

// answer is what a target answered.
type answer struct {
	target

	sessions          []qlik.Session     // of a link
	health            *qlik.EngineHealth // of an engine
	duration          time.Duration
	certificateExpiry time.Time
	err               error
}

// results returns the answers of the links and of the engines.
func results(answers []answer) (links []headroom.LinkResult, engines []headroom.EngineResult) {
	for i := range answers {
		a := &answers[i]
		if a.engine != nil {
			engines = append(engines, headroom.EngineResult{
				Engine: *a.engine, Health: a.health, Duration: a.duration, CertificateExpiry: a.certificateExpiry, Err: a.err,
			})
			continue
		}
		links = append(links, headroom.LinkResult{
			Link: *a.link, Sessions: a.sessions, Duration: a.duration, CertificateExpiry: a.certificateExpiry, Err: a.err,
		})
	}
	return links, engines
}
