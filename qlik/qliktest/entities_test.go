package qliktest

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// entitySite is a company with a few sessions, an hour after its start.
func entitySite(t *testing.T, config Config) (*Site, *http.Client) {
	t.Helper()
	clock := NewClock(testStart)
	config.InMemory, config.Now = true, clock.Now
	site := start(t, config)
	for i, u := range config.Users[:5] {
		login(t, site, u.ID, "laptop", "", []string{"qlik-central", "qlik-node2"}[i%2])
	}
	login(t, site, "stranger", "laptop", "", "qlik-central") // without a license
	clock.Advance(time.Hour / 3)
	return site, clientOf(t, site)
}

// everyKind is a site that has entities of every kind that one license allows.
func everyKind() Config {
	config := Company(60)
	for i := range config.Users {
		config.Users[i].Directory = "LAB"
	}
	config.CapacityMinutes = 6000
	return config
}

// TestEveryKindOfEntity compares the forms of all lists with each other: full objects, short forms, numbers, single objects and filters.
func TestEveryKindOfEntity(t *testing.T) {
	_, client := entitySite(t, everyKind())
	for kind := range kinds {
		base := "https://qlik-central:4242/qrs/" + kind
		var full, condensed []map[string]any
		get(t, client, base+"/full", &full)
		get(t, client, base, &condensed)
		if full == nil || condensed == nil || len(full) != len(condensed) {
			t.Errorf("%s: %d full, %d condensed", kind, len(full), len(condensed))
			continue
		}
		count := func(filter string) int {
			var n struct{ Value int }
			get(t, client, base+"/count"+filter, &n)
			return n.Value
		}
		if n := count(""); n != len(full) {
			t.Errorf("%s: counts %d of %d", kind, n, len(full))
		}
		if len(full) == 0 {
			switch kind {
			case "custompropertydefinition", "license/useraccesstype", "license/loginaccesstype", "license/useraccessusage", "license/loginaccessusage":
			default:
				t.Errorf("%s: no entity", kind)
			}
			continue
		}
		ids := map[any]bool{}
		for i, o := range full {
			ids[o["id"]] = true
			if condensed[i]["id"] != o["id"] || len(condensed[i]) >= len(o) {
				t.Errorf("%s: %v is condensed to %v", kind, o, condensed[i])
			}
			if o["schemaPath"] == nil || o["createdDate"] == nil {
				t.Errorf("%s: %v", kind, o)
			}
		}
		if len(ids) != len(full) {
			t.Errorf("%s: %d ids of %d", kind, len(ids), len(full))
		}
		last := full[len(full)-1]
		id := fmt.Sprint(last["id"])
		var one map[string]any
		get(t, client, base+"/"+strings.ToUpper(id), &one)
		if one["id"] != id || len(one) != len(last) {
			t.Errorf("%s: %v", kind, one)
		}
		for _, filter := range []string{"id eq " + id, "(id eq '" + id + "')", "(id ne '" + id + "' or (id eq " + id + ") and createdDate gt '2000-01-01') and id eq " + id} {
			if n := count("?filter=" + url.QueryEscape(filter)); n != 1 {
				t.Errorf("%s %s: %d", kind, filter, n)
			}
		}
		for path, want := range map[string]int{
			"/00000000-0000-4000-8000-000000000000": http.StatusNotFound, "/nosuch": http.StatusBadRequest, "/" + id + "/x": http.StatusNotFound,
			"?filter=nosuch+eq+1": http.StatusBadRequest, "/full?filter=id+eq+'a&b'": http.StatusBadRequest, "?orderby=nosuch": http.StatusBadRequest,
		} {
			if status, body, _ := ask(t, client, http.MethodGet, base+path); status != want {
				t.Errorf("%s%s: status %d, want %d: %s", kind, path, status, want, body)
			}
		}
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
			if status, body, _ := ask(t, client, method, base+"/"+id); status != http.StatusMethodNotAllowed || !strings.Contains(string(body), "read-only") {
				t.Errorf("%s %s: status %d: %s", method, kind, status, body)
			}
		}
	}
}

