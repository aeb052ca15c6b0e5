package qliktest_test

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// tokens are the numbers of tokens in the overview of the repository.
type tokens struct {
	TokensEnabled                bool
	TotalTokens, AvailableTokens float64
	UserAccess, LoginAccess      struct {
		Enabled                                bool
		AllocatedTokens, UsedTokens, TokenCost float64
		QuarantinedTokens, UnavailableTokens   float64
	}
	ProfessionalAccess, AnalyzerAccess struct{ Enabled bool }
}

func (w *world) tokens() tokens {
	w.t.Helper()
	var overview tokens
	w.ask("license/accesstypeoverview", &overview)
	return overview
}

func TestUserAccess(t *testing.T) {
	w := newWorld(t, qliktest.Config{Tokens: 4, LoginAccessTokens: 1, Users: []qliktest.User{
		{Directory: "LAB", ID: "anna", License: qliktest.UserAccess},
	}})
	w.opens("anna", "laptop", true)
	w.GiveLicense("LAB", "bert", qliktest.UserAccess)
	if rows := w.rows("anna"); !maps.Equal(rows, map[string]int{qlik.LicenseUser: 1}) {
		t.Errorf("rows %v", rows)
	}
	if l := w.licenses(); l.Of(anna) != qlik.LicenseUser || l.Of(bert) != qlik.LicenseUser || l.Of(qlik.NewUser("LAB", "carla")) != qlik.LicenseUnknown || len(l.Seats) != 0 {
		t.Errorf("holders %v, seats %v", l.Holders, l.Seats)
	}
	o := w.tokens()
	if !o.TokensEnabled || o.TotalTokens != 4 || o.AvailableTokens != 1 || o.UserAccess.AllocatedTokens != 2 || o.UserAccess.UsedTokens != 1 ||
		!o.LoginAccess.Enabled || o.LoginAccess.AllocatedTokens != 1 || o.LoginAccess.TokenCost != 0.1 || o.ProfessionalAccess.Enabled {
		t.Errorf("%+v", o)
	}
	for _, id := range []string{"carla", "dora"} {
		w.GiveLicense("LAB", id, qliktest.UserAccess)
	}
	w.opens("carla", "laptop", true)
	w.opens("dora", "laptop", false) // there is no token left
	w.TakeLicense("LAB", "carla", qliktest.UserAccess)
	w.TakeLicense("LAB", "dora", qliktest.UserAccess)
	w.clock.Advance(7 * 24 * time.Hour)
	w.opens("anna", "laptop", true)
	w.TakeLicense("LAB", "anna", qliktest.UserAccess)
	w.TakeLicense("LAB", "bert", qliktest.UserAccess) // it was never used
	if o := w.tokens(); o.UserAccess.QuarantinedTokens != 1 || o.UserAccess.AllocatedTokens != 0 || o.AvailableTokens != 2 {
		t.Errorf("in quarantine: %+v", o)
	}
	w.clock.Advance(7 * 24 * time.Hour)
	if o := w.tokens(); o.UserAccess.QuarantinedTokens != 0 || o.AvailableTokens != 3 {
		t.Errorf("after the quarantine: %+v", o)
	}
}

func TestLoginAccessPasses(t *testing.T) {
	w := newWorld(t, qliktest.Config{
		Tokens: 1, LoginAccessTokens: 1, VirtualProxies: []qliktest.VirtualProxy{{InactivityTimeout: 2 * time.Hour}},
	})
	used := func(want float64) {
		t.Helper()
		if got := w.tokens().LoginAccess.UsedTokens; got != want {
			t.Errorf("%v tokens used, want %v", got, want)
		}
	}
	laptop := w.opens("anna", "laptop", true)
	phone := w.opens("anna", "phone", true)
	used(0.1) // sessions within an hour share a pass
	if rows := w.rows("anna"); !maps.Equal(rows, map[string]int{qlik.LicenseLogin: 2}) {
		t.Errorf("rows %v", rows)
	}
	passes := []struct{ Sessions []struct{ SessionID string } }{}
	w.ask("license/loginaccessusage/full", &passes)
	if len(passes) != 1 || len(passes[0].Sessions) != 2 {
		t.Errorf("passes %v", passes)
	}
	w.Logout(phone.ID)
	w.clock.Advance(58 * time.Minute)
	phone = w.opens("anna", "phone", true)
	used(0.1)
	w.clock.Advance(2 * time.Minute)
	used(0.1) // idle
	w.granted(laptop)
	used(0.2) // the same session, another pass
	w.ask("license/loginaccessusage/full", &passes)
	if len(passes) != 2 {
		t.Errorf("passes %v", passes)
	}
	w.Logout(laptop.ID)
	w.Logout(phone.ID)
	for i := range 8 {
		w.opens(fmt.Sprint("user", i), "laptop", true)
	}
	used(1)
	last := w.opens("late", "laptop", false)
	w.clock.Advance(29 * time.Minute)
	anna := w.opens("anna", "laptop", true) // the pass has 31 minutes left
	w.granted(last)
	w.clock.Advance(29 * time.Minute)
	w.granted(anna)
	w.granted(last)
	w.clock.Advance(2 * time.Minute)
	if w.granted(anna) || w.granted(last) || len(w.rows("anna")) != 0 {
		t.Error("access without passes")
	}
	w.clock.Set(monday.Add(28*24*time.Hour - time.Second))
	w.opens("late", "laptop", false)
	w.clock.Advance(time.Second) // the first pass returns
	w.opens("late", "laptop", true)
	used(1)
}

