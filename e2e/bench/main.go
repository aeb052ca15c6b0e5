// Bench measures the cost of a scrape from the outside. It runs the exporter as a
// separate process against a simulated site, and alternately a program that only
// reads and parses the same responses (the floor). It prints Markdown tables.
// Arguments after its own flags go to the exporter.
//
//	go run ./bench -exporter ../qlik_exporter
//	go run ./bench -exporter ../qlik_exporter -links 50 -latency 0s -- --collector.sessions.min-sessions=4
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

func main() {
	log.SetFlags(0)
	exporter := flag.String("exporter", "", "the program to measure, as make build makes it")
	sizes := flag.String("sessions", "100,1000,10000,100000", "sessions of the site")
	links := flag.String("links", "1,50,200", "links of the site")
	latencies := flag.String("latency", "0s,200ms", "of each answer")
	scrapes := flag.Int("scrapes", 20, "of each kind, in turns")
	flag.Parse()
	if os.Getenv(floorAddress) != "" {
		log.Fatal(serveFloor(os.Getenv(floorAddress), flag.Args()))
	}
	if *exporter == "" {
		log.Fatal("-exporter is missing: make build, then give the path of qlik_exporter")
	}
	if err := run(*exporter, numbers(*sizes), numbers(*links), durations(*latencies), *scrapes); err != nil {
		log.Fatal(err)
	}
}

