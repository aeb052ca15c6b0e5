package main

import (
	"context"
	"encoding/json"
	"fmt"
	"html"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/qlik-exporter/qlik_exporter/collector"
	answers "github.com/qlik-exporter/qlik_exporter/internal/answer"
	"github.com/qlik-exporter/qlik_exporter/internal/page"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// TestBusyHour checks at several moments of a busy hour of a company that everything that
// shows a user says the same about every user: why, the page of the user and its JSON, the
// list of users and its JSON, the metrics, and the texts of the alerts.
func TestBusyHour(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts many processes; TestAnswersPredictLogins reads the same site")
	}
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Log("promtool is not in PATH (Debian: package prometheus), so the texts of the alerts were not compared")
	}
	synctest.Test(t, testBusyHour)
}

const company = qliktest.CompanyDirectory

func testBusyHour(t *testing.T) {
	config := qliktest.Company(300)
	config.Seed, config.Denials, config.AnalyzerSeats = 1, qliktest.Denials2025, 255 // a few too little
	kiosk, svc := qlik.NewUser(company, "kiosk"), qlik.NewUser(company, "svc_scripts")
	for _, user := range []qlik.User{svc, kiosk} {
		config.Users = append([]qliktest.User{{Directory: user.Directory, ID: user.ID, License: qliktest.Professional}}, config.Users...)
	}
	o := observe(t, config, headroom.Config{ServiceAccounts: []qlik.User{svc}, Unlimited: []qlik.User{kiosk}})
	ctx, stop := context.WithCancel(t.Context())
	var people sync.WaitGroup
	people.Go(func() { _ = qliktest.NewPeople(o.Site, 1).Run(ctx) })
	defer people.Wait()
	defer stop()
	login := func(id, device string) qliktest.Session {
		session, err := o.Login(company, id, device, "", "qlik-central")
		if err != nil {
			t.Fatal(err)
		}
		return session
	}
	wait := func(minutes int) {
		for range 2 * minutes {
			time.Sleep(30 * time.Second)
			o.scrape()
		}
	}
	kinds := make(map[string]int) // how often a user of a kind was compared

	wait(5)
	for i := range 3 {
		o.AddLeftoverRow(company, "anna.albers")
		login("kiosk", fmt.Sprint(i))
	}
	wait(10)
	o.compare("people arrive", kinds)
	wait(10)
	o.SetLicenseServiceFails(true)
	for i := range 7 {
		login("svc_scripts", fmt.Sprint(i))
		login("julia.eriksen", fmt.Sprint(i))
	}
	login("nobody", "laptop")
	wait(1)
	o.compare("the license service fails", kinds)
	o.SetLicenseServiceFails(false)
	wait(1)
	o.compare("the license service works again", kinds)
	for i := range 7 {
		login("svc_scripts", fmt.Sprint(i))
		login("kiosk", fmt.Sprint(i))
	}
	wait(20)
	for _, session := range o.Sessions() {
		if session.UserID == "anna.albers" {
			o.Logout(session.ID)
		}
	}
	for i := range 6 {
		login("anna.albers", fmt.Sprint(i))
	}
	o.GiveLicense(company, "nobody", qliktest.Professional)
	o.RestartProxy("qlik-node2")
	wait(1)
	o.compare("a proxy restarted", kinds)
	o.SetProxyFault("qlik-node2", qliktest.Refused)
	wait(1)
	o.compare("a node does not answer", kinds)
	o.SetRepositoryFault("qlik-central", qliktest.Refused)
	wait(2)
	o.compare("the repository does not answer either", kinds)
	o.SetProxyFault("qlik-node2", qliktest.NoFault)
	wait(8)
	o.compare(lastMoment, kinds)
	t.Logf("compared users: %v", kinds)
	for _, kind := range []string{
		"can log in: true", "can log in: false", "can log in: unknown", "unlimited", "cooling", "leftover", "no license", "incomplete", "next slot",
		"refused: no_license", "refused: session_limit",
		"cause: no_license", "cause: license_service", "cause: service_account", "cause: leftover_rows", "cause: cooling", "cause: embedded_page", "cause: unknown",
	} {
		if kinds[kind] == 0 {
			t.Errorf("nobody was compared who is %s", kind)
		}
	}
}

