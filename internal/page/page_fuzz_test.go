package page

import (
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/net/html"

	"github.com/qlik-exporter/qlik_exporter/internal/sessions/sessionstest"
	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// known returns the names that the template contains after a prefix.
func known(tb testing.TB, prefix string) map[string]bool {
	tb.Helper()
	template, err := files.ReadFile("page.html")
	if err != nil {
		tb.Fatal(err)
	}
	names := make(map[string]bool)
	for _, name := range regexp.MustCompile(prefix+`([a-z][a-z0-9-]*)`).FindAllStringSubmatch(string(template), -1) {
		names[name[1]] = true
	}
	return names
}

// FuzzPage checks that names from Qlik and queries become text on the page and nothing
// else, whatever they contain, and that the page shows the user.
func FuzzPage(f *testing.F) {
	f.Add("LAB", "anna", "/", "qlik1", "q=an&sort=-user&slots=0&page=2", byte(5))
	f.Add("LAB", `"><script>alert(1)</script>`, `/"onclick="x`, "qlik1&lt;b&gt;", `q=%22%3E%3Cb%3E&proxy=%2F%22onclick%3D%22x`, byte(6))
	f.Add("A\u202eB", "a\x00b\u200b", "/{{.}}", "javascript:alert(1)", "site=&q=%00%ff&node=javascript%3Aalert(1)", byte(3))
	f.Add("A\u202eB", "a\x00b\u200b", "/\u00ad", "qlik\u200d1", "", byte(3))
	f.Add("NONE", "anonymous1", "/<!--", "]]>", "sort=&page=99999999999999999999", byte(9))
	tags, attributes := known(f, "<"), known(f, "[ }]")
	f.Fuzz(func(t *testing.T, directory, id, prefix, node, query string, n byte) {
		link := qlik.Link{Node: node, VirtualProxy: prefix}
		user := qlik.NewUser(directory, id).Counted()
		result := headroom.LinkResult{Link: link}
		for i := range n % 16 {
			result.Sessions = append(result.Sessions, qlik.Session{ID: qlik.SessionID(rune('a' + i)), User: user, Link: &link})
		}
		snapshot, _ := headroom.New(headroom.Config{Limit: headroom.DefaultLimit}).Observe(headroom.Round{
			Asked: sessionstest.Noon, Heard: sessionstest.Noon, Links: []headroom.LinkResult{result, {Link: qlik.Link{Node: node + "2"}, Err: &qlik.Error{Kind: qlik.KindTimeout, Err: errors.New("no answer")}}},
		})
		values, _ := url.ParseQuery(query) // what can be read of it is what the page reads
		answer := request(t, pageOf(&answers{snapshot: snapshot}), "/sessions?"+values.Encode())
		if answer.Code == http.StatusNotFound && values.Get("site") != "" {
			return
		}
		if answer.Code != http.StatusOK {
			t.Fatalf("status %d: %s", answer.Code, answer.Body)
		}
		if size := answer.Body.Len(); size > 64<<10+64*(len(directory)+len(id)+len(prefix)+len(node)+len(query)) {
			t.Errorf("the page has %d bytes", size)
		}
		shown := checkHTML(t, answer.Body.String(), tags, attributes)
		want := text.Visible(user.Directory) + `\` + text.Visible(user.ID)
		if filtered := parseQuery(values).filtered(); n%16 > 0 && !filtered && parseQuery(values).Page <= 1 && !strings.Contains(shown, want) {
			t.Errorf("the page does not show %q", want)
		}
	})
}

// checkHTML checks that a page consists of the tags and attributes of its template, links
// only to itself, and has no text with invisible characters. It returns the texts of the page.
func checkHTML(t *testing.T, page string, tags, attributes map[string]bool) string {
	t.Helper()
	var texts strings.Builder
	scripts := 0
	for tokens := html.NewTokenizer(strings.NewReader(page)); tokens.Next() != html.ErrorToken; {
		switch token := tokens.Token(); token.Type {
		case html.TextToken:
			if strings.ContainsFunc(token.Data, func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' }) {
				t.Errorf("invisible character in %q", token.Data)
			}
			texts.WriteString(token.Data)
		case html.CommentToken:
			t.Errorf("comment %q", token.Data)
		case html.ErrorToken, html.DoctypeToken:
		case html.StartTagToken, html.SelfClosingTagToken, html.EndTagToken:
			if !tags[token.Data] && !tags["/"+token.Data] {
				t.Errorf("unexpected tag %q", token.Data)
			}
			for _, a := range token.Attr {
				switch {
				case !attributes[a.Key] || strings.HasPrefix(a.Key, "on"):
					t.Errorf("unexpected attribute %q of %s", a.Key, token.Data)
				case a.Key == "src" && a.Val != "sessions/page.js",
					a.Key == "href" && !strings.HasPrefix(a.Val, "?") && !strings.HasPrefix(a.Val, "sessions/user?") && a.Val != "sessions/page.css" && a.Val != "#users":
					t.Errorf("link to %q", a.Val)
				}
			}
			if token.Type == html.StartTagToken && token.Data == "script" {
				scripts++
			}
		}
	}
	if scripts != 1 {
		t.Errorf("%d scripts", scripts)
	}
	return texts.String()
}
