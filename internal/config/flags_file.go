package config

import (
	"bytes"
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
	for _, flag := range flags {
		if read, err := argument(flag); err != nil || read != flag {
			return fmt.Errorf("%s: cannot be written to %s; write this file yourself", flag, path)
		}
	}
	old, _, err := ExpandFiles([]string{"@" + path})
	switch {
	case err == nil && len(old) > 0:
		if old, err = f.Given(old); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if len(flags) == 0 || slices.Equal(slices.Sorted(slices.Values(old)), slices.Sorted(slices.Values(flags))) {
			return nil
		}
		return fmt.Errorf("%s: has other flags; change them there, and leave the flags out here", path)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case err == nil && len(flags) == 0: // only comments
		return nil
	}
	content := []byte("# Flags of qlik_exporter, one per line. The service and its commands use them.\n")
	if err == nil { // comments, which may explain more flags
		if content, err = textfile.Read(path); err != nil {
			return err
		}
		content = append(bytes.TrimRight(content, " \t\r\n"), "\n\n"...)
	}
	return os.WriteFile(path, append(content, strings.Join(append(flags, ""), "\n")...), 0o600)
}
