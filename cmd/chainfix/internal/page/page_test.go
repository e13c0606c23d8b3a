package page_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/page"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
	"github.com/chainfix/chainfix/testdata/golden"
)

// written is a page.
func written(t interface{ Fatal(...any) }, hosts ...page.Host) string {
	var b bytes.Buffer
	if err := page.Write(&b, hosts...); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// parsed is the page's tree, as a browser parses it.
func parsed(t interface{ Fatal(...any) }, text string) *html.Node {
	root, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func elements(root *html.Node) []*html.Node {
	var all []*html.Node
	for n := range root.Descendants() {
		if n.Type == html.ElementNode {
			all = append(all, n)
		}
	}
	return all
}

func attribute(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

// textOf is the text of an element with its white space as a browser shows it.
func textOf(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode && d.Parent.Data != "style" {
			b.WriteString(d.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// TestPageSays: the text of the page of a small host, in reading order.
func TestPageSays(t *testing.T) {
	for name, hosts := range map[string][]page.Host{
		"small": {{Report: small()}},
		"fleet": {{Report: small()}, {Name: "hypervisor2", Report: large(40)}, {Name: "hypervisor3", Error: "not reached"}},
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			lines := map[string]string{"h1": "# ", "h2": "## ", "h3": "### ", "h4": "#### ", "p": "", "li": "- ", "tr": "| ", "dt": ": ", "dd": "  ", "summary": "> ", "footer": ""}
			for _, n := range elements(parsed(t, written(t, hosts...))) {
				mark, ok := lines[n.Data]
				if !ok || n.Data == "li" && strings.Contains(strings.Join(structure(n), " "), "class=box") {
					continue // its parts come one by one
				}
				text := textOf(n)
				if n.Data == "tr" {
					var cells []string
					for c := range n.ChildNodes() {
						cells = append(cells, textOf(c))
					}
					text = strings.Join(cells, " | ")
				}
				b.WriteString(mark + text + "\n")
			}
			golden.File(t, "testdata/"+name+".txt", b.String())
		})
	}
}

// TestPageIsSelfContained: it runs nothing, loads nothing, and its policy allows its own style alone.
func TestPageIsSelfContained(t *testing.T) {
	for _, c := range hosts() {
		t.Run(c.name, func(t *testing.T) {
			root := parsed(t, written(t, c.hosts...))
			var policy, style string
			for _, n := range elements(root) {
				switch {
				case n.Data == "style":
					style = n.FirstChild.Data
				case n.Data == "meta" && attribute(n, "http-equiv") == "Content-Security-Policy":
					policy = attribute(n, "content")
				}
				switch n.Data {
				case "script", "link", "img", "iframe", "object", "embed", "form", "base", "image", "use":
					t.Errorf("the page has a <%s>", n.Data)
				}
				for _, a := range n.Attr {
					if a.Key == "style" || a.Key == "src" || strings.HasPrefix(a.Key, "on") || a.Key == "href" && !strings.HasPrefix(a.Val, "#") {
						t.Errorf("<%s %s=%q>", n.Data, a.Key, a.Val)
					}
				}
			}
			sum := sha256.Sum256([]byte(style))
			want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'"
			if policy != want || strings.Contains(style, "url(") || strings.Contains(style, "@import") {
				t.Errorf("the policy is %q, want %q", policy, want)
			}
		})
	}
}

var heading = regexp.MustCompile(`^h[1-6]$`)

// TestPageIsWellFormed: headings descend one level at a time, anchors are there once, and cells have headers.
func TestPageIsWellFormed(t *testing.T) {
	for _, c := range hosts() {
		t.Run(c.name, func(t *testing.T) {
			root := parsed(t, written(t, c.hosts...))
			level, ids, refs, columns := 0, make(map[string]int), make(map[string]bool), make(map[*html.Node]int)
			for _, n := range elements(root) {
				if heading.MatchString(n.Data) {
					next := int(n.Data[1] - '0')
					if next > level+1 || next == 1 && level > 0 {
						t.Errorf("%q is a heading of level %d after one of %d", textOf(n), next, level)
					}
					level = next
				}
				if id := attribute(n, "id"); id != "" {
					ids[id]++
				}
				if ref, ok := strings.CutPrefix(attribute(n, "href"), "#"); ok {
					refs[ref] = true
				}
				if n.Data == "th" && attribute(n, "scope") == "" {
					t.Errorf("a header %q of nothing", textOf(n))
				}
				if n.Data == "th" && attribute(n, "scope") == "col" {
					columns[n.Parent.Parent.Parent]++
				}
				if n.Data == "tr" && n.Parent.Data == "tbody" {
					cells := 0
					for c := range n.ChildNodes() {
						if c.Type == html.ElementNode {
							span, _ := strconv.Atoi(attribute(c, "colspan"))
							cells += max(span, 1)
						}
					}
					if header := columns[n.Parent.Parent]; cells != header {
						t.Errorf("%d cells below %d headers: %s", cells, header, textOf(n))
					}
				}
			}
			for id, n := range ids {
				if n > 1 {
					t.Errorf("%d elements are %q", n, id)
				}
			}
			for ref := range refs {
				if ids[ref] == 0 {
					t.Errorf("nothing is %q", ref)
				}
			}
		})
	}
}

// TestNumbersAddUp: what the page counts at the top is what it lists below.
func TestNumbersAddUp(t *testing.T) {
	for _, n := range []int{40, 300, 5000} {
		h := large(n)
		top, listed := 0, 0
		for _, e := range elements(parsed(t, written(t, page.Host{Report: h}))) {
			if e.Data == "b" && e.Parent.Parent.Parent != nil && attribute(e.Parent.Parent.Parent, "class") == "counts" {
				count, err := strconv.Atoi(strings.ReplaceAll(textOf(e), ",", ""))
				if err != nil {
					t.Fatal(err)
				}
				top += count
			}
			if e.Data == "th" && attribute(e, "scope") == "row" {
				for _, name := range elements(e) {
					listed += strings.Count(name.Data, "bdi")
				}
			}
		}
		if top != n || listed != n {
			t.Errorf("of %d guests %d are counted and %d listed", n, top, listed)
		}
	}
}

// TestPageIsSmall: 5,000 guests stay below 5 MiB, also where no two of them have anything in common.
func TestPageIsSmall(t *testing.T) {
	for name, h := range map[string]*report.Host{"in groups": large(5000), "each for itself": scattered(5000)} {
		if size := len(written(t, page.Host{Report: h})); size > 5<<20 {
			t.Errorf("%s: 5,000 guests are %d bytes", name, size)
		} else {
			t.Logf("%s: %d KiB", name, size>>10)
		}
	}
}

// TestLinksDiffer: broken, guessed and recorded links differ in words and lines, not in colour alone.
func TestLinksDiffer(t *testing.T) {
	text := written(t, page.Host{Report: small()})
	for _, want := range []string{
		`<li class="guessed"><details class="box fold "><summary><b>5</b> qcow2 overlays <span class="chip warning">backing format not recorded</span>`,
		`<div class="link broken"></div>`, `<span class="chip error">does not exist</span>`, `<div class="link recorded"></div>`,
		".link.guessed{border-left:2px dashed", ".link.broken{border-left:3px dotted",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page has no %s", want)
		}
	}
}

// TestLongChain: a chain of 200 layers is drawn as a few boxes, and names all of them.
func TestLongChain(t *testing.T) {
	text := written(t, page.Host{Report: odd()})
	boxes := 0
	for n := range 200 {
		name := fmt.Sprintf("layer%03d", n)
		if strings.Count(text, name+"<") != 1 {
			t.Errorf("%q is there %d times", name, strings.Count(text, name+"<"))
		}
		boxes += strings.Count(text, `<span class="dir">/deep/</span>`+name)
	}
	if boxes != 2 || !strings.Contains(text, "<b>198</b> more layers in a row") {
		t.Errorf("200 layers are %d boxes", boxes)
	}
}

type fullWriter struct{}

var errFull = errors.New("full")

func (fullWriter) Write([]byte) (int, error) { return 0, errFull }

// TestWriteFails: a write error is returned.
func TestWriteFails(t *testing.T) {
	if err := page.Write(fullWriter{}, page.Host{Report: small()}); !errors.Is(err, errFull) {
		t.Errorf("got %v", err)
	}
	if err := page.Write(io.Discard, page.Host{Name: "alone", Error: "not reached"}); err != nil {
		t.Error(err)
	}
}

// TestMissingDataFile: an image without its data file is shown, however many similar ones are
// folded.
func TestMissingDataFile(t *testing.T) {
	m := newMade("hypervisor1")
	for n := range 5 {
		m.image(fmt.Sprintf("/images/%d.qcow2", n), "qcow2", "").DataFile = "i6"
	}
	m.image("/images/data.raw", "raw", "").Exists = pointer(false)
	text := written(t, page.Host{Report: m.Host})
	for _, want := range []string{`<span class="chip error">its data file does not exist</span>`, "its data is in <bdi>/images/data.raw</bdi>"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page has no %s", want)
		}
	}
}
