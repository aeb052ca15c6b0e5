package qlik

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"
)

// monitoringStream is the stream of the monitoring apps, and maxReloadTasks the maximum
// number of their tasks that are counted (docs/qlik.md, "Service accounts").
const (
	monitoringStream = "Monitoring apps"
	maxReloadTasks   = 50
)

// reloadTaskRecord is a reload task.
type reloadTaskRecord struct {
	ID  name `json:"id"`
	App struct {
		Stream struct {
			Name name `json:"name"`
		} `json:"stream"`
	} `json:"app"`
}

// usable implements record. Only ids as the repository writes them are safe in a filter.
func (r reloadTaskRecord) usable() bool {
	return r.ID != "" && len(r.ID) <= 36 && strings.Trim(string(r.ID), "0123456789abcdefABCDEF-") == ""
}

// countRecord is the response to a request for a number of entities.
type countRecord struct {
	Value optional[float64] `json:"value"`
}

// ErrNoReloadTask means that no reload task of the monitoring apps is known.
var ErrNoReloadTask = errors.New("there is no reload task of an app in the stream " + monitoringStream)

// MonitoringReloads reads from a repository how often the monitoring apps were reloaded
// since a time. The error is ErrNoReloadTask or a *Error.
func (c *Client) MonitoringReloads(ctx context.Context, since time.Time) (reloads int, err error) {
	hosts := c.repositories.lastFirst()
	var tasks []string
	left := make(leftOut)
	query := url.Values{"filter": {"app.stream.name eq '" + monitoringStream + "'"}}
	_, err = readLeniently(ctx, c, hosts, "reloadtask/full", query, left, func(body io.Reader, attempt leftOut) error {
		tasks = nil
		return decodeElements(body, attempt, newRoom(maxElements, maxNames), func(r *reloadTaskRecord) {
			if strings.EqualFold(string(r.App.Stream.Name), monitoringStream) && len(tasks) < maxReloadTasks {
				tasks = append(tasks, "taskId eq "+string(r.ID))
			}
		})
	})
	if err != nil {
		return 0, err
	}
	if len(tasks) == 0 {
		return 0, ErrNoReloadTask
	}
	query.Set("filter", fmt.Sprintf("startTime ge '%s' and (%s)", since.UTC().Format("2006-01-02T15:04:05.000Z"), strings.Join(tasks, " or ")))
	_, err = readLeniently(ctx, c, hosts, "executionresult/count", query, left, func(body io.Reader, attempt leftOut) error {
		count, err := decodeObject[countRecord](body, attempt.count())
		if err != nil {
			return err
		}
		if count == nil || !count.Value.known || count.Value.value < 0 || count.Value.value > maxElements {
			return otherShapef("it contains no number")
		}
		reloads = int(count.Value.value)
		return nil
	})
	return reloads, err
}
