package sites

import (
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/qlik-exporter/qlik_exporter/internal/config"
)

// Set holds the served sites.
type Set struct {
	load   func() (*config.Configuration, error)
	open   func(config.Site, log.Logger) (*Site, error)
	logger log.Logger

	reloading  sync.Mutex // held while a configuration is loaded
	closing    sync.WaitGroup
	successful prometheus.Gauge
	reloaded   prometheus.Gauge

	mu    sync.Mutex
	sites []*Site // in the order of the configuration
}

// Open starts the sites of a configuration. It calls load now and at each Reload. An
// error names the setting to change. The caller must Close the set.
func Open(load func() (*config.Configuration, error), guarding Guarding, logger log.Logger) (*Set, error) {
	s := &Set{
		load:   load,
		open:   func(settings config.Site, logger log.Logger) (*Site, error) { return open(settings, guarding, logger) },
		logger: logger,
		successful: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "qlik_exporter", Subsystem: "config", Name: "last_reload_successful",
			Help: "1 if the last configuration that was read is in use, 0 if it was rejected and the previous one stays in use.",
		}),
		reloaded: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "qlik_exporter", Subsystem: "config", Name: "last_reload_success_timestamp_seconds",
			Help: "Unix time at which the configuration in use was read.",
		}),
	}
	if err := s.use(); err != nil {
		return nil, err
	}
	return s, nil
}

// Check opens the sites of a configuration and closes them again. It returns the
// error that Open would return, and sends no requests.
func Check(configuration *config.Configuration) error {
	for _, settings := range configuration.Sites {
		site, err := open(settings, Guarding{}, log.NewNopLogger())
		if err != nil {
			return configuration.Explain(settings.Name, err)
		}
		site.close()
	}
	return nil
}

// Describe implements prometheus.Collector.
func (s *Set) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(s, ch) }

// Collect implements prometheus.Collector.
func (s *Set) Collect(ch chan<- prometheus.Metric) {
	ch <- s.successful
	ch <- s.reloaded
}

// Reload loads the configuration again. Sites with unchanged settings continue
// without interruption. If the configuration has an error, nothing changes.
func (s *Set) Reload() error {
	err := s.use()
	if err != nil {
		_ = level.Error(s.logger).Log("msg", "Configuration rejected; the previous one stays in use", "err", err)
		return err
	}
	_ = level.Info(s.logger).Log("msg", "Configuration reloaded", "sites", len(s.Names()))
	return nil
}

func (s *Set) use() (err error) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	defer func() {
		if err != nil {
			s.successful.Set(0)
		}
	}()
	configuration, err := s.load()
	if err != nil {
		return err
	}
	s.mu.Lock()
	before := s.sites
	s.mu.Unlock()

	for _, found := range configuration.Found {
		_ = level.Info(s.logger).Log("msg", "Found on this machine", "setting", found)
	}
	var after, opened []*Site
	for _, settings := range configuration.Sites {
		if i := slices.IndexFunc(before, func(site *Site) bool { return reflect.DeepEqual(site.Config, settings) }); i >= 0 {
			after = append(after, before[i])
			continue
		}
		site, err := s.open(settings, s.logger)
		if err != nil {
			for _, site := range opened {
				site.close()
			}
			return configuration.Explain(settings.Name, err)
		}
		opened = append(opened, site)
		after = append(after, site)
	}
	for _, site := range opened {
		site.start()
	}
	s.mu.Lock()
	s.sites = after
	s.mu.Unlock()
	for _, site := range before {
		if !slices.Contains(after, site) {
			s.closing.Go(site.close)
		}
	}
	s.successful.Set(1)
	s.reloaded.Set(float64(time.Now().UnixMilli()) / 1e3)
	return nil
}

// closeTimeout is the time that Close waits. Only a file system that does not respond
// takes longer.
const closeTimeout = time.Second

// Close closes all sites after the requests in progress.
func (s *Set) Close() {
	s.mu.Lock()
	sites := s.sites
	s.sites = nil
	s.mu.Unlock()
	for _, site := range sites {
		s.closing.Go(site.close)
	}
	closed := make(chan struct{})
	go func() {
		s.closing.Wait()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(closeTimeout):
		_ = level.Warn(s.logger).Log("msg", "Not waiting for files that cannot be closed; a file system may not respond")
	}
}

// Names returns the names of the sites.
func (s *Set) Names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := make([]string, 0, len(s.sites))
	for _, site := range s.sites {
		names = append(names, site.Config.Name)
	}
	return names
}

// Format returns the settings in use in the format of a configuration file.
func (s *Set) Format() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	settings := make([]config.Site, 0, len(s.sites))
	for _, site := range s.sites {
		settings = append(settings, site.Config)
	}
	return config.Format(settings)
}

// NamesHidden reports whether the metrics of a site do not contain names of users.
func (s *Set) NamesHidden() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.sites, func(site *Site) bool { return site.Config.NamesHidden() })
}

// Use returns the site with the given name. The site stays open until done is called.
func (s *Set) Use(name string) (site *Site, done func(), found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, site := range s.sites {
		if site.Config.Name == name {
			site.inUse.Add(1)
			return site, site.inUse.Done, true
		}
	}
	return nil, nil, false
}
