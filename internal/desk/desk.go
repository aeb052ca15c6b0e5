// Package desk is the second listener, on which a help desk frees slots. It shows the pages
// of the exporter with a button, and has the same for programs. Whatever is unclear is
// refused.
//
// A request passes, in this order: the checks that the desk is safe to use, the role of its
// operator, the check of its origin, and the limits. Nothing ends without a line in the
// journal before it.
package desk

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/qlik-exporter/qlik_exporter/internal/ending"
	"github.com/qlik-exporter/qlik_exporter/internal/journal"
	"github.com/qlik-exporter/qlik_exporter/internal/page"
	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// maxAtOnce limits the plans and executions at once, because each of them reads the site.
const maxAtOnce = 4

// Config configures the desk.
type Config struct {
	WebConfigFile string // TLS and authentication, in the format of exporter-toolkit
	RolesFile     string
	StopFile      string // while it exists, nothing ends; "" for none
	Journal       Journal
	ExternalURL   *url.URL // its origin is trusted; nil for none

	Sites Sites
	// Pages serves the pages of the exporter below /sessions, /api/user and /api/users. Its
	// button must ask MayFree.
	Pages http.Handler

	Logger log.Logger
	Now    func() time.Time // nil means time.Now; the pages show times in its time zone
}

// Sites are the sites of the exporter.
type Sites interface {
	// Names returns the names of the sites.
	Names() []string
	// Use returns the site with a name. If there is only one site, its name may be "". The
	// caller must call done when it no longer uses the site.
	Use(name string) (site Site, done func(), found bool)
}

// Site is a site on which sessions end.
type Site struct {
	ending.Site

	ServiceAccounts []qlik.User // users whose sessions are never ended
}

// Journal records what ends.
type Journal interface {
	// Begin records what is about to end, unless allow returns an error. Nothing may end
	// before it returns.
	Begin(intent journal.Intent, allow func([]journal.Recent) error) (id string, err error)
	// Finish records what happened.
	Finish(id string, result journal.Result) error
	// Check returns an error if nothing could be recorded now.
	Check() error
	// Recent returns the endings of the last hour.
	Recent() []journal.Recent
}

// Desk ends sessions for the operators that its files name.
type Desk struct {
	config  Config
	access  *access
	plans   *plans
	shown   *executions // on pages
	metrics *metrics
	handler http.Handler
	busy    chan struct{} // has room for the plans and executions in progress

	closing context.Context //nolint:containedctx // of all plans and executions
	cancel  context.CancelFunc
	closed  sync.Once

	mu       sync.Mutex // guards notReady
	notReady string     // the reason that was logged last; "" while the desk is ready
}

// New returns the desk. Its files must have passed Check. The caller must Close it.
func New(config Config) (*Desk, error) {
	if config.Now == nil {
		config.Now = time.Now
	}
	d := &Desk{
		config: config, access: newAccess(config.WebConfigFile, config.RolesFile, config.Now),
		plans: newPlans(config.Now), shown: newExecutions(config.Now), metrics: newMetrics(), busy: make(chan struct{}, maxAtOnce),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "sessions") // relative, so that it works behind any reverse proxy
		w.WriteHeader(http.StatusSeeOther)
	})
	mux.Handle("GET /sessions", config.Pages)
	mux.Handle("GET /sessions/", config.Pages)
	mux.Handle("GET /api/users", config.Pages)
	mux.Handle("GET /api/user", config.Pages)
	mux.HandleFunc("POST /api/plan", d.servePlan)
	mux.HandleFunc("POST /api/free", d.serveFree)
	mux.HandleFunc("POST /sessions/plan", d.planPage)
	mux.HandleFunc("POST /sessions/free", d.freePage)
	origins := http.NewCrossOriginProtection()
	// Who controls the network controls every page without TLS.
	if external := config.ExternalURL; external != nil && external.Scheme == "https" {
		if err := origins.AddTrustedOrigin("https://" + strings.ToLower(strings.TrimSuffix(external.Host, ":443"))); err != nil {
			return nil, err
		}
	}
	origins.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.fail(w, r, &refusal{http.StatusForbidden, foreignOrigin, "The request comes from a page of another origin."})
	}))
	d.closing, d.cancel = context.WithCancel(context.Background()) //nolint:forbidigo // Close cancels it
	d.handler = page.Protected(d.ready(d.identified(origins.Handler(mux))))
	return d, nil
}

