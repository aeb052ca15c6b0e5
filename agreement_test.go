package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// TestOutputsAgree checks that metrics, page and commands show the same sessions, free
// slots and next slots.
func TestOutputsAgree(t *testing.T) {
	config := qliktest.Config{Nodes: []qliktest.Node{{Name: "qlik1"}}}
	for _, id := range []string{"anna", "bert", "carla", "dora"} {
		config.Users = append(config.Users, qliktest.User{Directory: "LAB", ID: id, License: qliktest.Analyzer})
	}
	site, flags := startSite(t, config)
	for id, sessions := range map[string]int{"anna": 5, "bert": 7, "carla": 4, "dora": 1} {
		for i := range sessions {
			if _, err := site.Login("LAB", id, fmt.Sprint("device", i), "", "qlik1"); err != nil {
				t.Fatal(err)
			}
		}
	}
	metrics := startExporter(t, flags...)

	got := map[string]map[string]string{ // by output and user
		"metrics": agreedInMetrics(t, metrics),
		"page":    agreedOnPage(t, strings.TrimSuffix(metrics, "/metrics")+"/sessions"),
		"JSON":    agreedInJSON(t, sessionsOutput(t, flags, "json")),
		"CSV":     agreedInCSV(t, sessionsOutput(t, flags, "csv")),
	}
	want := got["metrics"]
	for user, text := range map[string]string{"anna": "5 sessions, 0 free, next ", "bert": "7 sessions, 0 free, next ", "carla": "4 sessions, 1 free", "dora": "1 sessions, 4 free"} {
		if !strings.HasPrefix(want[user], text) {
			t.Errorf("metrics: %s: got %q, want %q", user, want[user], text)
		}
	}
	for output, users := range got {
		if !maps.Equal(users, want) {
			t.Errorf("%s: got %q, want %q", output, users, want)
		}
	}
	table := sessionsOutput(t, flags, "table")
	for user, text := range want {
		free := strings.TrimSuffix(strings.Fields(text)[2], ",")
		if !regexp.MustCompile(`(?m)^` + free + ` +LAB\\` + user + ` +` + strings.Fields(text)[0] + `\b`).MatchString(table) {
			t.Errorf("table: want %s %s in\n%s", user, text, table)
		}
		if _, next, known := strings.Cut(text, "next "); known {
			at, err := time.Parse(time.RFC3339, next)
			if err != nil || !strings.Contains(table, at.Local().Format("15:04:05")) {
				t.Errorf("table: want %s %s in\n%s", user, at.Local(), table)
			}
		}
	}
}

// agreed describes a user. The next slot is zero if there is none.
func agreed(sessions, free int, next time.Time) string {
	text := fmt.Sprintf("%d sessions, %d free", sessions, free)
	if !next.IsZero() {
		text += ", next " + next.UTC().Format(time.RFC3339)
	}
	return text
}

func agreedInMetrics(t *testing.T, metrics string) map[string]string {
	t.Helper()
	values := make(map[string]map[string]float64) // by user and metric
	for name, family := range scrape(t, metrics) {
		for _, series := range family.GetMetric() {
			for _, pair := range series.GetLabel() {
				if pair.GetName() == "user_id" {
					if values[pair.GetValue()] == nil {
						values[pair.GetValue()] = make(map[string]float64)
					}
					values[pair.GetValue()][name] += series.GetGauge().GetValue()
				}
			}
		}
	}
	users := make(map[string]string)
	for user, of := range values {
		var next time.Time
		if at, known := of["qlik_user_next_slot_timestamp_seconds"]; known {
			next = time.UnixMilli(int64(at * 1000))
		}
		users[user] = agreed(int(of["qlik_user_sessions"]), int(of["qlik_user_effective_headroom"]), next)
	}
	return users
}

func agreedOnPage(t *testing.T, url string) map[string]string {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	users := make(map[string]string)
	row := regexp.MustCompile(`(?s)class="badge">(\d) free<.*?<bdi>LAB</bdi>\\</span><bdi>(\w+)</bdi>.*?class="sessions">.*?</span>(\d) of 5.*?class="next">(.*?)</td>`)
	for _, cells := range row.FindAllStringSubmatch(string(body), -1) {
		var next time.Time
		if at := regexp.MustCompile(`datetime="([^"]+)"`).FindStringSubmatch(cells[4]); at != nil {
			if next, err = time.Parse(time.RFC3339, html.UnescapeString(at[1])); err != nil {
				t.Error(err)
			}
		}
		users[cells[2]] = agreed(int(cells[3][0]-'0'), int(cells[1][0]-'0'), next)
	}
	return users
}

func sessionsOutput(t *testing.T, flags []string, format string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if status := run(t.Context(), append([]string{"sessions", "--output=" + format}, flags...), &stdout, &stderr); status != 0 {
		t.Fatalf("exit status %d\n%s", status, &stderr)
	}
	return stdout.String()
}

func agreedInJSON(t *testing.T, document string) map[string]string {
	t.Helper()
	var answer struct {
		Users []struct {
			ID       string    `json:"user_id"`
			Sessions int       `json:"sessions"`
			Free     int       `json:"effective_headroom"`
			Next     time.Time `json:"next_slot"`
		} `json:"users"`
	}
	if err := json.Unmarshal([]byte(document), &answer); err != nil {
		t.Fatal(err)
	}
	users := make(map[string]string)
	for _, user := range answer.Users {
		users[user.ID] = agreed(user.Sessions, user.Free, user.Next)
	}
	return users
}

func agreedInCSV(t *testing.T, document string) map[string]string {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(document)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	users := make(map[string]string)
	for _, row := range rows[1:] {
		of := make(map[string]string)
		for i, column := range rows[0] {
			of[column] = row[i]
		}
		text := of["sessions"] + " sessions, " + of["effective_headroom"] + " free"
		if of["next_slot"] != "" {
			text += ", next " + of["next_slot"]
		}
		users[of["user_id"]] = text
	}
	return users
}
