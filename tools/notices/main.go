// Notices writes THIRD_PARTY_NOTICES: the licenses and notices of all code that
// is linked into qlik_exporter on any platform of a release. Run it in the root
// of the repository:
//
//	go run ./tools/notices
//
// The project has its own program because github.com/google/go-licenses (tried:
// v1.6.0 and v2.0.1) handles one platform at a time, takes one license per
// package, and does not know the standard library. Its output lacks
// LICENSE.libyaml of go.yaml.in/yaml/v2, all PATENTS files, and the license of
// Go.
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "notices:", err)
		os.Exit(1) //nolint:forbidigo // there are no deferred calls
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
	return os.WriteFile("THIRD_PARTY_NOTICES", []byte(Format(texts)), 0o644) //nolint:gosec // the file is public
}