// Close cancels the plans and executions in progress and waits for them, so that the journal
// has their results. Later ones are refused.
func (d *Desk) Close() {
	d.closed.Do(func() {
		d.cancel()
		for range cap(d.busy) {
			d.busy <- struct{}{}
		}
	})
}

// ServeHTTP implements http.Handler.
func (d *Desk) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.handler.ServeHTTP(w, r) }

// ready refuses all requests while the desk is not safe to use. The files may have changed
// since the start. The response does not say what is wrong, because everybody can read it if
// the file no longer requires a password.
func (d *Desk) ready(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		files, err := d.access.read(r)
		if err == nil {
			err = d.config.Journal.Check()
		}
		d.logReady(err)
		if err != nil {
			d.fail(w, r, &refusal{http.StatusServiceUnavailable, notReady, "The desk does not work now; the log of the exporter says why."})
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), filesKey{}, files)))
	})
}

// logReady logs a change.
func (d *Desk) logReady(err error) {
	reason := ""
	if err != nil {
		reason = err.Error()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if reason == d.notReady {
		return
	}
	d.notReady = reason
	if err != nil {
		_ = level.Error(d.config.Logger).Log("msg", "The desk refuses all requests", "err", err)
	} else {
		_ = level.Info(d.config.Logger).Log("msg", "The desk accepts requests again")
	}
}

// filesKey is the key of the files in the context of a request, and operatorKey that of the
// operator.
type (
	filesKey    struct{}
	operatorKey struct{}
)

// identified refuses requests of people without a role.
func (d *Desk) identified(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		files, _ := r.Context().Value(filesKey{}).(*files)
		who := d.access.operator(r, files)
		r = r.WithContext(context.WithValue(r.Context(), operatorKey{}, who))
		if who.role == nobody {
			d.fail(w, r, &refusal{http.StatusForbidden, noRole, "You have no role on this desk; its administrator can give you one."})
			return
		}
		next.ServeHTTP(w, r)
	})
}

func operatorOf(r *http.Request) operator {
	who, _ := r.Context().Value(operatorKey{}).(operator)
	return who
}

// MayFree reports whether the operator of a request to the desk may free slots.
func MayFree(r *http.Request) bool { return operatorOf(r).role >= helpdesk }

// site returns the site with a name. With a single site, the name may be left out.
func (d *Desk) site(name string) (site Site, named string, done func(), err *refusal) {
	names := d.config.Sites.Names()
	switch {
	case name == "" && len(names) > 1:
		return Site{}, "", nil, &refusal{http.StatusBadRequest, badRequest, "The site is missing."}
	case name == "" && len(names) == 1:
		name = names[0]
	case !slices.Contains(names, name):
		return Site{}, "", nil, &refusal{http.StatusNotFound, badRequest, "There is no site with this name."}
	}
	site, done, found := d.config.Sites.Use(name)
	if !found {
		return Site{}, "", nil, &refusal{http.StatusNotFound, badRequest, "There is no site with this name."}
	}
	return site, name, done, nil
}

// begin waits until a plan or an execution may begin. Its context also ends with the desk.
func (d *Desk) begin(ctx context.Context) (_ context.Context, done func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(d.closing, cancel)
	end := func() {
		stop()
		cancel()
	}
	select {
	case d.busy <- struct{}{}:
		return ctx, func() { end(); <-d.busy }, nil
	case <-ctx.Done():
		end()
		return nil, nil, ctx.Err()
	}
}
