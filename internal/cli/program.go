package cli

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/qlik-exporter/qlik_exporter/internal/config"
)

// Program returns the words that start this program in a shell, as far as they are known:
// its name if the shell finds it, or what the user typed.
func Program() string {
	if found, err := exec.LookPath(config.DefaultCommand); err == nil {
		own, err := os.Executable()
		if err == nil && sameFile(found, own) {
			return config.DefaultCommand
		}
	}
	switch typed := os.Args[0]; {
	case strings.Contains(typed, "go-build"):
		return "go run ."
	case filepath.Base(typed) == typed:
		return config.DefaultCommand
	default:
		return typed
	}
}

func sameFile(a, b string) bool {
	first, err := os.Stat(a)
	if err != nil {
		return false
	}
	second, err := os.Stat(b)
	return err == nil && os.SameFile(first, second)
}

// CommandWith returns the words that start this program with the same argument files, for
// commands that it prints.
func CommandWith(args []string, flagsFile string) string {
	words := []string{Program()}
	for _, arg := range args {
		if strings.HasPrefix(arg, "@") && arg != "@"+flagsFile { // which commands use by themselves
			if hasBlank(arg) {
				arg = `"` + arg + `"`
			}
			words = append(words, arg)
		}
	}
	return strings.Join(words, " ")
}

// ServedCommand returns the words that start this program, on this machine and in any folder,
// with the argument files of a running exporter. Without such files, or if a path would need
// quotes, which differ between shells, it returns the name of the program.
func ServedCommand(args []string, flagsFile string) string {
	program := Program()
	if filepath.Base(program) != program && !strings.HasPrefix(program, "go run") {
		if executable, err := os.Executable(); err == nil {
			program = executable
		}
	}
	words := []string{program}
	for _, arg := range args {
		file, isFile := strings.CutPrefix(arg, "@")
		if !isFile || file == flagsFile { // which commands use by themselves
			continue
		}
		absolute, err := filepath.Abs(file)
		if err != nil {
			return config.DefaultCommand
		}
		words = append(words, "@"+absolute)
	}
	if len(words) == 1 || slices.ContainsFunc(words[1:], hasBlank) || hasBlank(program) && program != "go run ." {
		return config.DefaultCommand
	}
	return strings.Join(words, " ")
}

func hasBlank(path string) bool { return strings.Contains(path, " ") }

// Welcome says what to do first. It is for a program without flags on a machine without
// Qlik.
func Welcome(out io.Writer) {
	program := Program()
	_, _ = fmt.Fprintf(out, `This machine is not a Qlik Sense node, and no flag says where Qlik Sense is. Next:
  %[1]s init     asks two questions, tests the connection to your site, and saves it
  %[1]s demo     shows everything on a simulated site, without Qlik Sense
  %[1]s --help   lists all commands and flags
Documentation: https://github.com/qlik-exporter/qlik_exporter/blob/main/docs/first-steps.md
`, program)
}
