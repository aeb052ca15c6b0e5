package qliktest

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"
)

// health is a part of the answer of a health check.
type health struct {
	Started   string
	Session   struct{ Active, Total int }
	Users     struct{ Active, Total int }
	Apps      struct{ Calls int }
	Saturated bool
}

func readHealth(t *testing.T, site *Site, path string) health {
	t.Helper()
	client := site.Client()
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://qlik1:4747"+path+"?Xrfkey=0123456789abcdef", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Qlik-Xrfkey", "0123456789abcdef")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("status %d, %v: %s", response.StatusCode, err, body)
	}
	var h health
	if err := json.Unmarshal(body, &h); err != nil {
		t.Fatal(err)
	}
	return h
}

func TestEngineHealth(t *testing.T) {
	t.Parallel()
	clock := NewClock(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))
	site, err := Start(Config{Now: clock.Now, InMemory: true, Users: []User{{Directory: "LAB", ID: "goran", License: Professional}}})
	if err != nil {
		t.Fatal(err)
	}
	defer site.Close()
	first, err := site.Login("LAB", "goran", "laptop", "", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := site.Login("LAB", "goran", "phone", "", ""); err != nil {
		t.Fatal(err)
	}
	clock.Advance(5 * time.Minute)
	site.Touch(first.ID)
	h := readHealth(t, site, "/engine/healthcheck")
	if h.Session.Total != 2 || h.Session.Active != 1 || h.Users.Total != 1 || h.Users.Active != 1 || h.Apps.Calls == 0 || h.Saturated {
		t.Errorf("one user with two sessions, one of them active: %+v", h)
	}
	clock.Advance(time.Minute)
	site.RestartEngine("qlik1")
	site.SetEngineSaturated("qlik1", true)
	if h := readHealth(t, site, "/healthcheck/"); h.Apps.Calls != 0 || h.Started != "20260302T090600.000+0000" || h.Session.Total != 2 || !h.Saturated {
		t.Errorf("after a restart of the engine: %+v", h)
	}
	if n := site.Requests().Engine; n != 2 {
		t.Errorf("%d requests to the engine are counted, want 2", n)
	}
}
