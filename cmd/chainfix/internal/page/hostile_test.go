package page_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"golang.org/x/net/html"
	"pgregory.net/rapid"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/page"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
)

// hostileNames are markup, controls, directions, lengths and bytes that are no text.
func hostileNames() *rapid.Generator[string] {
	pieces := rapid.SampledFrom([]string{"<", ">", "</bdi>", "<script>alert(1)</script>", "</style>", "<!--", "]]>", "&amp;", "&", "\"", "'", "`", "{{.}}", "\x00", "\x1b[31m", "\n", "\r", "\t",
		"\u202e", "\u2066", "\u200f", "\u2028", "\ufeff", "\xff", "\u05d0\u05d1", "a", "/", " ", "é", "\u0301", "#", "javascript:", "style=\"color:red\"", "onload=x", "\U000e0001", strings.Repeat("long", 1000)})
	return rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(pieces, 1, 6).Draw(t, "pieces"), "")
	})
}

// withNames is a host with such names wherever a report has anybody's.
func withNames(name func(kind string) string) *report.Host {
	m := newMade(name("host"))
	m.Run.Source, m.Run.Policy, m.Run.Chainfix, m.Run.Rule = name("source"), name("policy"), name("version"), name("rule")
	base := m.image("/b/"+name("base"), "", "")
	base.Claims, base.Backing, base.From, base.Problem = name("claims"), name("backing"), "", true
	base.Names = append(base.Names, name("other name"))
	base.Writers = []report.DiskRef{{Guest: name("writer"), Target: name("target")}}
	baseName, key := base.Name, base.Key
	for i := range 5 {
		m.image(fmt.Sprintf("/o/%d %s", i, name("overlay")), "qcow2", baseName)
	}
	top := m.image("/t/"+name("top"), name("format"), baseName)
	g := m.guest(name("guest"), top.Name, report.WillNotStart)
	g.Disks[0].Target, g.HeldBack = name("target"), name("code")
	g.Disks[0].Reason[newer] = name("words")
	g.Findings = []report.Finding{{Code: name("code"), Level: "warning", Text: name("text")}}
	m.Host.Findings = []report.Finding{{Level: "warning", Text: name("text"), Hint: name("hint")}}
	m.Problems = []report.Problem{{State: report.WillNotStart, Code: name("code"), Image: key, Text: name("problem"), Hint: name("hint"), Guests: []string{g.Name}}}
	m.Decisions = []report.Decision{{Code: name("code"), Image: key, Name: baseName, Question: name("question"), Claims: name("claims"), For: []string{name("for")}, Against: []string{name("against"), name("against")},
		Answers: []report.Answer{{Format: name("format"), Flag: name("flag")}, {Command: name("command")}}, Hint: name("hint"), Guests: []string{g.Name}}}
	return m.Host
}

// structure is a page without its text.
func structure(root *html.Node) []string {
	var all []string
	for _, n := range elements(root) {
		var b strings.Builder
		b.WriteString(n.Data)
		for _, a := range n.Attr {
			fmt.Fprintf(&b, " %s=%s", a.Key, a.Val)
		}
		all = append(all, b.String())
	}
	return all
}

// TestHostileNamesChangeNothing: whatever is in the names of a report, the page has the same elements with the
// same attributes, and nothing in its text drives a terminal or turns the direction of what follows.
func TestHostileNamesChangeNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := hostileNames()
		got := parsed(t, written(t, page.Host{Report: withNames(func(kind string) string { return names.Draw(t, kind) })}))
		quiet := parsed(t, written(t, page.Host{Report: withNames(func(string) string { return "a name" })}))
		if a, b := structure(got), structure(quiet); !slices.Equal(a, b) {
			t.Fatalf("the page is\n%q\nand not\n%q", a, b)
		}
		for n := range got.Descendants() {
			if n.Type == html.CommentNode {
				t.Fatalf("a comment: %q", n.Data)
			}
			if n.Type == html.TextNode {
				if i := strings.IndexFunc(n.Data, func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' }); i >= 0 {
					t.Fatalf("the text has %q", n.Data)
				}
			}
		}
	})
}

// TestNamesAreShown: the page quotes a name like the text output, isolated from the text around it.
func TestNamesAreShown(t *testing.T) {
	const name = "</bdi>\u202e<b>\n"
	h := withNames(func(kind string) string {
		if kind == "guest" {
			return name
		}
		return "x"
	})
	found := 0
	for _, n := range elements(parsed(t, written(t, page.Host{Report: h}))) {
		if n.Data == "bdi" && textOf(n) == strconv.Quote(name) {
			found++
		}
	}
	if found < 3 { // in the decision, the picture and the table
		t.Errorf("the guest is named %d times", found)
	}
}

// TestEveryImageIsDrawnOnce: whatever the chains, even loops, each image is on the page once.
func TestEveryImageIsDrawnOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &report.Host{Run: report.Run{Time: time.Unix(0, 0)}}
		n := rapid.IntRange(1, 60).Draw(t, "images")
		keys := rapid.SampledFrom(append([]string{"", "elsewhere"}, keysOf(n)...))
		for i := range n {
			h.Images = append(h.Images, report.Image{
				Key: fmt.Sprintf("i%d", i+1), Name: fmt.Sprintf("/images/n%d.x", i), Below: keys.Draw(t, "below"),
				Format: rapid.SampledFrom([]string{"qcow2", "raw", ""}).Draw(t, "format"), Problem: rapid.Bool().Draw(t, "problem"),
			})
		}
		if rapid.Bool().Draw(t, "data") { // even where an image is said to be its own data file, or another's
			i := rapid.IntRange(0, n-1).Draw(t, "with data")
			h.Images[i].DataFile = h.Images[rapid.SampledFrom([]int{i, (i + 1) % n}).Draw(t, "file")].Key
			h.Images[(i+1)%n].DataFile = h.Images[i].Key
		}
		text := written(t, page.Host{Report: h})
		drawn := 0
		for i := range n {
			name := fmt.Sprintf("n%d.x", i)
			count := strings.Count(text, "/"+name+"</bdi>") + strings.Count(text, ">"+name+"</bdi>")
			count -= strings.Count(text, `<span class="dir">/images/</span>`+name+`</bdi></a>`)
			if data := strings.Count(text, "its data is in <bdi>/images/"+name); data > 0 && count > data {
				count -= data // the data file has overlays
			}
			if count > 1 {
				t.Fatalf("%q is drawn %d times:\n%s", name, count, text)
			}
			drawn += count
		}
		if hidden := hiddenIn(text); drawn+hidden != n {
			t.Fatalf("of %d images %d are drawn and %d counted:\n%s", n, drawn, hidden, text)
		}
	})
}

func keysOf(n int) []string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("i%d", i+1))
	}
	return all
}

// hiddenIn counts the images that lines of names leave out.
func hiddenIn(text string) int {
	sum := 0
	for _, part := range strings.Split(text, "</bdi> and ")[1:] {
		count, _, _ := strings.Cut(part, " more</li>")
		n, err := strconv.Atoi(count)
		if err == nil {
			sum += n
		}
	}
	return sum
}