// lastMoment is the last moment of the test.
const lastMoment = "without usage rows"

// frozen is a site that does not change any more.
type frozen struct {
	snapshot *headroom.Snapshot
	status   collector.Status
}

func (f *frozen) Snapshot(context.Context) *headroom.Snapshot { return f.snapshot }
func (f *frozen) Status() collector.Status                    { return f.status }

// shown is everything that shows the users of a snapshot.
type shown struct {
	*observed

	pages   http.Handler
	url     string // of a server of the pages
	list    *sessions.List
	table   map[string]shownUser                     // of the pages of the list, by user
	metrics map[string]map[string]map[string]float64 // by user, metric, and the value of the other label
	alerts  map[string]map[string]map[string]string  // annotations by alert and user; nil without promtool
}

// compare compares everything that shows the users of the last snapshot.
func (o *observed) compare(moment string, kinds map[string]int) {
	o.t.Helper()
	source := page.NewRecent(&frozen{o.snapshot, o.client.Status()})
	exporter, err := collector.NewExporter(source, collector.Config{Denials: o.denials, Users: collector.UsersConfig{MinSessions: 1, MaxUsers: 1000}})
	if err != nil {
		o.t.Fatal(err)
	}
	families, err := exporter.Scrape(o.t.Context()).Gather()
	if err != nil {
		o.t.Fatal(err)
	}
	s := &shown{observed: o, metrics: metricsOfUsers(families), alerts: alertsOf(o.t, families, time.Now()), table: make(map[string]shownUser)}
	s.pages = page.New(page.Config{
		Names: func() []string { return []string{""} },
		Use: func(string) (page.Site, func(), bool) {
			return page.Site{Recent: source, ServiceAccounts: o.settings.ServiceAccounts}, func() {}, true
		},
	})
	server := httptest.NewServer(s.pages)
	defer server.Close()
	s.url = server.URL
	s.list = readList(o.t, s.get("/sessions", "application/json"))
	s.readTable()
	if len(s.table) != len(s.list.Users) || len(s.table) < 50 {
		o.t.Fatalf("%s: %d users on the page, %d in its JSON", moment, len(s.table), len(s.list.Users))
	}
	for i := range s.list.Users {
		s.user(moment, &s.list.Users[i], kinds)
	}
	for alert, of := range s.alerts {
		kinds["alert: "+alert] += len(of)
		if kinds["alert: "+alert] == 0 && moment == lastMoment {
			o.t.Errorf("%s has not fired at any moment", alert)
		}
	}
}

func (s *shown) get(path, accept string) []byte {
	s.t.Helper()
	request := httptest.NewRequestWithContext(s.t.Context(), http.MethodGet, path, http.NoBody)
	request.Header.Set("Accept", accept)
	answer := httptest.NewRecorder()
	s.pages.ServeHTTP(answer, request)
	if answer.Code != http.StatusOK {
		s.t.Fatalf("%s: %d %s", path, answer.Code, answer.Body)
	}
	return answer.Body.Bytes()
}

// readTable reads the pages of the list.
func (s *shown) readTable() {
	for number, pages := 1, 1; number <= pages; number++ {
		text := string(s.get("/sessions?page="+strconv.Itoa(number), "text/html"))
		pages, _ = strconv.Atoi(firstMatch(pageNumbers, text))
		maps.Copy(s.table, shownUsers(s.t, text))
	}
}

