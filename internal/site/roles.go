package site

import (
	"maps"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// Roles are read together with the links, but only of users whose cause they decide: few
// users, or none, at any time.
const (
	rolesInterval = 15 * time.Second // minimum time between two reads
	rolesValidity = 5 * time.Minute  // how long the roles of a user are valid after they were read
)

// roles are the users that have been asked for their roles, and the answers.
type roles struct {
	next  time.Time               // of the next read
	read  map[qlik.User]time.Time // by user that was asked for
	known map[qlik.User]bool      // whether users are administrators; immutable
}

// due returns the users to ask for, at most as many as one request takes. The argument has
// all users whose roles matter; the others are forgotten.
func (r *roles) due(matter []qlik.User, now time.Time) []qlik.User {
	read := make(map[qlik.User]time.Time, len(matter))
	known := make(map[qlik.User]bool, len(matter))
	var due []qlik.User
	for _, user := range matter {
		at, asked := r.read[user]
		if asked {
			read[user] = at
		}
		if administers, is := r.known[user]; is {
			known[user] = administers
		}
		if (!asked || now.Sub(at) >= rolesValidity) && len(due) < qlik.MaxRoles {
			due = append(due, user)
		}
	}
	r.read, r.known = read, known
	if now.Before(r.next) {
		return nil
	}
	return due
}

// done records the answers for users. After a failure, the last answers stay, and the next
// read is later.
func (r *roles) done(asked []qlik.User, answers map[qlik.User]bool, err error, now time.Time) {
	if err != nil {
		r.next = now.Add(rolesValidity)
		return
	}
	r.next = now.Add(rolesInterval)
	known := make(map[qlik.User]bool, len(r.known)+len(answers))
	maps.Copy(known, r.known)
	for _, user := range asked {
		delete(known, user)
		if administers, is := answers[user]; is {
			known[user] = administers
		}
		r.read[user] = now
	}
	r.known = known
}

// loadRoles reads the roles of the users whose cause they decide, if they are due.
func (r *repository) loadRoles() {
	licenses := r.lastLicenses()
	matter := headroom.RolesDecide(r.refused(r.now(), licenses), licenses, r.now())
	r.mu.Lock()
	due := r.roles.due(matter, r.now())
	r.mu.Unlock()
	if len(due) == 0 {
		return
	}
	<-r.load(qlik.SourceUsers, func() {
		answers, err := r.client.Administrators(r.work.ctx, due)
		if r.work.ending() {
			return
		}
		r.changes.log("roles", string(qlik.KindOf(err)), nil, func(logger log.Logger) {
			_ = level.Warn(logger).Log("msg", "Cannot read whether users who were refused are administrators", "kind", qlik.KindOf(err), "err", err)
		})
		r.logLeftOut(qlik.SourceUsers)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.roles.done(due, answers, err, r.now())
	})
}
