package qliktest

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// usageRowsOf are the kinds of access that are allocated to users, by the path of their usage rows (docs/qlik.md, "Licenses").
var usageRowsOf = map[string]License{
	"license/professionalaccessusage": Professional,
	"license/analyzeraccessusage":     Analyzer,
	"license/useraccessusage":         UserAccess,
}

func accessesOf(license License) func(*Site) []*entity {
	return func(s *Site) []*entity { return builtEntities(s.accessObjects(license), onlyID) }
}

func rulesOf(license License) func(*Site) []*entity {
	return func(s *Site) []*entity { return builtEntities(s.rules(license), fields("name")) }
}

// usageOf returns the usage rows of a license as their texts say.
func usageOf(license License) func(*Site) []*entity {
	return func(s *Site) []*entity {
		var rows []object
		_ = json.Unmarshal(s.usageAnswer(license), &rows) // the site's own text
		return builtEntities(rows, onlyID)
	}
}

func sharedUsageOf(license License) func(*Site) []*entity {
	return func(s *Site) []*entity { return builtEntities(s.sharedUsageObjects(license), onlyID) }
}

func (s *Site) licenseObject() object {
	expiry := s.config.LicenseExpiry
	end := expiry.UTC().Format(time.DateOnly)
	allotments := ""
	if s.config.personal(Professional) {
		allotments = fmt.Sprintf("Allotment professional:%d; overage:0;\r\nAllotment analyzer:%d; overage:0;\r\n",
			s.seats(Professional).total, s.seats(Analyzer).total)
	}
	if s.config.CapacityMinutes > 0 {
		allotments += fmt.Sprintf("Allotment analyzer_time:%d; overage:0;\r\n", s.config.CapacityMinutes)
	}
	expired := !s.now().Before(expiry)
	reason := ""
	if expired {
		reason = "License has expired"
	}
	license := envelope(stableID("license", ""), s.started, s.started).with(object{
		"lef": "", "serial": "9999000000001000", "check": "", "name": "Acme", "organization": "Acme", "product": 1, "numberOfCores": -1,
		// docs/qlik.md, "Licenses"
		"key": "eyJ.simulated.key", "keyDetails": "License Number: 9999000000001000\r\nValid From: 0001-01-01 12:00:00 AM\r\nValid To: " + end +
			" 12:00:00 AM\r\n" + allotments,
		"isExpired": expired, "expiredReason": reason, "isBlacklisted": false, "isInvalid": false, "isSubscription": true,
		"isCloudServices": false, "isElastic": false, "updated": date(s.started), "schemaPath": "License",
	})
	if s.config.Cores > 0 {
		license["numberOfCores"] = s.config.Cores
	}
	if s.config.SerialNumber {
		lef := fmt.Sprintf("9999000000001000\r\nAcme\r\nPRODUCTLEVEL;50;;%s\r\nTIMELIMIT;;;%s\r\n", end, end)
		if s.config.Tokens > 0 {
			lef += fmt.Sprintf("TOKENS;%d;;\r\n", s.config.Tokens)
		}
		return license.with(object{"lef": lef, "key": "", "keyDetails": "", "isSubscription": false})
	}
	return license
}

// seatCount holds the numbers of purchased and allocated seats of one kind of access.
type seatCount struct{ total, allocated, used, quarantined int }

func (s *Site) seats(license License) seatCount {
	count := seatCount{total: s.config.boughtSeats(license)}
	for _, a := range s.accesses(license) {
		if a.quarantined() {
			count.quarantined++
			continue
		}
		count.allocated++
		if !a.lastUsed.IsZero() {
			count.used++
		}
	}
	if count.total == 0 && license != UserAccess {
		count.total = (count.allocated + count.quarantined + 9) / 10 * 10
	}
	return count
}

func (s *Site) overviewObject() object {
	access := func(license License) object {
		c := s.seats(license)
		unavailable := c.allocated + c.quarantined
		return object{
			"enabled": s.config.personal(license), "total": c.total, "allocated": c.allocated, "used": c.used,
			"available": max(0, c.total-unavailable), "excess": max(0, unavailable-c.total), "quarantined": c.quarantined,
		}
	}
	s.mu.Lock()
	used := s.capacityUsed(s.now())
	s.mu.Unlock()
	return s.tokenOverview().with(object{
		"professionalAccess": access(Professional), "analyzerAccess": access(Analyzer),
		"analyzerTimeAccess": object{
			"enabled": s.config.CapacityMinutes > 0, "allocatedMinutes": s.config.CapacityMinutes, "usedMinutes": used, "unavailableMinutes": 0,
		},
		"schemaPath": "AccessTypeOverview",
	})
}

