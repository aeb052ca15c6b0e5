//go:build slow

package e2e

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"google.golang.org/protobuf/encoding/protowire"
)

var (
	costFor      = flag.Duration("cost.for", 2*time.Minute, "how long TestRulesCost measures with rules, and how long without")
	costInterval = flag.Duration("cost.interval", usualInterval, "interval of the scrapes and evaluations of TestRulesCost")
	costProfile  = flag.String("cost.profile", "", "folder for processor profiles of TestRulesCost")
)

// usualInterval is the interval of the samples that exist when TestRulesCost
// begins.
const usualInterval = 15 * time.Second

// Users of the site whose rules TestRulesCost measures.
const (
	costUsers   = 20_000 // with sessions
	costReached = costUsers / 10
	costRefused = 200 // of those
	costNear    = 500 // more, with one slot left
)

// TestRulesCost measures the processor time of an evaluation of all rules while one
// in ten of 20,000 users is at the limit: as one incident, and with an alert for
// each of them. A static page takes the exporter's place. Prometheus scrapes it
// first without the rules, which is subtracted, then with them.
func TestRulesCost(t *testing.T) {
	for _, test := range []struct {
		name, argument string
		atMost         time.Duration // the target is 2 s: docs/scaling.md says by how much it is missed
	}{
		{"crowd", "", 2500 * time.Millisecond},
		{"an alert for each user", "--many-users=1000000", 8 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			cost := measureRules(t, strings.Fields(test.argument)...)
			expect(t, cost <= test.atMost, "processor time of an evaluation of all rules is at most "+test.atMost.String(), cost)
		})
	}
}

func measureRules(t *testing.T, arguments ...string) time.Duration {
	t.Helper()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(busySite(time.Now()))
	}))
	defer page.Close()
	dir := t.TempDir()
	shell(t, fmt.Sprintf("qlik_exporter assets %s %s", strings.Join(arguments, " "), dir))
	rules := filepath.Join(dir, "qlik.rules.yml")
	// All groups are evaluated equally often, so that their costs add up.
	writeFile(t, rules, regexp.MustCompile(`(?m)^    interval: .*\n`).ReplaceAll(readFile(t, rules), nil))
	config := func(address string, rules ...string) string {
		return fmt.Sprintf("global: {scrape_interval: %s, evaluation_interval: %[1]s}\n"+
			"rule_files: [%s]\n"+
			"scrape_configs:\n"+
			"  - {job_name: qlik, static_configs: [{targets: ['%s'], labels: {site: company}}]}\n", costInterval, strings.Join(rules, ", "), address)
	}
	address := strings.TrimPrefix(page.URL, "http://")

	// What users have recorded after a few evaluations is the history of the
	// Prometheus that is measured.
	first := startPrometheus(t, func(string) string { return config(address, rules) })
	first.waitFor(t, "users at the limit", 10*time.Minute, func() bool {
		h := &history{prometheus: first, end: time.Now()}
		return len(h.vector(t, `count(user:qlik_limit_state:held)`)) > 0
	})
	first.waitEvaluations(t, 1)
	recorded := (&history{prometheus: first, end: time.Now()}).vector(t, `{__name__=~"user:.+|qlik_user_last_access_denied_timestamp_seconds"}`)
	first.stop(t)

	p := startPrometheus(t, func(string) string { return "" })
	p.writeHistory(t, recorded, 2*time.Hour)
	p.configure(t, config(address))
	time.Sleep(2 * *costInterval)
	without, _ := p.measure(t, *costFor)
	p.configure(t, config(address, rules))
	p.waitEvaluations(t, 2)
	if *costProfile != "" {
		go p.profile(t, *costFor, filepath.Join(*costProfile, strings.Join(append([]string{"rules"}, arguments...), "")+".pprof"))
	}
	with, evaluations := p.measure(t, *costFor)

	h := &history{prometheus: p, end: time.Now()}
	h.log(t, "series scraped", `count({job="qlik", __name__!~".+:.+|ALERTS.*"})`)
	h.log(t, "series recorded", `count({__name__=~".+:.+"})`)
	h.log(t, "alerts, firing or pending", `count by (alertname) (ALERTS)`)
	h.log(t, "duration of a group, in seconds", `prometheus_rule_group_last_duration_seconds`)
	h.log(t, "resident memory, in MiB", `process_resident_memory_bytes / 2^20`)
	t.Logf("processor time of %s: %s with %.1f evaluations, %s without", *costFor, with, evaluations, without)
	return time.Duration(float64(with-without) / evaluations).Round(10 * time.Millisecond)
}

