//go:build !small

package main

import (
	"io"
	"slices"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/metrics"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/page"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/text"
)

// hostOutput writes the report on a host in one form, in as many pieces as the form
// needs, so that a long report is not in memory twice.
type hostOutput interface {
	// guest is called in turn for each guest that is shown.
	guest(*report.Guest) error
	// end is called once, after the last guest, with the report without its guests.
	end(*report.Host) error
}

// hostForm is a word for --output, and what writes that form.
type hostForm struct {
	word  string
	write func(w io.Writer, o *options, head report.Host) hostOutput
}

// hostForms are the forms of the report on a host, the default first. [whole] makes a
// form that needs the whole report at once.
func hostForms() []hostForm {
	return []hostForm{
		{"text", func(w io.Writer, o *options, head report.Host) hostOutput {
			return hostText{text.New(w, head.Run.Targets, o.textOptions(w))}
		}},
		{"json", func(w io.Writer, _ *options, head report.Host) hostOutput {
			return &hostJSON{w: w, head: head}
		}},
		{"prometheus", whole(metrics.Write)},
		{"html", whole(func(w io.Writer, h *report.Host) error { return page.Write(w, page.Host{Report: h}) })},
	}
}

// hostText is the form for people.
type hostText struct{ *text.Printer }

func (t hostText) guest(g *report.Guest) error { t.Guest(g); return nil }

func (t hostText) end(h *report.Host) error { return writeError(t.End(h)) }

// whole turns a function that writes the whole report into a form.
func whole(use func(io.Writer, *report.Host) error) func(io.Writer, *options, report.Host) hostOutput {
	return func(w io.Writer, _ *options, _ report.Host) hostOutput { return &wholeOutput{w: w, use: use} }
}

type wholeOutput struct {
	w      io.Writer
	use    func(io.Writer, *report.Host) error
	guests []report.Guest
}

func (o *wholeOutput) guest(g *report.Guest) error {
	o.guests = append(o.guests, *g)
	return nil
}

func (o *wholeOutput) end(h *report.Host) error {
	all := *h
	all.Guests = o.guests
	return writeError(o.use(o.w, &all))
}

// hostOutputFlags choose the form of the report on a host.
func hostOutputFlags() []flagRow {
	var words []string
	for _, form := range hostForms() {
		words = append(words, form.word)
	}
	return []flagRow{outputFlag(words...)}
}

// hostOutput returns the writer of the form that the flags select.
func (o *options) hostOutput(w io.Writer, head report.Host) hostOutput {
	forms := hostForms()
	i := max(slices.IndexFunc(forms, func(f hostForm) bool { return f.word == o.form }), 0)
	return forms[i].write(w, o, head)
}
