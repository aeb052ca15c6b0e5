//go:build slow

package e2e

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// wallClock is a wall clock that a test can set while programs use it.
type wallClock struct{ file string }

const wallClockFile = "TEST_QLIK_EXPORTER_WALL_CLOCK" // environment variable

// ahead goes into package time. The file is memory-mapped, not read, because the
// runtime asks for the time in places where it must not call functions.
const ahead = `package time

import (
	"sync/atomic"
	"syscall"
	"unsafe"
)

var ahead = func() *atomic.Int64 { // seconds
	name, _ := syscall.Getenv("` + wallClockFile + `")
	fd, err := syscall.Open(name, syscall.O_RDONLY, 0)
	if err != nil {
		panic("open " + name + ": " + err.Error())
	}
	defer syscall.Close(fd)
	file, err := syscall.Mmap(fd, 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic("map " + name + ": " + err.Error())
	}
	return (*atomic.Int64)(unsafe.Pointer(&file[0]))
}()
`

// buildWithWallClock builds the exporter with a standard library in which
// time.Now uses the wall clock of the test. The monotonic clock remains that of
// the machine.
func buildWithWallClock(t *testing.T) (path string) {
	t.Helper()
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	library := filepath.Join(strings.TrimSpace(string(goroot)), "src", "time")
	const line = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	source := string(readFile(t, filepath.Join(library, "time.go")))
	if strings.Count(source, line) != 1 {
		t.Fatalf("%s has not once %q; time.Now of this Go is another", filepath.Join(library, "time.go"), line)
	}
	dir := t.TempDir()
	write := func(name, content string) (path string) {
		path = filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{
		filepath.Join(library, "time.go"):  write("time.go", strings.Replace(source, line, line+"\tsec += ahead.Load()\n", 1)),
		filepath.Join(library, "ahead.go"): write("ahead.go", ahead),
	}})
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, "qlik_exporter")
	build := exec.Command("go", "build", "-overlay", write("overlay.json", string(overlay)), "-o", path, ".")
	build.Dir = repository
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the exporter with a wall clock of its own: %v\n%s", err, output)
	}
	return path
}

// set sets how far the clock is ahead. The file never becomes shorter, because
// programs have mapped it.
func (c wallClock) set(t *testing.T, ahead time.Duration) {
	t.Helper()
	file, err := os.OpenFile(c.file, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Error(err)
		return
	}
	if err := errors.Join(binary.Write(file, binary.NativeEndian, int64(ahead/time.Second)), file.Close()); err != nil {
		t.Error(err)
	}
}

// startBeside starts a second exporter of the same site, with a wall clock that
// the test can set.
func (c wallClock) startBeside(t *testing.T, path string, other *instance) *instance {
	t.Helper()
	arguments := slices.DeleteFunc(slices.Clone(other.cmd.Args[1:]), func(argument string) bool {
		return strings.HasPrefix(argument, "--web.listen-address=")
	})
	address := "127.0.0.1:" + freePort(t)
	command := exec.Command(path, append(arguments, "--web.listen-address="+address)...)
	command.Env = append(os.Environ(), wallClockFile+"="+c.file)
	e := &instance{start(t, command), address}
	e.waitReady(t, e.url("/-/ready"))
	return e
}

// ofItsOwn matches the lines in which two exporters of a site may differ: metrics
// of the exporter itself, and times at which it saw something.
var ofItsOwn = regexp.MustCompile(`^(#|go_|process_|promhttp_|qlik_exporter_|qlik_request|qlik_usage_activity_interval_seconds|qlik_\w+_duration_seconds|` +
	`qlik_(last_refresh|audit_log_last_read|user_next_slot|user_oldest_session_first_seen|user_last_limit_reached)_timestamp_seconds)`)

func (m metrics) ofTheSite() string {
	return strings.Join(slices.DeleteFunc(strings.SplitAfter(string(m), "\n"), ofItsOwn.MatchString), "")
}

// number returns the value of an existing series.
func (m metrics) number(t *testing.T, series string) float64 {
	t.Helper()
	number, err := strconv.ParseFloat(m.value(series), 64)
	if err != nil {
		t.Fatalf("%s: %v", series, err)
	}
	return number
}

// untilRowsAreOld is longer than the 15 seconds after which an exporter reads
// usage rows again. The test has to wait, because it cannot set the clocks of
// other processes forward.
const untilRowsAreOld = 16 * time.Second

const annasSlots = `qlik_user_cooling_slots{user_directory="LAB",user_id="anna"}`

