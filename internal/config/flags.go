package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/exporter-toolkit/web"
	"github.com/prometheus/exporter-toolkit/web/kingpinflag"

	"github.com/qlik-exporter/qlik_exporter/internal/text"
)

// Program holds the settings of the program. They are the same for all sites.
type Program struct {
	ConfigFile    string
	ConfigCheck   bool
	TelemetryPath string
	ExternalURL   *url.URL // nil if not set
	Command       string
	Lifecycle     bool
	Pprof         bool
	TimeoutOffset time.Duration
	LogLevel      string
	LogFormat     string
	LogFile       string // "" for none

	MaxConnections int

	Web *web.FlagConfig // listen addresses, TLS, authentication

	Desk Desk
}

// Desk holds the settings of the desk, which the listen address turns on.
type Desk struct {
	ListenAddress string // "" for no desk
	WebConfigFile string
	RolesFile     string
	JournalFile   string
	StopFile      string
}

// Web returns the listener of the desk.
func (d *Desk) Web() *web.FlagConfig {
	return &web.FlagConfig{WebListenAddresses: &[]string{d.ListenAddress}, WebSystemdSocket: new(false), WebConfigFile: &d.WebConfigFile}
}

// DefaultCommand is the default of --web.command.
const DefaultCommand = "qlik_exporter"

// Flags holds the settings from the command line and the environment. The command
// line takes precedence.
type Flags struct {
	Program

	// Places are those of the flags on the command line that ExpandFiles returned.
	Places Places
	// Now is the clock of commands; nil means time.Now.
	Now func() time.Time

	skipWeb bool // the file of --web.config.file is not read, see Add and WithoutFiles
	runs    bool // the command starts the exporter, or tests all with which it would start

	app   *kingpin.Application
	site  Site // the only one, without a configuration file
	names flagNames
}

// Register adds the flags of both tables of settings to an application.
func Register(app *kingpin.Application) *Flags {
	f := &Flags{app: app, site: Default()}
	program := &f.Program
	*program = Program{TelemetryPath: "/metrics", Command: DefaultCommand, TimeoutOffset: 250 * time.Millisecond, LogLevel: "info", LogFormat: "logfmt", MaxConnections: 512}
	register(app, f.site.settings())
	register(app, program.settings())
	f.Web = kingpinflag.AddFlags(app, ":9986")
	return f
}

// WithoutFiles makes Parse accept flags that name files which do not exist yet.
func (f *Flags) WithoutFiles() { f.skipWeb = true }

func register(app *kingpin.Application, rows []setting) {
	for _, row := range rows {
		flag := app.Flag(row.flag, row.help)
		if _, repeatable := row.value.(cumulative); !repeatable && row.value.String() != "" {
			flag.Default(row.value.String())
		} else {
			flag.PlaceHolder(strings.ToUpper(row.flag[strings.LastIndexAny(row.flag, ".-")+1:]))
		}
		if row.noEnvironment {
			flag.NoEnvar()
		}
		flag.SetValue(ofFlag{row.value, row.flag})
	}
}

// ofFlag is a value whose errors name the flag.
type ofFlag struct {
	value

	flag string
}

// Set implements kingpin.Value.
func (v ofFlag) Set(text string) error {
	if err := v.value.Set(text); err != nil {
		return &Error{Flag: v.flag, Err: err}
	}
	return nil
}

// IsCumulative tells kingpin whether the flag may be repeated.
func (v ofFlag) IsCumulative() bool {
	_, is := v.value.(cumulative)
	return is
}

// Choices returns the valid values if there are only a few.
func (v ofFlag) Choices() []string {
	if of, is := v.value.(choiceValue); is {
		return of.choices
	}
	return nil
}

// IsBoolFlag tells kingpin whether the flag needs no value and has a --no- form.
func (v ofFlag) IsBoolFlag() bool {
	b, is := v.value.(interface{ IsBoolFlag() bool })
	return is && b.IsBoolFlag()
}

