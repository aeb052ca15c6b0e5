// Package check tests every step from the certificate files to the sessions of
// each virtual proxy. It explains each failure with its cause and its remedy.
//
// To add a step, add a row to siteSteps or serverSteps and a function. To explain
// its failures, add rows to causes.
package check

import (
	"context"
	"errors"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// Config is the site to check.
type Config struct {
	Qlik            qlik.Config
	SessionLimit    int
	Licenses        bool              // read license holders and usage rows; needs a repository
	Engines         bool              // ask the engines for their health
	AuditLogs       map[string]string // file patterns by node
	ServiceAccounts []qlik.User
	// ServiceUsers finds the users that the services of this machine run as. It may be nil.
	ServiceUsers func() ([]qlik.User, error)

	// Setting returns the name of a setting for a remedy. Its argument is the flag
	// without dashes, such as "qlik.host" or "no-collector.licenses". If Setting is
	// nil, remedies name the flag itself.
	Setting func(flag string) string

	// Report is called with results as soon as they are known. Those of a server come
	// together. It may be nil.
	Report func(results ...Result)
	// Patience is how long servers that have been tested wait for a slower one, so that
	// their results come in order. 0 is without a limit.
	Patience time.Duration
	// Progress shows which steps run. It may be nil.
	Progress *Progress
}

type (
	siteNeeds   = needs[*site]
	serverNeeds = needs[*server]
)

// siteSteps are the steps of a check, in the order of the report.
var siteSteps = []step[*site]{
	{name: "certificate files", run: (*site).readFiles},
	{name: "client certificate", target: clientFile, when: filesAreRead, run: (*site).checkClientCertificate},
	{name: "client key", target: keyFile, when: filesAreRead, run: (*site).checkClientKey},
	{name: "authority", target: rootFile, when: filesAreRead, run: (*site).checkAuthority},
	{run: (*site).tryRepositories, ofServers: true},
	{name: "rights", target: repositoryAddress, when: hasRepository, needs: siteNeeds{answeringRepository}, run: (*site).readServices},
	{name: "services", target: repositoryAddress, when: knownServices, run: (*site).checkServices},
	leftOut("services", qlik.SourceServices),
	{name: "topology", target: repositoryAddress, needs: siteNeeds{wantedTopology, answeringRepository, rights}, run: (*site).readTopology},
	leftOut("topology", qlik.SourceTopology),
	{name: "node names", when: knownServices, run: (*site).compareNodes},
	{name: "link", needs: siteNeeds{knownLinks}, run: (*site).tryProxies, ofServers: true},
	{name: "engine", when: wantsEngines, needs: siteNeeds{knownEngines}, run: (*site).tryEngines, ofServers: true},
	leftOut("engines", qlik.SourceEngines),
	{
		name: "licenses", target: repositoryAddress,
		needs: siteNeeds{configuredRepository, wantedLicenses, answeringRepository, rights}, run: (*site).readLicenses,
	},
	{name: "license", target: repositoryAddress, when: licenseIsRead, run: (*site).checkLicense},
	leftOut("licenses", qlik.SourceLicenses),
	{
		name: "usage rows", target: repositoryAddress,
		needs: siteNeeds{configuredRepository, wantedLicenses, answeringRepository, rights, knownLicenses}, run: (*site).readUsageRows,
	},
	leftOut("usage rows", qlik.SourceUsage),
	{name: "service account", when: hasRepositoryOrAccounts, run: (*site).findAccounts},
	leftOut("data connections", qlik.SourceDataConnections),
	{name: "reloads", target: repositoryAddress, when: connects, run: (*site).countReloads},
	{name: "audit log", needs: siteNeeds{configuredAuditLog}, run: (*site).checkAuditLogs},
	{name: "clock", needs: siteNeeds{datedAnswer}, run: (*site).compareClocks},
}

// serverSteps are the steps from the host name of a repository, proxy or engine to its
// responses.
var serverSteps = []step[*server]{
	{name: "name", target: (*server).host, run: (*server).resolveAndDial},
	{name: "port", target: hostAndPort, needs: serverNeeds{knownName}, run: (*server).checkPort},
	{name: "server certificate", target: hostAndPort, needs: serverNeeds{knownName, openPort, knownAuthority}, run: (*server).checkCertificate},
	{
		name: "request", target: hostAndPort,
		needs: serverNeeds{knownName, openPort, knownAuthority, acceptedCertificate, usableFiles}, run: (*server).request,
	},
	{name: "link", target: hostAndPort, when: isProxy, needs: serverNeeds{answeringNode}, run: (*server).showLinks},
}

// site holds the results of the steps so far. Each step adds the data that later
// steps need.
type site struct {
	Config

	client *qlik.Client

	// From the certificate files (certificates.go).
	credentials                                *qlik.Credentials
	filesRead, clientUsable, authoritiesUsable bool

	// From the servers (server.go).
	servers    []*server // all servers tested so far
	repository *server   // the first repository that responds; nil if none does

	readable bool                  // the user can read the repository (repository.go)
	states   []qlik.ServiceState   // states of all services (repository.go)
	links    []qlik.Link           // configured links or links read (repository.go)
	results  []headroom.LinkResult // sessions of the links (links.go)
	asked    time.Time             // when the links were asked for them (links.go)
	usage    *headroom.Usage       // nil while unknown (licenses.go)
	licenses *qlik.Licenses        // nil while unknown (licenses.go)
	accounts []*account            // service accounts, named or found (accounts.go)
	reloads  *int                  // of the monitoring apps in the last day; nil while unknown (reloads.go)

	onCapacity map[qlik.User]bool // users with usage rows of analyzer capacity (licenses.go)
}

var errInterrupted = errors.New("interrupted")

// Run checks the site and returns the report, in the order of the steps. It returns a
// *qlik.ConfigError if the settings are invalid; then no step runs. It returns another
// error if ctx ends before the report is complete; then Config.Report got what is known.
func Run(ctx context.Context, config Config) (*Report, error) {
	client, err := qlik.NewClient(config.Qlik)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	config.Qlik = client.Config()
	if config.Setting == nil {
		config.Setting = func(flag string) string { return "--" + flag }
	}
	s := &site{Config: config, client: client, links: client.ConfiguredLinks()}
	report := new(Report)
	report.Results = visible(runSteps(ctx, siteSteps, s, s.report))
	for _, advise := range advisers {
		report.advise(advise(s)...)
	}
	if ctx.Err() != nil {
		return nil, errInterrupted
	}
	return report, nil
}

// report reports results that have become known.
func (s *site) report(results ...Result) {
	if s.Report != nil && len(results) > 0 {
		s.Report(visible(results)...)
	}
}