// user compares everything about one user.
func (s *shown) user(moment string, listed *sessions.Listed, kinds map[string]int) {
	user := listed.User()
	name := user.String()
	check := func(what string, got, want any) {
		if !reflect.DeepEqual(got, want) {
			s.t.Errorf("%s: %s: %s: got %v, want %v", moment, name, what, got, want)
		}
	}
	path := "/sessions/user?user=" + url.QueryEscape(name)
	a := new(answers.Answer)
	if err := json.Unmarshal(s.get(path, "application/json"), a); err != nil {
		s.t.Fatal(err)
	}
	check("the name", a.User, name)
	check("the sentence", a.CanLogIn != nil || strings.Contains(a.Verdict, "unknown") || strings.Contains(a.Verdict, "apps cannot be opened") || !a.Complete || user.Anonymous(), true)
	check("an advice to end sessions without a command", strings.Contains(a.Advice, "end sessions;") && a.Command == "", false)
	s.checkList(check, listed, a)
	s.checkPage(check, string(s.get(path, "text/html")), a)
	s.checkMetrics(check, listed, a)
	if s.alerts != nil {
		s.checkAlerts(check, name, a)
	}
	// To start a process takes long, so the command is run once for each kind of user.
	kind := fmt.Sprintf("can log in: %s, cause %s, complete %t, limit %d, next slot %t, command %t", canLogIn(a), a.Cause, a.Complete, a.Limit, a.NextSlotAt != nil, a.Command != "")
	if !s.asked[kind] && !user.Anonymous() {
		s.asked[kind] = true
		s.checkCommand(check, name, a)
	}
	count(kinds, a)
}

// count counts the kinds of a user.
func count(kinds map[string]int, a *answers.Answer) {
	kinds["can log in: "+canLogIn(a)]++
	for kind, is := range map[string]bool{
		"unlimited": a.Limit == 0, "incomplete": !a.Complete, "next slot": a.NextSlotAt != nil, "no license": a.License == qlik.LicenseNone,
		"cause: " + string(a.Cause): a.Cause != "",
	} {
		if is {
			kinds[kind]++
		}
	}
	for i := range a.Slots {
		kinds[string(a.Slots[i].State)]++
	}
	if len(a.Refused) > 0 {
		kinds["refused: "+string(a.Refused[0].Reason)]++
	}
}

type checker func(what string, got, want any)