// busySite returns the series of a site on which one in ten of the users is at the
// limit, in the order and with the labels of the exporter.
func busySite(now time.Time) []byte {
	var page bytes.Buffer
	write := func(name, labels string, value float64) {
		fmt.Fprintf(&page, "%s{%s} %s\n", name, labels, strconv.FormatFloat(value, 'g', -1, 64))
	}
	write("qlik_up", "", 1)
	write("qlik_sessions_complete", "", 1)
	write("qlik_session_limit", "", 5)
	write("qlik_user_series_min_sessions", "", 1)
	write("qlik_users_dropped", "", 0)
	write("qlik_license_capacity_seconds", `state="allocated"`, 360_000)
	write("qlik_license_capacity_seconds", `state="used"`, 1_000)
	for headroom, users := range map[string]float64{"over": costRefused, "0": costReached - costRefused, "1": costNear, "4": costUsers - costReached - costNear} {
		write("qlik_users", fmt.Sprintf("headroom=%q", headroom), users)
	}
	sinceEpoch := float64(now.Unix())
	for i := range costUsers {
		user := fmt.Sprintf(`user_directory="COMPANY",user_id="firstname.lastname%05d"`, i)
		headroom := []float64{4, 4, 4, 3, 4, 4, 4, 3, 4, 2}[i%10]
		license := []string{"professional", "analyzer", "analyzer", "analyzer_capacity", "analyzer"}[i%5]
		causes := []string{"several_windows", "forgotten_windows", "not_sticky", "several_virtual_proxies", "cooling", "unknown"}
		switch {
		case i < costRefused:
			headroom = -1
		case i < costReached:
			headroom = 0
		case i < costReached+costNear:
			headroom = 1
		case i%20 == 0:
			license = "none"
		}
		left := math.Max(headroom, 0)
		write("qlik_user_sessions", user+fmt.Sprintf(`,virtual_proxy="/vp%d"`, i%8), 1)
		if more := 4 - headroom; more > 0 {
			write("qlik_user_sessions", user+fmt.Sprintf(`,virtual_proxy="/vp%d"`, (i+1)%8), more)
		}
		write("qlik_session_limit_headroom", user, headroom)
		write("qlik_user_effective_headroom", user, left)
		write("qlik_user_licensed_sessions", user, 5-left)
		write("qlik_user_license_info", user+fmt.Sprintf(",license=%q", license), 1)
		if headroom <= 1 {
			write("qlik_user_limit_cause", user+fmt.Sprintf(",cause=%q", causes[i%len(causes)]), 1)
			write("qlik_user_oldest_session_first_seen_timestamp_seconds", user, sinceEpoch-3600)
			write("qlik_user_limit_reached_total", user, 1)
			write("qlik_user_last_limit_reached_timestamp_seconds", user, sinceEpoch-1800)
		}
		if headroom <= 0 {
			write("qlik_user_next_slot_timestamp_seconds", user, sinceEpoch+1200)
		}
		if i < costRefused && i%2 == 0 { // the audit logs of half of the nodes are read
			write("qlik_user_access_denied_total", user+`,reason="session_limit"`, 1)
			write("qlik_user_last_access_denied_timestamp_seconds", user+`,reason="session_limit"`, sinceEpoch-60)
		}
	}
	return page.Bytes()
}

// waitEvaluations waits for evaluations of all rules.
func (p *server) waitEvaluations(t *testing.T, count int) {
	t.Helper()
	begin := p.evaluations(t)
	p.waitFor(t, "evaluations", 10*time.Duration(count)*(*costInterval), func() bool { return p.evaluations(t) >= begin+float64(count) })
}

// evaluations returns how often the group of the users was evaluated. Missed
// iterations do not count.
func (p *server) evaluations(t *testing.T) float64 {
	t.Helper()
	const group = `\{rule_group="[^"]*;qlik-users"\}`
	rules := p.ownMetric(t, `prometheus_rule_group_rules`+group)
	if rules == 0 {
		return 0
	}
	return p.ownMetric(t, `prometheus_rule_evaluations_total`+group) / rules
}

