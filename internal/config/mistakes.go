package config

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/alecthomas/kingpin/v2"
	"github.com/hbollon/go-edlib"
)

// mistyped returns an error about the first flag that kingpin would misunderstand, or
// would refuse with an error that does not name the cause. Kingpin ignores a flag
// without a value before the default command, and takes the value of a boolean flag for
// a command.
func (f *Flags) mistyped(args []string) error {
	known, given := f.known(), make(map[string]bool)
	for i, arg := range args {
		if arg == "--" {
			return nil
		}
		if first, _ := utf8.DecodeRuneInString(arg); first != '-' && isDash(first) {
			return fmt.Errorf("%s: starts with the dash %c, which an editor made of hyphens; write --%s", arg, first, strings.TrimLeftFunc(arg, isDash))
		}
		name, isLong := strings.CutPrefix(arg, "--")
		name, _, hasValue := strings.Cut(name, "=")
		if short := strings.TrimPrefix(name, "-"); !isLong && short != name && known[short] != nil {
			return fmt.Errorf("%s: write --%s, with two hyphens", arg, short)
		}
		if bare, _, hasValue := strings.Cut(arg, "="); hasValue && known[bare] != nil {
			return fmt.Errorf("%s: write --%s, with two hyphens", arg, bare)
		}
		if !isLong {
			continue
		}
		flag := known[name]
		if flag == nil {
			flag = known[strings.TrimPrefix(name, "no-")]
		}
		switch {
		case flag == nil: // unknown says so
		case strings.HasPrefix(name, "no-") && flag.Name != name && !flag.IsBoolFlag():
			return fmt.Errorf("--%s: there is no such flag; leave --%s out instead", name, flag.Name)
		case given[flag.Name] && !isCumulative(flag):
			return fmt.Errorf("--%s: is given twice, on the command line or in a file of arguments", flag.Name)
		case flag.IsBoolFlag() && hasValue:
			return fmt.Errorf("--%s: takes no value; write --%s or --no-%s", name, flag.Name, flag.Name)
		case !flag.IsBoolFlag() && !hasValue && (i+1 == len(args) || strings.HasPrefix(args[i+1], "--")):
			return fmt.Errorf("--%s: needs a value, try --help", name)
		default:
			given[flag.Name] = true
		}
	}
	return nil
}

// isDash reports whether a character is a hyphen or looks like one.
func isDash(r rune) bool { return unicode.Is(unicode.Pd, r) || r == '\u2212' }

// unknown returns an error about the first flag or command on a command line that does not
// exist, with the one that was probably meant. It returns nil if it finds none.
func (f *Flags) unknown(args []string) error {
	model := f.app.Model()
	flags, commands, path, values := flagsNamed(model.FlagGroupModel), model.Commands, "", 0
	for i := 0; i < len(args); i++ {
		arg := args[i]
		name, isLong := strings.CutPrefix(arg, "--")
		name, _, hasValue := strings.Cut(name, "=")
		switch {
		case arg == "--":
			return nil
		case isLong:
			flag := flags[name]
			if flag == nil {
				flag = flags[strings.TrimPrefix(name, "no-")]
			}
			if flag == nil {
				return f.unknownFlag(name, path, flags)
			}
			if !flag.IsBoolFlag() && !hasValue {
				i++ // its value
			}
			continue
		case strings.HasPrefix(arg, "-"):
			if arg != "-h" {
				return fmt.Errorf("%s: there is no such flag, try --help", arg)
			}
			continue
		}
		at := slices.IndexFunc(commands, func(c *kingpin.CmdModel) bool { return c.Name == arg })
		switch {
		case at < 0 && values > 0:
			values--
		case at < 0:
			return unknownCommand(arg, path, commands, flags)
		default:
			command := commands[at]
			path, commands, values = command.FullCommand, command.Commands, len(command.Args)
			addFlags(flags, command)
			if path == "help" { // its arguments are a command
				path, commands, values = "", model.Commands, 0
			}
		}
	}
	return nil
}

// addFlags adds the flags that may follow a command.
func addFlags(flags map[string]*kingpin.FlagModel, command *kingpin.CmdModel) {
	for _, flag := range command.Flags {
		flags[flag.Name] = flag
	}
	for _, sub := range command.Commands {
		if sub.Default {
			addFlags(flags, sub)
		}
	}
}

func flagsNamed(group *kingpin.FlagGroupModel) map[string]*kingpin.FlagModel {
	flags := make(map[string]*kingpin.FlagModel)
	for _, flag := range group.Flags {
		flags[flag.Name] = flag
	}
	return flags
}

