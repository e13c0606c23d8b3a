package main

import (
	"io"
	"slices"

	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
)

// hostOutput writes the report on a host in one form. What is written goes to one stream,
// in as many pieces as the form likes: a long report need not be in memory twice.
type hostOutput interface {
	// guest is called for each guest in turn.
	guest(*host.Report) error
	// end is called once, after the last guest, with the whole report.
	end(*report.Host) error
}

// hostForm is a word for --output, and what writes that form.
type hostForm struct {
	word  string
	write func(w io.Writer, o *options, running libvirt.Version) hostOutput
}

// hostForms are the forms of the report on a host, the usual one first. A form that is
// written of the whole report, all at once, is a row with [whole].
func hostForms() []hostForm {
	return []hostForm{
		{"text", func(w io.Writer, _ *options, _ libvirt.Version) hostOutput {
			return &hostText{w: w, summary: newSummary()}
		}},
		{"json", func(w io.Writer, _ *options, running libvirt.Version) hostOutput {
			return &hostJSON{w: w, libvirt: running}
		}},
	}
}

// whole makes a form of a function that writes the whole report.
func whole(use func(io.Writer, *report.Host) error) func(io.Writer, *options, libvirt.Version) hostOutput {
	return func(w io.Writer, _ *options, _ libvirt.Version) hostOutput { return &wholeOutput{w, use} }
}

type wholeOutput struct {
	w   io.Writer
	use func(io.Writer, *report.Host) error
}

func (*wholeOutput) guest(*host.Report) error { return nil }

func (o *wholeOutput) end(h *report.Host) error { return writeError(o.use(o.w, h)) }

// hostOutputFlags choose the form of the report on a host.
func hostOutputFlags() []flagRow {
	var words []string
	for _, form := range hostForms() {
		words = append(words, form.word)
	}
	return []flagRow{outputFlag(words...)}
}

// hostOutput is what writes the form that the flags name.
func (o *options) hostOutput(w io.Writer, running libvirt.Version) hostOutput {
	forms := hostForms()
	i := max(slices.IndexFunc(forms, func(f hostForm) bool { return f.word == o.form }), 0)
	return forms[i].write(w, o, running)
}
