package config

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v2"
	"golang.org/x/crypto/bcrypt"
)

const (
	// maxPasswordCost is the highest bcrypt cost of a password. The check of a password
	// delays the others, and its time doubles with each step of the cost.
	maxPasswordCost = 12
	// timeOfCost10 is about the time of a check at cost 10.
	timeOfCost10 = time.Second / 16
)

// webConfig checks the web configuration file of a flag, and its passwords.
func webConfig(flag, path string) error {
	if err := passwords(path); err != nil {
		return errorf(flag, "%s: %w", path, err)
	}
	if err := web.Validate(path); err != nil {
		return errorf(flag, "%s", oneLine(path, err))
	}
	return nil
}

// passwords checks the passwords in a web configuration file, before exporter-toolkit
// does, whose errors do not name the user and contain a part of the text. It leaves all
// other errors to exporter-toolkit.
func passwords(path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil //nolint:nilerr // left to exporter-toolkit
	}
	var file web.Config
	if yaml.Unmarshal(content, &file) != nil {
		return nil //nolint:nilerr // as above
	}
	for _, user := range slices.Sorted(maps.Keys(file.Users)) {
		cost, err := bcrypt.Cost([]byte(file.Users[user]))
		if err != nil {
			return fmt.Errorf("the password of %q is not a bcrypt hash", user)
		}
		if cost > maxPasswordCost {
			return fmt.Errorf("the password of %q has bcrypt cost %d; a check would take about %s; make it again with cost 10 to %d",
				user, cost, timeOfCost10<<(cost-10), maxPasswordCost)
		}
	}
	return nil
}
