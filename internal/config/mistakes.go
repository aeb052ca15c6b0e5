package config

import (
	"fmt"
	"math"
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
		case !flag.IsBoolFlag() && !hasValue && len(args[i+1]) > 1 && args[i+1][0] == '-':
			return fmt.Errorf("--%s: needs a value; write --%s=%s if that is the value", name, name, args[i+1])
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
	var all, own []string
	for name, flag := range flags {
		if flag.Hidden {
			continue
		}
		all = append(all, name)
		if f.app.GetFlag(name) == nil {
			own = append(own, name)
		}
	}
	positive, negated := strings.CutPrefix(name, "no-")
	prefix := "--"
	if negated {
		prefix = "--no-"
	}
	meant := nearest(positive, own)
	if len(meant) == 0 {
		meant = nearest(positive, all)
	}
	if len(meant) > 0 {
		return fmt.Errorf("%s: there is no such flag; did you mean %s?", shown, orOf(prefix, meant))
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
	switch meant := nearest(word, names); {
	case flags[word] != nil:
		return fmt.Errorf("%s%s: there is no such command; did you mean --%s?", prefix, word, word)
	case len(meant) > 0:
		return fmt.Errorf("%s%s: there is no such command; did you mean %s?", prefix, word, orOf(prefix, meant))
	case len(names) == 0:
		return fmt.Errorf("%s: is not understood after %s, try --help", word, path)
	default:
		return fmt.Errorf("%s%s: there is no such command, try --help", prefix, word)
	}
}

const (
	// fewNames is the largest number of names that an error suggests.
	fewNames = 3
	// fewLetters is the length below which a word begins too many names.
	fewLetters = 3
)

// plain is a name as it is compared: a flag and its environment variable are equal.
var plain = strings.NewReplacer("-", ".", "_", ".")

// nearest returns the names that were probably meant: those of which the given word is a
// part after a dot, as in --host for --qlik.host; those that begin with it; or the one that
// differs in the fewest letters. It returns none if there are too many.
func nearest(word string, names []string) []string {
	word = plain.Replace(strings.ToLower(word))
	slices.Sort(names)
	for _, isMeant := range []func(name, compared string) bool{
		func(_, compared string) bool { return compared == word },
		func(name, compared string) bool {
			at := strings.Index(compared+".", "."+word+".")
			return at >= 0 && name[at] == '.' || strings.HasPrefix(name, word+".")
		},
		func(_, compared string) bool { return len(word) >= fewLetters && strings.HasPrefix(compared, word) },
	} {
		meant := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !isMeant(name, plain.Replace(name)) })
		if n := len(meant); n > 0 && n <= fewNames {
			return meant
		}
	}
	var meant []string
	least := math.MaxInt
	for _, name := range names {
		// Only what differs counts: the part before it makes names look alike.
		given, compared := withoutCommon(word, plain.Replace(name))
		if n := edlib.OSADamerauLevenshteinDistance(given, compared); n <= min(3, max(1, len(given)/3)) && n < least {
			meant, least = []string{name}, n
		}
	}
	return meant
}

// orOf joins names with a prefix.
func orOf(prefix string, names []string) string {
	return prefix + strings.Join(names, " or "+prefix)
}

// withoutCommon returns two names without the parts that both begin with.
func withoutCommon(a, b string) (restA, restB string) {
	for {
		first, afterA, _ := strings.Cut(a, ".")
		other, afterB, _ := strings.Cut(b, ".")
		if first != other || afterA == "" || afterB == "" {
			return a, b
		}
		a, b = afterA, afterB
	}
}

// ofKubernetes matches variables that Kubernetes sets for a service with the name
// qlik-exporter.
var ofKubernetes = regexp.MustCompile(`^QLIK_EXPORTER_(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_\w+)?)?)$`)

// ofProgram begins the environment variables of this program.
const ofProgram = "QLIK_EXPORTER_"

// Unread returns a sentence about each environment variable that looks like one of this
// program, but sets no flag of any command.
func (f *Flags) Unread() []string {
	known, read := f.known(), make(map[string]bool)
	var names, sentences []string
	for name, flag := range known {
		if flag.Envar != "" {
			read[flag.Envar] = true
			names = append(names, name)
		}
	}
	if len(read) == 0 {
		return nil // kingpin has not named them yet
	}
	for _, variable := range slices.Sorted(slices.Values(os.Environ())) {
		name, _, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(strings.ToUpper(name), ofProgram) || read[name] || ofKubernetes.MatchString(name) {
			continue
		}
		sentence := name + " is set, but no flag has this environment variable"
		if meant := nearest(name[len(ofProgram):], names); len(meant) > 0 {
			for i := range meant {
				meant[i] = known[meant[i]].Envar
			}
			sentence += "; did you mean " + orOf("", meant) + "?"
		}
		sentences = append(sentences, sentence)
	}
	return sentences
}
