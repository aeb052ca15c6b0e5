package collector

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// Forms of users in labels.
const (
	UserLabelsPlain  = "plain"  // by directory and id
	UserLabelsHashed = "hashed" // by directory and a keyed hash
	UserLabelsNone   = "none"   // no series per user
)

// UserLabels configures how users appear in labels.
type UserLabels struct {
	Mode  string      // one of the constants; empty means plain
	Key   []byte      // for hashing
	Plain []qlik.User // never hashed: configured service accounts
}

func (l UserLabels) validate() error {
	switch l.Mode {
	case "", UserLabelsPlain, UserLabelsNone:
		return nil
	case UserLabelsHashed:
		if len(l.Key) < 16 {
			return configErrorf("Labels.Key", "the key for hashing must have at least 16 bytes; write random characters to the file")
		}
		return nil
	default:
		return configErrorf("Labels.Mode", "must be one of plain, hashed, none, not %q", l.Mode)
	}
}

// userNamer converts users to label values.
type userNamer struct {
	key   []byte // nil if labels are plain
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

// id returns the value of the label user_id.
func (n *userNamer) id(user qlik.User) string {
	if n.key == nil || n.plain[user] || user == qlik.AnonymousUser {
		return user.ID
	}
	return HashUser(n.key, user)
}

// HashUser returns the hash of a user: the first 16 hex digits of the
// HMAC-SHA-256 of DIRECTORY\id.
func HashUser(key []byte, user qlik.User) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(user.String()))
	return hex.EncodeToString(mac.Sum(nil)[:8])
}