// TestWallClock sets the wall clock of an exporter forward and back by hours, and
// keeps it wrong for longer than a slot cools and the topology is cached. A
// second exporter with a correct clock shows the expected results. The test takes
// seven minutes.
func TestWallClock(t *testing.T) {
	const coolingTime = 5 * time.Minute // as in Qlik
	path := buildWithWallClock(t)
	s := startSite(t, "lab", qliktest.Config{
		Nodes: []qliktest.Node{{Name: "qlik1"}, {Name: "qlik2"}}, Users: people("anna", "bob"), CoolingTime: coolingTime,
	})
	clock := wallClock{filepath.Join(t.TempDir(), "ahead")}
	clock.set(t, 0)
	e := clock.startBeside(t, path, s.instance)
	scrape := func() (was, is metrics) {
		t.Helper()
		return s.scrape(t), e.scrape(t)
	}
	agree := func(about string) {
		t.Helper()
		was, is := scrape()
		expect(t, was.ofTheSite() != "" && is.ofTheSite() == was.ofTheSite(), about+", it says what is true",
			fmt.Sprintf("%d series, %s cooling\n%s", strings.Count(is.ofTheSite(), "\n"), is.value(annasSlots), difference(was.ofTheSite(), is.ofTheSite())))
	}
	// read waits until the exporter has just read a source, according to a clock
	// that is this far ahead.
	read := func(of *instance, series string, ahead, within time.Duration) {
		t.Helper()
		var age time.Duration
		of.waitFor(t, series+" by a clock "+ahead.String()+" ahead", within, func() bool {
			age = time.Now().Add(ahead).Sub(time.UnixMilli(int64(1e3 * of.scrape(t).number(t, series))))
			return age.Abs() < 40*time.Second
		})
		t.Logf("ok: by a clock %s ahead, %s was %s ago", ahead, series, age.Round(time.Millisecond))
	}
	// A node hangs while the clock changes in the middle of a scrape.
	setInTheMiddle := func(ahead time.Duration) {
		t.Helper()
		s.SetProxyFault("qlik2", qliktest.Hanging)
		setting := time.AfterFunc(500*time.Millisecond, func() { clock.set(t, ahead) })
		defer setting.Stop()
		begin := time.Now()
		text, _, err := get(e.url("/metrics"), http.Header{"X-Prometheus-Scrape-Timeout-Seconds": {"2"}})
		took := time.Since(begin)
		expect(t, err == nil && took > time.Second && took < 2*time.Second && metrics(text).value("qlik_sessions_complete") == "0",
			"the scrape in the middle of which the clock is set is answered in time", fmt.Sprintf("%v after %s", err, took))
		s.SetProxyFault("qlik2", qliktest.NoFault)
		// Its request continues up to --qlik.timeout, and the exporter does not
		// repeat it in the meantime.
		e.waitFor(t, "all is known again", 20*time.Second, func() bool { return e.scrape(t).value("qlik_sessions_complete") == "1" })
	}

	scrape()
	sessions := s.logins(t, 6)
	s.login(t, "bob", 1)
	scrape()
	s.logout(t, sessions[4], sessions[5])
	scrape()
	cooled := time.Now().Add(coolingTime)
	time.Sleep(untilRowsAreOld)
	agree("before")
	before := e.scrape(t)
	expect(t, before.value(annasSlots) == "1" && before.value(`qlik_access_denied_total{reason="session_limit"}`) == "1",
		"a slot of Anna's cools, and she was refused once", before.value(annasSlots))

	for _, step := range []struct {
		about string
		ahead time.Duration
	}{{"an hour ahead", time.Hour}, {"then two hours back", -time.Hour}} {
		setInTheMiddle(step.ahead)
		agree(step.about)
		read(e, `qlik_last_refresh_timestamp_seconds{source="services"}`, step.ahead, 32*time.Second)
		read(e, `qlik_audit_log_last_read_timestamp_seconds{qlik_node="qlik1"}`, step.ahead, 2*time.Second)
		session := s.login(t, "bob", 2)
		s.login(t, "bob", 3)
		scrape()
		s.logout(t, session)
		time.Sleep(untilRowsAreOld)
		agree(step.about + ", after logins and a logout")
		read(e, `qlik_last_refresh_timestamp_seconds{source="usage"}`, step.ahead, time.Second)
	}
	const next = `qlik_user_next_slot_timestamp_seconds{user_directory="LAB",user_id="anna"}`
	was, is := scrape()
	apart := is.number(t, next) - was.number(t, next)
	expect(t, apart > -2 && apart < 2, "a moment that was noted before keeps the time of then", apart)

	time.Sleep(time.Until(cooled.Add(-5 * time.Second)))
	agree("five seconds before the slot is free")
	expect(t, e.scrape(t).value(annasSlots) == "1", "it still cools", e.scrape(t).value(annasSlots))
	time.Sleep(time.Until(cooled.Add(5 * time.Second)))
	agree("five seconds after it is free")
	expect(t, e.scrape(t).value(annasSlots) == "", "it does not cool any more", e.scrape(t).value(annasSlots))
	for _, source := range []string{"topology", "licenses"} {
		series := `qlik_last_refresh_timestamp_seconds{source="` + source + `"}`
		read(e, series, -time.Hour, time.Minute)
		read(s.instance, series, 0, time.Minute)
	}
	setInTheMiddle(0)
	agree("right again")
	time.Sleep(untilRowsAreOld)
	agree("right again, later")
}

// difference returns the lines that only one of two texts contains.
func difference(was, is string) string {
	var lines []string
	for line := range strings.Lines(was) {
		if !strings.Contains(is, line) {
			lines = append(lines, "true: "+line)
		}
	}
	for line := range strings.Lines(is) {
		if !strings.Contains(was, line) {
			lines = append(lines, "said: "+line)
		}
	}
	return strings.Join(lines, "")
}
