package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/alecthomas/kingpin/v2"
)

// FlagsFile returns the path of the file in which every package keeps the flags of the
// exporter. It returns "" if the path of the program is unknown on Windows.
func FlagsFile() string {
	if runtime.GOOS != "windows" {
		return "/etc/qlik_exporter/flags"
	}
	program, err := os.Executable()
	if err != nil {
		return ""
	}
	return filepath.Join(filepath.Dir(program), "flags.txt")
}

// Add adds the flags in a file to the arguments of a command that uses the file. It
// adds nothing if the file does not exist, or if the arguments or the environment
// already describe a site. A flag in the arguments replaces the same flag in the file.
// If the file contains flags, Add names it on out.
//
// The command check tests everything in the file, because the service would refuse a
// mistake. To other commands, the log of the service does not matter, nor does the file
// of --web.config.file, which often only the service can read.
func (f *Flags) Add(args []string, file string, uses func(command string) bool, out io.Writer) ([]string, error) {
	parsed, err := f.app.ParseContext(args)
	switch {
	case file == "" || err != nil || parsed.SelectedCommand == nil || len(givenTo(parsed, "help")) > 0: // Parse reports an error
		return args, nil
	case !uses(parsed.SelectedCommand.FullCommand()) || f.describesSite(parsed):
		return args, nil
	}
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return args, nil
	}
	lines, err := expandFiles([]placed{{text: "@" + file}}, 0)
	if err != nil {
		return nil, err
	}
	var flags []placed
	all := parsed.SelectedCommand.FullCommand() == "check"
	known, follows, left := f.known(), false, false // follows: the line is the value of the flag before it
	for _, line := range lines {
		name, isFlag := strings.CutPrefix(line.text, "--")
		name, _, hasValue := strings.Cut(name, "=")
		switch flag := known[name]; {
		case follows:
			follows = false
		case !isFlag || name == "":
			return nil, fmt.Errorf("%s, line %d: %s: is not a flag; write --FLAG=VALUE", line.file, line.line, line.text)
		default:
			follows = flag != nil && !flag.IsBoolFlag() && !hasValue
			left = len(givenTo(parsed, strings.TrimPrefix(name, "no-"))) > 0 || !all && flag != nil && strings.HasPrefix(name, "log.")
		}
		if !left {
			flags = append(flags, line)
		}
	}
	texts, places := placesOf(flags)
	maps.Copy(places, f.Places)
	f.Places = places
	f.skipWeb = places["web.config.file"] != "" && !all
	if len(flags) > 0 {
		_, _ = fmt.Fprintf(out, "Using the flags in %s.\n", file)
	}
	return append(texts, args...), nil
}

// describesSite reports whether the command line or the environment sets a flag that
// describes a site.
func (f *Flags) describesSite(parsed *kingpin.ParseContext) bool {
	for _, flag := range f.app.Model().Flags {
		if flag.Name != "config.file" && !strings.HasPrefix(flag.Name, "qlik.") {
			continue
		}
		if len(givenTo(parsed, flag.Name)) > 0 || flag.Envar != "" && os.Getenv(flag.Envar) != "" {
			return true
		}
	}
	return false
}