// timeOf returns the time of a JSON value, or "" if it is unknown.
func timeOf(t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// checkList compares the list of users and its JSON with an answer.
func (s *shown) checkList(check checker, listed *sessions.Listed, a *answers.Answer) {
	row := s.table[a.User]
	check("the sessions in the list", listed.Sessions, a.Sessions)
	check("the license in the list", listed.License, a.License)
	check("the next slot in the list", timeOf(&listed.NextSlot), timeOf(a.NextSlotAt))
	check("the limit in the list", listed.EffectiveHeadroom != nil, a.Limit > 0)
	if listed.EffectiveHeadroom != nil {
		check("the free slots in the list", max(*listed.EffectiveHeadroom, 0), a.EffectiveHeadroom)
	}
	check("the complete list", s.list.Complete, a.Complete)
	refused := []answers.Refusal{}
	for _, refusal := range listed.Refused {
		refused = append(refused, answers.Refusal(refusal))
	}
	check("the refused logins in the list", refused, a.Refused)
	full := listed.EffectiveHeadroom != nil && *listed.EffectiveHeadroom <= 0
	if a.CanLogIn != nil {
		check("whether the list lets the user in", listed.Unlicensed == "" && !full, *a.CanLogIn)
	}
	switch a.Cause {
	case headroom.CauseNoLicense, headroom.CauseLicenseService:
		check("the license problem in the list", string(listed.Unlicensed), string(a.Cause))
	default:
		check("a license problem in the list", listed.Unlicensed == "" || a.CanLogIn == nil, true)
	}

	check("the license on the page", row.license, strings.ReplaceAll(a.License, "_", " "))
	want := shownUser{license: row.license}
	if a.Limit > 0 && listed.Unlicensed == "" {
		want.free, want.next = strconv.Itoa(a.EffectiveHeadroom), timeOf(a.NextSlotAt)
	}
	check("the row on the page", row, want)
}

var (
	userVerdict = regexp.MustCompile(`<section class="verdict [a-z]+" aria-label="Answer">\s*<h2>(.*?)</h2>`)
	userWhy     = regexp.MustCompile(`<dt>Why</dt>\s*<dd>(.*?)(?: <span class="quiet">Since .*?)?</dd>`)
	userAdvice  = regexp.MustCompile(`(?s)<dt>What to do</dt>\s*<dd>(.*?)(?:\s*<div.*?)?</dd>`)
	userCommand = regexp.MustCompile(`<code tabindex="0">(.*?)</code>`)
	userNext    = regexp.MustCompile(`<dt>Next slot by itself</dt>\s*<dd><time datetime="([^"]*)"`)
	userTaken   = regexp.MustCompile(`<h2>(\d+) of \d+ slots are taken</h2>`)
	userSlot    = regexp.MustCompile(`<li class="(active|idle|refused|cooling|leftover)">`)
	userSay     = regexp.MustCompile(`<q lang="([a-z]+)">(.*?)</q>`)
)

// checkPage compares the page of a user with its JSON.
func (s *shown) checkPage(check checker, text string, a *answers.Answer) {
	first := func(pattern *regexp.Regexp) string { return firstMatch(pattern, text) }
	why := a.Why
	if why != "" && a.Certainty == headroom.Likely {
		why = "Likely: " + why
	}
	check("the verdict on the page", first(userVerdict), a.Verdict)
	check("the cause on the page", first(userWhy), why)
	check("the advice on the page", first(userAdvice), a.Advice)
	check("the command on the page", first(userCommand), a.Command)
	check("the next slot on the page", first(userNext), timeOf(a.NextSlotAt))
	say := make(map[string]string)
	for _, phrase := range userSay.FindAllStringSubmatch(text, -1) {
		say[phrase[1]] = html.UnescapeString(phrase[2])
	}
	check("what to say on the page", say, a.Say)
	var states []headroom.SlotState
	for _, slot := range userSlot.FindAllStringSubmatch(text, -1) {
		states = append(states, headroom.SlotState(slot[1]))
	}
	var want []headroom.SlotState
	holding := 0
	for i := range a.Slots {
		want = append(want, a.Slots[i].State)
		if a.Slots[i].HoldsSlot {
			holding++
		}
	}
	check("the slots on the page", states, want)
	if a.Limit > 0 {
		if len(a.Slots) > 0 {
			check("the taken slots on the page", first(userTaken), strconv.Itoa(a.SlotsTaken))
		}
		check("taken and free slots", max(a.Limit-a.SlotsTaken, 0), a.EffectiveHeadroom)
		if s.snapshot.UsageKnown && s.snapshot.UsagePlausible { // otherwise nobody knows which sessions hold slots
			check("the slots that are taken", holding, a.SlotsTaken)
		}
	}
}

// checkMetrics compares the series of a user with the answer.
func (s *shown) checkMetrics(check checker, listed *sessions.Listed, a *answers.Answer) {
	metrics := s.metrics[a.User]
	number := func(name string) string {
		sum := 0.0
		for _, value := range metrics[name] {
			sum += value
		}
		if len(metrics[name]) == 0 {
			return ""
		}
		return strconv.FormatFloat(sum, 'f', -1, 64)
	}
	label := func(name string) string { return strings.Join(slices.Collect(maps.Keys(metrics[name])), " ") }
	present := listed.Taken() > 0
	orNone := func(value string, is bool) string {
		if is {
			return value
		}
		return ""
	}
	check("qlik_user_sessions", number("qlik_user_sessions"), orNone(strconv.Itoa(a.Sessions), a.Sessions > 0))
	check("qlik_user_limit_cause", label("qlik_user_limit_cause"), string(a.Cause))
	check("qlik_user_license_info", label("qlik_user_license_info"), orNone(a.License, present))
	if a.Limit > 0 && present {
		free, _ := strconv.Atoi(number("qlik_user_effective_headroom"))
		check("qlik_user_effective_headroom", max(free, 0), a.EffectiveHeadroom)
	} else {
		check("qlik_user_effective_headroom", number("qlik_user_effective_headroom"), "")
	}
	next := ""
	if a.NextSlotAt != nil {
		next = strconv.FormatInt(a.NextSlotAt.Unix(), 10)
	}
	check("qlik_user_next_slot_timestamp_seconds", number("qlik_user_next_slot_timestamp_seconds"), next)
	cooling := 0
	for i := range a.Slots {
		if a.Slots[i].State == headroom.SlotCooling {
			cooling++
		}
	}
	check("the cooling slots in the list", listed.CoolingSlots, cooling)
	check("qlik_user_cooling_slots", number("qlik_user_cooling_slots"), orNone(strconv.Itoa(cooling), cooling > 0))
}

// checkAlerts compares the alerts and their texts with the answer. While many users are at
// the limit, there are no alerts about single users.
func (s *shown) checkAlerts(check checker, name string, a *answers.Answer) {
	limited := a.Limit > 0 && a.License != qlik.LicenseNone && len(s.alerts["QlikManyUsersNearLimit"]) == 0
	lockedOut, refused := s.alerts["QlikUserLockedOut"][name]
	full, reached := s.alerts["QlikUserSessionLimitReached"][name]
	near, last := s.alerts["QlikUserSessionsNearLimit"][name]
	check("QlikUserSessionLimitReached", reached, limited && a.EffectiveHeadroom == 0)
	check("QlikUserSessionsNearLimit", last, limited && a.EffectiveHeadroom == 1 && !refused)
	if reached {
		check("the title of the alert", strings.HasSuffix(full["summary"], "the next login will be refused"), a.CanLogIn != nil && !*a.CanLogIn)
	}
	var text, next string
	switch {
	case refused:
		text = lockedOut["description"]
	case reached:
		text = full["description"]
	case last:
		text = near["description"]
	default:
		return
	}
	if a.NextSlotAt != nil && (refused || reached) {
		next = fmt.Sprintf("in about %d min", max(1, int(math.Ceil((time.Until(*a.NextSlotAt)-alertsAfter).Minutes()))))
	}
	check("the next slot in the alert: "+text, firstMatch(nextInAlert, text), next)
	check("an unknown cause in the alert: "+text, strings.Contains(text, "The cause is unknown."), a.Cause == headroom.CauseUnknown || a.Cause == "")
}

// checkCommand compares the output of the command with the answer.
func (s *shown) checkCommand(check checker, name string, a *answers.Answer) {
	run := func(output string) string {
		why := command(s.t, "why", name, "--output="+output, "--exporter-url="+s.url)
		var said strings.Builder
		why.Stderr = &said
		text, err := why.Output()
		status := 0
		if !a.Complete {
			status = 2
		}
		if err != nil && why.ProcessState == nil {
			s.t.Fatal(err)
		}
		check("the exit status of the command: "+said.String(), why.ProcessState.ExitCode(), status)
		return string(text)
	}
	got := new(answers.Answer)
	if err := json.Unmarshal([]byte(run("json")), got); err != nil {
		s.t.Error(err)
	}
	check("the JSON of the command", got, a)
	table := run("table")
	check("the verdict of the command", strings.HasPrefix(table, a.Verdict+"\n"), true)
	for _, sentence := range []string{a.Why, a.Advice, a.Command, a.Say["en"], a.Say["fr"], a.Say["de"]} {
		check("the table of the command with "+sentence+table, strings.Contains(table, sentence), true)
	}
}

// metricsOfUsers returns the series with labels of users.
func metricsOfUsers(families []*dto.MetricFamily) map[string]map[string]map[string]float64 {
	users := make(map[string]map[string]map[string]float64)
	for _, family := range families {
		for _, series := range family.GetMetric() {
			var directory, id, other string
			for _, pair := range series.GetLabel() {
				switch pair.GetName() {
				case "user_directory":
					directory = pair.GetValue()
				case "user_id":
					id = pair.GetValue()
				default:
					other = pair.GetValue()
				}
			}
			if id == "" {
				continue
			}
			user := directory + `\` + id
			if users[user] == nil {
				users[user] = make(map[string]map[string]float64)
			}
			if users[user][family.GetName()] == nil {
				users[user][family.GetName()] = make(map[string]float64)
			}
			users[user][family.GetName()][other] = series.GetGauge().GetValue()
		}
	}
	return users
}

// alertsAfter is how long the metrics stay as they are until the alerts are compared.
const alertsAfter = 2 * time.Minute

// alertsOf returns the annotations of the alerts about users that fire with these metrics.
// Timestamps are moved, because the tests of promtool begin in 1970.
// It returns nil if promtool, which evaluates the rules, is not installed.
func alertsOf(t *testing.T, families []*dto.MetricFamily, now time.Time) map[string]map[string]map[string]string {
	t.Helper()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		return nil
	}
	rules, err := filepath.Abs("alerts/qlik.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file strings.Builder
	fmt.Fprintf(&file, "rule_files: [%q]\nevaluation_interval: 1m\ntests:\n- interval: 1m\n  input_series:\n", rules)
	for _, family := range families {
		if !usedByUserAlerts.MatchString(family.GetName()) {
			continue
		}
		for _, series := range family.GetMetric() {
			labels := []string{`job="qlik"`}
			for _, pair := range series.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", pair.GetName(), pair.GetValue()))
			}
			number := series.GetGauge().GetValue() + series.GetCounter().GetValue()
			if strings.HasSuffix(family.GetName(), "_timestamp_seconds") {
				number -= float64(now.UnixMilli()) / 1000
			}
			value := strconv.FormatFloat(number, 'f', -1, 64)
			fmt.Fprintf(&file, "  - {series: %q, values: '%sx2'}\n", family.GetName()+"{"+strings.Join(labels, ",")+"}", value)
		}
	}
	fired := map[string]map[string]map[string]string{"QlikManyUsersNearLimit": {}, "QlikUserLockedOut": {}, "QlikUserSessionLimitReached": {}, "QlikUserSessionsNearLimit": {}}
	fmt.Fprint(&file, "  alert_rule_test:\n")
	for alert := range fired { // promtool prints the alerts, because none is expected
		fmt.Fprintf(&file, "  - {eval_time: 2m, alertname: %s, exp_alerts: []}\n", alert)
	}
	path := filepath.Join(t.TempDir(), "alerts.yml")
	if err := os.WriteFile(path, []byte(file.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	output, err := exec.CommandContext(t.Context(), promtool, "test", "rules", path).CombinedOutput()
	found := firedAlert.FindAllStringSubmatch(string(output), -1)
	if (err != nil) != (len(found) > 0) {
		t.Fatalf("%v: %s", err, output)
	}
	for _, alert := range found {
		labels := pairs(t, alert[1])
		fired[labels["alertname"]][labels["user_directory"]+`\`+labels["user_id"]] = pairs(t, alert[2])
	}
	return fired
}

var (
	// usedByUserAlerts are the metrics that the alerts about users need. Without the others,
	// promtool is faster.
	usedByUserAlerts = regexp.MustCompile(`^qlik_(users?_|users$|session_limit|sessions_complete|up$|license_usage)`)

	nextInAlert = regexp.MustCompile(`A slot frees by itself (in about \d+ min) if`)

	firedAlert = regexp.MustCompile(`Labels:\{(.*)\}\n\s*Annotations:\{(.*)\}`)
	quotedPair = regexp.MustCompile(`(\w+)=("(?:[^"\\]|\\.)*")`)
)

// pairs returns the names and values of labels or annotations.
func pairs(t *testing.T, text string) map[string]string {
	t.Helper()
	values := make(map[string]string)
	for _, pair := range quotedPair.FindAllStringSubmatch(text, -1) {
		value, err := strconv.Unquote(pair[2])
		if err != nil {
			t.Fatal(err)
		}
		values[pair[1]] = value
	}
	return values
}