func TestFiltersOfEntities(t *testing.T) {
	site, client := entitySite(t, everyKind())
	session := site.Sessions()[0]
	for _, test := range []struct {
		path, filter string
		want         int
	}{
		{"servicestatus", "ServiceType eq Engine", 3},
		{"servicestatus", "serviceState ne Running", 0},
		{"servicestatus", "serverNodeConfiguration.hostName eq 'QLIK-CENTRAL'", 5},
		{"servernodeconfiguration", "isCentral eq true", 1},
		{"servernodeconfiguration", "tags.name eq 'Rim node'", 2},
		{"proxyservice", "settings.virtualProxies.prefix eq 'sales'", 2},
		{"virtualproxyconfig", "authenticationMethod eq SAML and prefix ne 'sales'", 1},
		{"reloadtask", "app.stream.name eq 'monitoring apps'", 2},
		{"task/full", "name sw 'Reload'", 3},
		{"stream", "name eq 'Everyone'", 1},
		{"app", "stream.name eq 'Everyone'", 1},
		{"engineservice", "settings.listenerPorts eq 4747", 3},
		{"user", "roles eq 'RootAdmin'", 1},
		{"user/full", "(removedExternally eq true or inactive eq true)", 0},
		{"license/professionalaccesstype", "user.userId eq '" + CompanyServiceAccount + "'", 1},
		{"license/professionalaccesstype", "lastUsed lt '2026-05-14 00:00:00'", 7},
		{"license/professionalaccessusage/full", "sessionID eq '" + session.ID + "'", 1},
		{"executionresult", "status eq FinishedSuccess and startTime ge '" + testStart.Add(-24*time.Hour).UTC().Format(dateLayout) + "'", 49},
	} {
		var all []any
		get(t, client, "https://qlik-node2:4242/qrs/"+test.path+"?filter="+url.QueryEscape(test.filter), &all)
		if len(all) != test.want {
			t.Errorf("%s %s: %d, want %d", test.path, test.filter, len(all), test.want)
		}
	}
	// The same rows as the text that is prepared for a list without a filter.
	var all, some []any
	get(t, client, "https://qlik-central:4242/qrs/license/analyzeraccessusage/full", &all)
	get(t, client, "https://qlik-central:4242/qrs/license/analyzeraccessusage/full?filter=hostName+ne+'x'", &some)
	if len(all) == 0 || fmt.Sprint(all) != fmt.Sprint(some) {
		t.Errorf("%v\n%v", all, some)
	}
}

func TestOrderOfEntities(t *testing.T) {
	_, client := entitySite(t, everyKind())
	names := func(order string) []string {
		var all []struct{ Prefix string }
		get(t, client, "https://qlik-central:4242/qrs/virtualproxyconfig?orderBy="+url.QueryEscape(order), &all)
		var names []string
		for _, each := range all {
			names = append(names, each.Prefix)
		}
		return names
	}
	ascending := names("Prefix")
	if !slices.IsSorted(ascending) || len(ascending) != 8 {
		t.Error(ascending)
	}
	descending := names("prefix desc")
	slices.Reverse(descending)
	if !slices.Equal(ascending, descending) {
		t.Error(descending)
	}
}

func TestLocalEntities(t *testing.T) {
	_, client := entitySite(t, everyKind())
	for kind := range local {
		var one struct {
			HostName                string
			ServerNodeConfiguration struct{ HostName string }
		}
		get(t, client, "https://qlik-node3:4242/qrs/"+kind+"/local", &one)
		if one.HostName+one.ServerNodeConfiguration.HostName != "qlik-node3" {
			t.Errorf("%s: %+v", kind, one)
		}
	}
	if status, _, _ := ask(t, client, http.MethodGet, "https://qlik-node3:4242/qrs/user/local"); status != http.StatusBadRequest {
		t.Errorf("user: status %d", status)
	}
}

func TestTable(t *testing.T) {
	_, client := entitySite(t, everyKind())
	const columns = `{"entity":"User","columns":[{"name":"id","columnType":"Property","definition":"userId"},{"columnType":"Property","definition":"attributes.attributeType"}]}`
	var table struct {
		ColumnNames []string
		Rows        [][]string
	}
	const address = "https://qlik-central:4242/qrs/User/table?"
	if status := post(t, client, address+"skip=1&take=2&sortColumn=id&orderAscending=false&filter="+url.QueryEscape("userId sw 'a'"), columns, &table); status != http.StatusCreated {
		t.Fatal(status)
	}
	if got := fmt.Sprint(table.ColumnNames, table.Rows); got != "[id attributes.attributeType] [[anna.demir email] [anna.albers email]]" {
		t.Error(got)
	}
	for _, body := range []string{"", "[]", `{"columns":[{"columnType":"List","definition":"tags"}]}`, `{"columns":[{"columnType":"Property","definition":"nosuch"}]}`} {
		if status := post(t, client, address, body, nil); status != http.StatusBadRequest {
			t.Errorf("%s: status %d", body, status)
		}
	}
	if status := post(t, client, address+"filter=nosuch", columns, nil); status != http.StatusBadRequest {
		t.Errorf("filter: status %d", status)
	}
}

func TestTokenInfo(t *testing.T) {
	_, client := proxySite(t, Config{})
	var info struct {
		TotalTokens    int
		UserAccessType struct{ TokenCost int }
	}
	get(t, client, "https://a:4242/qrs/license/AccessTypeInfo", &info)
	if info.UserAccessType.TokenCost != 1 {
		t.Errorf("%+v", info)
	}
}
