package dashboards

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v2"

	"github.com/qlik-exporter/qlik_exporter/internal/assets"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

type dashboard struct {
	UID, Title, Description, Timezone, Refresh string
	ID                                         *int
	SchemaVersion                              int
	Editable                                   bool
	Tags                                       []string
	Links                                      []struct {
		Type, Title, URL      string
		IncludeVars, KeepTime bool
	}
	Templating  struct{ List []variable }
	Annotations struct {
		List []struct {
			Name       string
			Datasource json.RawMessage
			Target     struct{ Expr string }
		}
	}
	Panels []panel
}

type variable struct {
	Name, Label, Type, AllValue string
	Multi, IncludeAll           bool
	Refresh                     int
	Query                       any
	Current                     struct{ Text, Value any }
	Datasource                  json.RawMessage

	Regex       string
	Hide, Sort  int
	SkipURLSync bool
}

type panel struct {
	ID                       int
	Type, Title, Description string
	GridPos                  struct{ X, Y, W, H int }
	Datasource               json.RawMessage
	Targets                  []target
	FieldConfig              struct {
		Defaults struct {
			Unit, NoValue   string
			Links, Mappings json.RawMessage
			Custom          struct{ SpanNulls json.RawMessage }
			Thresholds      struct {
				Steps []struct {
					Color string
					Value *float64
				}
			}
		}
		Overrides []struct {
			Matcher    struct{ ID, Options string }
			Properties []struct {
				ID    string
				Value json.RawMessage
			}
		}
	}
	Options struct {
		Content   string
		ColorMode string

		ReduceOptions struct{ Values bool }
		SortBy        []struct{ DisplayName string }
	}
	Transformations []struct {
		ID      string
		Options struct {
			ExcludeByName map[string]bool
			IndexByName   map[string]int
			RenameByName  map[string]string

			RowField, ColumnField string // of groupingToMatrix
		}
	}
	Panels []panel
}

type target struct {
	RefID, Expr, Format, LegendFormat string
	Instant                           bool
	Datasource                        json.RawMessage
}

// names are the uids of the dashboards, which alerts link to.
var names = []string{"qlik-capacity", "qlik-exporter", "qlik-overview", "qlik-user"}

// panelTypes are the panel types that dashboards may use.
var panelTypes = []string{"bargauge", "row", "stat", "table", "text", "timeseries"}

// readAll returns all dashboards by name.
func readAll(t *testing.T) map[string]*dashboard {
	t.Helper()
	paths, err := fs.Glob(files, "*.json")
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]*dashboard)
	for _, path := range paths {
		content, err := files.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		d := new(dashboard)
		if err := json.Unmarshal(content, d); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all[strings.TrimSuffix(path, ".json")] = d
		var laidOut bytes.Buffer
		if err := json.Indent(&laidOut, bytes.TrimSpace(content), "", "  "); err != nil {
			t.Fatal(err)
		}
		if laidOut.String()+"\n" != string(content) {
			t.Errorf("%s is not indented with two spaces like Grafana's export", path)
		}
	}
	if found := slices.Sorted(maps.Keys(all)); !slices.Equal(found, names) {
		t.Errorf("dashboards: %q, want %q", found, names)
	}
	return all
}

// every returns all panels, including those in collapsed rows.
func (d *dashboard) every() []panel {
	var every []panel
	for _, p := range d.Panels {
		every = append(append(every, p), p.Panels...)
	}
	return every
}

// shows reports whether a panel shows data.
func (p *panel) shows() bool { return p.Type != "text" && p.Type != "row" }

// variables returns the names of the dashboard's variables.
func (d *dashboard) variables() []string {
	var variables []string
	for _, v := range d.Templating.List {
		variables = append(variables, v.Name)
	}
	return variables
}

func TestDashboards(t *testing.T) {
	t.Parallel()
	titles := make(map[string]string)
	for name, d := range readAll(t) {
		if d.UID != name {
			t.Errorf("%s: uid %q", name, d.UID)
		}
		if other := titles[d.Title]; other != "" || d.Title == "" {
			t.Errorf("%s: title %q, as %s", name, d.Title, other)
		}
		titles[d.Title] = name
		if d.ID != nil || d.Editable || d.SchemaVersion != 41 || d.Timezone != "browser" || !slices.Equal(d.Tags, []string{"qlik"}) || d.Description == "" {
			t.Errorf("%s: id %v, editable %t, schema %d, time zone %s, tags %q, description %q", name, d.ID, d.Editable, d.SchemaVersion, d.Timezone, d.Tags, d.Description)
		}
		refresh := map[string]string{"qlik-overview": "30s", "qlik-user": "30s"}[name]
		if refresh != "" && d.Refresh != refresh {
			t.Errorf("%s refreshes every %q", name, d.Refresh)
		}
		if len(d.Annotations.List) == 0 {
			t.Errorf("%s has no annotations for alerts", name)
		}
		ids := make(map[int]bool)
		panelTitles := make(map[string]bool)
		for _, p := range d.every() {
			if p.ID == 0 || ids[p.ID] {
				t.Errorf("%s, %s: id %d is not unique", name, p.Title, p.ID)
			}
			ids[p.ID] = true
			if p.Title == "" || panelTitles[p.Title] {
				t.Errorf("%s: title %q is not unique", name, p.Title)
			}
			panelTitles[p.Title] = true
			if !slices.Contains(panelTypes, p.Type) {
				t.Errorf("%s, %s: type %s", name, p.Title, p.Type)
			}
			if !p.shows() {
				continue
			}
			if p.Description == "" || p.FieldConfig.Defaults.Unit == "" {
				t.Errorf("%s, %s: description %q, unit %q", name, p.Title, p.Description, p.FieldConfig.Defaults.Unit)
			}
			if p.Type != "timeseries" && p.FieldConfig.Defaults.NoValue == "" {
				t.Errorf("%s, %s has no noValue text", name, p.Title)
			}
			checkTargets(t, name+", "+p.Title, p.Targets)
		}
	}
}

