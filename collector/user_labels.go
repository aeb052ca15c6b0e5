package collector

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// How users appear in labels: the values of --user-labels.
const (
	UserLabelsPlain  = "plain"  // by directory and id
	UserLabelsHashed = "hashed" // by directory and a keyed hash
	UserLabelsNone   = "none"   // not at all: no series per user
)

// UserLabels says how users appear in labels.
type UserLabels struct {
	Mode  string      // one of the constants; empty means plain
	Key   []byte      // of the hash
	Plain []qlik.User // shown plain in any mode but none: configured service accounts
}

func (l UserLabels) validate() error {
	switch l.Mode {
	case "", UserLabelsPlain, UserLabelsNone:
		return nil
	case UserLabelsHashed:
		if len(l.Key) < 16 {
			return errors.New("--user-labels.key-file: a hash needs a key of at least 16 bytes; write some random characters into the file")
		}
		return nil
	default:
		return fmt.Errorf("--user-labels: %q is none of plain, hashed, none", l.Mode)
	}
}

// userGauge is a gauge of a user. There are tens of thousands of them in a
// scrape, so they share their label pairs instead of making them anew as
// prometheus.NewConstMetric does.
type userGauge struct {
	desc   *prometheus.Desc
	labels []*dto.LabelPair // in the order of their names
	value  float64
}

var _ prometheus.Metric = (*userGauge)(nil)

// Desc implements prometheus.Metric.
func (g *userGauge) Desc() *prometheus.Desc { return g.desc }

// Write implements prometheus.Metric.
func (g *userGauge) Write(out *dto.Metric) error {
	out.Label = g.labels
	out.Gauge = &dto.Gauge{Value: &g.value}
	return nil
}

// The names of labels that are shared by pointer.
var (
	userDirectoryName = "user_directory"
	userIDName        = "user_id"
	virtualProxyName  = "virtual_proxy"
)

// userNamer turns users into label values.
type userNamer struct {
	key   []byte // nil: plain
	plain map[qlik.User]bool
}

func newUserNamer(labels UserLabels) *userNamer {
	n := &userNamer{plain: make(map[qlik.User]bool)}
	if labels.Mode == UserLabelsHashed {
		n.key = labels.Key
	}
	for _, user := range labels.Plain {
		n.plain[user] = true
	}
	return n
}

// id returns the value of the label user_id: for a hashed user the first 16 hex
// digits of HMAC-SHA-256 of DIRECTORY\id.
func (n *userNamer) id(user qlik.User) string {
	if n.key == nil || n.plain[user] || user == qlik.AnonymousUser {
		return user.ID
	}
	mac := hmac.New(sha256.New, n.key)
	mac.Write([]byte(user.String()))
	return hex.EncodeToString(mac.Sum(nil)[:8])
}
