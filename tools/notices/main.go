// Notices writes THIRD_PARTY_NOTICES: the licenses and notices of everything that is
// linked into qlik_exporter, on any system that a release is built for. It runs in the
// root of the repository:
//
//	go run ./tools/notices
//
// It is a program of our own because github.com/google/go-licenses (tried: v1.6.0 and
// v2.0.1) looks at one system at a time, takes one license per package, and knows no
// standard library: LICENSE.libyaml of go.yaml.in/yaml/v2, all PATENTS and the license
// of Go are missing from what it saves.
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "notices:", err)
		os.Exit(1) //nolint:forbidigo // nothing is deferred
	}
}

func run() error {
	packages, err := Linked(".", Systems)
	if err != nil {
		return err
	}
	texts, err := Texts(packages)
	if err != nil {
		return err
	}
	return os.WriteFile("THIRD_PARTY_NOTICES", []byte(Format(texts)), 0o644) //nolint:gosec // it is for everybody
}