// Parse reads and checks the command line and the environment, and returns the
// command. An error names the flag, and the environment variable if the value comes
// from there.
func (f *Flags) Parse(args []string) (command string, err error) {
	if err := f.mistyped(args); err != nil {
		return "", err
	}
	if len(args) > 0 && args[0] == "help" { // for which kingpin ends the program
		if err := f.unknown(args); err != nil {
			return "", err
		}
	}
	command, err = f.app.Parse(args)
	parsed, wrong := f.app.ParseContext(args)
	if wrong != nil {
		return "", cmp.Or(f.unknown(args), fmt.Errorf("%w, try --help", wrong))
	}
	f.names = givenFlags(f.app, parsed)
	for flag, place := range f.Places {
		f.names[flag] = "--" + flag + " (" + place + ")"
	}
	if err != nil {
		if _, ours := errors.AsType[*Error](err); ours { // names the remedy
			return "", f.Explain(err)
		}
		return "", fmt.Errorf("%w, try --help", f.Explain(f.nameFlag(parsed, err)))
	}
	f.runs = f.runs || command == "serve" || command == "demo" || command == "service install"
	if err := f.validate(); err != nil {
		return "", f.Explain(err)
	}
	return command, nil
}

func isCumulative(flag *kingpin.FlagModel) bool {
	v, is := flag.Value.(cumulative)
	return is && v.IsCumulative()
}

// known returns the flags of the program and of all commands by name. Flags of several
// commands with the same name take the same values.
func (f *Flags) known() map[string]*kingpin.FlagModel {
	flags := make(map[string]*kingpin.FlagModel)
	add := func(group *kingpin.FlagGroupModel) {
		for _, flag := range group.Flags {
			flags[flag.Name] = flag
		}
	}
	model := f.app.Model()
	add(model.FlagGroupModel)
	commands := model.Commands
	for len(commands) > 0 {
		add(commands[0].FlagGroupModel)
		commands = append(commands[1:], commands[0].Commands...)
	}
	return flags
}

// Explain returns an error about a setting, or about the flag of a command, with the
// name of the flag, and with the environment variable or the argument file if the value
// comes from there.
func (f *Flags) Explain(err error) error {
	if setting, ok := errors.AsType[*Error](err); ok {
		return fmt.Errorf("%s: %w", f.names.prefix("", setting.Flag), setting.Err)
	}
	return err
}

// nameFlag finds the flag that an error of kingpin is about. It sets all flags again
// that are not in our tables.
func (f *Flags) nameFlag(parsed *kingpin.ParseContext, err error) error {
	for _, flag := range flagsOf(f.app, parsed) {
		if _, ours := flag.Value.(ofFlag); ours {
			continue
		}
		texts := givenTo(parsed, flag.Name)
		if value := os.Getenv(flag.Envar); len(texts) == 0 && flag.Envar != "" && value != "" {
			texts = []string{value}
		}
		for _, text := range texts {
			if err := flag.Value.Set(text); err != nil {
				return &Error{Flag: flag.Name, Err: err}
			}
		}
	}
	return err
}

// flagsOf returns the flags of the application and of the given command.
func flagsOf(app *kingpin.Application, parsed *kingpin.ParseContext) []*kingpin.FlagModel {
	flags := app.Model().Flags
	for _, element := range parsed.Elements {
		if command, ok := element.Clause.(*kingpin.CmdClause); ok {
			flags = append(flags, command.Model().Flags...)
		}
	}
	return flags
}

// givenTo returns the values of a flag on the command line.
func givenTo(parsed *kingpin.ParseContext, name string) []string {
	var values []string
	for _, element := range parsed.Elements {
		if flag, ok := element.Clause.(*kingpin.FlagClause); ok && flag.Model().Name == name && element.Value != nil {
			values = append(values, *element.Value)
		}
	}
	return values
}

// flagNames are the names of the given flags for errors. If the value of a flag comes from
// the environment or from an argument file, its name includes the variable or the place.
type flagNames map[string]string

func givenFlags(app *kingpin.Application, parsed *kingpin.ParseContext) flagNames {
	names := make(flagNames)
	for _, flag := range flagsOf(app, parsed) {
		switch {
		case len(givenTo(parsed, flag.Name)) > 0:
			names[flag.Name] = "--" + flag.Name
		case flag.Envar != "" && os.Getenv(flag.Envar) != "":
			names[flag.Name] = "--" + flag.Name + " (" + flag.Envar + ")"
		}
	}
	return names
}

func (n flagNames) prefix(_, flag string) string {
	if flag == "" {
		return ""
	}
	return n.name("", flag)
}

