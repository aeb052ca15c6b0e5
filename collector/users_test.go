package collector

import (
	"fmt"
	"strings"
	"testing"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// TestLongNamesAreBounded checks that users with long names do not make the response
// much longer than the usual maximum of users does, and that the users with the most
// sessions keep their series.
func TestLongNamesAreBounded(t *testing.T) {
	selection, err := newUserSelection(UsersConfig{MinSessions: 1, MaxUsers: 20_000})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ length, users, least, most int }{
		{30, 20_000, 20_000, 20_000}, {30, 30_000, 20_000, 20_000}, {500, 20_000, 5000, 7000}, {500, 1, 1, 1},
	} {
		users := make([]headroom.UserStatus, test.users)
		for i := range users {
			id := fmt.Sprintf("%0*d", test.length, i)
			users[i] = headroom.UserStatus{
				User: qlik.NewUser(strings.Repeat("d", 10), id), Sessions: 1 + i%7,
				VirtualProxies: []headroom.VirtualProxyCount{{VirtualProxy: "/sales", Sessions: 1 + i%7}},
			}
		}
		rows, dropped := selection.rows(users)
		if len(rows) < test.least || len(rows) > test.most || len(rows)+dropped != test.users || sizeOf(rows) > 20_000*bytesPerUser {
			t.Errorf("%d users with names of %d bytes: %d rows, %d dropped, %d bytes", test.users, test.length, len(rows), dropped, sizeOf(rows))
		}
		for _, row := range rows {
			if len(rows) < 10_000 && test.users > 1 && row.Sessions < 5 {
				t.Fatalf("a user with %d sessions has series, while others with more have none", row.Sessions)
			}
		}
	}
}
