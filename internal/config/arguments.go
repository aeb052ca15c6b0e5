package config

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/qlik-exporter/qlik_exporter/qlik/textfile"
)

// maxNesting is the maximum number of argument files that include one another.
const maxNesting = 8

// placed is an argument with its place.
type placed struct {
	text string
	file string // @FILE; "" for the command line
	line int
}

// Places names the places of flags in argument files, by flag.
type Places map[string]string

// ExpandFiles replaces each argument @FILE before "--" with the arguments in the file.
// Kingpin can do this too, but it reads only UTF-8 without a byte order mark.
func ExpandFiles(args []string) ([]string, Places, error) {
	given := make([]placed, 0, len(args))
	for _, arg := range args {
		given = append(given, placed{text: arg})
	}
	given, err := expandFiles(given, 0)
	if err != nil {
		return nil, nil, err
	}
	expanded, places := placesOf(given)
	return expanded, places, nil
}

// placesOf returns the texts of arguments, and the places of flags among them.
func placesOf(args []placed) ([]string, Places) {
	texts, places := make([]string, 0, len(args)), make(map[string][]placed)
	for _, arg := range args {
		texts = append(texts, arg.text)
		if name, isFlag := strings.CutPrefix(arg.text, "--"); isFlag {
			name, _, _ = strings.Cut(strings.TrimPrefix(name, "no-"), "=")
			places[name] = append(places[name], arg)
		}
	}
	named := make(Places)
	for name, all := range places {
		if place := placeOf(all); place != "" {
			named[name] = place
		}
	}
	return texts, named
}

// placeOf returns what the places of a flag have in common: a line, a file, or nothing.
func placeOf(all []placed) string {
	file := all[0].file
	for _, arg := range all {
		if arg.file != file {
			return ""
		}
	}
	if len(all) > 1 || file == "" {
		return file
	}
	return fmt.Sprintf("%s, line %d", file, all[0].line)
}

func expandFiles(args []placed, depth int) ([]placed, error) {
	expanded := make([]placed, 0, len(args))
	for i, arg := range args {
		if arg.text == "--" {
			return append(expanded, args[i:]...), nil
		}
		path, isFile := strings.CutPrefix(arg.text, "@")
		switch {
		case !isFile:
			expanded = append(expanded, arg)
			continue
		case path == "":
			return nil, errors.New("@: is not followed by the name of a file; write @FILE without a blank")
		case depth == maxNesting:
			return nil, fmt.Errorf("%s: argument files include one another more than %d times", arg.text, maxNesting)
		}
		lines, err := readArguments(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, noFileError(arg.text)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", arg.text, err)
		}
		more, err := expandFiles(lines, depth+1)
		if err != nil {
			return nil, err
		}
		expanded = append(expanded, more...)
	}
	return expanded, nil
}

// noFileError is the error about an argument @FILE without a file. A service whose file was
// deleted shows it.
type noFileError string

func (e noFileError) Error() string {
	return string(e) + ": there is no such file; create it and write the flags to it, one per line, or none"
}

func (e noFileError) Is(target error) bool { return target == fs.ErrNotExist }

// readArguments reads a file with one argument per line. Empty lines and lines that
// start with # are comments.
func readArguments(path string) ([]placed, error) {
	content, err := textfile.Read(path)
	if err != nil {
		return nil, err
	}
	var args []placed
	number := 0
	for line := range strings.Lines(string(content)) {
		number++
		line = strings.TrimFunc(line, isBlank)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		arg, err := argument(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		args = append(args, placed{arg, "@" + path, number})
	}
	return args, nil
}

// isBlank returns whether a character is invisible at either end of a line. This
// includes the byte order marks and end marks within a file that "copy a+b" wrote.
func isBlank(r rune) bool { return unicode.IsSpace(r) || r == '\ufeff' || r == '\x1a' }

var (
	// flagAndValue matches a flag that is separated from its value by blanks, as on a
	// command line.
	flagAndValue = regexp.MustCompile(`^(--[\w.-]+)\s+(.*)$`)
	anotherFlag  = regexp.MustCompile(`\s--[a-z][\w.-]*(?:=|\s|$)`)
	comment      = regexp.MustCompile(`\s#\s`)
	continuation = regexp.MustCompile("\\s[\\\\^`]$")
)

// argument returns the argument in a line that is neither empty nor a comment. It
// refuses what would otherwise become part of a value.
func argument(line string) (string, error) {
	line = clean(line)
	switch {
	case !utf8.ValidString(line):
		return "", errors.New("is not UTF-8; save the file as UTF-8")
	case strings.ContainsFunc(line, func(r rune) bool { return unicode.IsControl(r) && r != '\t' }):
		return "", fmt.Errorf("contains a control character: %s", line)
	case anotherFlag.MatchString(line):
		return "", errors.New("contains several arguments; put each on a line of its own")
	case !strings.HasPrefix(line, "--"):
		return line, nil
	case comment.MatchString(line):
		return "", errors.New("contains a comment; put the comment on a line of its own")
	case continuation.MatchString(line):
		return "", fmt.Errorf("ends with %s; remove it, because each line is complete", line[len(line)-1:])
	}
	if parts := flagAndValue.FindStringSubmatch(line); parts != nil {
		return parts[1] + "=" + parts[2], nil
	}
	return line, nil
}