func (n flagNames) name(_, flag string) string {
	if name := n[strings.TrimPrefix(flag, "no-")]; name != "" {
		return name
	}
	return "--" + flag
}

func (n flagNames) given(_, flag string) bool { return n[flag] != "" }

// validate checks combinations of settings, and the settings of exporter-toolkit.
func (f *Flags) validate() error {
	if f.ConfigFile == "" {
		if f.Lifecycle {
			return errorf("web.enable-lifecycle", "requires --config.file; there is nothing else to reload")
		}
	} else {
		// Ignoring them silently could expose user names that should be hidden.
		for _, row := range f.site.settings() {
			if f.names.given("", row.flag) {
				return errorf(row.flag, "cannot be combined with --config.file; set it in the file instead")
			}
		}
	}
	if external := f.ExternalURL; external != nil && external.Path != "" {
		switch { // which a reverse proxy may remove
		case f.TelemetryPath == external.Path:
			return errorf("web.external-url", "%q: has the same path as the metrics", external)
		case strings.HasPrefix(f.TelemetryPath, external.Path+"/"):
			return errorf("web.external-url", "%q: the path of the metrics is below it; use --web.telemetry-path=%s, which is below the external URL anyway",
				external, strings.TrimPrefix(f.TelemetryPath, external.Path))
		}
	}
	for i, address := range *f.Web.WebListenAddresses {
		address = clean(address)
		if err := listenAddress(address); err != nil {
			return &Error{Flag: "web.listen-address", Err: visibleError{err}}
		}
		(*f.Web.WebListenAddresses)[i] = address
	}
	*f.Web.WebConfigFile = clean(*f.Web.WebConfigFile)
	if f.skipWeb {
		return nil
	}
	if err := f.logFile(); err != nil {
		return err
	}
	if err := webConfig("web.config.file", *f.Web.WebConfigFile); err != nil {
		return err
	}
	// A reload of the file may turn a guard on, and a guard that is explicitly off may keep
	// its other settings.
	return f.Desk.validate(f.ConfigFile != "" || f.names.given("", "guard"))
}

// validate checks that a desk has all that protects it. The desk checks the files. The
// argument tells whether there may be a guard, which shares the journal and the stop file.
func (d *Desk) validate(guard bool) error {
	for _, setting := range []struct {
		flag, value      string
		required, shared bool
	}{
		{"desk.web.config.file", d.WebConfigFile, true, false},
		{"desk.roles-file", d.RolesFile, true, false},
		{"desk.journal-file", d.JournalFile, true, true},
		{"desk.stop-file", d.StopFile, false, true},
	} {
		switch {
		case d.ListenAddress != "" && setting.value == "" && setting.required:
			return errorf(setting.flag, "is missing; the desk does not start without it")
		case d.ListenAddress != "", setting.value == "", setting.shared && guard:
		case setting.shared:
			return errorf(setting.flag, "has no effect without --desk.listen-address, which turns the desk on, or --guard, which turns the guard on")
		default:
			return errorf(setting.flag, "has no effect without --desk.listen-address, which turns the desk on")
		}
	}
	if d.ListenAddress == "" {
		return nil
	}
	return webConfig("desk.web.config.file", d.WebConfigFile)
}

// oneLine returns the error of a library about a file as one line.
func oneLine(path string, err error) string {
	words := strings.Join(strings.Fields(text.Error(err)), " ")
	if strings.Contains(words, path) {
		return words
	}
	return path + ": " + words
}

// listenAddress rejects addresses without a valid port.
func listenAddress(text string) error {
	if strings.ContainsAny(text, ",;") {
		return fmt.Errorf("%s: contains several values; %s", text, oneByOne)
	}
	_, port, err := net.SplitHostPort(strings.TrimPrefix(text, "vsock://"))
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("%q: must be HOST:PORT or :PORT", text)
	}
	return nil
}

// Load returns the sites of the current configuration file, or the only site of the
// flags. It checks everything except the certificates, which are read when a site
// is opened.
func (f *Flags) Load() (*Configuration, error) {
	if f.ConfigFile != "" {
		c, err := load(f.ConfigFile)
		if err == nil {
			err = f.requireJournal(c)
		}
		return c, f.Explain(err)
	}
	names := maps.Clone(f.names)
	site, found := f.FindSite()
	before := f.site.settings()
	for i, row := range site.settings() {
		if row.value.String() != before[i].value.String() {
			names[row.flag] = "--" + row.flag + " (found on this machine)"
		}
	}
	return f.checked(&Configuration{Sites: []Site{site}, Found: found, origin: names})
}

