package qlik

import (
	"context"
	"io"
	"net/url"
)

// UserState is what the repository says of a user who has left.
type UserState struct {
	Removed  bool // from the user directory ("removed externally" in the QMC)
	Inactive bool
}

type userStateRecord struct {
	Directory name           `json:"userDirectory"`
	ID        name           `json:"userId"`
	Removed   optional[bool] `json:"removedExternally"`
	Inactive  optional[bool] `json:"inactive"`
}

func (r userStateRecord) usable() bool { return r.Directory != "" && r.ID != "" }

// FormerUsers reads from a repository the users that are inactive or were removed from
// their user directory. All other users of the repository are in use.
func (c *Client) FormerUsers(ctx context.Context) (map[User]UserState, error) {
	var former map[User]UserState
	filter := url.Values{"filter": {"removedExternally eq true or inactive eq true"}}
	left := make(leftOut)
	_, err := readLeniently(ctx, c, c.repositories.lastFirst(), "user/full", filter, left, func(body io.Reader, attempt leftOut) error {
		former = make(map[User]UserState)
		room := newRoom(maxElements, maxNames)
		return decodeElements(body, attempt, room, func(r *userStateRecord) {
			state := UserState{Removed: r.Removed.value, Inactive: r.Inactive.value}
			if state == (UserState{}) { // a repository that ignores the filter
				return
			}
			user := NewUser(string(r.Directory), string(r.ID))
			if room.take(user.Directory, user.ID) {
				former[user] = state
			}
		})
	})
	c.skipped.record(SourceUsers, left, err)
	if err != nil {
		return nil, err
	}
	return former, nil
}
