package qlik

import (
	"strings"
	"testing"
)

// TestFindUsers checks that each word of a text must be in the id or in the display name,
// in any order.
func TestFindUsers(t *testing.T) {
	c := answers{"/qrs/user": `[{"userDirectory":"LAB","userId":"anna","name":"Anna Berg"},{"userDirectory":"LAB","userId":"abe","name":"Berg, Anna"},
		{"userDirectory":"LAB","userId":"o'hara","name":"Sean O'Hara"},{"userDirectory":"LAB","userId":"bergson anna","name":null}]`}.client()
	for text, want := range map[string]string{
		"anna": "abe anna bergson anna", "Anna Berg": "abe anna bergson anna", "BERG ANNA": "abe anna bergson anna",
		"bergson": "bergson anna", "o'hara": "o'hara", "sean o'hara": "o'hara", "anna zz": "", "": "", "'": "", " ": "",
	} {
		users, err := c.FindUsers(t.Context(), text)
		var ids []string
		for _, user := range users {
			ids = append(ids, user.User.ID)
		}
		if got := strings.Join(ids, " "); err != nil || got != want {
			t.Errorf("%q: got %s, %v; want %s", text, got, err, want)
		}
	}
}