func checkTargets(t *testing.T, where string, targets []target) {
	t.Helper()
	if len(targets) == 0 {
		t.Errorf("%s has no query", where)
	}
	refs := make(map[string]bool)
	for _, target := range targets {
		if target.RefID == "" || refs[target.RefID] {
			t.Errorf("%s: query %q is not unique", where, target.RefID)
		}
		refs[target.RefID] = true
		for _, call := range rates.FindAllStringSubmatch(target.Expr, -1) {
			if window := call[2]; window != "$__rate_interval" && (call[1] == "rate" || window != "$__range") {
				t.Errorf("%s: %s over %s", where, call[1], window)
			}
		}
		if strings.Count(target.Expr, "rate(")+strings.Count(target.Expr, "increase(") != len(rates.FindAllString(target.Expr, -1)) {
			t.Errorf("%s: a rate of something other than a plain selector: %s", where, target.Expr)
		}
	}
}

var rates = regexp.MustCompile(`\b(rate|increase)\([\w:]+(?:\{[^}]*\})?\[([^\]]*)\]`)

// TestDataSource checks that everything on a dashboard uses the selected data source.
func TestDataSource(t *testing.T) {
	t.Parallel()
	check := func(where string, source json.RawMessage) {
		var parsed struct{ Type, UID string }
		if err := json.Unmarshal(source, &parsed); err != nil || parsed.Type != "prometheus" || parsed.UID != "${datasource}" {
			t.Errorf("%s: data source %s", where, source)
		}
	}
	for name, d := range readAll(t) {
		for _, v := range d.Templating.List {
			if v.Type == "query" {
				check(name+", variable "+v.Name, v.Datasource)
			}
		}
		for _, a := range d.Annotations.List {
			check(name+", "+a.Name, a.Datasource)
		}
		for _, p := range d.every() {
			if p.shows() {
				check(name+", "+p.Title, p.Datasource)
			}
			for _, target := range p.Targets {
				check(name+", "+p.Title+" "+target.RefID, target.Datasource)
			}
		}
	}
}

func TestVariables(t *testing.T) {
	t.Parallel()
	for name, d := range readAll(t) {
		want := []string{"datasource", "job", "site"}
		switch name {
		case "qlik-user":
			want = append(want, "user_directory", "user_id", "virtual_proxy_1", "virtual_proxy_2", "virtual_proxy_3", "virtual_proxy_4",
				"virtual_proxy_5", "virtual_proxy_6", "virtual_proxy_7", "virtual_proxy_8", "command")
		case "qlik-capacity":
			want = append(want, "refusals")
		}
		if found := d.variables(); !slices.Equal(found, want) {
			t.Errorf("%s: variables %q, want %q", name, found, want)
			continue
		}
		for _, v := range d.Templating.List[1:] {
			if v.Type == "custom" {
				continue // a number
			}
			site := v.Name == "site"
			if v.Type != "query" || v.Refresh != 2 || v.Label == "" || v.Multi != site || v.IncludeAll != site || site && v.AllValue != ".*" {
				t.Errorf("%s: variable %+v", name, v)
			}
		}
		if job := d.Templating.List[1].Current; job.Text != DefaultJob || job.Value != DefaultJob {
			t.Errorf("%s begins with job %v", name, job)
		}
		for _, expr := range d.expressions() {
			for _, use := range regexp.MustCompile(`\$\{?(\w+)`).FindAllStringSubmatch(expr, -1) {
				if !slices.Contains(want, use[1]) && !slices.Contains([]string{"__range", "__rate_interval", "__interval", "1"}, use[1]) {
					t.Errorf("%s has no variable %s, in %s", name, use[1], expr)
				}
			}
			for _, matcher := range regexp.MustCompile(`(\w+)(=~?)"\$(\w+)\|?"`).FindAllStringSubmatch(expr, -1) {
				if label, operator := matcher[1], matcher[2]; label != numbered.ReplaceAllString(matcher[3], "") || (operator == "=~") != (label == "site") {
					t.Errorf("%s: %s, in %s", name, matcher[0], expr)
				}
			}
		}
	}
}

