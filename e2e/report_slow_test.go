//go:build slow

package e2e

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestReportOfServers makes the reports of TestReport with Prometheus 3 and with Thanos.
func TestReportOfServers(t *testing.T) {
	sites := pastSites()
	p := servePastSites(t, sites)
	p.stop(t)

	t.Run("Prometheus 3", func(t *testing.T) {
		p := serveData(t, prometheus3(t), "/dev/null", p.data)
		checkPastSites(t, p, sites)
	})
	t.Run("Thanos", func(t *testing.T) {
		config := filepath.Join(t.TempDir(), "prometheus.yml")
		writeFile(t, config, []byte("global: {external_labels: {replica: a}}\n"))
		// The sidecar refuses a Prometheus that merges blocks.
		p := serveData(t, "prometheus", config, p.data, "--storage.tsdb.min-block-duration=2h", "--storage.tsdb.max-block-duration=2h")
		store, address := freeAddress(t), freeAddress(t)
		startThanos(t, "sidecar", freeAddress(t), store, "--prometheus.url=http://"+p.address, "--tsdb.path="+p.data)
		query := startThanos(t, "query", address, freeAddress(t), "--query.replica-label=replica", "--endpoint="+store)
		s := &server{query, queryAPI(t, address), address, p.data}
		s.waitFor(t, "the sidecar", readyWithin, func() bool { return len(vector(t, s, "count(last_over_time(qlik_up[1d]))", reportEnd)) > 0 })
		checkPastSites(t, s, sites)
	})
}

// prometheus3 builds the server of Prometheus 3.
func prometheus3(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "prometheus")
	build := exec.Command("go", "build", "-tags", "remove_all_sd,netgo", "-o", path, "github.com/prometheus/prometheus/cmd/prometheus")
	build.Dir = filepath.Join(repository, "tools", "prometheus")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building Prometheus 3: %v\n%s", err, output)
	}
	return path
}

// Size of the company whose year TestReportOfCompany reports.
const (
	companyUsers = 10_000 // who are refused once a week
	companyWeeks = 52
	// Prometheus records a refused login once a minute for six hours. This test has fewer
	// samples, so that it can write them.
	companyRecords     = 30
	companyRecordsStep = 12 * time.Minute
)

// TestReportOfCompany measures the report of a year of a company in which 10,000 people are
// refused each week.
func TestReportOfCompany(t *testing.T) {
	began := time.Now()
	data := filepath.Join(t.TempDir(), "data")
	file := filepath.Join(t.TempDir(), "company.om")
	writeCompany(t, file)
	t.Logf("written in %s", since(began))
	importBlocks(t, file, data)
	t.Logf("imported after %s", since(began))
	p := serveHistory(t, data)

	for _, arguments := range [][]string{
		{"--since=7d", "--output=json"}, {"--since=364d", "--output=json"}, {"--since=364d", "--output=html"}, {"--since=364d", "--output=html", "--names"},
	} {
		began := time.Now()
		report := start(t, exec.Command(exporter, append([]string{"report", "--prometheus.url=http://" + p.address, "--until=" + reportEnd.Format(time.RFC3339)}, arguments...)...))
		select {
		case <-report.ended:
		case <-time.After(5 * time.Minute):
			t.Fatal("the report takes five minutes")
		}
		took := since(began)
		usage, _ := report.cmd.ProcessState.SysUsage().(*syscall.Rusage)
		expect(t, report.cmd.ProcessState.ExitCode() == 0 && report.stderr.String() == "", "success", report.stderr.String())
		expect(t, took < time.Minute, fmt.Sprintf("%q within a minute", arguments), fmt.Sprintf("%s, %d MiB at most, %d bytes", took, usage.Maxrss>>10, len(report.stdout.String())))
	}
	t.Logf("Prometheus took at most %.0f MiB", p.memory(t))
	r := readReport(t, "http://"+p.address, "--since=364d")
	s := r.Sites[0]
	expect(t, is(s.Refused.Value, companyWeeks*companyUsers), "refused logins", numeral(s.Refused.Value))
	expect(t, is(s.People.Value, companyUsers), "people", numeral(s.People.Value))
	expect(t, is(s.People.Before, companyUsers) && s.People.Weeks == weeksBefore, "people in each week before", numeral(s.People.Before))
}

// memory returns the most resident memory of a program so far, in MiB.
func (p *program) memory(t *testing.T) float64 {
	t.Helper()
	var peak float64
	for line := range strings.Lines(string(readFile(t, fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid)))) {
		if _, err := fmt.Sscanf(line, "VmHWM: %f kB", &peak); err == nil {
			return peak / 1024
		}
	}
	t.Fatal("the peak of the memory is unknown")
	return 0
}

// writeCompany writes what rules recorded of a company in all weeks of a report.
func writeCompany(t *testing.T, path string) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriterSize(file, 1<<20)
	begin := reportEnd.Add(-(companyWeeks + weeksBefore) * oneWeek)
	perDay := make(map[time.Time]int)
	for user := range companyUsers {
		prefix := fmt.Sprintf(`user:qlik_user_last_login_refused:timestamp{job="qlik",site="company",reason="session_limit",user_directory="CORP",user_id="user%d"} `, user)
		for week := begin; week.Before(reportEnd); week = week.Add(oneWeek) {
			at := week.Add(time.Duration(user%5)*oneDay + 8*time.Hour + time.Duration(user%480)*time.Minute)
			perDay[at.Truncate(oneDay)]++
			for i := range companyRecords {
				_, _ = fmt.Fprintf(w, "%s%d %d\n", prefix, at.Unix(), at.Add(time.Duration(i)*companyRecordsStep).Add(37*time.Second).Unix())
			}
		}
	}
	for at := begin; at.Before(reportEnd); at = at.Add(4 * time.Minute) {
		_, _ = fmt.Fprintf(w, "site:qlik_sessions:max{job=\"qlik\",site=\"company\"} 20000 %d\n", at.Unix())
	}
	for at := begin.Add(oneDay); !at.After(reportEnd); at = at.Add(oneDay) {
		refused := perDay[at.Add(-oneDay)]
		for _, series := range []string{`reason:qlik_logins_refused:increase1d{reason="session_limit",`, `cause:qlik_refusal_causes:increase1d{cause="forgotten_windows",`} {
			_, _ = fmt.Fprintf(w, "%sjob=\"qlik\",site=\"company\"} %d %d\n", series, refused, at.Add(-10*time.Second).Unix())
		}
	}
	_, _ = w.WriteString("# EOF\n")
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}