// ownMetric returns a metric of Prometheus itself, 0 if it is absent.
func (p *server) ownMetric(t *testing.T, series string) float64 {
	t.Helper()
	text, _, err := get("http://"+p.address+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^` + series + ` (\S+)$`).FindStringSubmatch(text)
	if found == nil {
		return 0
	}
	value, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// measure returns the processor time that Prometheus uses, and how often it
// evaluates the rules.
func (p *server) measure(t *testing.T, during time.Duration) (processor time.Duration, evaluations float64) {
	t.Helper()
	seconds, count := p.ownMetric(t, `process_cpu_seconds_total`), p.evaluations(t)
	time.Sleep(during)
	seconds, count = p.ownMetric(t, `process_cpu_seconds_total`)-seconds, p.evaluations(t)-count
	return time.Duration(seconds * float64(time.Second)), count
}

// configure changes the configuration of Prometheus.
func (p *server) configure(t *testing.T, config string) {
	t.Helper()
	writeFile(t, filepath.Join(filepath.Dir(p.data), "prometheus.yml"), []byte(config))
	loaded := p.ownMetric(t, `prometheus_config_last_reload_success_timestamp_seconds`)
	time.Sleep(1100 * time.Millisecond) // the timestamp has seconds
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.waitFor(t, "the configuration", readyWithin, func() bool {
		return p.ownMetric(t, `prometheus_config_last_reload_success_timestamp_seconds`) > loaded
	})
}

// writeHistory writes series with a sample at each interval until now, by remote
// write. Series that hold the time of their evaluation go on doing so.
func (p *server) writeHistory(t *testing.T, series model.Vector, length time.Duration) {
	t.Helper()
	const samples = 20 // of a series in one request
	now := time.Now()
	for at := now.Add(-length); at.Before(now); at = at.Add(samples * usualInterval) {
		var request []byte
		for _, one := range series {
			var message []byte
			for _, name := range slices.Sorted(maps.Keys(one.Metric)) {
				label := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), string(name))
				label = protowire.AppendString(protowire.AppendTag(label, 2, protowire.BytesType), string(one.Metric[name]))
				message = protowire.AppendBytes(protowire.AppendTag(message, 1, protowire.BytesType), label)
			}
			isTime := math.Abs(float64(one.Value)-one.Timestamp.Time().Sub(time.Unix(0, 0)).Seconds()) < 2*costInterval.Seconds()
			for i := range samples {
				when := at.Add(time.Duration(i) * usualInterval)
				if !when.Before(now) {
					break
				}
				value := float64(one.Value)
				if isTime {
					value = float64(when.UnixMilli()) / 1000
				}
				sample := protowire.AppendFixed64(protowire.AppendTag(nil, 1, protowire.Fixed64Type), math.Float64bits(value))
				sample = protowire.AppendVarint(protowire.AppendTag(sample, 2, protowire.VarintType), uint64(when.UnixMilli()))
				message = protowire.AppendBytes(protowire.AppendTag(message, 2, protowire.BytesType), sample)
			}
			request = protowire.AppendBytes(protowire.AppendTag(request, 1, protowire.BytesType), message)
		}
		p.remoteWrite(t, request)
	}
}

// remoteWrite sends a request of the remote write protocol. Snappy allows a block
// that is not compressed.
func (p *server) remoteWrite(t *testing.T, message []byte) {
	t.Helper()
	const literal = 63 << 2 // with four bytes of length
	length := uint64(len(message))
	body := append(binary.AppendUvarint(nil, length), literal)
	body = binary.LittleEndian.AppendUint32(body, uint32(length-1))
	body = append(body, message...)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+p.address+"/api/v1/write", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := httpClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		problem, _ := io.ReadAll(response.Body)
		t.Fatalf("remote write: %s: %s", response.Status, problem)
	}
}

// profile writes a processor profile of Prometheus.
func (p *server) profile(t *testing.T, during time.Duration, file string) {
	t.Helper()
	client := http.Client{Timeout: during + time.Minute}
	response, err := client.Get(fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", p.address, int(during.Seconds())-1))
	if err != nil {
		t.Error(err)
		return
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	writeFile(t, file, content)
}