// numbered is the end of the name of a variable that is one of several alike.
var numbered = regexp.MustCompile(`_\d$`)

// expressions returns all expressions of a dashboard: of panels, variables and
// annotations.
func (d *dashboard) expressions() []string {
	var expressions []string
	for _, p := range d.every() {
		for _, target := range p.Targets {
			expressions = append(expressions, target.Expr)
		}
	}
	for _, a := range d.Annotations.List {
		expressions = append(expressions, a.Target.Expr)
	}
	for _, v := range d.Templating.List {
		if query, ok := v.Query.(map[string]any); ok {
			expressions = append(expressions, fmt.Sprint(query["query"]))
		}
	}
	return expressions
}

// TestGrid checks that panels fill every row and do not overlap.
func TestGrid(t *testing.T) {
	t.Parallel()
	const width = 24
	check := func(where string, panels []panel) {
		taken := make(map[[2]int]string)
		bottom, top := 0, 1<<30
		for _, p := range panels {
			g := p.GridPos
			if g.X < 0 || g.W < 1 || g.X+g.W > width || g.Y < 0 || g.H < 1 {
				t.Errorf("%s, %s: %+v", where, p.Title, g)
				continue
			}
			top, bottom = min(top, g.Y), max(bottom, g.Y+g.H)
			for x := g.X; x < g.X+g.W; x++ {
				for y := g.Y; y < g.Y+g.H; y++ {
					if other := taken[[2]int{x, y}]; other != "" {
						t.Fatalf("%s: %s covers %s", where, p.Title, other)
					}
					taken[[2]int{x, y}] = p.Title
				}
			}
		}
		if len(panels) > 0 && len(taken) != width*(bottom-top) {
			t.Errorf("%s: there are gaps between panels", where)
		}
	}
	for name, d := range readAll(t) {
		check(name, d.Panels)
		for _, p := range d.Panels {
			check(name+", "+p.Title, p.Panels)
		}
	}
}

// TestLinks checks that links lead to existing dashboards and set existing variables.
func TestLinks(t *testing.T) {
	t.Parallel()
	all := readAll(t)
	for name, d := range all {
		var linked []string
		for _, link := range d.Links {
			to := strings.TrimPrefix(link.URL, "/d/")
			linked = append(linked, to)
			keepsTime := name != "qlik-capacity" && to != "qlik-capacity"
			if link.Type != "link" || link.Title == "" || !link.IncludeVars || link.KeepTime != keepsTime {
				t.Errorf("%s: link %+v", name, link)
			}
		}
		slices.Sort(linked)
		if others := slices.DeleteFunc(slices.Clone(names), func(other string) bool { return other == name }); !slices.Equal(linked, others) {
			t.Errorf("%s links to %q, want %q", name, linked, others)
		}
		for _, p := range d.every() {
			if links := p.FieldConfig.Defaults.Links; links != nil {
				checkDataLinks(t, name+", "+p.Title, links, d, all, &p)
			}
			for _, links := range p.properties("links") {
				checkDataLinks(t, name+", "+p.Title, links, d, all, &p)
			}
		}
	}
}

// properties returns the values of a property that a panel sets for some fields.
func (p *panel) properties(id string) map[string]json.RawMessage {
	values := make(map[string]json.RawMessage)
	for _, override := range p.FieldConfig.Overrides {
		for _, property := range override.Properties {
			if property.ID == id {
				values[override.Matcher.Options] = property.Value
			}
		}
	}
	return values
}

func checkDataLinks(t *testing.T, where string, value json.RawMessage, from *dashboard, all map[string]*dashboard, p *panel) {
	t.Helper()
	var links []struct{ Title, URL string }
	if err := json.Unmarshal(value, &links); err != nil || len(links) == 0 {
		t.Fatalf("%s: %v", where, err)
	}
	for _, link := range links {
		parsed, err := url.Parse(link.URL)
		if err != nil {
			t.Fatalf("%s: %v", where, err)
		}
		to := all[strings.TrimPrefix(parsed.Path, "/d/")]
		toPage := strings.HasPrefix(link.URL, defaultSessionsURL+"/user?user=") || strings.HasPrefix(link.URL, defaultRunbookURL+"#${__")
		switch {
		case toPage:
			to = all["qlik-user"] // the page reads only the site, and ignores the variable
		case to == nil:
			t.Errorf("%s: there is no %s", where, parsed.Path)
			continue
		}
		sets := regexp.MustCompile(`var-(\w+)=`).FindAllStringSubmatch(link.URL, -1)
		if len(sets) == 0 && !toPage {
			t.Errorf("%s: %s sets no variable", where, link.URL)
		}
		for _, set := range sets {
			if !slices.Contains(to.variables(), set[1]) {
				t.Errorf("%s: %s has no variable %s", where, to.UID, set[1])
			}
		}
		for _, use := range regexp.MustCompile(`\$\{([\w.]+)`).FindAllStringSubmatch(link.URL, -1) {
			field, ofRow := strings.CutPrefix(use[1], "__data.fields.")
			switch {
			case ofRow && !slices.ContainsFunc(p.Targets, func(target target) bool { return strings.Contains(target.Expr, field) }):
				t.Errorf("%s: there is no field %s", where, field)
			case !ofRow && use[1] != "__url_time_range" && use[1] != "__value.raw" && !slices.Contains(from.variables(), use[1]):
				t.Errorf("%s: there is no variable %s", where, use[1])
			}
		}
	}
}

