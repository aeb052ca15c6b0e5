package alerts

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Thresholds are numbers in the rules that an installation can change. Zero keeps the
// number of the embedded files.
type Thresholds struct {
	ManyUsers        int     // users without a slot from which QlikManyUsersNearLimit fires
	ManyShare        float64 // share of all users above which it fires
	Burst            int     // sessions more than two minutes ago from which QlikUserSessionBurst fires
	RunawayGrowth    int     // session limits by which a virtual proxy grows within five minutes, above which QlikSessionRunaway fires
	RunawaySessions  int     // sessions of one user above which it fires
	RefusalObjective float64 // share of logins that the limit must not refuse, for QlikSessionRefusalBudget
}

// DefaultThresholds returns the numbers in the embedded files.
func DefaultThresholds() Thresholds {
	return Thresholds{ManyUsers: 10, ManyShare: 0.05, Burst: 3, RunawayGrowth: 10, RunawaySessions: 100, RefusalObjective: 0.995}
}

// The rules mark each line that contains a threshold with a comment at its end, in YAML
// or in an expression:
//
//	severity: critical # assets --reached-severity
//	count >= 10 # assets --many-users
//	rate > 14.4 * (1 - 0.995) # assets --refusal-objective
//
// The value of the flag replaces its default, which the line contains exactly once,
// before the comment. Shares are fractions. A line has at most one marker.
const marker = " # assets --"

// marked is the value of a flag that replaces its default in marked lines.
type marked struct{ flag, preset, value string }

func (t Thresholds) marked() []marked {
	preset := DefaultThresholds()
	whole := func(flag string, preset, value int) marked {
		if value == 0 {
			value = preset
		}
		return marked{flag, strconv.Itoa(preset), strconv.Itoa(value)}
	}
	share := func(flag string, preset, value float64) marked {
		if value == 0 {
			value = preset
		}
		return marked{flag, fraction(preset), fraction(value)}
	}
	return []marked{
		whole("many-users", preset.ManyUsers, t.ManyUsers),
		share("many-share", preset.ManyShare, t.ManyShare),
		whole("burst", preset.Burst, t.Burst),
		whole("runaway-growth", preset.RunawayGrowth, t.RunawayGrowth),
		whole("runaway-sessions", preset.RunawaySessions, t.RunawaySessions),
		share("refusal-objective", preset.RefusalObjective, t.RefusalObjective),
	}
}

func fraction(share float64) string { return strconv.FormatFloat(share, 'f', -1, 64) }

// setMarked puts values into the marked lines of the rules.
func setMarked(rules string, values []marked) (string, error) {
	lines := strings.SplitAfter(rules, "\n")
	places := make(map[string]int)
	for i, line := range lines {
		code, flag, found := strings.Cut(line, marker)
		if !found || strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		flag = strings.TrimSpace(flag)
		value, err := valueOf(flag, values)
		if err != nil {
			return "", fmt.Errorf("line %d of the rules: %w", i+1, err)
		}
		word := regexp.MustCompile(`(^|[^\w.])` + regexp.QuoteMeta(value.preset) + `([^\w.]|$)`)
		if n := len(word.FindAllString(code, -1)); n != 1 {
			return "", fmt.Errorf("line %d of the rules contains %s, the default of --%s, %d times, not once", i+1, value.preset, flag, n)
		}
		lines[i] = word.ReplaceAllString(code, "${1}"+value.value+"${2}") + line[len(code):]
		places[flag]++
	}
	for _, v := range values {
		if v.value != v.preset && places[v.flag] == 0 {
			return "", fmt.Errorf("--%s: no rule uses it", v.flag)
		}
	}
	return strings.Join(lines, ""), nil
}

func valueOf(flag string, values []marked) (marked, error) {
	for _, v := range values {
		if v.flag == flag {
			return v, nil
		}
	}
	return marked{}, fmt.Errorf("there is no flag --%s", flag)
}
