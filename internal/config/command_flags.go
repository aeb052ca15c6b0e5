package config

import (
	"net/url"
	"time"

	"github.com/alecthomas/kingpin/v2"
)

// The following functions make the flag of a command take a value of a certain kind.
// Their errors name the flag, like the errors of the flags in the tables of settings.

// Number is for whole numbers of at least minimum.
func Number(flag *kingpin.FlagClause, to *int, minimum int) { set(flag, number(to, minimum)) }

// Duration is for durations of at least zero.
func Duration(flag *kingpin.FlagClause, to *time.Duration) {
	set(flag, scalar(to, durationFromZero, showDuration))
}

// Choice is for one of several words.
func Choice(flag *kingpin.FlagClause, to *string, choices ...string) {
	set(flag, choice(to, choices...))
}

// Text is for texts that pass the check, which may be nil.
func Text(flag *kingpin.FlagClause, to *string, check func(text string) error) {
	set(flag, scalar(to, func(text string) (string, error) {
		if check != nil {
			return text, check(text)
		}
		return text, nil
	}, plainly))
}

// Path is for the path of a file.
func Path(flag *kingpin.FlagClause, to *string) { set(flag, filePath(to)) }

// URL is for a URL such as http://qlik1:9986, or one with a path.
func URL(flag *kingpin.FlagClause, to **url.URL) { set(flag, scalar(to, externalURL, showURL)) }

// VirtualProxies is for prefixes of virtual proxies.
func VirtualProxies(flag *kingpin.FlagClause, to *[]string) {
	set(flag, listOfOne(to, virtualProxy, plainly))
}

// Nodes is for host names of nodes.
func Nodes(flag *kingpin.FlagClause, to *[]string) {
	set(flag, listOfOne(to, func(text string) (string, error) { return text, nil }, plainly))
}

func set(flag *kingpin.FlagClause, v value) { flag.SetValue(ofFlag{v, flag.Model().Name}) }
