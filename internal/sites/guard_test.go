package sites

import (
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/config"
)

// TestGuardStopsFirst checks that the guard of a site that was replaced does not wait for the
// requests in progress: a reload that turns the guard off stops it at once.
func TestGuardStopsFirst(t *testing.T) {
	_, emea := simulated(t, "emea")
	emea.Guard = config.GuardDryRun
	f := &file{sites: []config.Site{emea}}
	set := serve(t, f)
	site, done, _ := set.Use("emea") // a request in progress
	defer done()
	stopped := make(chan struct{})
	go func() {
		site.guarded.Wait()
		close(stopped)
	}()
	select {
	case <-stopped:
		t.Fatal("the guard does not run")
	case <-time.After(10 * time.Millisecond):
	}
	f.sites[0].Guard = config.GuardOff
	if err := set.Reload(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-stopped:
	case <-time.After(10 * time.Second):
		t.Error("the guard goes on")
	}
}
