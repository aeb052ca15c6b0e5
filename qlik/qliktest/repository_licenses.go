package qliktest

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// licenseLists are the paths of the lists of accesses and usage rows of each kind of access (docs/qlik.md, "Licenses").
var licenseLists = map[string]struct {
	license License
	usage   bool
}{
	"/qrs/license/professionalaccesstype/full":  {Professional, false},
	"/qrs/license/analyzeraccesstype/full":      {Analyzer, false},
	"/qrs/license/useraccesstype/full":          {UserAccess, false},
	"/qrs/license/loginaccesstype/full":         {LoginAccess, false},
	"/qrs/license/analyzertimeaccesstype/full":  {AnalyzerCapacity, false},
	"/qrs/license/professionalaccessusage/full": {Professional, true},
	"/qrs/license/analyzeraccessusage/full":     {Analyzer, true},
	"/qrs/license/useraccessusage/full":         {UserAccess, true},
	"/qrs/license/loginaccessusage/full":        {LoginAccess, true},
	"/qrs/license/analyzertimeaccessusage/full": {AnalyzerCapacity, true},
}

// licenseAnswer responds to a request under /qrs/license. It returns false for an unknown path.
func (s *Site) licenseAnswer(path string) (answer, bool) {
	switch list, found := licenseLists[path]; {
	case found && list.usage && list.license == AnalyzerCapacity:
		return ok(s.sharedUsageAnswer(list.license)), true
	case found && list.usage:
		return answer{http.StatusOK, contentJSON, s.usageAnswer(list.license)}, true
	case found && list.license == AnalyzerCapacity:
		return ok(s.capacityRules()), true
	case found:
		return ok(s.accessObjects(list.license)), true
	case path == "/qrs/license":
		return ok(s.licenseObject()), true
	case path == "/qrs/license/accesstypeoverview":
		return ok(s.overviewObject()), true
	}
	return answer{}, false
}

func (s *Site) licenseObject() object {
	expiry := s.config.LicenseExpiry
	end := expiry.UTC().Format(time.DateOnly)
	allotments := fmt.Sprintf("Allotment professional:%d; overage:0;\r\nAllotment analyzer:%d; overage:0;\r\n",
		s.seats(Professional).total, s.seats(Analyzer).total)
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
	if s.config.SerialNumber {
		lef := fmt.Sprintf("9999000000001000\r\nAcme\r\nPRODUCTLEVEL;50;;%s\r\nTIMELIMIT;;;%s\r\n", end, end)
		return license.with(object{"lef": lef, "key": "", "keyDetails": "", "isSubscription": false})
	}
	return license
}

// seatCount holds the numbers of purchased and allocated seats of one kind of access.
type seatCount struct{ total, allocated, used, quarantined int }

func (s *Site) seats(license License) seatCount {
	count := seatCount{total: map[License]int{Professional: s.config.ProfessionalSeats, Analyzer: s.config.AnalyzerSeats}[license]}
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
	if count.total == 0 {
		count.total = (count.allocated + count.quarantined + 9) / 10 * 10
	}
	return count
}

func (s *Site) overviewObject() object {
	access := func(license License) object {
		c := s.seats(license)
		unavailable := c.allocated + c.quarantined
		return object{
			"enabled": true, "total": c.total, "allocated": c.allocated, "used": c.used,
			"available": max(0, c.total-unavailable), "excess": max(0, unavailable-c.total), "quarantined": c.quarantined,
		}
	}
	s.mu.Lock()
	used := s.capacityUsed(s.now())
	s.mu.Unlock()
	return object{
		"professionalAccess": access(Professional), "analyzerAccess": access(Analyzer),
		"userAccess":  object{"enabled": false, "tokenCost": 1, "allocatedTokens": 0, "usedTokens": 0, "quarantinedTokens": 0},
		"loginAccess": object{"enabled": false, "tokenCost": 0.1, "allocatedTokens": 0, "usedTokens": 0, "unavailableTokens": 0},
		"analyzerTimeAccess": object{
			"enabled": s.config.CapacityMinutes > 0, "allocatedMinutes": s.config.CapacityMinutes, "usedMinutes": used, "unavailableMinutes": 0,
		},
		"tokensEnabled": false, "totalTokens": 0, "availableTokens": 0, "schemaPath": "AccessTypeOverview",
	}
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
		all = append(all, envelope(stableID("access", a.id), a.created, a.lastUsed).with(object{
			"user": a.condensed(), "deletedUserId": "", "deletedUserDirectory": "", "lastUsed": date(a.lastUsed),
			"excess": i >= total, "quarantined": a.quarantined(), "quarantineEnd": date(a.quarantineEnd),
			"schemaPath": "License." + string(license) + "AccessType",
		}))
	}
	return all
}

// capacityRules returns the rule that lets all users use the analyzer capacity.
func (s *Site) capacityRules() []object {
	if s.config.CapacityMinutes == 0 {
		return []object{}
	}
	return []object{envelope(stableID("rule", "capacity"), s.started, s.started).with(object{
		"name": "Analyzer capacity rule", "schemaPath": "License.AnalyzerTimeAccessType",
	})}
}

// sharedUsageAnswer renders the rows of an access that is not allocated to users. Such a row has its user and a list of sessions
// (docs/qlik.md, "Usage rows").
func (s *Site) sharedUsageAnswer(license License) []object {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	all := []object{}
	if s.config.NoUsageRows {
		return all
	}
	for row := range values[*usageRow](s.usage[license]) {
		latest := row.latest()
		user := row.account.data()
		all = append(all, envelope(row.id, row.started, latest).with(object{
			"modifiedByUserName": row.account.Directory + `\` + row.account.ID, "user": user.condensed(),
			"useStartTime": date(row.started), "useStopTime": noDate,
			"sessions": []object{{
				"sessionID": row.sessionID, "latestActivity": date(latest), "serverNodeConfigurationId": row.node.id, "privileges": nil,
			}},
			strings.ToLower(string(license[:1])) + string(license[1:]) + "AccessType": object{"id": stableID("rule", "capacity"), "privileges": nil},
			"schemaPath": "License." + string(license) + "AccessUsage",
		}))
	}
	return all
}
