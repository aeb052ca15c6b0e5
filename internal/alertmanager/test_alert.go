package alertmanager

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// interval is the time between two looks at the Alertmanager.
const interval = time.Second

// endTimeout bounds the request that ends the alert, also after an interrupt.
const endTimeout = 10 * time.Second

// Test sends an alert, waits until the Alertmanager has notified all receivers of the
// alert, and ends the alert. It reports each step.
func (c *Client) Test(ctx context.Context, alert *Alert, timeout time.Duration, report func(format string, args ...any)) (err error) {
	about, err := c.status(ctx)
	if err != nil {
		return err
	}
	before, err := c.counters(ctx)
	if err != nil {
		return err
	}
	report("Alertmanager %s at %s responds.\n", cmp.Or(about.VersionInfo.Version, "of unknown version"), c)

	alert.StartsAt = time.Now()
	alert.EndsAt = alert.StartsAt.Add(timeout + time.Minute) // if nothing ends it
	if err := c.send(ctx, alert); err != nil {
		return err
	}
	defer func() {
		alert.EndsAt = time.Now()
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
		defer cancel()
		if endErr := c.send(ending, alert); endErr != nil {
			err = errors.Join(err, fmt.Errorf("the test alert ends by itself %s after its start: %w", timeout+time.Minute, endErr))
		}
	}()
	w := &wait{client: c, about: about, before: before, alert: alert, report: report, timeout: timeout}
	return w.run(ctx)
}

// wait waits for the notifications of an alert.
type wait struct {
	client  *Client
	about   *status
	before  *counters
	alert   *Alert
	report  func(format string, args ...any)
	timeout time.Duration

	receivers []string
	kinds     []string // integrations of the receivers
	failed    []string // kinds with a failure so far
}

func (w *wait) run(ctx context.Context) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for time.Since(w.alert.StartsAt) < w.timeout {
		done, err := w.look(ctx)
		if done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.New("interrupted")
		case <-ticker.C:
		}
	}
	switch {
	case w.kinds == nil:
		return fmt.Errorf("after %s, the Alertmanager still has no receiver for the test alert; its log says more", w.timeout)
	case w.failed != nil:
		return fmt.Errorf("the Alertmanager could not notify %s by %s; its log says why", strings.Join(w.receivers, ", "), strings.Join(w.failed, ", "))
	}
	return fmt.Errorf("the Alertmanager has not notified %s within %s; perhaps group_wait of the route is longer (set --test-timeout), or the route is muted at this time", strings.Join(w.receivers, ", "), w.timeout)
}

// look reports whether all receivers are notified.
func (w *wait) look(ctx context.Context) (done bool, err error) {
	now, err := w.client.state(ctx, w.alert.Labels)
	if err != nil || now == nil {
		return false, err
	}
	if w.kinds == nil {
		if err := w.findReceivers(now); err != nil {
			return false, err
		}
		w.report("It sends the alert to %s (%s). Waiting for at most %s.\n", strings.Join(w.receivers, ", "), strings.Join(w.kinds, ", "), w.timeout)
	}
	if why := now.suppressed(); why != "" {
		return false, fmt.Errorf("the Alertmanager notifies nobody of the test alert: %s", why)
	}
	counted, err := w.client.counters(ctx)
	if err != nil {
		return false, err
	}
	missing := slices.DeleteFunc(slices.Clone(w.kinds), func(kind string) bool {
		failures := counted.failed[kind] - w.before.failed[kind]
		if failures > 0 && !slices.Contains(w.failed, kind) {
			w.failed = append(w.failed, kind)
			w.report("A notification by %s has failed. Alertmanager tries again.\n", kind)
		}
		return counted.all[kind]-w.before.all[kind] > failures
	})
	if len(missing) > 0 {
		return false, nil
	}
	w.report("%s accepted the notification by %s after %s.\n", strings.Join(w.receivers, ", "), strings.Join(w.kinds, ", "), time.Since(w.alert.StartsAt).Round(time.Second))
	return true, nil
}

// findReceivers sets the receivers of the alert, and their integrations.
func (w *wait) findReceivers(now *state) error {
	for _, receiver := range now.Receivers {
		kinds, err := w.about.integrations(receiver.Name)
		switch {
		case err != nil:
			return err
		case kinds == nil:
			return fmt.Errorf("the Alertmanager sends the test alert to the receiver %s, which has no integration and notifies nobody", receiver.Name)
		}
		w.receivers = append(w.receivers, receiver.Name)
		w.kinds = append(w.kinds, kinds...)
	}
	slices.Sort(w.kinds)
	w.kinds = slices.Compact(w.kinds)
	return nil
}
