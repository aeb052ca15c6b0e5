package page

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/net/html"

	"github.com/qlik-exporter/qlik_exporter/internal/answer"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions/sessionstest"
	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// known returns the names that the templates contain after a prefix, in lower case.
func known(tb testing.TB, prefix string) map[string]bool {
	tb.Helper()
	names := make(map[string]bool)
	for _, file := range []string{"page.html", "user.html", "find.html", "refresh.html"} {
		template, err := files.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		for _, name := range regexp.MustCompile(prefix+`([a-z][a-zA-Z0-9-]*)`).FindAllStringSubmatch(string(template), -1) {
			names[strings.ToLower(name[1])] = true
		}
	}
	return names
}

// FuzzPage checks that names from Qlik and queries become text on the pages and nothing
// else, whatever they contain, and that the pages show the user but no session id.
func FuzzPage(f *testing.F) {
	f.Add("LAB", "anna", "/", "qlik1", "q=an&sort=-user&slots=0&page=2", byte(5))
	f.Add("LAB", `"><script>alert(1)</script>`, `/"onclick="x`, "qlik1&lt;b&gt;", `q=%22%3E%3Cb%3E&proxy=%2F%22onclick%3D%22x`, byte(6))
	f.Add("A\u202eB", "a\x00b\u200b", "/{{.}}", "javascript:alert(1)", "site=&q=%00%ff&node=javascript%3Aalert(1)", byte(3))
	f.Add("A\u202eB", "a\x00b\u200b", "/\u00ad", "qlik\u200d1", "", byte(3))
	f.Add("", "", "", "", "user=a&q=/", byte(1))
	f.Add("LAB", "reload/x y", "/", "qlik1", `user=LAB%5Creload/x%20y&q=%5C`, byte(4))
	f.Add("NONE", "anonymous1", "/<!--", "]]>", "sort=&page=99999999999999999999", byte(9))
	tags, attributes := known(f, "<"), known(f, "[ }]")
	f.Fuzz(func(t *testing.T, directory, id, prefix, node, query string, n byte) {
		const secret = "5e55107d-5ec2e7" // begins each session id
		link := qlik.Link{Node: node, VirtualProxy: prefix}
		user := qlik.NewUser(directory, id).Counted()
		result := headroom.LinkResult{Link: link}
		for i := range n % 16 {
			result.Sessions = append(result.Sessions, qlik.Session{ID: qlik.SessionID(fmt.Sprint(secret, i)), User: user, Link: &link})
		}
		snapshot, _ := headroom.New(headroom.Config{Limit: headroom.DefaultLimit}).Observe(headroom.Round{
			Asked: sessionstest.Noon, Heard: sessionstest.Noon, Links: []headroom.LinkResult{result, {Link: qlik.Link{Node: node + "2"}, Err: &qlik.Error{Kind: qlik.KindTimeout, Err: errors.New("no answer")}}},
		})
		values, _ := url.ParseQuery(query) // what can be read of it is what the page reads
		page := pageOf(&answers{snapshot: snapshot})
		for _, target := range []string{"/sessions/user?" + values.Encode(), "/sessions/user?" + url.Values{"q": {values.Get("q")}, "user": values["user"]}.Encode(), "/api/users?" + values.Encode()} {
			checkAnyAnswer(t, page, target, tags, attributes, secret)
		}
		if user.Directory != "" || user.ID != "" {
			checkUser(t, page, user, len(result.Sessions), tags, attributes)
		}
		listed := request(t, page, "/sessions?"+values.Encode())
		if strings.Contains(listed.Body.String(), secret) {
			t.Error("the page shows a session id")
		}
		if listed.Code == http.StatusNotFound && values.Get("site") != "" {
			return
		}
		if listed.Code != http.StatusOK {
			t.Fatalf("status %d: %s", listed.Code, listed.Body)
		}
		if size := listed.Body.Len(); size > 64<<10+64*(len(directory)+len(id)+len(prefix)+len(node)+len(query)) {
			t.Errorf("the page has %d bytes", size)
		}
		shown := checkHTML(t, listed.Body.String(), "sessions/", tags, attributes)
		want := text.Visible(user.Directory) + `\` + text.Visible(user.ID)
		if filtered := parseQuery(values).filtered(); n%16 > 0 && !filtered && parseQuery(values).Page <= 1 && !strings.Contains(shown, want) {
			t.Errorf("the page does not show %q", want)
		}
	})
}

// checkAnyAnswer checks an answer to a query that may contain anything.
func checkAnyAnswer(t *testing.T, page http.Handler, target string, tags, attributes map[string]bool, secret string) {
	t.Helper()
	for _, accepted := range []string{"text/html", "application/json"} {
		answer := accept(page, target, accepted)
		body := answer.Body.String()
		if strings.Contains(body, secret) {
			t.Errorf("%s: a session id in %s", target, body)
		}
		switch answer.Code {
		case http.StatusOK, http.StatusBadRequest, http.StatusNotFound:
		case http.StatusSeeOther:
			if to := answer.Header().Get("Location"); !strings.HasPrefix(to, "user?") {
				t.Errorf("%s: leads to %q", target, to)
			}
		default:
			t.Errorf("%s: status %d: %s", target, answer.Code, body)
		}
		switch answer.Header().Get("Content-Type") {
		case jsonType:
			if !json.Valid([]byte(body)) {
				t.Errorf("%s: %q is not JSON", target, body)
			}
		case "text/html; charset=utf-8":
			checkHTML(t, body, "", tags, attributes)
		}
	}
}

// checkUser checks the page of a user who exists, and its JSON.
func checkUser(t *testing.T, page http.Handler, user qlik.User, sessions int, tags, attributes map[string]bool) {
	t.Helper()
	target := "/sessions/user?" + url.Values{"user": {user.String()}}.Encode()
	answered := accept(page, target, "text/html")
	shown := checkHTML(t, answered.Body.String(), "", tags, attributes)
	if answered.Code != http.StatusOK || !strings.Contains(shown, text.Visible(user.String())) {
		t.Errorf("%s: status %d does not show %q", target, answered.Code, user)
	}
	var reply answer.Answer
	program := accept(page, target, "application/json")
	if err := json.Unmarshal(program.Body.Bytes(), &reply); err != nil || program.Code != http.StatusOK || reply.User != user.String() || reply.Sessions != sessions {
		t.Errorf("%s: status %d, %v: %s", target, program.Code, err, program.Body)
	}
	if !strings.Contains(shown, reply.Verdict) {
		t.Errorf("%s: the page does not say %q", target, reply.Verdict)
	}
}

// checkHTML checks that a page consists of the tags and attributes of its template, that
// each tag is closed, that it links only to pages below a path, and that it has no text
// with invisible characters. It returns the texts of the page.
func checkHTML(t *testing.T, page, below string, tags, attributes map[string]bool) string {
	t.Helper()
	var open []string
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
				case a.Key == "src" && a.Val != below+"page.js",
					a.Key == "data-now" && !strings.HasPrefix(a.Val, below+"favicon.svg"),
					a.Key == "href" && !strings.HasPrefix(a.Val, "?") && !strings.HasPrefix(a.Val, below+"user?") && !strings.HasPrefix(a.Val, "../sessions?") && !strings.HasPrefix(a.Val, below+"favicon.svg?users=") && a.Val != below+"page.css" && a.Val != "#users",
					(a.Key == "action" || a.Key == "formaction") && a.Val != below+"user":
					t.Errorf("link to %q", a.Val)
				}
			}
			switch {
			case token.Type == html.StartTagToken && !slices.Contains([]string{"meta", "link", "input", "br"}, token.Data):
				open = append(open, token.Data)
				if token.Data == "script" {
					scripts++
				}
			case token.Type == html.EndTagToken && (len(open) == 0 || open[len(open)-1] != token.Data):
				t.Fatalf("%s ends in %q", token.Data, open)
			case token.Type == html.EndTagToken:
				open = open[:len(open)-1]
			}
		}
	}
	if scripts > 1 || len(open) > 0 {
		t.Errorf("%d scripts, open tags %q", scripts, open)
	}
	return texts.String()
}
