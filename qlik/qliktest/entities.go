package qliktest

import (
	"cmp"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// entity is an object of the repository.
type entity struct {
	condensed object // its short form
	// quick returns a field of the full object without building it, by its name in lower case; nil if building it is cheap.
	quick func(field string) (any, bool)
	build func() object // returns the full object
	built object
}

// builtEntities returns entities whose full objects exist.
func builtEntities(all []object, condense func(object) object) []*entity {
	entities := make([]*entity, 0, len(all))
	for _, full := range all {
		entities = append(entities, &entity{condensed: condense(full), built: full})
	}
	return entities
}

// onlyID is the short form of entities of which other entities show only the id.
func onlyID(full object) object { return object{"id": full["id"], "privileges": nil} }

// fields returns a function for the short form of entities with some fields more.
func fields(names ...string) func(object) object {
	return func(full object) object {
		short := onlyID(full)
		for _, name := range names {
			short[name] = full[name]
		}
		return short
	}
}

func (e *entity) full() object {
	if e.built == nil {
		e.built = e.build()
	}
	return e.built
}

// visit calls f with the values at a path of fields: with each element of a list, and with nil where an entity on the way is missing. It
// reports whether there is such a field, or could be in a list that is empty. Names of fields ignore case, as in Qlik's examples.
func (e *entity) visit(path []string, f func(any)) bool {
	if e.quick != nil {
		if value, ok := e.quick(strings.ToLower(path[0])); ok {
			return walk(value, path[1:], f)
		}
	}
	return walk(e.full(), path, f)
}

func walk(value any, path []string, f func(any)) bool {
	switch value := value.(type) {
	case []object:
		return walkList(value, path, f)
	case []any:
		return walkList(value, path, f)
	case []string:
		return walkList(value, path, f)
	case []int:
		return walkList(value, path, f)
	case nil:
		f(nil)
		return true
	case object:
		return walkFields(value, path, f)
	case map[string]any:
		return walkFields(value, path, f)
	}
	if len(path) > 0 {
		return false
	}
	f(value)
	return true
}

func walkList[E any](all []E, path []string, f func(any)) bool {
	found := len(all) == 0
	for _, each := range all {
		found = walk(each, path, f) || found
	}
	return found
}

func walkFields(o object, path []string, f func(any)) bool {
	if len(path) == 0 {
		f(o)
		return true
	}
	if value, ok := o[path[0]]; ok {
		return walk(value, path[1:], f)
	}
	for name, value := range o {
		if strings.EqualFold(name, path[0]) {
			return walk(value, path[1:], f)
		}
	}
	return false
}

// kinds are the kinds of entities, by their names in paths. The function returns all entities of a kind.
var kinds = map[string]func(*Site) []*entity{
	"app":                             (*Site).apps,
	"custompropertydefinition":        func(*Site) []*entity { return nil },
	"dataconnection":                  (*Site).dataConnections,
	"enginehealth":                    (*Site).engineHealths,
	"engineservice":                   (*Site).engineServices,
	"executionresult":                 (*Site).executionResults,
	"proxyservice":                    func(s *Site) []*entity { return builtEntities(s.proxyObjects(), onlyID) },
	"reloadtask":                      (*Site).reloadTasks,
	"schedulerservice":                (*Site).schedulerServices,
	"servernodeconfiguration":         (*Site).nodeEntities,
	"servicestatus":                   func(s *Site) []*entity { return builtEntities(s.statusObjects(), onlyID) },
	"stream":                          (*Site).streams,
	"tag":                             (*Site).tags,
	"task":                            (*Site).reloadTasks, // the site has no other tasks
	"user":                            (*Site).userEntities,
	"userdirectory":                   (*Site).userDirectories,
	"virtualproxyconfig":              (*Site).virtualProxyEntities,
	"license/professionalaccesstype":  accessesOf(Professional),
	"license/analyzeraccesstype":      accessesOf(Analyzer),
	"license/useraccesstype":          accessesOf(UserAccess),
	"license/loginaccesstype":         rulesOf(LoginAccess),
	"license/analyzertimeaccesstype":  rulesOf(AnalyzerCapacity),
	"license/professionalaccessusage": usageOf(Professional),
	"license/analyzeraccessusage":     usageOf(Analyzer),
	"license/useraccessusage":         usageOf(UserAccess),
	"license/loginaccessusage":        sharedUsageOf(LoginAccess),
	"license/analyzertimeaccessusage": sharedUsageOf(AnalyzerCapacity),
}

// local are the kinds of which a repository returns the entity of its own node.
var local = map[string]bool{"engineservice": true, "proxyservice": true, "schedulerservice": true, "servernodeconfiguration": true}

// entityAnswer responds to a request for entities. The path is in lower case and without /qrs/. It returns false for an unknown path.
func (s *Site) entityAnswer(n *node, r *http.Request, path string) (answer, bool) {
	list, what := kinds[path], ""
	if list == nil {
		at := strings.LastIndexByte(path, '/')
		if at < 0 || kinds[path[:at]] == nil {
			return answer{}, false
		}
		path, what = path[:at], path[at+1:]
		list = kinds[path]
	}
	query, complete := parameters(r)
	switch {
	case !complete:
		return text(http.StatusBadRequest, "400::Missing parameter value(s)"), true // docs/qlik.md, "Error bodies"
	case what == "table":
		return s.tableAnswer(r, list, query), true
	case r.Method != http.MethodGet:
		return text(http.StatusMethodNotAllowed, readOnly), true
	case what == "local" && local[path]:
		return ofNode(list(s), n), true
	case what == "", what == "full", what == "count":
		return listAnswer(list(s), what, query), true
	}
	return oneAnswer(list(s), what), true
}

// ofNode responds with the entity of a node.
func ofNode(all []*entity, n *node) answer {
	for _, e := range all {
		full := e.full()
		if of, _ := full["serverNodeConfiguration"].(object); full["id"] == n.id || of["id"] == n.id {
			return ok(full)
		}
	}
	return text(http.StatusNotFound, "Not found")
}

// oneAnswer responds with the entity with an id.
func oneAnswer(all []*entity, id string) answer {
	if !isGUID(id) {
		return text(http.StatusBadRequest, "400::The id is not a GUID.")
	}
	for _, e := range all {
		if have, _ := e.condensed["id"].(string); strings.EqualFold(have, id) {
			return ok(e.full())
		}
	}
	return text(http.StatusNotFound, "Not found")
}

func isGUID(id string) bool {
	groups := strings.Split(id, "-")
	if len(groups) != 5 || strings.Trim(strings.ToLower(id), "0123456789abcdef-") != "" {
		return false
	}
	for i, size := range []int{8, 4, 4, 4, 12} {
		if len(groups[i]) != size {
			return false
		}
	}
	return true
}

// parameters returns the parameters of a request by name in lower case. It returns false if one has no value, which is what is left of an
// unescaped & in a filter.
func parameters(r *http.Request) (map[string]string, bool) {
	for part := range strings.SplitSeq(r.URL.RawQuery, "&") {
		if part != "" && !strings.Contains(part, "=") {
			return nil, false
		}
	}
	all := map[string]string{}
	for name, values := range r.URL.Query() {
		all[strings.ToLower(name)] = values[0]
	}
	return all, true
}

// listAnswer responds with the entities that match the filter of a request: their short forms, full objects, or their number.
func listAnswer(all []*entity, what string, query map[string]string) answer {
	all, err := selectEntities(all, query["filter"])
	if err != nil {
		return badExpression(query["filter"])
	}
	if order := query["orderby"]; order != "" && !sortEntities(all, order) {
		return badExpression(order)
	}
	if what == "count" {
		return ok(object{"value": len(all)})
	}
	objects := make([]object, 0, len(all))
	for _, e := range all {
		if what == "full" {
			objects = append(objects, e.full())
		} else {
			objects = append(objects, e.condensed)
		}
	}
	return ok(objects)
}

func badExpression(expression string) answer {
	return text(http.StatusBadRequest, "400::Cannot parse the expression: "+expression) // docs/qlik.md, "Error bodies"
}

// selectEntities returns the entities that match a filter. It returns an error for a field that none of them has.
func selectEntities(all []*entity, expression string) ([]*entity, error) {
	if expression == "" {
		return all, nil
	}
	parsed, err := parseFilter(expression)
	if err != nil {
		return nil, err
	}
	if !parsed.comparisons(func(c *comparison) bool { return haveField(all, c.path) }) {
		return nil, errFilter
	}
	matching := make([]*entity, 0, len(all))
	for _, e := range all {
		switch match, err := parsed.matches(e); {
		case err != nil:
			return nil, err
		case match:
			matching = append(matching, e)
		}
	}
	return matching, nil
}

// haveField reports whether any entity has a field. Of an empty list, nothing is known.
func haveField(all []*entity, path []string) bool {
	for _, e := range all {
		if e.visit(path, func(any) {}) {
			return true
		}
	}
	return len(all) == 0
}

// sortEntities sorts entities by a field, such as "name" or "name desc". It returns false for an order that it does not understand. Qlik
// documents the parameter, but not its syntax, so this is a guess.
func sortEntities(all []*entity, order string) bool {
	words := strings.Fields(order)
	descending := len(words) == 2 && strings.EqualFold(words[1], "desc")
	if len(words) == 2 && !descending && !strings.EqualFold(words[1], "asc") || len(words) > 2 || !fieldName.MatchString(words[0]) {
		return false
	}
	return sortByField(all, words[0], descending)
}

func sortByField(all []*entity, field string, descending bool) bool {
	path := strings.Split(field, ".")
	if !haveField(all, path) {
		return false
	}
	slices.SortStableFunc(all, func(a, b *entity) int {
		result := compareValues(a.value(path), b.value(path))
		if descending {
			return -result
		}
		return result
	})
	return true
}

// value returns the first value at a path of fields, or nil.
func (e *entity) value(path []string) any {
	var first any
	e.visit(path, func(value any) { first = cmp.Or(first, value) })
	return first
}

// compareValues orders numbers before texts. Texts ignore case.
func compareValues(a, b any) int {
	number := func(value any) (float64, bool) {
		switch value := value.(type) {
		case int:
			return float64(value), true
		case uint64:
			return float64(value), true
		case float64:
			return value, true
		}
		return 0, false
	}
	x, isNumber := number(a)
	y, bothNumbers := number(b)
	switch {
	case isNumber && bothNumbers:
		return cmp.Compare(x, y)
	case isNumber:
		return -1
	case bothNumbers:
		return 1
	}
	word := func(value any) string {
		switch value := value.(type) {
		case string:
			return strings.ToLower(value)
		case bool:
			return strconv.FormatBool(value)
		}
		return ""
	}
	return strings.Compare(word(a), word(b))
}

// table is the body of a request for a table of fields.
type table struct {
	Columns []struct{ Name, ColumnType, Definition string }
}

// maxTableBody is the maximum size of the body of a request for a table.
const maxTableBody = 1 << 20

// tableAnswer responds with chosen fields of the entities, page by page.
func (s *Site) tableAnswer(r *http.Request, list func(*Site) []*entity, query map[string]string) answer {
	if r.Method != http.MethodPost {
		return text(http.StatusMethodNotAllowed, "A table requires the method POST.")
	}
	var wanted table
	if err := json.NewDecoder(io.LimitReader(r.Body, maxTableBody)).Decode(&wanted); err != nil {
		return text(http.StatusBadRequest, "400::The body is not a table: "+err.Error())
	}
	all, err := selectEntities(list(s), query["filter"])
	if err != nil {
		return badExpression(query["filter"])
	}
	names := []string{}
	var paths [][]string
	for _, column := range wanted.Columns {
		if !strings.EqualFold(column.ColumnType, "Property") || !fieldName.MatchString(column.Definition) {
			return text(http.StatusBadRequest, "400::The simulated repository has only columns of the type Property.")
		}
		path := strings.Split(column.Definition, ".")
		if !haveField(all, path) {
			return badExpression(column.Definition)
		}
		names, paths = append(names, cmp.Or(column.Name, column.Definition)), append(paths, path)
	}
	if column := slices.IndexFunc(names, func(name string) bool { return strings.EqualFold(name, query["sortcolumn"]) }); column >= 0 {
		sortByField(all, wanted.Columns[column].Definition, strings.EqualFold(query["orderascending"], "false"))
	}
	if skip, err := strconv.Atoi(query["skip"]); err == nil {
		all = all[min(max(skip, 0), len(all)):]
	}
	if take, err := strconv.Atoi(query["take"]); err == nil {
		all = all[:min(max(take, 0), len(all))]
	}
	rows := make([][]any, 0, len(all))
	for _, e := range all {
		row := make([]any, 0, len(paths))
		for _, path := range paths {
			row = append(row, e.value(path))
		}
		rows = append(rows, row)
	}
	a := ok(object{"id": stableID("table", r.URL.Path), "columnNames": names, "rows": rows, "schemaPath": "Table"})
	a.status = http.StatusCreated
	return a
}
