package sessions

import (
	"slices"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// NeverEnded returns the kind of a user whose sessions are never ended, such as "a
// service account". It returns "" for other users.
func NeverEnded(row *Row, serviceAccounts []qlik.User) string {
	switch {
	case row.User.Anonymous():
		return "all anonymous users"
	case row.User.Directory == "INTERNAL", slices.Contains(serviceAccounts, row.User):
		return "a service account"
	case !row.Limited:
		return "an unlimited user"
	default:
		return ""
	}
}

// RowOf returns the row of a user of a snapshot, also of one that it does not list.
func RowOf(user qlik.User, snapshot *headroom.Snapshot) *Row {
	rows := Rows(snapshot)
	if i := slices.IndexFunc(rows, func(r Row) bool { return r.User == user }); i >= 0 {
		return &rows[i]
	}
	return &Row{UserStatus: snapshot.Of(user)}
}
