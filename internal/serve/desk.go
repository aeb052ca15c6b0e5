package serve

import (
	"github.com/go-kit/log"

	"github.com/qlik-exporter/qlik_exporter/internal/config"
	"github.com/qlik-exporter/qlik_exporter/internal/desk"
	"github.com/qlik-exporter/qlik_exporter/internal/page"
	"github.com/qlik-exporter/qlik_exporter/internal/server"
	"github.com/qlik-exporter/qlik_exporter/internal/sites"
)

// openDesk opens the desk, if there is one. The pages of the desk are the same as those of the
// exporter, with a button.
func (e *Exporter) openDesk(set *sites.Set, record *sharedJournal, responses *server.Responses, logger log.Logger) (_ *server.Desk, closeDesk func(), err error) {
	flags := &e.Flags.Desk
	if flags.ListenAddress == "" {
		return nil, func() {}, nil
	}
	logger = log.With(logger, "component", "desk")
	if err := checkDesk(flags); err != nil {
		return nil, nil, err
	}
	pages := e.pages(set, responses)
	pages.Authenticated = func() bool { return true } // the desk always is
	pages.Free = desk.MayFree
	opened, err := desk.New(desk.Config{
		WebConfigFile: flags.WebConfigFile, RolesFile: flags.RolesFile, StopFile: flags.StopFile,
		Journal: record, ExternalURL: e.Flags.ExternalURL, Sites: deskSites{set}, Pages: page.New(pages), Logger: logger,
	})
	if err != nil {
		return nil, nil, err
	}
	return &server.Desk{Handler: opened, Web: flags.Web(), Metrics: opened}, opened.Close, nil
}

// checkDesk returns an error if there is a desk that must not start with its files.
func checkDesk(flags *config.Desk) error {
	if flags.ListenAddress == "" {
		return nil
	}
	return desk.Check(flags.WebConfigFile, flags.RolesFile)
}

// deskSites adapts the sites to the interface of the desk.
type deskSites struct{ *sites.Set }

func (s deskSites) Use(name string) (shown desk.Site, done func(), found bool) {
	site, done, found := s.Set.Use(name)
	if !found {
		return desk.Site{}, nil, false
	}
	return desk.Site{Site: site, ServiceAccounts: site.ServiceAccounts()}, done, true
}