func run(exporter string, sizes, links []int, latencies []time.Duration, scrapes int) error {
	fmt.Printf("%d processors, %s/%s, %s; the simulated site and the client are on the same machine.\n", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
	for _, collectors := range []string{"sessions and certificates", "all default collectors"} {
		fmt.Printf("\n%s, median of %d scrapes (slowest):\n\n", strings.ToUpper(collectors[:1])+collectors[1:], scrapes)
		fmt.Println("| links | latency | sessions | scrape, ms | floor, ms | ratio | CPU, ms | floor, ms | ratio | allocations | resident, MiB | answer, kB | requests | new connections |")
		fmt.Println("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
		for _, link := range links {
			for _, latency := range latencies {
				var growth []measured
				for _, size := range sizes {
					m, err := measure(exporter, collectors == "all default collectors", size, link, latency, scrapes)
					if err != nil {
						return fmt.Errorf("%d sessions on %d links: %w", size, link, err)
					}
					fmt.Printf("| %d | %s | %d | %.0f (%.0f) | %.0f (%.0f) | %.2f | %.1f | %.1f | %.2f | %.0f | %.1f | %.0f | %.0f | %.0f |\n", link, latency, size,
						m.wall, m.slowest, m.floor.wall, m.floor.slowest, m.wall/m.floor.wall, m.cpu, m.floor.cpu, m.cpu/m.floor.cpu,
						m.allocations, m.resident, m.bytes/1e3, m.requests, m.connections)
					growth = append(growth, *m)
				}
				if len(growth) > 2 {
					perSession, r2 := fit(growth)
					fmt.Printf("| | | growth | | | | %.2f µs a session, R² %.4f | | | | | | | |\n", perSession*1e3, r2)
				}
			}
		}
	}
	return nil
}

// figures are the results of one program. Times are in milliseconds.
type figures struct{ wall, slowest, cpu float64 }

// measured are the results of one scrape.
type measured struct {
	figures

	sessions              float64
	floor                 figures
	allocations, resident float64
	bytes                 float64
	requests, connections float64 // counted by the simulated site; connections after the first scrape
}

// measure starts a site, the exporter and the floor, and scrapes the two
// alternately.
func measure(exporter string, all bool, sessions, links int, latency time.Duration, scrapes int) (*measured, error) {
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	site, nodes, err := startSite(dir, sessions, links, latency)
	if err != nil {
		return nil, err
	}
	defer site.Close()

	arguments := []string{"--log.level=error", "--qlik.cert-dir=" + dir}
	_, port, _ := net.SplitHostPort(site.RepositoryAddress(nodes[0]))
	arguments = append(arguments, "--qlik.host="+nodes[0]+":"+port)
	for _, node := range nodes {
		arguments = append(arguments, "--qlik.node-address="+node+"="+site.ProxyAddress(node))
	}
	if !all {
		arguments = append(arguments, "--no-collector.licenses", "--no-collector.services")
	}
	arguments = append(arguments, flag.Args()...)
	ours, err := start(exec.Command(exporter), arguments...)
	if err != nil {
		return nil, err
	}
	defer ours.stop()
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var targets []string
	for i := range links {
		node := nodes[i%len(nodes)]
		targets = append(targets, "https://"+site.ProxyAddress(node)+"/qps/"+virtualProxy(i/len(nodes))+"/session")
	}
	floor, err := start(exec.Command(self), append([]string{dir}, targets...)...)
	if err != nil {
		return nil, err
	}
	defer floor.stop()

	m := &measured{sessions: float64(sessions)}
	for range 3 { // warm-up: opens connections and allocates memory
		text, _, err := ours.get()
		if err != nil {
			return nil, err
		}
		if got := value(text, "qlik_sessions"); got != float64(sessions) {
			return nil, fmt.Errorf("a scrape has %v sessions", got)
		}
		if text, _, err = floor.get(); err != nil || value(text, "sessions") != float64(sessions) {
			return nil, fmt.Errorf("the floor has %v sessions: %w", value(text, "sessions"), err)
		}
	}
	var walls, floors []float64
	cpu, floorCPU := 0.0, 0.0
	requests := site.Requests()
	before, _, err := ours.get()
	if err != nil {
		return nil, err
	}
	var text string
	for range scrapes {
		begin := ours.cpu()
		var took time.Duration
		if text, took, err = ours.get(); err != nil {
			return nil, err
		}
		cpu += ours.cpu() - begin
		walls = append(walls, took.Seconds()*1e3)
		m.bytes = float64(len(text))

		begin = floor.cpu()
		if _, took, err = floor.get(); err != nil {
			return nil, err
		}
		floorCPU += floor.cpu() - begin
		floors = append(floors, took.Seconds()*1e3)
	}
	after := site.Requests()
	m.wall, m.slowest, m.cpu = median(walls), slices.Max(walls), cpu/float64(scrapes)
	m.floor = figures{median(floors), slices.Max(floors), floorCPU / float64(scrapes)}
	m.allocations = (value(text, "go_memstats_mallocs_total") - value(before, "go_memstats_mallocs_total")) / float64(scrapes)
	m.resident = value(text, "process_resident_memory_bytes") / (1 << 20)
	m.requests = float64(after.SessionLists-requests.SessionLists)/float64(scrapes) - float64(links) // without the requests of the floor
	m.requests *= float64(scrapes) / float64(scrapes+1)                                              // the counter also includes one scrape before the first
	m.connections = float64(after.ProxyConnections - requests.ProxyConnections)
	return m, nil
}

func virtualProxy(i int) string { return fmt.Sprintf("vp%d", i) }

// startSite starts a site with that number of sessions. There are three users for
// every four sessions, so a third of the users have two sessions. Up to five
// nodes share the links.
func startSite(dir string, sessions, links int, latency time.Duration) (*qliktest.Site, []string, error) {
	nodes := min(links, 5)
	users := max(sessions*3/4, 1)
	var config qliktest.Config
	for i := range users {
		config.Users = append(config.Users, qliktest.User{Directory: "COMPANY", ID: fmt.Sprintf("user%06d", i), License: qliktest.Analyzer})
	}
	var names []string
	for i := range nodes {
		names = append(names, fmt.Sprintf("qlik%d", i+1))
		config.Nodes = append(config.Nodes, qliktest.Node{Name: names[i]})
	}
	for i := range links / nodes {
		config.VirtualProxies = append(config.VirtualProxies, qliktest.VirtualProxy{Prefix: virtualProxy(i)})
	}
	site, err := qliktest.Start(config)
	if err != nil {
		return nil, nil, err
	}
	for i := range sessions {
		prefix := virtualProxy(i / nodes % (links / nodes))
		if _, err := site.Login("COMPANY", config.Users[i%users].ID, strconv.Itoa(i/users), prefix, names[i%nodes]); err != nil {
			site.Close()
			return nil, nil, err
		}
	}
	for _, name := range names {
		site.SetProxyLatency(name, latency)
	}
	if err := site.WriteCertificates(dir); err != nil {
		site.Close()
		return nil, nil, err
	}
	return site, names, nil
}

// process is a measured program.
type process struct {
	cmd     *exec.Cmd
	address string
	client  http.Client
}

// start starts a program that serves /metrics: the exporter, or this program as
// the floor.
func start(cmd *exec.Cmd, arguments ...string) (*process, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, address: listener.Addr().String()}
	if err := listener.Close(); err != nil {
		return nil, err
	}
	if filepath.Base(cmd.Path) == "qlik_exporter" {
		arguments = append(arguments, "--web.listen-address="+p.address)
	} else {
		cmd.Env = append(os.Environ(), floorAddress+"="+p.address)
	}
	cmd.Args = append(cmd.Args, arguments...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	for range 1000 {
		connection, err := net.Dial("tcp", p.address)
		if err == nil {
			return p, connection.Close()
		}
		time.Sleep(10 * time.Millisecond)
	}
	p.stop()
	return nil, fmt.Errorf("%s does not listen", cmd.Path)
}

func (p *process) stop() {
	p.client.CloseIdleConnections()
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// get sends a request to the program and returns the response and its duration.
func (p *process) get() (text string, took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.address+"/metrics", http.NoBody)
	if err != nil {
		return "", 0, err
	}
	begin := time.Now()
	response, err := p.client.Do(request)
	if err != nil {
		return "", 0, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, body)
	}
	return string(body), time.Since(begin), err
}

// cpu returns the CPU time that the program has used, in milliseconds. It reads
// the schedstat files of Linux, because Linux's other counters are too coarse.
func (p *process) cpu() float64 {
	total := 0.0
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.cmd.Process.Pid))
	for _, task := range tasks {
		content, err := os.ReadFile(task)
		if err != nil {
			continue
		}
		nanoseconds, _ := strconv.ParseFloat(strings.Fields(string(content))[0], 64)
		total += nanoseconds / 1e6
	}
	return total
}

