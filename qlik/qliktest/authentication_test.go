package qliktest

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// post sends a body and decodes the response if it is 201.
func post(t *testing.T, client *http.Client, url, body string, into any) int {
	t.Helper()
	separator := "?"
	if strings.Contains(url, "?") {
		separator = "&"
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+separator+"xrfkey="+testKey, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Qlik-Xrfkey", testKey)
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode == http.StatusCreated {
		if err := json.Unmarshal(content, into); err != nil {
			t.Fatalf("%v: %s", err, content)
		}
	}
	return response.StatusCode
}

func TestAddSession(t *testing.T) {
	clock := NewClock(testStart)
	site, client := proxySite(t, Config{Now: clock.Now})
	const base = "https://a:4243/qps/sales/session"
	var added struct {
		UserDirectory, UserID, SessionID string
		Attributes                       []map[string]string
		NewUser                          *bool
	}
	status := post(t, client, base, `{"UserDirectory": "LAB ", "userId": "goran", "Attributes": [{"group": "x"}, {"group": ""}], "SessionId": "chosen/1"}`, &added)
	if status != http.StatusCreated || added.SessionID != "chosen/1" || added.UserDirectory != "LAB" || added.UserID != "goran" ||
		len(added.Attributes) != 2 || added.NewUser == nil || *added.NewUser {
		t.Fatal(status, added)
	}
	if n := site.UsageRows("LAB", "goran"); n != 1 {
		t.Errorf("%d slots", n)
	}
	var listed []sessionData
	get(t, client, base, &listed)
	if len(listed) != 1 || listed[0].SessionID != "chosen/1" || len(listed[0].Attributes) != 2 {
		t.Errorf("%+v", listed)
	}
	if status := post(t, client, base, `{"UserDirectory": "LAB", "UserId": "goran", "SessionId": "chosen/1"}`, nil); status != http.StatusConflict {
		t.Errorf("the same session again: status %d", status)
	}
	added.SessionID, added.NewUser = "", nil
	if status := post(t, client, base, `{"UserDirectory": "LAB", "UserId": "stranger"}`, &added); status != http.StatusCreated || len(added.SessionID) != 36 || !*added.NewUser {
		t.Error(status, added)
	}
	for _, id := range []string{"chosen%2F1", added.SessionID} {
		if status, body, _ := ask(t, client, http.MethodGet, base+"/"+id); status != http.StatusOK || !strings.Contains(string(body), `"Attributes":[`) {
			t.Errorf("%s: status %d, %s", id, status, body)
		}
		if status, _, _ := ask(t, client, http.MethodDelete, base+"/"+id); status != http.StatusOK {
			t.Errorf("DELETE %s: status %d", id, status)
		}
		if status, _, _ := ask(t, client, http.MethodGet, base+"/"+id); status != http.StatusNotFound {
			t.Errorf("%s after its end: status %d", id, status)
		}
	}
	if n := site.UsageRows("LAB", "goran"); n != 0 {
		t.Errorf("%d slots", n)
	}
	for range 5 {
		post(t, client, base, `{"UserDirectory": "LAB", "UserId": "goran"}`, &added)
	}
	clock.Advance(29 * time.Minute)
	post(t, client, base, `{"UserDirectory": "LAB", "UserId": "goran"}`, &added)
	if all := site.Sessions(); len(all) != 6 || all[4].Granted != true || all[5].Granted {
		t.Errorf("%+v", all)
	}
	clock.Advance(2 * time.Minute)
	if all := site.Sessions(); len(all) != 1 {
		t.Errorf("%d sessions after the timeout", len(all))
	}
}

func TestAddTicket(t *testing.T) {
	clock := NewClock(testStart)
	site, client := proxySite(t, Config{Now: clock.Now})
	type ticket struct {
		UserDirectory, UserID, Ticket string
		TargetURI                     *string
	}
	add := func(body string) ticket {
		t.Helper()
		var added ticket
		if status := post(t, client, "https://a:4243/qps/sales/ticket", body, &added); status != http.StatusCreated || len(added.Ticket) != 16 {
			t.Fatal(status, added)
		}
		return added
	}
	first := add(`{"UserDirectory": "LAB", "UserId": " goran ", "Attributes": []}`)
	if first.UserID != "goran" || first.TargetURI != nil || len(site.Sessions()) != 0 {
		t.Errorf("%+v", first)
	}
	second := add(`{"userDirectory": "LAB", "userId": "goran", "targetId": "x"}`)
	if second.TargetURI == nil || *second.TargetURI != "https://a/sales/hub/" || second.Ticket == first.Ticket {
		t.Errorf("%+v", second)
	}
	session, err := site.RedeemTicket(first.Ticket, "laptop")
	if err != nil || session.UserID != "goran" || session.VirtualProxy != "sales" || session.Node != "a" || !session.Granted {
		t.Error(session, err)
	}
	if _, err := site.RedeemTicket(first.Ticket, "laptop"); err == nil {
		t.Error("a ticket is used twice")
	}
	clock.Advance(time.Minute)
	if _, err := site.RedeemTicket(second.Ticket, "laptop"); err == nil {
		t.Error("an old ticket is used")
	}
}

func TestRefusedAuthentication(t *testing.T) {
	_, client := proxySite(t, behaving(t, map[string]string{"unknown_prefix": "empty_list"}))
	for _, path := range []string{"session", "ticket"} {
		for _, body := range []string{
			"", "[]", "{}", `{"UserDirectory": "LAB"}`, `{"UserDirectory": " ", "UserId": "x"}`, `{"UserDirectory": "LAB\\x", "UserId": "x"}`,
			`{"UserDirectory": "LAB", "UserId": "x", "Attributes": {}}`, `{"UserDirectory": "LAB", "UserId": "` + strings.Repeat("x", maxAuthenticated) + `"}`,
		} {
			if status := post(t, client, "https://a:4243/qps/"+path, body, nil); status != http.StatusBadRequest {
				t.Errorf("%s %.80s: status %d", path, body, status)
			}
		}
		if status := post(t, client, "https://a:4243/qps/nosuch/"+path, `{"UserDirectory": "LAB", "UserId": "x"}`, nil); status != http.StatusNotFound {
			t.Errorf("%s of an unknown virtual proxy: status %d", path, status)
		}
	}
}

func TestMethodsOfTheProxy(t *testing.T) {
	_, client := proxySite(t, Config{})
	for path, allowed := range map[string]string{
		"alive": "GET", "health": "GET", "about/description": "GET", "session": "GET POST", "session/x": "GET DELETE", "user/LAB/x": "GET DELETE", "ticket": "POST",
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
			status, _, _ := ask(t, client, method, "https://a:4243/qps/"+path)
			if (status == http.StatusMethodNotAllowed) == strings.Contains(allowed, method) {
				t.Errorf("%s %s: status %d", method, path, status)
			}
		}
	}
}
