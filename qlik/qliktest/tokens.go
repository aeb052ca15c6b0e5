package qliktest

import (
	"slices"
	"time"
)

// Login access of a license with tokens (docs/qlik.md, "License models").
const (
	passesPerToken = 10
	passTime       = time.Hour
	passReturns    = 28 * 24 * time.Hour // after the start of the pass
)

// pass is a login access pass. All sessions of its user share it.
type pass struct {
	id      string
	account *account
	started time.Time
}

func (p *pass) ended(now time.Time) bool { return p == nil || !now.Before(p.started.Add(passTime)) }

// passesUsed returns the number of passes that have not returned.
func (s *Site) passesUsed(now time.Time) int {
	s.passes = slices.DeleteFunc(s.passes, func(p *pass) bool { return !now.Before(p.started.Add(passReturns)) })
	return len(s.passes)
}

// passFor reports whether a user can log in: with the pass in use, or with another one.
func (s *Site) passFor(a *account, now time.Time) bool {
	return !a.pass.ended(now) || s.passesUsed(now) < s.config.LoginAccessTokens*passesPerToken
}

// usePass begins another pass if the last one has ended.
func (s *Site) usePass(a *account, now time.Time) {
	if a.pass.ended(now) {
		a.pass = &pass{s.newID(), a, now}
		s.passes = append(s.passes, a.pass)
	}
}

// tokenOverview returns the numbers of tokens. A pass that was used takes a tenth of a token until it returns.
func (s *Site) tokenOverview() object {
	user := s.seats(UserAccess)
	s.mu.Lock()
	passes := s.passesUsed(s.now())
	s.mu.Unlock()
	return object{
		"userAccess": object{
			"enabled": s.config.Tokens > 0, "tokenCost": 1, "allocatedTokens": user.allocated, "usedTokens": user.used,
			"quarantinedTokens": user.quarantined,
		},
		"loginAccess": object{
			"enabled": s.config.LoginAccessTokens > 0, "tokenCost": 1.0 / passesPerToken, "allocatedTokens": s.config.LoginAccessTokens,
			"usedTokens": float64(passes) / passesPerToken, "unavailableTokens": 0,
		},
		"tokensEnabled": s.config.Tokens > 0, "totalTokens": s.config.Tokens,
		"availableTokens": max(0, s.config.Tokens-s.config.LoginAccessTokens-user.allocated-user.quarantined),
	}
}

// tokenInfo returns the older view of the tokens. Real repositories answer it on the central node only.
func (s *Site) tokenInfo() object {
	overview := s.tokenOverview()
	access := func(part any) object {
		o, _ := part.(object)
		return object{
			"tokenCost": o["tokenCost"], "allocatedTokens": o["allocatedTokens"], "usedTokens": o["usedTokens"],
			"quarantinedTokens": o["quarantinedTokens"], "schemaPath": "AccessTypesInfo.AccessType",
		}
	}
	none := object{"tokenCost": 0, "allocatedTokens": 0, "usedTokens": 0, "quarantinedTokens": 0}
	return object{
		"totalTokens": overview["totalTokens"], "availableTokens": overview["availableTokens"],
		"userAccessType": access(overview["userAccess"]), "loginAccessType": access(overview["loginAccess"]),
		"professionalAccessType": access(none), "analyzerAccessType": access(none), "schemaPath": "AccessTypesInfo",
	}
}