func TestPassWithoutSessionIsARowWithoutSessions(t *testing.T) {
	w := newWorld(t, qliktest.Config{Tokens: 1, LoginAccessTokens: 1})
	w.Logout(w.opens("anna", "laptop", true).ID)
	passes := []struct{ Sessions []any }{}
	w.ask("license/loginaccessusage/full", &passes)
	if len(passes) != 1 || passes[0].Sessions == nil || len(passes[0].Sessions) != 0 || len(w.rows("anna")) != 0 {
		t.Errorf("%+v", passes)
	}
	w.AddLeftoverRow("LAB", "anna")
	if rows := w.rows("anna"); !maps.Equal(rows, map[string]int{qlik.LicenseLogin: 1}) {
		t.Errorf("rows %v", rows)
	}
}

func TestLoginAccessLimitAndLicenseService(t *testing.T) {
	w := newWorld(t, qliktest.Config{Tokens: 1, LoginAccessTokens: 1, AuditLogDir: t.TempDir(), QMC: qliktest.QMCSecondRow})
	for i := range 4 {
		w.opens("anna", fmt.Sprint("browser ", i), true)
	}
	w.opensQMC("anna", "browser 0", true)
	w.opens("anna", "one more", false)
	passes := []struct{ Sessions []struct{ SessionID string } }{}
	w.ask("license/loginaccessusage/full", &passes)
	if len(passes) != 1 || len(passes[0].Sessions) != 5 {
		t.Errorf("passes %v", passes)
	}
	w.SetLicenseServiceFails(true)
	w.opens("bert", "laptop", false)
	if denials := w.denials(); !maps.Equal(denials, map[string]int{"anna: limit": 1, "bert: no license": 1}) {
		t.Errorf("denials %v", denials)
	}
}

func TestLicenseForCores(t *testing.T) {
	for _, unlimited := range []bool{false, true} {
		w := newWorld(t, qliktest.Config{Cores: 8, NoLimitForCores: unlimited, AuditLogDir: t.TempDir()})
		for i := range 5 {
			w.opens("anna", fmt.Sprint("browser ", i), true)
		}
		w.opens("anna", "one more", unlimited)
		l := w.licenses()
		if l.Of(anna) != qlik.LicenseUnknown || len(l.Holders) != 0 || len(l.Seats) != 0 || l.Capacity != nil || l.Valid == nil || !*l.Valid {
			t.Errorf("%+v", l)
		}
		if rows := w.rows("anna"); len(rows) != 0 {
			t.Errorf("rows %v", rows)
		}
		for _, kind := range []string{"professional", "analyzer", "user", "login", "analyzertime"} {
			for _, list := range []string{"accesstype", "accessusage"} {
				all := []any{0}
				if w.ask("license/"+kind+list+"/full", &all); len(all) != 0 {
					t.Errorf("%s%s: %v", kind, list, all)
				}
			}
		}
		var license struct{ NumberOfCores int }
		if w.ask("license", &license); license.NumberOfCores != 8 {
			t.Errorf("%+v", license)
		}
		if n := w.UsageRows("LAB", "anna"); n < 5 || w.CanOpen("LAB", "anna") != unlimited {
			t.Errorf("%d slots", n)
		}
	}
}

func TestLicensesThatNobodySells(t *testing.T) {
	user := func(license qliktest.License) []qliktest.User {
		return []qliktest.User{{Directory: "LAB", ID: "anna", License: license}}
	}
	for name, config := range map[string]qliktest.Config{
		"capacity with a serial number":   {CapacityMinutes: 6, SerialNumber: true},
		"capacity with tokens":            {CapacityMinutes: 6, Tokens: 1},
		"seats with tokens":               {AnalyzerSeats: 6, Tokens: 1},
		"cores with tokens":               {Cores: 8, Tokens: 1},
		"too many tokens for logins":      {Tokens: 1, LoginAccessTokens: 2},
		"analyzer access with tokens":     {Tokens: 1, Users: user(qliktest.Analyzer)},
		"professional access with cores":  {Cores: 8, Users: user(qliktest.Professional)},
		"user access without tokens":      {Users: user(qliktest.UserAccess)},
		"login access of a single user":   {Tokens: 1, LoginAccessTokens: 1, Users: user(qliktest.LoginAccess)},
		"capacity of a single user":       {CapacityMinutes: 6, Users: user(qliktest.AnalyzerCapacity)},
		"a second license without tokens": {Users: []qliktest.User{{Directory: "LAB", ID: "anna", Second: qliktest.UserAccess}}},
	} {
		if site, err := qliktest.Start(config); err == nil {
			site.Close()
			t.Errorf("%s: started", name)
		}
	}
	w := newWorld(t, qliktest.Config{Cores: 8})
	defer func() {
		if recover() == nil {
			t.Error("a license for cores has no access to give")
		}
	}()
	w.GiveLicense("LAB", "anna", qliktest.Analyzer)
}
