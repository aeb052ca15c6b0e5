package serve

import (
	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/qlik-exporter/qlik_exporter/internal/config"
	"github.com/qlik-exporter/qlik_exporter/internal/desk"
	"github.com/qlik-exporter/qlik_exporter/internal/journal"
	"github.com/qlik-exporter/qlik_exporter/internal/page"
	"github.com/qlik-exporter/qlik_exporter/internal/server"
	"github.com/qlik-exporter/qlik_exporter/internal/sites"
)

// openDesk opens the desk, if there is one, with its journal. The pages of the desk are the
// same as those of the exporter, with a button.
func (e *Exporter) openDesk(set *sites.Set, responses *server.Responses, logger log.Logger) (_ *server.Desk, closeDesk func(), err error) {
	flags := &e.Flags.Desk
	if flags.ListenAddress == "" {
		return nil, func() {}, nil
	}
	logger = log.With(logger, "component", "desk")
	if err := checkDesk(flags); err != nil {
		return nil, nil, err
	}
	record, err := openJournal(journal.Config{Path: flags.JournalFile, Logger: logger})
	if err != nil {
		return nil, nil, &config.Error{Flag: "desk.journal-file", Err: err}
	}
	closeJournal := func() {
		if err := record.Close(); err != nil {
			_ = level.Error(logger).Log("msg", "Closing the journal failed", "err", err)
		}
	}
	pages := e.pages(set, responses)
	pages.Authenticated = func() bool { return true } // the desk always is
	pages.Free = desk.MayFree
	opened, err := desk.New(desk.Config{
		WebConfigFile: flags.WebConfigFile, RolesFile: flags.RolesFile, StopFile: flags.StopFile,
		Journal: record, ExternalURL: e.Flags.ExternalURL, Sites: deskSites{set}, Pages: page.New(pages), Logger: logger,
	})
	if err != nil {
		closeJournal()
		return nil, nil, err
	}
	closeDesk = func() {
		opened.Close()
		closeJournal()
	}
	return &server.Desk{Handler: opened, Web: flags.Web(), Metrics: opened}, closeDesk, nil
}

// checkDesk returns an error if the desk must not start with its files.
func checkDesk(flags *config.Desk) error {
	if err := desk.Check(flags.WebConfigFile, flags.RolesFile); err != nil {
		return err
	}
	if err := journal.CheckFolder(flags.JournalFile); err != nil {
		return &config.Error{Flag: "desk.journal-file", Err: err}
	}
	return nil
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