// value returns the value of a series without labels.
func value(text, series string) float64 {
	for line := range strings.Lines(text) {
		if rest, found := strings.CutPrefix(line, series+" "); found {
			v, _ := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			return v
		}
	}
	return math.NaN()
}

func median(values []float64) float64 {
	values = slices.Sorted(slices.Values(values))
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
}

// fit fits a line through the CPU times by size, and returns how well it fits.
func fit(growth []measured) (slope, r2 float64) {
	n, x, y, xx, xy, yy := 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
	for _, m := range growth {
		n++
		x += m.sessions
		y += m.cpu
		xx += m.sessions * m.sessions
		xy += m.sessions * m.cpu
		yy += m.cpu * m.cpu
	}
	slope = (n*xy - x*y) / (n*xx - x*x)
	r := (n*xy - x*y) / math.Sqrt((n*xx-x*x)*(n*yy-y*y))
	return slope, r * r
}

func numbers(list string) []int {
	var all []int
	for part := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 1 {
			log.Fatalf("%q is no number", part)
		}
		all = append(all, n)
	}
	slices.SortFunc(all, cmp.Compare)
	return all
}

func durations(list string) []time.Duration {
	var all []time.Duration
	for part := range strings.SplitSeq(list, ",") {
		d, err := time.ParseDuration(part)
		if err != nil {
			log.Fatal(err)
		}
		all = append(all, d)
	}
	return all
}
