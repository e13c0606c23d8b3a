//go:build !small

package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/completion"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
	"github.com/chainfix/chainfix/docs/schema"
	"github.com/chainfix/chainfix/probe"
)

// completeWithin bounds how long completion waits for a libvirt or a file system that
// does not answer.
const completeWithin = time.Second

// placeholders maps each placeholder in the help of a flag or a command to the function
// that completes it, nil if nothing is known. A placeholder with a bar, such as
// text|json, is not listed: it names its values itself.
var placeholders = map[string]func(*typedLine, context.Context) completion.Reply{
	"FILE":           kind(completion.Files),
	"IMAGE":          kind(completion.Files),
	"PROGRAM":        kind(completion.Files),
	"DIR":            kind(completion.Folders),
	"CODE":           fixed(codeValues),
	"NAME":           fixed(schemaValues),
	"URI":            fixed(uriValues),
	"X.Y[.Z]":        fixed(libvirtValues),
	"LIBVIRT[+QEMU]": fixed(pairValues),
	"GUEST":          waiting((*typedLine).guestValues),
	"RUN":            waiting((*typedLine).runValues),
	"OPERATION":      fixed(func() []completion.Value { return plainValues("migrate", "prepare", "restore", "start") }),
	"SUB-OPERATION":  fixed(func() []completion.Value { return plainValues("begin") }),
	"EXTRA":          fixed(func() []completion.Value { return plainValues("-") }),
	"PATH=FORMAT":    nil, // see formats
	"KINDS":          nil, // see kinds
	"TIME":           nil,
	"N":              nil,
}

func kind(k completion.Kind) func(*typedLine, context.Context) completion.Reply {
	return func(*typedLine, context.Context) completion.Reply { return completion.Reply{Kind: k} }
}

func fixed(values func() []completion.Value) func(*typedLine, context.Context) completion.Reply {
	return func(*typedLine, context.Context) completion.Reply {
		return completion.Reply{Kind: completion.Words, Values: values()}
	}
}

// waiting wraps a completion that asks a source which may not answer.
func waiting(values func(*typedLine, context.Context) []completion.Value) func(*typedLine, context.Context) completion.Reply {
	return func(t *typedLine, ctx context.Context) completion.Reply {
		ctx, cancel := context.WithTimeout(ctx, completeWithin)
		defer cancel()
		answer := make(chan []completion.Value, 1)
		go func() { answer <- values(t, ctx) }()
		r := completion.Reply{Kind: completion.Words}
		select {
		case r.Values = <-answer:
		case <-ctx.Done():
		}
		// What begins with a dash would be taken for a flag.
		r.Values = slices.DeleteFunc(r.Values, func(v completion.Value) bool { return !t.ended && strings.HasPrefix(v.Text, "-") })
		return r
	}
}

// values returns the completions of a placeholder; head is the part of the word before
// it.
func (t *typedLine) values(ctx context.Context, placeholder, head, rest string) completion.Reply {
	r := completion.Reply{Kind: completion.Words}
	switch of := placeholders[placeholder]; {
	case placeholder == "PATH=FORMAT":
		r = formats(rest)
	case placeholder == "KINDS":
		r = kinds(rest)
	case strings.Contains(placeholder, "|"):
		r.Values = plainValues(strings.Split(placeholder, "|")...)
	case of != nil:
		r = of(t, ctx)
	}
	for i := range r.Values {
		r.Values[i].Text = head + r.Values[i].Text
	}
	return r
}

func plainValues(words ...string) []completion.Value {
	var values []completion.Value
	for _, word := range words {
		values = append(values, completion.Value{Text: word})
	}
	return values
}

// formats completes PATH=FORMAT.
func formats(rest string) completion.Reply {
	i := strings.LastIndexByte(rest, '=')
	if i < 0 {
		return completion.Reply{Kind: completion.Files}
	}
	r := completion.Reply{Kind: completion.Words}
	for _, f := range probe.Formats() {
		if _, err := chain.ParseFormat(string(f)); err == nil {
			r.Values = append(r.Values, completion.Value{Text: rest[:i+1] + string(f)})
		}
	}
	return r
}

// kinds completes the last of several kinds of guests.
func kinds(rest string) completion.Reply {
	done := rest[:strings.LastIndexByte(rest, ',')+1]
	r := completion.Reply{Kind: completion.Words}
	for _, kind := range report.Kinds() {
		if !slices.Contains(strings.Split(done, ","), kind) {
			r.Values = append(r.Values, completion.Value{Text: done + kind})
		}
	}
	return r
}

func codeValues() []completion.Value {
	var values []completion.Value
	for _, e := range finding.Explanations() {
		values = append(values, completion.Value{Text: string(e.Code), About: e.Summary})
	}
	return values
}

func schemaValues() []completion.Value {
	var values []completion.Value
	for _, name := range schema.Names() {
		title, _ := schemaTitle(name)
		values = append(values, completion.Value{Text: name, About: title})
	}
	return values
}

func uriValues() []completion.Value { return plainValues("qemu:///system", "qemu:///session") }

// libvirtValues are the libvirts of distributions.
func libvirtValues() []completion.Value {
	var values []completion.Value
	for _, r := range libvirt.Releases() {
		values = append(values, completion.Value{Text: r.Libvirt.String(), About: r.Where})
	}
	return values
}

// pairValues are these, and once one is typed its QEMU.
func pairValues() []completion.Value {
	values := libvirtValues()
	for _, r := range libvirt.Releases() {
		values = append(values, completion.Value{Text: r.Pair.String(), About: r.Where})
	}
	return values
}

// guestValues are the guests of the libvirt or the folder that the command line
// names, without those already on the line.
func (t *typedLine) guestValues(ctx context.Context) []completion.Value {
	var names []string
	if dir, ok := t.flags["from"]; ok {
		for guest, err := range host.FolderAt(dir).Guests(ctx) {
			if err == nil {
				names = append(names, guest.Name)
			}
		}
	} else {
		uri, ok := t.flags["connect"]
		if !ok {
			uri = defaultConnect()
		}
		d, err := host.Connect(ctx, uri)
		if err != nil {
			return nil
		}
		defer d.Close()
		if names, err = d.GuestNames(ctx); err != nil {
			return nil
		}
		slices.Sort(names)
	}
	return plainValues(slices.DeleteFunc(names, func(name string) bool { return slices.Contains(t.names, name) })...)
}

// runValues are the runs in the state folder that the command line names, the newest
// first.
func (t *typedLine) runValues(context.Context) []completion.Value {
	o := &options{stateDir: t.flags["state-dir"]}
	dir, err := o.stateFolder()
	if err != nil {
		return nil
	}
	var values []completion.Value
	for run, err := range host.Runs(dir) {
		if err != nil {
			continue
		}
		r := runOf(run)
		values = append(values, completion.Value{Text: r.Name, About: r.what()})
	}
	return values
}
