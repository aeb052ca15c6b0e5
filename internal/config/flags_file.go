package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/alecthomas/kingpin/v2"

	"github.com/qlik-exporter/qlik_exporter/qlik/textfile"
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
// The commands check and service install test everything in the file, because the
// service would refuse a mistake. To other commands, the log of the service does not matter, nor does the file
// of --web.config.file, which often only the service can read.
func (f *Flags) Add(args []string, file string, uses func(command string) bool, out io.Writer) ([]string, error) {
	parsed, err := f.app.ParseContext(args)
	if err != nil {
		return args, nil //nolint:nilerr // Parse reports it
	}
	switch {
	case file == "", parsed.SelectedCommand == nil, len(givenTo(parsed, "help")) > 0:
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
	command := parsed.SelectedCommand.FullCommand()
	all := command == "check" || command == "service install"
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
	f.runs = all
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

// Write writes flags to the file from which a service is to read them. It keeps a file
// that has the same flags, and one with other flags if none are given. It returns an
// error if it would replace other flags.
func (f *Flags) Write(path string, flags []string) error {
	old, err := f.read(path)
	switch {
	case err != nil:
		return err
	case len(old) == 0:
		return appendFlags(path, flags)
	case len(flags) == 0 || slices.Equal(slices.Sorted(slices.Values(old)), slices.Sorted(slices.Values(flags))):
		return nil
	}
	return fmt.Errorf("%s: has other flags; change them there, and leave the flags out here", path)
}

// DescribedIn reports whether the flags in a file describe a site.
func (f *Flags) DescribedIn(path string) (described bool, err error) {
	flags, err := f.read(path)
	return slices.ContainsFunc(flags, func(flag string) bool {
		return strings.HasPrefix(flag, "--qlik.") || strings.HasPrefix(flag, "--config.file=")
	}), err
}

// AddSite adds the flags that describe a site to a file whose flags describe none.
func (f *Flags) AddSite(path string, flags []string) error {
	if described, err := f.DescribedIn(path); err != nil || described {
		return cmp.Or(err, fmt.Errorf("%s: describes a site already", path))
	}
	return appendFlags(path, flags)
}

// read returns the flags in a file with absolute paths. There are none in a file that does
// not exist.
func (f *Flags) read(path string) ([]string, error) {
	flags, _, err := ExpandFiles([]string{"@" + path})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil || len(flags) == 0 {
		return nil, err
	}
	if flags, err = f.Given(flags); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return flags, nil
}

// appendFlags writes flags to the end of a file, which it creates if there is none.
func appendFlags(path string, flags []string) error {
	for _, flag := range flags {
		if read, err := argument(flag); err != nil || read != flag {
			return fmt.Errorf("%s: cannot be written to %s; write this file yourself", flag, path)
		}
	}
	content, err := textfile.Read(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		content = []byte("# Flags of qlik_exporter, one per line. The service and its commands use them.\n")
	case err != nil:
		return err
	case len(flags) == 0:
		return nil
	default:
		content = append(bytes.TrimRight(content, "\r\n"), '\n')
	}
	return os.WriteFile(path, append(content, strings.Join(append(flags, ""), "\n")...), 0o600)
}
