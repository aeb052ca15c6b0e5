// Package check tries everything between this machine and the sessions of each
// virtual proxy, step by step. It explains each failure by its cause and its remedy.
//
// A new step is a row in siteSteps or serverSteps, and a function. The causes of
// its failures are rows in causes.
package check

import (
	"context"
	"errors"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// Config is the site to check.
type Config struct {
	Qlik            qlik.Config
	SessionLimit    int
	Licenses        bool              // who holds a license is read, if there is a repository
	AuditLogs       map[string]string // patterns by node
	ServiceAccounts []qlik.User

	// Setting returns how a setting is called in a remedy, given its flag without
	// the dashes, e.g. "qlik.host" or "no-collector.licenses"; nil means the flag.
	Setting func(flag string) string
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
	{run: (*site).tryRepositories}, // serverSteps of each
	{name: "rights", target: repositoryAddress, when: hasRepository, needs: siteNeeds{answeringRepository}, run: (*site).readServices},
	{name: "services", target: repositoryAddress, when: hasRights, run: (*site).checkServices},
	{name: "topology", target: repositoryAddress, needs: siteNeeds{wantedTopology, answeringRepository, rights}, run: (*site).readTopology},
	{name: "link", needs: siteNeeds{knownLinks}, run: (*site).tryProxies}, // serverSteps of each
	{
		name: "licenses", target: repositoryAddress,
		needs: siteNeeds{configuredRepository, wantedLicenses, answeringRepository, rights}, run: (*site).readLicenses,
	},
	{
		name: "usage rows", target: repositoryAddress,
		needs: siteNeeds{configuredRepository, wantedLicenses, answeringRepository, rights, knownLicenses}, run: (*site).readUsageRows,
	},
	{name: "audit log", needs: siteNeeds{configuredAuditLog}, run: (*site).checkAuditLogs},
	{name: "clock", needs: siteNeeds{datedAnswer}, run: (*site).compareClocks},
}

// serverSteps are the steps from the name of a repository or a proxy to its answers.
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

// site is what is known of the site so far. Each step adds what later ones need.
type site struct {
	Config

	client *qlik.Client

	// Of the certificate files (certificates.go).
	credentials                                *qlik.Credentials
	filesRead, clientUsable, authoritiesUsable bool

	// Of the servers (server.go).
	servers    []*server // those tried so far
	repository *server   // the first that answers; nil if none does

	states   []qlik.ServiceState   // of all services (repository.go)
	links    []qlik.Link           // configured or read (repository.go)
	results  []headroom.LinkResult // their sessions (links.go)
	licenses *qlik.Licenses        // nil while unknown (licenses.go)
}

var errInterrupted = errors.New("interrupted")

// Run checks the site. The error is a *qlik.ConfigError where the settings cannot
// work and nothing was tried, or says that ctx ended before the report was whole.
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
	report.add(runSteps(ctx, siteSteps, s)...)
	for _, advise := range advisers {
		report.advise(advise(s)...)
	}
	if ctx.Err() != nil {
		return nil, errInterrupted // the report would blame the site
	}
	return report, nil
}
