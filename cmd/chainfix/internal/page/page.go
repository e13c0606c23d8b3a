// Package page draws reports on hosts as one HTML file for people: what has to be decided, the backing
// chains, and what becomes of each guest.
//
// The file is complete in itself. It has no script, asks for nothing else, and says so in a content
// security policy, so that a browser keeps it to that. Names in a report are anybody's: they are quoted
// as in texts, isolated from the direction of the text around them, and never become markup.
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

// Host is one host of a page: the report on it, or why there is none.
type Host struct {
	Name   string       // what the page calls it; "" for the name in the report
	Report *report.Host // nil if there is none
	Error  string       // why there is none, or what went wrong afterwards
}

//go:embed page.html
var pageText string

//go:embed style.css
var styleText string

// shownStyle is the style of a page, without comments, which would be the longer part of a short one, and its
// sum: the policy allows it by that, and so no other.
func shownStyle() (style, sum string) {
	style = withoutComments(styleText)
	hash := sha256.Sum256([]byte(style))
	return style, "sha256-" + base64.StdEncoding.EncodeToString(hash[:])
}

// parsed is the template, which only a run that writes a page waits for.
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

// document is what the template gets.
type document struct {
	Title  string
	Policy string
	Style  template.CSS
	Fleet  *fleetView // nil for one host
	Hosts  []*hostView
}

// Write writes the page about these hosts, of which there is at least one. The error is the writer's.
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