// access is an allocation with the data of its user.
type access struct {
	userData
	allocation
}

// accesses returns the allocations of a license, those in quarantine included.
func (s *Site) accesses(license License) []access {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	var all []access
	for _, a := range s.accountOrder {
		a.endQuarantines(now)
		if held := a.allocation(license); held != nil {
			all = append(all, access{a.data(), *held})
		}
	}
	return all
}

func (s *Site) accessObjects(license License) []object {
	total := s.seats(license).total
	all := []object{}
	for i, a := range s.accesses(license) {
		access := envelope(stableID("access", a.id), a.allocated, a.lastUsed).with(object{
			"user": a.condensed(), "deletedUserId": "", "deletedUserDirectory": "", "lastUsed": date(a.lastUsed),
			"excess": i >= total, "quarantined": a.quarantined(), "quarantineEnd": date(a.quarantineEnd),
			"schemaPath": "License." + string(license) + "AccessType",
		})
		if a.Deleted {
			access = access.with(object{"user": nil, "deletedUserId": a.ID, "deletedUserDirectory": a.Directory})
		}
		switch a.LastUsed {
		case "":
		case Null:
			access["lastUsed"] = nil
		case Missing:
			delete(access, "lastUsed")
		default:
			access["lastUsed"] = a.LastUsed
		}
		all = append(all, access)
	}
	return all
}

// rules returns the rule that lets all users use the login access or the analyzer capacity.
func (s *Site) rules(license License) []object {
	rule := envelope(ruleID(license), s.started, s.started).with(object{"schemaPath": "License." + string(license) + "AccessType"})
	switch {
	case license == AnalyzerCapacity && s.config.CapacityMinutes > 0:
		return []object{rule.with(object{"name": "Analyzer capacity rule"})}
	case license == LoginAccess && s.config.LoginAccessTokens > 0:
		passes := s.config.LoginAccessTokens * passesPerToken
		return []object{rule.with(object{"name": "Login access for everybody", "assignedTokens": s.config.LoginAccessTokens, "numberOfPasses": passes})}
	}
	return []object{}
}

func ruleID(license License) string { return stableID("rule", string(license)) }

// sharedUsageObjects returns the rows of an access that is not allocated to users. Such a row has its user and a list of sessions
// (docs/qlik.md, "Usage rows"). A row of login access is a pass with its sessions, and it exists as long as the pass or a session.
func (s *Site) sharedUsageObjects(license License) []object {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.advance()
	all := []object{}
	if s.config.NoUsageRows {
		return all
	}
	ofPass := map[*pass]object{}
	add := func(id string, a *account, p *pass, started, latest time.Time) object {
		stop := time.Time{}
		if p != nil {
			started, stop = p.started, p.started.Add(passTime)
		}
		user := a.data()
		row := envelope(id, started, latest).with(object{
			"modifiedByUserName": a.Directory + `\` + a.ID, "user": user.condensed(),
			"useStartTime": date(started), "useStopTime": date(stop), "sessions": []object{},
			strings.ToLower(string(license[:1])) + string(license[1:]) + "AccessType": object{"id": ruleID(license), "privileges": nil},
			"schemaPath": "License." + string(license) + "AccessUsage",
		})
		if p != nil {
			ofPass[p] = row
		}
		all = append(all, row)
		return row
	}
	for _, p := range s.passes {
		if license == LoginAccess && !p.ended(now) {
			add(p.id, p.account, p, p.started, p.started)
		}
	}
	for row := range values[*usageRow](s.usage[license]) {
		latest := row.latest(now)
		record := ofPass[row.pass]
		if record == nil {
			id := row.id
			if row.pass != nil {
				id = row.pass.id
			}
			record = add(id, row.account, row.pass, row.started, latest)
		}
		sessions, _ := record["sessions"].([]object)
		record["sessions"] = append(sessions, object{
			"sessionID": row.sessionID, "latestActivity": date(latest), "serverNodeConfigurationId": row.node.id, "privileges": nil,
		})
	}
	return all
}
