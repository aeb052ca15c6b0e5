package qlik

import (
	"reflect"
	"testing"
	"time"
)

func session(id, directory, user string, link *Link) Session {
	return Session{ID: SessionID(id), User: NewUser(directory, user), Link: link}
}

func TestCountUsers(t *testing.T) {
	hub1 := &Link{Node: "n1", VirtualProxy: "/"}
	hub2 := &Link{Node: "n2", VirtualProxy: "/"}
	sales := &Link{Node: "n1", VirtualProxy: "/sales"}
	robot := NewUser("APPS", "robot")

	got, index := CountUsers([]Session{
		session("1", "LAB", "Goran", sales),
		session("2", "lab", "goran", hub1),
		session("3", "Lab", "GORAN", hub2),
		session("4", "NONE", "anonymous0815", hub1),
		session("5", "NONE", "anonymous4711", hub1),
		session("6", "APPS", "robot", hub1),
		session("7", "LAB", "anna", hub1),
	}, []User{NewUser("LAB", "absent"), NewUser("LAB", "anna")}, 2, map[User]bool{robot: true})

	want := []UserStatus{
		{User: robot, Sessions: 1, VirtualProxies: []VirtualProxyCount{{"/", 1, "n1", false}}},
		{User: NewUser("LAB", "absent"), Limited: true, Headroom: 2},
		{User: NewUser("LAB", "anna"), Sessions: 1, VirtualProxies: []VirtualProxyCount{{"/", 1, "n1", false}}, Limited: true, Headroom: 1},
		{User: NewUser("LAB", "goran"), Sessions: 3, VirtualProxies: []VirtualProxyCount{{"/", 2, "n1", true}, {"/sales", 1, "n1", false}}, Limited: true, Headroom: -1},
		{User: AnonymousUser, Sessions: 2, VirtualProxies: []VirtualProxyCount{{"/", 2, "n1", false}}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("CountUsers:\n got %+v\nwant %+v", got, want)
	}

	for user, i := range index {
		if got[i].User != user {
			t.Errorf("%s is said to be where %s is", user, got[i].User)
		}
	}

	over, left := UsersByHeadroom(got, 2)
	if over != 1 || !reflect.DeepEqual(left, []int{0, 1}) {
		t.Errorf("UsersByHeadroom: got %d over and %v, want 1 and [0 1]", over, left)
	}
}

func TestDistinctUsersCountsEachAnonymousBrowser(t *testing.T) {
	hub := &Link{Node: "n1", VirtualProxy: "/"}
	got := DistinctUsers([]Session{
		session("1", "NONE", "anonymous0815", hub),
		session("2", "NONE", "anonymous4711", hub),
		session("3", "LAB", "anna", hub),
		session("4", "LAB", "Anna", hub),
	})
	if got != 3 {
		t.Errorf("got %d users, want 3", got)
	}
}

func TestUsersOnSeveralNodes(t *testing.T) {
	links := []LinkResult{
		{Link: Link{Node: "n1", VirtualProxy: "/"}},
		{Link: Link{Node: "n2", VirtualProxy: "/"}},
		{Link: Link{Node: "n3", VirtualProxy: "/"}},
		{Link: Link{Node: "n1", VirtualProxy: "/sales"}},
	}
	snapshot := &Snapshot{Links: links}
	snapshot.Users, _ = CountUsers([]Session{
		session("1", "LAB", "anna", &links[0].Link),
		session("2", "LAB", "anna", &links[1].Link),
		session("3", "LAB", "anna", &links[2].Link), // the third node does not count anna again
		session("4", "LAB", "bert", &links[0].Link),
		session("5", "LAB", "bert", &links[3].Link), // another virtual proxy is no other node
		session("6", "NONE", "anonymous1", &links[0].Link),
		session("7", "NONE", "anonymous2", &links[1].Link), // is somebody else
	}, nil, 5, nil)
	got := UsersOnSeveralNodes(snapshot)
	if want := (map[string]int{"/": 1, "/sales": 0}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestSameSessionOnTwoLinksIsOne(t *testing.T) {
	links := []LinkResult{
		{Link: Link{Node: "n1", VirtualProxy: "/"}},
		{Link: Link{Node: "n2", VirtualProxy: "/"}},
	}
	links[0].Sessions = []Session{session("1", "LAB", "anna", &links[0].Link)}
	links[1].Sessions = []Session{session("1", "LAB", "anna", &links[1].Link), session("2", "LAB", "anna", &links[1].Link)}
	snapshot := newSnapshot(time.Time{}, links)
	if len(snapshot.Sessions) != 2 || snapshot.Sessions[0].Link.Node != "n1" || snapshot.Sessions[1].Link.Node != "n2" {
		t.Errorf("got %d sessions on %v", len(snapshot.Sessions), snapshot.Sessions)
	}
}

func TestUser(t *testing.T) {
	for _, test := range []struct {
		directory, id string
		want          string
		anonymous     bool
	}{
		{"lab", "Goran", `LAB\goran`, false},
		{"LAB", "GORAN", `LAB\goran`, false},
		{"LAB", "a b\"c\n", "LAB\\a b\"c\n", false},
		{"LAB", "\xff\xfe", "LAB\\\uFFFD", false},
		{"ÄÖ", "Ünal", `ÄÖ\ünal`, false},
		{"none", "Anonymous7c1d", `NONE\anonymous7c1d`, true},
		{"LAB", "anonymous7c1d", `LAB\anonymous7c1d`, false},
	} {
		user := NewUser(test.directory, test.id)
		if user.String() != test.want || user.Anonymous() != test.anonymous {
			t.Errorf("NewUser(%q, %q): got %q, anonymous %t", test.directory, test.id, user, user.Anonymous())
		}
	}
	for _, wrong := range []string{"", "goran", `LAB\`, `\goran`} {
		if user, err := ParseUser(wrong); err == nil {
			t.Errorf("ParseUser(%q): got %q, want an error", wrong, user)
		}
	}
}