// FindSite returns the settings of the only site from the flags, together with those that
// this machine tells, and a description of each of the latter.
func (f *Flags) FindSite() (site Site, found []string) {
	site = f.site
	found = append(site.UseLocalNode(os.Getenv("ProgramData")), site.usePackage(packageCertificates())...)
	return site, found
}

// Answer sets a flag that the command line does not have, and that takes one value or has
// none yet. It returns the flag as a line of a flags file.
func (f *Flags) Answer(flag, text string) (line string, err error) {
	value := f.app.GetFlag(flag).Model().Value
	if err := value.Set(text); err != nil {
		return "", err
	}
	if f.names == nil {
		f.names = make(flagNames)
	}
	f.names[flag] = "--" + flag
	text, err = f.absolute(flag, text)
	return "--" + flag + "=" + text, err
}

// checked returns a configuration of flags if it is valid.
func (f *Flags) checked(c *Configuration) (*Configuration, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	if err := f.requireJournal(c); err != nil {
		return nil, err
	}
	return c, nil
}

// requireJournal checks that a guard that is on has a journal. Commands that only use the
// configuration of the exporter need none.
func (f *Flags) requireJournal(c *Configuration) error {
	for i := range c.Sites {
		if site := &c.Sites[i]; f.runs && site.Guard == GuardOn && f.Desk.JournalFile == "" {
			return c.Explain(site.Name, errorf("guard", "on requires --desk.journal-file, the file in which the guard records what it ends"))
		}
	}
	return nil
}

// Only checks the settings of a single site and returns its configuration.
func (f *Flags) Only(site Site) (*Configuration, error) {
	return f.checked(&Configuration{Sites: []Site{site}, origin: f.names})
}

// Site returns the settings of the only site from the flags. Each one was checked,
// but not their combinations.
func (f *Flags) Site() Site { return f.site }

// Given returns the flags of the command line with absolute paths, except those in
// except. With these flags, the program does the same in another folder.
func (f *Flags) Given(args []string, except ...string) ([]string, error) {
	parsed, err := f.app.ParseContext(args)
	if err != nil {
		return nil, cmp.Or(f.unknown(args), err)
	}
	var given []string
	for _, element := range parsed.Elements {
		flag, ok := element.Clause.(*kingpin.FlagClause)
		if !ok || element.Value == nil || slices.Contains(except, flag.Model().Name) {
			continue
		}
		switch model := flag.Model(); {
		case model.IsBoolFlag() && *element.Value == "false":
			given = append(given, "--no-"+model.Name)
		case model.IsBoolFlag():
			given = append(given, "--"+model.Name)
		default:
			text, err := f.absolute(model.Name, *element.Value)
			if err != nil {
				return nil, fmt.Errorf("--%s: %w", model.Name, err)
			}
			given = append(given, "--"+model.Name+"="+text)
		}
	}
	return given, nil
}

// CommandLine returns the command line of the process without the users that the
// metrics do not name.
func (f *Flags) CommandLine(args []string) []string {
	if !f.site.NamesHidden() {
		return args
	}
	args = slices.Clone(args)
	for _, row := range f.site.settings() {
		if !row.people {
			continue
		}
		for i, arg := range args {
			name, _, withValue := strings.Cut(arg, "=")
			switch {
			case name != "--"+row.flag:
			case withValue:
				args[i] = name + "=" + hidden
			case i+1 < len(args):
				args[i+1] = hidden
			}
		}
	}
	return args
}

// absolute makes the path in the value of a flag absolute, if there is one.
func (f *Flags) absolute(flag, text string) (string, error) {
	rows := slices.Concat(f.site.settings(), new(Program).settings(), []setting{
		{flag: "web.config.file", path: wholePath}, // a flag of exporter-toolkit
	})
	i := slices.IndexFunc(rows, func(row setting) bool { return row.flag == flag })
	if i < 0 || rows[i].path == nil {
		return text, nil
	}
	var failed error
	text = rows[i].path(text, func(path string) string {
		absolute, err := filepath.Abs(path)
		failed = err
		return absolute
	})
	return text, failed
}
