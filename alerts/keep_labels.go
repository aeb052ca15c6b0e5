package alerts

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// siteLabels tell sites apart. The rules and the Alertmanager example always name them
// next to each other and in this order, so that the labels of Options.KeepLabels can
// follow them.
var siteLabels = []string{"job", "site"}

// Labels that a site cannot be told apart by: they have a meaning of their own in the
// rules, or they change when an exporter moves.
var otherLabels = []string{
	"alertname", "alertstate", "severity", "scope", "instance", "pod", "le",
	"user_directory", "user_id", "virtual_proxy", "qlik_node", "qlik_service", "license", "state", "reason", "headroom", "api", "kind", "collector", "cause",
}

var labelName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

// CheckKeepLabel accepts names of labels that can tell sites apart in addition to job
// and site.
func CheckKeepLabel(name string) error {
	switch {
	case !labelName.MatchString(name), strings.HasPrefix(name, "__"):
		return fmt.Errorf("%q is not the name of a label", name)
	case slices.Contains(siteLabels, name):
		return fmt.Errorf("the rules keep %s anyway", name)
	case slices.Contains(otherLabels, name):
		return fmt.Errorf("%s does not tell sites apart", name)
	}
	return nil
}

var (
	groupedBySite = regexp.MustCompile(`\b((?:by|on) \((?:[a-z_]+, )*job, site)\b`)
	listWithSite  = regexp.MustCompile(`(: \[(?:[a-z_]+, )*job, site)\b`)
)

// keepLabels adds labels wherever the file aggregates, joins, groups or compares by job
// and site.
func keepLabels(path, text string, names []string) string {
	if len(names) == 0 {
		return text
	}
	var list, matchers, values string
	for _, name := range names {
		list += ", " + name
		matchers += "," + name + "=%q"
		values += " $labels." + name
	}
	switch path {
	case rulesName:
		text = groupedBySite.ReplaceAllString(text, "${1}"+list)
		return strings.NewReplacer(
			"job=%q,site=%q", "job=%q,site=%q"+matchers,
			"$labels.job $labels.site", "$labels.job $labels.site"+values,
		).Replace(text)
	case alertmanagerName:
		return listWithSite.ReplaceAllString(text, "${1}"+list)
	}
	return text
}