// TestFields checks that settings of columns and lines refer to existing fields.
func TestFields(t *testing.T) {
	t.Parallel()
	template := regexp.MustCompile(`\{\{(\w+)\}\}`)
	for name, d := range readAll(t) {
		for _, p := range d.every() {
			where := name + ", " + p.Title
			fields := make(map[string]bool)
			anyName, matrix, all := false, false, ""
			for _, target := range p.Targets {
				all += target.Expr + "\n"
				for _, label := range template.FindAllStringSubmatch(target.LegendFormat, -1) {
					anyName = true
					if !regexp.MustCompile(`\b` + label[1] + `\b`).MatchString(target.Expr) {
						t.Errorf("%s: nothing in the expression has a label %s", where, label[1])
					}
				}
				fields[target.LegendFormat] = true
				fields["Value"], fields["Value #"+target.RefID] = len(p.Targets) == 1, len(p.Targets) > 1
			}
			known := func(field string) bool {
				_, err := strconv.Atoi(field) // a value of the column field
				return fields[field] || field == "Time" || matrix && err == nil || p.Type == "table" && regexp.MustCompile(`\b`+regexp.QuoteMeta(field)+`\b`).MatchString(all)
			}
			for _, transformation := range p.Transformations {
				o := transformation.Options
				if transformation.ID == "groupingToMatrix" {
					matrix, fields[o.RowField+`\`+o.ColumnField] = true, true
				}
				for field := range o.IndexByName {
					if !known(field) {
						t.Errorf("%s: there is no field %q to order", where, field)
					}
				}
				for field := range o.ExcludeByName {
					if !known(field) {
						t.Errorf("%s: there is no field %q to exclude", where, field)
					}
				}
				for field, shown := range o.RenameByName {
					if !known(field) {
						t.Errorf("%s: there is no field %q to rename", where, field)
					}
					fields[shown] = true
				}
			}
			for _, sort := range p.Options.SortBy {
				if !known(sort.DisplayName) {
					t.Errorf("%s: there is no column %q to sort by", where, sort.DisplayName)
				}
			}
			for _, override := range p.FieldConfig.Overrides {
				if override.Matcher.ID == "byName" && !known(override.Matcher.Options) && !anyName {
					t.Errorf("%s: there is no field %q", where, override.Matcher.Options)
				}
			}
		}
	}
}

// series maps the names of metrics to their labels.
type series map[string]map[string]bool

func (s series) add(metric string, labels ...string) {
	if s[metric] == nil {
		s[metric] = map[string]bool{"job": true, "instance": true, "pod": true, "site": true}
	}
	for _, label := range labels {
		s[metric][label] = true
	}
}

// labels returns the labels of all metrics.
func (s series) labels() []string {
	labels := make(map[string]bool)
	for _, of := range s {
		maps.Copy(labels, of)
	}
	return slices.Collect(maps.Keys(labels))
}

// knownSeries returns the metrics in the expected expositions of the collector tests,
// the metrics that the rules record, and a few metrics of Go programs and Prometheus.
func knownSeries(t *testing.T) series {
	t.Helper()
	known := make(series)
	expositions, err := filepath.Glob(filepath.Join("..", "collector", "testdata", "*.prom"))
	if err != nil || len(expositions) == 0 {
		t.Fatalf("no expositions: %v", err)
	}
	for _, path := range expositions {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		for name, family := range families {
			for _, metric := range family.GetMetric() {
				var labels []string
				for _, label := range metric.GetLabel() {
					labels = append(labels, label.GetName())
				}
				known.add(name, labels...)
			}
			if family.GetMetric()[0].GetHistogram() != nil {
				known.add(name+"_bucket", "le")
				known.add(name + "_sum")
				known.add(name + "_count")
			}
		}
	}
	known.add("qlik_exporter_build_info", "version", "revision", "goversion")
	for _, metric := range []string{
		"qlik_exporter_config_last_reload_successful", "qlik_exporter_config_last_reload_success_timestamp_seconds",
		"up", "scrape_duration_seconds", "scrape_samples_scraped", "process_start_time_seconds", "process_resident_memory_bytes",
		"process_cpu_seconds_total", "process_open_fds", "go_memstats_heap_inuse_bytes", "go_goroutines",
	} {
		known.add(metric)
	}
	content, err := os.ReadFile(filepath.Join("..", "alerts", "qlik.rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	// Only Prometheus knows the labels of a recorded series, so all known labels are
	// allowed. A label that no metric has is still found.
	known.add("ALERTS", append(known.labels(), "alertname", "alertstate", "severity", "scope")...)
	labels := append(known.labels(), "certificate", "timeout")
	for _, record := range regexp.MustCompile(`(?m)^ +- record: (\S+)$`).FindAllStringSubmatch(string(content), -1) {
		known.add(record[1], labels...)
	}
	return known
}

// words are the words in PromQL and in Grafana's variable queries that are neither
// metrics nor labels.
var words = strings.Fields(`and or unless on ignoring by without group_left group_right bool offset
	sum min max avg count count_values topk bottomk quantile
	abs ceil changes clamp clamp_max clamp_min count_over_time avg_over_time max_over_time min_over_time sum_over_time last_over_time
	quantile_over_time day_of_week hour histogram_quantile increase label_join label_replace predict_linear rate round scalar sort sort_desc time
	timestamp vector deriv label_values group query_result`)

var (
	strs      = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	replaces  = regexp.MustCompile(`"(\w+)"(?:(?:, "(?:[^"\\]|\\.)*")+\s*\)|, (?:hour|day_of_week)\()`) // in label_replace, label_join and count_values: the new label
	windows   = regexp.MustCompile(`\$\w+|\[[^\]]*\]|\boffset\s+\S+|\b\d[\w.]*`)
	selectors = regexp.MustCompile(`([a-zA-Z_:][\w:]*)\s*\{([^}]*)\}`)
	matchers  = regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)`)
	tokens    = regexp.MustCompile(`[a-zA-Z_:][\w:]*`)
)

// check returns the faults of an expression: unknown metrics and labels. It does not
// parse the expression: in e2e, Prometheus runs all of them.
func (s series) check(expr string) (faults []string) {
	labels := s.labels()
	for _, made := range replaces.FindAllStringSubmatch(expr, -1) {
		labels = append(labels, made[1])
	}
	bare := windows.ReplaceAllString(strs.ReplaceAllString(expr, `""`), " ")
	for _, selector := range selectors.FindAllStringSubmatch(bare, -1) {
		for _, matcher := range matchers.FindAllStringSubmatch(selector[2], -1) {
			if s[selector[1]] != nil && !s[selector[1]][matcher[1]] {
				faults = append(faults, fmt.Sprintf("%s has no label %s", selector[1], matcher[1]))
			}
		}
	}
	for _, token := range tokens.FindAllString(bare, -1) {
		if s[token] == nil && !slices.Contains(labels, token) && !slices.Contains(words, token) {
			faults = append(faults, "there is no "+token)
		}
	}
	return faults
}

// TestMetrics checks that all queries use known metrics and labels.
func TestMetrics(t *testing.T) {
	t.Parallel()
	known := knownSeries(t)
	for name, d := range readAll(t) {
		for _, expr := range d.expressions() {
			for _, fault := range known.check(expr) {
				t.Errorf("%s: %s, in %s", name, fault, expr)
			}
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	known := make(series)
	known.add("qlik_sessions", "qlik_node")
	known.add("qlik_users", "headroom")
	for expr, right := range map[string]bool{
		`sum without (instance) (qlik_sessions{qlik_node=~"a|b",job="$job"} offset $__range) > 2 * time()`: true,
		`max by (qlik_node) (last_over_time(qlik_sessions[5m]))`:                                           true,
		`max by (kind) (label_replace(qlik_sessions, "kind", "a", "", ""))`:                                true,
		`label_values(qlik_sessions{job="$job"}, qlik_node)`:                                               true,
		`qlik_session > 0`:                           false,
		`qlik_sessions{headroom="a"}`:                false,
		`sum by (nodes) (qlik_sessions)`:             false,
		`summ(qlik_sessions)`:                        false,
		`label_values(qlik_sessions{job="x"}, kind)`: false,
	} {
		if faults := known.check(expr); (len(faults) == 0) != right {
			t.Errorf("%s: faults %q", expr, faults)
		}
	}
}

// TestTexts checks that text panels use existing variables.
func TestTexts(t *testing.T) {
	t.Parallel()
	for name, d := range readAll(t) {
		for _, p := range d.every() {
			for _, use := range regexp.MustCompile(`\$\{?(\w+)`).FindAllStringSubmatch(p.Options.Content, -1) {
				if !slices.Contains(d.variables(), use[1]) {
					t.Errorf("%s, %s: there is no variable %s", name, p.Title, use[1])
				}
			}
			if (p.Type == "text") != (p.Options.Content != "") {
				t.Errorf("%s, %s: content %q", name, p.Title, p.Options.Content)
			}
		}
	}
}

// write writes the files as the command assets does.
func write(dir string, options Options) error {
	files, err := Files(options)
	if err != nil {
		return err
	}
	_, err = assets.Write(dir, files)
	return err
}

func TestWrite(t *testing.T) {
	t.Parallel()
	const job = "qlik \"sense\"\\ \u00e4"
	for _, options := range []Options{{}, {Job: job}, {SessionsURL: "https://qlik.acme.test:9986/x/sessions/", RunbookURL: "https://wiki.acme.test/qlik?page=1"}} {
		dir := filepath.Join(t.TempDir(), "new", "folder")
		if err := write(dir, options); err != nil {
			t.Fatal(err)
		}
		want := options.Job
		if want == "" {
			want = DefaultJob
		}
		for name, original := range readAll(t) {
			content, err := os.ReadFile(filepath.Join(dir, "dashboards", name+".json"))
			if err != nil {
				t.Fatal(err)
			}
			if options.SessionsURL != "" {
				for address, embedded := range map[string]string{strings.TrimRight(options.SessionsURL, "/"): defaultSessionsURL, options.RunbookURL: defaultRunbookURL} {
					linked := bytes.ReplaceAll(content, []byte(address), []byte(embedded))
					if changed := !bytes.Equal(linked, content); changed != (name == "qlik-overview" || name == "qlik-user") {
						t.Errorf("%s links to %s: %t", name, address, changed)
					}
					content = linked
				}
			}
			written := new(dashboard)
			if err := json.Unmarshal(content, written); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if current := &written.Templating.List[1].Current; current.Text != want || current.Value != want {
				t.Errorf("%s begins with job %v, want %s", name, *current, want)
			} else {
				current.Text, current.Value = DefaultJob, DefaultJob
			}
			if !reflect.DeepEqual(written, original) {
				t.Errorf("%s: Files changed more than the options", name)
			}
		}
		for _, name := range []string{"provisioning/dashboards/qlik.yml", "provisioning/datasources/prometheus.yml"} {
			content, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
			if err != nil {
				t.Fatal(err)
			}
			var parsed struct {
				APIVersion int `yaml:"apiVersion"`
			}
			if err := yaml.Unmarshal(content, &parsed); err != nil || parsed.APIVersion != 1 {
				t.Errorf("%s: version %d, %v", name, parsed.APIVersion, err)
			}
		}
	}
	if err := write(t.TempDir(), Options{Job: "\xff"}); err == nil {
		t.Error("a job that is not UTF-8 was accepted")
	}
}

// TestGaps checks that no line crosses a gap, in which nothing is known.
func TestGaps(t *testing.T) {
	t.Parallel()
	for name, d := range readAll(t) {
		for _, p := range d.every() {
			spans := append(slices.Collect(maps.Values(p.properties("custom.spanNulls"))), p.FieldConfig.Defaults.Custom.SpanNulls)
			for _, span := range spans {
				if p.Type == "timeseries" && string(span) != "false" {
					t.Errorf("%s, %s: a line crosses a gap: spanNulls %s", name, p.Title, span)
				}
			}
		}
	}
}

// TestTitlesFit checks that no title is cut on a screen of 800 pixels, beside the icon
// with the description.
func TestTitlesFit(t *testing.T) {
	t.Parallel()
	const column, frame, letter = 784.0 / 24, 70, 7 // pixels, as measured
	for name, d := range readAll(t) {
		for _, p := range d.every() {
			if room := column*float64(p.GridPos.W) - frame; float64(letter*len(p.Title)) > room {
				t.Errorf("%s, %s: the title has %d letters, and there is room for %d", name, p.Title, len(p.Title), int(room)/letter)
			}
		}
	}
}

// TestCalm checks that a tile has no color while it counts nothing.
func TestCalm(t *testing.T) {
	t.Parallel()
	for name, d := range readAll(t) {
		for _, p := range d.every() {
			if p.Type != "stat" || p.Options.ColorMode != "background" || p.FieldConfig.Defaults.Mappings != nil {
				continue
			}
			color := ""
			for _, step := range p.FieldConfig.Defaults.Thresholds.Steps {
				if step.Value == nil || *step.Value <= 0 {
					color = step.Color
				}
			}
			if counts := p.FieldConfig.Defaults.Unit == "none"; counts && color != "transparent" {
				t.Errorf("%s, %s: a zero is %s", name, p.Title, color)
			}
		}
	}
}

// TestTables checks that the first row of every table is a deliberate choice.
func TestTables(t *testing.T) {
	t.Parallel()
	for name, d := range readAll(t) {
		for _, p := range d.every() {
			if p.Type == "table" && len(p.Options.SortBy) == 0 {
				t.Errorf("%s, %s is not sorted", name, p.Title)
			}
		}
	}
}

// mapped returns the texts that value mappings show instead of values.
func mapped(t *testing.T, mappings json.RawMessage) map[string]string {
	t.Helper()
	var parsed []struct {
		Options map[string]struct{ Text string }
	}
	if err := json.Unmarshal(mappings, &parsed); err != nil || len(parsed) != 1 {
		t.Fatalf("mappings %s: %v", mappings, err)
	}
	texts := make(map[string]string)
	for value, shown := range parsed[0].Options {
		texts[value] = shown.Text
	}
	return texts
}

// find returns the panel with a title.
func (d *dashboard) find(t *testing.T, title string) *panel {
	t.Helper()
	every := d.every()
	i := slices.IndexFunc(every, func(p panel) bool { return p.Title == title })
	if i < 0 {
		t.Fatalf("%s has no panel %s", d.UID, title)
	}
	return &every[i]
}

// TestEngines checks that the row of the engines is folded, because their collector is off
// by default, that it says how to turn the collector on, and that it shows what the alerts
// about engines are about.
func TestEngines(t *testing.T) {
	t.Parallel()
	d := readAll(t)["qlik-overview"]
	row := d.find(t, "Engines")
	if row.Type != "row" || len(row.Panels) == 0 { // only a folded row contains its panels
		t.Fatalf("type %s, %d panels", row.Type, len(row.Panels))
	}
	if empty := row.Panels[0].FieldConfig.Defaults.NoValue; !strings.Contains(empty, "--collector.engine") {
		t.Errorf("without engines, the row says %q", empty)
	}
	var expressions strings.Builder
	for _, p := range row.Panels {
		for _, target := range p.Targets {
			expressions.WriteString(target.Expr + "\n")
		}
	}
	for _, metric := range []string{"up", "saturated", "cpu_ratio", "memory_free_bytes", "memory_committed_bytes", "users"} {
		if !strings.Contains(expressions.String(), "qlik_engine_"+metric+"{") {
			t.Errorf("the row does not show qlik_engine_%s", metric)
		}
	}
}

// TestRunbook checks that every cause is shown in words, and that causes and alerts link
// to their sections of the runbook.
func TestRunbook(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(filepath.Join("..", "alerts", "runbook.md"))
	if err != nil {
		t.Fatal(err)
	}
	sections := make(map[string]bool) // as in links
	for _, heading := range regexp.MustCompile(`(?m)^### (\w+)$`).FindAllStringSubmatch(string(content), -1) {
		sections[strings.ToLower(heading[1])] = true
	}
	all := readAll(t)
	users, alerts, cause := all["qlik-overview"].find(t, "Users near the limit"), all["qlik-overview"].find(t, "Active alerts"), all["qlik-user"].find(t, "Likely cause")
	for where, shown := range map[string]struct {
		links, mappings json.RawMessage
	}{
		"overview": {users.properties("links")["Cause"], users.properties("mappings")["Cause"]},
		"user":     {cause.FieldConfig.Defaults.Links, cause.FieldConfig.Defaults.Mappings},
	} {
		if !strings.Contains(string(shown.links), defaultRunbookURL+"#${__value.raw}") { // not its words
			t.Errorf("%s: links of a cause: %s", where, shown.links)
		}
		texts := mapped(t, shown.mappings)
		for _, cause := range headroom.Causes() {
			if text := texts[string(cause)]; text == "" || strings.Contains(text, "_") || !sections[string(cause)] {
				t.Errorf("%s: cause %s is shown as %q; has a section: %t", where, cause, text, sections[string(cause)])
			}
		}
	}
	if !cause.Options.ReduceOptions.Values {
		t.Error("user: a reduced value has no raw text")
	}
	if links := string(alerts.properties("links")["Alert"]); !strings.Contains(links, defaultRunbookURL+"#${__data.fields.section}") {
		t.Errorf("links of an alert: %s", links)
	}
	rules, err := os.ReadFile(filepath.Join("..", "alerts", "qlik.rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	links := mapped(t, alerts.properties("mappings")["section"])
	for _, alert := range regexp.MustCompile(`(?m)^ +- alert: (\S+)$`).FindAllStringSubmatch(string(rules), -1) {
		if section := links[alert[1]]; !strings.EqualFold(section, alert[1]) || !sections[section] {
			t.Errorf("alert %s links to the section %q", alert[1], section)
		}
	}
}

// TestVirtualProxyColors checks that each virtual proxy of a user has a color that no
// other one has. Between any two of them, CIE76 is at least 16 in both of Grafana's
// themes, also as people with protanopia, deuteranopia or tritanopia see them.
func TestVirtualProxyColors(t *testing.T) {
	t.Parallel()
	p := readAll(t)["qlik-user"].find(t, "Sessions by virtual proxy")
	colors := p.properties("color")
	taken := map[string]bool{`{"mode":"fixed","fixedColor":"red"}`: true} // the limit
	for i := range 8 {
		target := p.Targets[i]
		if !strings.Contains(target.Expr, fmt.Sprintf(`virtual_proxy="$virtual_proxy_%d"`, i+1)) {
			t.Errorf("query %s is not that of virtual proxy %d: %s", target.RefID, i+1, target.Expr)
		}
		var color bytes.Buffer
		if err := json.Compact(&color, colors[target.RefID]); err != nil {
			t.Fatal(err)
		}
		if taken[color.String()] || !strings.Contains(color.String(), `"fixed"`) {
			t.Errorf("query %s has the color %s, as another one", target.RefID, &color)
		}
		taken[color.String()] = true
	}
}

// TestWorstUser checks that the user dashboard opens on the user with the least effective
// headroom: Grafana selects the first value of a variable. In e2e, Prometheus sorts users.
func TestWorstUser(t *testing.T) {
	t.Parallel()
	for _, v := range readAll(t)["qlik-user"].Templating.List {
		var query struct{ Query string }
		switch v.Name {
		case "user_directory", "user_id":
			encoded, _ := json.Marshal(v.Query)
			if err := json.Unmarshal(encoded, &query); err != nil {
				t.Fatal(err)
			}
			if v.Sort != 0 || v.Current.Value != nil || !strings.HasPrefix(query.Query, "query_result(sort(") || !strings.Contains(query.Query, "min by ("+v.Name+") (qlik_user_effective_headroom{") {
				t.Errorf("%s: sort %d, selected %v, query %s", v.Name, v.Sort, v.Current.Value, query.Query)
			}
			const odd = `a"} b\c`
			if found := regexp.MustCompile(strings.Trim(v.Regex, "/")).FindStringSubmatch(`{` + v.Name + `="` + odd + `"} -100 1700000000000`); len(found) != 2 || found[1] != odd {
				t.Errorf("%s: the regular expression finds %q", v.Name, found)
			}
		case "datasource", "job", "site":
		default:
			if v.Hide != 2 || !v.SkipURLSync {
				t.Errorf("%s is not hidden", v.Name)
			}
		}
	}
}

// TestCommands checks that a command on a dashboard runs as it is in cmd.exe, PowerShell
// and a POSIX shell, and contains no name that one of them would interpret.
func TestCommands(t *testing.T) {
	t.Parallel()
	for name, d := range readAll(t) {
		for _, p := range d.every() {
			for _, use := range regexp.MustCompile(`\$\{?(\w+)(:percentencode)?`).FindAllStringSubmatch(p.Options.Content, -1) {
				if use[1] != "command" && use[2] == "" {
					t.Errorf("%s, %s shows %s, which can be anything", name, p.Title, use[1])
				}
			}
		}
		for _, v := range d.Templating.List {
			if v.Name != "command" {
				continue
			}
			query := fmt.Sprint(v.Query)
			for _, label := range []string{"user_directory", "user_id"} {
				found := regexp.MustCompile(label + `=~"([^"]+)"`).FindStringSubmatch(query)
				if found == nil {
					t.Fatalf("the command takes any %s: %s", label, query)
				}
				safe := regexp.MustCompile("^(?:" + found[1] + ")$") // as in PromQL
				for _, name := range []string{"ACME", "anna.berg", "o-neil 2", "anna@acme.test"} {
					if !safe.MatchString(name) {
						t.Errorf("%s %q has no command", label, name)
					}
				}
				for _, name := range []string{"$(reboot)", "$env:x", "`x`", `a"b`, "%PATH%", "a&b", "a|b", "a;b", "a'b", `a\b`, "a!b", "a^b", "-x", "a\nb", ""} {
					if safe.MatchString(name) {
						t.Errorf("%s %q has a command", label, name)
					}
				}
			}
		}
	}
}

// TestLint checks that the configuration of Grafana's dashboard-linter gives a reason for
// every rule that it excludes, and refers to existing rules and panels.
func TestLint(t *testing.T) {
	t.Parallel()
	// The rules of the linter in 2026.
	rules := strings.Fields(`template-datasource-rule template-job-rule template-instance-rule template-label-promql-rule template-on-time-change-reload-rule
		panel-datasource-rule panel-title-description-rule panel-units-rule panel-no-targets-rule target-logql-rule target-logql-auto-rule
		target-promql-rule target-rate-interval-rule target-job-rule target-instance-rule target-counter-agg-rule uneditable-dashboard-rule`)
	content, err := os.ReadFile(".lint")
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Exclusions map[string]struct {
			Reason  string
			Entries []struct{ Dashboard, Panel string }
		}
	}
	if err := yaml.UnmarshalStrict(content, &config); err != nil || len(config.Exclusions) == 0 {
		t.Fatalf("%v: %s", err, content)
	}
	for rule, excluded := range config.Exclusions {
		if excluded.Reason == "" || !slices.Contains(rules, rule) {
			t.Errorf("rule %s, reason %q", rule, excluded.Reason)
		}
		for _, entry := range excluded.Entries {
			for _, d := range readAll(t) {
				if d.Title == entry.Dashboard {
					d.find(t, entry.Panel)
				}
			}
		}
	}
}
