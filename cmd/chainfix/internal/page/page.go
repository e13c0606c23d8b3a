// Package page draws reports on hosts as one HTML file: the decisions, the backing chains, and how
// each guest starts.
//
// The file is self-contained. It has no script and loads nothing, and a content security policy makes
// the browser enforce that. Names in a report are untrusted: they are quoted as in texts, isolated from
// the text direction around them, and never become markup.
package page

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strings"
	"sync"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
)

// Host is one host of a page: its report, or why it has none.
type Host struct {
	Name   string       // what the page calls it; "" for the name in the report
	Report *report.Host // nil if there is none
	Error  string       // why there is no report, or what failed afterwards
}

//go:embed page.html
var pageText string

//go:embed style.css
var styleText string

// shownStyle returns the style of a page, without comments, which would be most of a short page, and its
// hash: the policy allows only the style with that hash.
func shownStyle() (style, sum string) {
	style = withoutComments(styleText)
	hash := sha256.Sum256([]byte(style))
	return style, "sha256-" + base64.StdEncoding.EncodeToString(hash[:])
}

// parsed returns the template. Only a run that writes a page spends the time to parse it.
var parsed = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("page").Funcs(template.FuncMap{"thousands": thousands}).Parse(pageText))
})

func withoutComments(css string) string {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(css, "/*")
		out.WriteString(before)
		if !found {
			return strings.TrimSpace(out.String())
		}
		_, css, _ = strings.Cut(rest, "*/")
	}
}

// document is the input of the template.
type document struct {
	Title  string
	Policy string
	Style  template.CSS
	Fleet  *fleetView // nil for one host
	Hosts  []*hostView
}

// Write writes the page about these hosts, at least one. It returns the writer's error.
func Write(w io.Writer, hosts ...Host) error {
	style, sum := shownStyle()
	d := document{
		Policy: "default-src 'none'; style-src '" + sum + "'; base-uri 'none'; form-action 'none'",
		Style:  template.CSS(style),
	}
	for i, h := range hosts {
		d.Hosts = append(d.Hosts, newHostView(h, i, len(hosts) > 1))
	}
	if len(hosts) > 1 {
		d.Fleet = newFleetView(d.Hosts)
		d.Title = fmt.Sprintf("Backing chains of %d hosts", len(hosts))
	} else {
		d.Title = "Backing chains of " + d.Hosts[0].Name
	}
	var b bytes.Buffer
	if err := parsed().Execute(&b, d); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}