// unknownFlag returns an error about a flag that the command with the given path does not
// have.
func (f *Flags) unknownFlag(name, path string, flags map[string]*kingpin.FlagModel) error {
	shown := "--" + name
	if place := f.Places[strings.TrimPrefix(name, "no-")]; place != "" {
		shown += " (" + place + ")"
	}
	if owners := f.owners(strings.TrimPrefix(name, "no-")); len(owners) > 0 {
		if path == "" {
			return fmt.Errorf("%s: is a flag of the command %s; write it after the command", shown, strings.Join(owners, ", "))
		}
		return fmt.Errorf("%s: is a flag of the command %s, not of %s", shown, strings.Join(owners, ", "), path)
	}
	var names []string
	for name, flag := range flags {
		if !flag.Hidden {
			names = append(names, name)
		}
	}
	positive, negated := strings.CutPrefix(name, "no-")
	prefix := "--"
	if negated {
		prefix = "--no-"
	}
	if meant := nearest(positive, prefix, names); meant != "" {
		return fmt.Errorf("%s: there is no such flag; did you mean %s?", shown, meant)
	}
	return fmt.Errorf("%s: there is no such flag, try --help", shown)
}

// owners returns the commands that have a flag of their own with this name.
func (f *Flags) owners(name string) []string {
	var owners []string
	commands := f.app.Model().Commands
	for len(commands) > 0 {
		if slices.ContainsFunc(commands[0].Flags, func(flag *kingpin.FlagModel) bool { return flag.Name == name }) {
			owner := commands[0].FullCommand
			if commands[0].Default {
				owner = strings.TrimSuffix(owner, " "+commands[0].Name) // as people type it
			}
			owners = append(owners, owner)
		}
		commands = append(slices.Clone(commands[0].Commands), commands[1:]...)
	}
	return owners
}

func unknownCommand(word, path string, commands []*kingpin.CmdModel, flags map[string]*kingpin.FlagModel) error {
	var names []string
	for _, command := range commands {
		if !command.Hidden {
			names = append(names, command.Name)
		}
	}
	prefix := ""
	if path != "" {
		prefix = path + " "
	}
	switch meant := nearest(word, prefix, names); {
	case flags[word] != nil:
		return fmt.Errorf("%s%s: there is no such command; did you mean --%s?", prefix, word, word)
	case meant != "":
		return fmt.Errorf("%s%s: there is no such command; did you mean %s?", prefix, word, meant)
	case len(names) == 0:
		return fmt.Errorf("%s: is not understood after %s, try --help", word, path)
	default:
		return fmt.Errorf("%s%s: there is no such command, try --help", prefix, word)
	}
}

// fewNames is the largest number of names that an error suggests.
const fewNames = 3

// nearest returns the names that were probably meant, joined with "or": those of which the
// given word is the part before or after a dot, as in --host for --qlik.host, or the one
// that differs in the fewest letters. It returns "" if there is none.
func nearest(word, prefix string, names []string) string {
	word = strings.ToLower(word)
	slices.Sort(names)
	var containing []string
	for _, name := range names {
		if strings.HasSuffix(name, "."+word) || strings.HasPrefix(name, word+".") {
			containing = append(containing, prefix+name)
		}
	}
	if n := len(containing); n > 0 && n <= fewNames {
		return strings.Join(containing, " or ")
	}
	best, least := "", min(3, max(1, len(word)/3))+1
	for _, name := range names {
		if n := edlib.OSADamerauLevenshteinDistance(word, name); n < least {
			best, least = prefix+name, n
		}
	}
	return best
}

// ofKubernetes matches variables that Kubernetes sets for a service with the name
// qlik-exporter.
var ofKubernetes = regexp.MustCompile(`^QLIK_EXPORTER_(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_\w+)?)?)$`)

// Unread returns a sentence about each environment variable that looks like one of this
// program, but sets no flag of any command.
func (f *Flags) Unread() []string {
	read := make(map[string]bool)
	for _, flag := range f.known() {
		if flag.Envar != "" {
			read[flag.Envar] = true
		}
	}
	if len(read) == 0 {
		return nil // kingpin has not named them yet
	}
	var names, sentences []string
	for name := range read {
		names = append(names, strings.ToLower(name))
	}
	for _, variable := range slices.Sorted(slices.Values(os.Environ())) {
		name, _, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(strings.ToUpper(name), "QLIK_EXPORTER_") || read[name] || ofKubernetes.MatchString(name) {
			continue
		}
		sentence := name + " is set, but no flag has this environment variable"
		if meant := nearest(name, "", names); meant != "" {
			sentence += "; did you mean " + strings.ToUpper(meant) + "?"
		}
		sentences = append(sentences, sentence)
	}
	return sentences
}
