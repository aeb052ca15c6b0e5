package render_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/qlik-exporter/qlik_exporter/internal/report"
	"github.com/qlik-exporter/qlik_exporter/internal/report/render"
)

// words returns the text of a page. All its spaces are plain.
func words(page string) string {
	var b strings.Builder
	tokens := html.NewTokenizer(strings.NewReader(page))
	for hidden := false; ; {
		switch tokens.Next() {
		case html.ErrorToken:
			return oneLine(b.String())
		case html.StartTagToken, html.EndTagToken:
			token := tokens.Token()
			if token.Data == "style" {
				hidden = token.Type == html.StartTagToken
			}
			if slices.Contains([]string{"p", "li", "td", "th", "br", "h1", "h2", "h3", "text", "span"}, token.Data) {
				b.WriteByte(' ')
			}
		case html.TextToken:
			if !hidden {
				b.WriteString(tokens.Token().Data)
			}
		default: // nothing to read
		}
	}
}

func examples() map[string]*report.Report {
	unknown, quiet := fullReport(), fullReport()
	unknown.Sites, quiet.Sites = []report.Site{unknownSite()}, []report.Site{quietSite()}
	all := map[string]*report.Report{"full": fullReport(), "sites": manySites(), "long": longReport(), "unknown": unknown, "quiet": quiet}
	for _, name := range hostile {
		all["hostile "+name] = hostileReport(name)
	}
	return all
}

// elements are those that a page may have.
var elements = []string{
	"html", "head", "meta", "title", "style", "body", "main", "header", "h1", "h2", "h3", "p", "br", "div", "ul", "li", "section", "figure", "a", "span",
	"table", "caption", "thead", "tbody", "tr", "th", "td", "details", "summary", "dl", "dt", "dd", "code",
	"svg", "desc", "defs", "pattern", "rect", "line", "text",
}

// external matches what makes a style or a picture load something, except a pattern of the
// same page.
var external = regexp.MustCompile(`(?i)url\([^#]|@import|javascript:|https?:`)

// TestPage checks that pages need nothing else, do nothing, and are built for everybody,
// whatever the names.
func TestPage(t *testing.T) {
	t.Parallel()
	for name, r := range examples() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, language := range languages {
				checkPage(t, asHTML(t, r, language), language)
			}
		})
	}
}

// outline is what a page has been seen to contain.
type outline struct {
	ids            map[string]bool
	references     []string
	heading        int
	open           []string
	count          map[string]int
	svgs, svgTexts int
}

func checkPage(t *testing.T, page, language string) {
	t.Helper()
	o := outline{ids: make(map[string]bool), count: make(map[string]int)}
	tokens := html.NewTokenizer(strings.NewReader(page))
	for tokens.Next() != html.ErrorToken {
		token := tokens.Token()
		switch token.Type {
		case html.StartTagToken:
			o.checkStart(t, &token, language)
		case html.EndTagToken:
			if last := len(o.open) - 1; last < 0 || o.open[last] != token.Data {
				t.Fatalf("</%s> within %v", token.Data, o.open)
			}
			o.open = o.open[:len(o.open)-1]
		case html.TextToken:
			if slices.Contains(o.open, "style") && external.MatchString(token.Data) {
				t.Errorf("the style loads something: %s", external.FindString(token.Data))
			}
			if last := len(o.open) - 1; last > 0 && o.open[last-1] == "svg" && (o.open[last] == "title" || o.open[last] == "desc") && strings.TrimSpace(token.Data) != "" {
				o.svgTexts++
			}
		default: // no links, no elements
		}
	}
	if len(o.open) > 0 {
		t.Errorf("not closed: %v", o.open)
	}
	if o.svgTexts != 2*o.svgs {
		t.Errorf("%d pictures have %d titles and descriptions", o.svgs, o.svgTexts)
	}
	if o.count["caption"] != o.count["table"] || o.count["h1"] != 1 || o.count["main"] != 1 {
		t.Errorf("elements: %v", o.count)
	}
	for _, id := range o.references {
		if !o.ids[id] {
			t.Errorf("nothing has the id %s", id)
		}
	}
	if tables := o.count["table"]; o.svgs > 0 && tables == 0 {
		t.Error("pictures without tables")
	}
}

func (o *outline) checkStart(t *testing.T, token *html.Token, language string) {
	t.Helper()
	if !slices.Contains(elements, token.Data) {
		t.Errorf("element %s", token)
	}
	if token.Data != "meta" && token.Data != "br" {
		o.open = append(o.open, token.Data)
	}
	o.count[token.Data]++
	attributes := make(map[string]string)
	for _, a := range token.Attr {
		attributes[a.Key] = a.Val
		switch {
		case a.Key == "src" || a.Key == "srcset" || a.Key == "action" || strings.HasPrefix(a.Key, "on"):
			t.Errorf("attribute %s of %s", a.Key, token)
		case a.Key == "href" && !strings.HasPrefix(a.Val, "#"), external.MatchString(a.Val):
			t.Errorf("%s leads out of the page", token)
		case a.Key == "style" && !regexp.MustCompile(`^width: \d{1,3}\.\d%$`).MatchString(a.Val):
			t.Errorf("style of %s", token)
		case a.Key == "href":
			o.references = append(o.references, a.Val[1:])
		case a.Key == "aria-labelledby":
			o.references = append(o.references, strings.Fields(a.Val)...)
		case a.Key == "id" && o.ids[a.Val]:
			t.Errorf("two elements have the id %s", a.Val)
		case a.Key == "id":
			o.ids[a.Val] = true
		}
	}
	switch token.Data {
	case "html":
		if attributes["lang"] != language {
			t.Errorf("the page of %s has %s", language, token)
		}
	case "h1", "h2", "h3":
		level := int(token.Data[1] - '0')
		if level > o.heading+1 {
			t.Errorf("%s follows h%d", token, o.heading)
		}
		o.heading = level
	case "th":
		if attributes["scope"] == "" {
			t.Errorf("%s has no scope", token)
		}
	case "svg":
		o.svgs++
		if attributes["role"] != "img" {
			t.Errorf("%s has no role", token)
		}
	}
}

// TestUnknownIsNotDrawn checks that a week without data has no bar and no number, and that one
// with some data is marked.
func TestUnknownIsNotDrawn(t *testing.T) {
	t.Parallel()
	page := asHTML(t, fullReport(), render.English)
	picture := page[strings.Index(page, "<svg"):strings.Index(page, "</svg>")]
	all := len(fullReport().Sites[0].Weeks)
	for class, want := range map[string]int{"now": 1, "before": all - 2, "missing": 2} {
		// One more is in the legend.
		if got := strings.Count(picture, fmt.Sprintf(`class=%q`, class)) - 1; got != want {
			t.Errorf("%d bars are %s, want %d", got, class, want)
		}
	}
	if !strings.Contains(picture, "≥\u200912<") {
		t.Error("the week with some data has no lower bound")
	}
}
