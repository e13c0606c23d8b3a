package main

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/urfave/cli/v2"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/limit"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
	"libvirt.org/go/libvirtxml"
)

func probeCommand(std streams) *cli.Command {
	return &cli.Command{
		Name:        "probe",
		Usage:       "say what an image's own header claims; opens nothing it names",
		ArgsUsage:   "IMAGE...",
		Description: probeDescription,
		Flags:       flagsOf(outputFlags(), timeoutFlags(limit.DefaultTimeout)),
		Action:      func(c *cli.Context) error { return probeImages(c, std) },
	}
}

// probedJSON has qemu-img's names for what qemu-img shows too. Of a name that
// may hold a password it has the protocol alone.
type probedJSON struct {
	Filename      string          `json:"filename"`
	Format        string          `json:"format"`
	VirtualSize   *uint64         `json:"virtual-size,omitempty"`
	Backing       string          `json:"backing-filename,omitempty"`
	BackingFormat string          `json:"backing-filename-format,omitempty"`
	DataFile      string          `json:"data-file,omitempty"`
	Encrypted     bool            `json:"encrypted,omitempty"`
	Signatures    []string        `json:"signatures"`
	References    []referenceJSON `json:"references"`
	LibvirtFormat string          `json:"libvirt-format,omitempty"`
	Findings      []findingJSON   `json:"findings"`

	encryption probe.Encryption
}

type referenceJSON struct {
	Kind   string `json:"kind"` // "backing", "data-file" or "extent"
	Name   string `json:"name"`
	Format string `json:"format,omitempty"`
}

func probeImages(c *cli.Context, std streams) error {
	if c.NArg() == 0 {
		return seeHelp(pathOf(c), usageError("probe needs an IMAGE"))
	}
	o, err := optionsOf(c)
	if err != nil {
		return err
	}
	worst, requests := exitDone, o.requests()
	progress := startProgress(c.Context, std, requests)
	defer progress.end()
	before := "[" // what is written before the next image in JSON, or before the end of none
	for _, path := range c.Args().Slice() {
		src := &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: path}}
		// A walker an image: nothing is remembered for longer than needed.
		images := image.NewCache(nil)
		images.SetRequests(requests)
		in, err := (&chain.Walker{Images: images}).Inspect(c.Context, src)
		if c.Context.Err() != nil {
			return inputError(context.Cause(c.Context))
		}
		if err != nil {
			fmt.Fprintf(std.err, "%s: error: cannot read the image: %v\n", shownName(path), unwrapPath(err))
			printHint(std.err, absentImageHint(path, err))
			worst = exitInput
			continue
		}
		if len(in.Signatures) == 0 && isXML(c.Context, requests, src) {
			in.Findings = append(in.Findings, finding.Finding{Code: finding.XMLNotImage, Severity: finding.Warn, Text: "this is XML, and as an image it would be raw",
				Remedy: finding.Say("what becomes of the disks of a domain XML: %s", finding.Command("chainfix check "+finding.ShellWord(path)))})
		}
		for _, f := range in.Findings {
			printFinding(std.err, shownName(path), f)
			if f.Severity == finding.Refuse {
				worst = max(worst, exitRefused)
			}
		}
		p := probedOf(path, in)
		if !o.json {
			if err := write(std.out, []byte(p.text())); err != nil {
				return err
			}
			continue
		}
		// One after the other: each may name thousands of files.
		text, err := encodeJSON(p)
		if err != nil {
			return err
		}
		if err := write(std.out, append([]byte(before), text...)); err != nil {
			return err
		}
		before = ","
	}
	if o.json {
		if err := write(std.out, []byte(strings.TrimSuffix(before, ",")+"]\n")); err != nil {
			return err
		}
	}
	return ended(worst)
}

// isXML reports whether a file that bears no signature begins like a document. That it
// cannot be read again is nothing to say here.
func isXML(ctx context.Context, requests *limit.Requests, src *libvirtxml.DomainDiskSource) bool {
	begin, err := limit.Do(ctx, requests, src.File.File, func(ctx context.Context) ([]byte, error) {
		file, err := storage.FileOpener{}.Open(ctx, src)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		begin := make([]byte, min(file.Size(), 512))
		n, err := file.ReadAt(begin, 0)
		return begin[:n], err
	})
	begin = bytes.TrimLeft(bytes.TrimPrefix(begin, []byte("\ufeff")), " \t\r\n")
	return err == nil && len(begin) > 1 && begin[0] == '<' && (begin[1] == '?' || begin[1] == '!' || unicode.IsLetter(rune(begin[1])))
}

func probedOf(path string, in *chain.Inspection) probedJSON {
	p := probedJSON{Filename: path, Format: string(in.Format), LibvirtFormat: in.Format.LibvirtName(),
		Signatures: []string{}, References: []referenceJSON{}, Findings: findingsOf(in.Findings)}
	for _, s := range in.Signatures {
		p.Signatures = append(p.Signatures, string(s.Format))
	}
	h := in.Header
	if h == nil {
		return p
	}
	p.VirtualSize = &h.VirtualSize
	p.Encrypted, p.encryption = h.Encryption != probe.Plain, h.Encryption
	mention := func(kind string, r *probe.Reference) {
		p.References = append(p.References, referenceJSON{kind, storage.Shown(r.Name), r.Format})
	}
	if h.Backing != nil {
		p.Backing, p.BackingFormat = storage.Shown(h.Backing.Name), h.Backing.Format
		mention("backing", h.Backing)
	}
	if h.DataFile != nil {
		p.DataFile = storage.Shown(h.DataFile.Name)
		mention("data-file", h.DataFile)
	}
	for i := range h.Extents {
		mention("extent", &h.Extents[i])
	}
	return p
}

func (p probedJSON) text() string {
	var b strings.Builder
	line := func(what, value string) { fmt.Fprintf(&b, "%s: %s\n", what, value) }
	line("image", strconv.Quote(p.Filename))
	if len(p.Signatures) == 0 {
		line("no known signature", p.Format)
	} else {
		line("format", p.Format)
	}
	if p.LibvirtFormat != p.Format && p.LibvirtFormat != "" {
		line("libvirt format", p.LibvirtFormat)
	}
	if p.VirtualSize != nil {
		line("virtual size", strconv.FormatUint(*p.VirtualSize, 10)+" bytes")
	}
	if p.Encrypted {
		line("encrypted", string(p.encryption))
	}
	if len(p.Signatures) > 1 {
		line("signatures", strings.Join(p.Signatures, ", "))
	}
	for _, r := range p.References {
		value := strconv.Quote(r.Name)
		switch {
		case r.Format != "":
			value += ", recorded as " + strconv.Quote(r.Format)
		case r.Kind == "backing":
			value += ", no format recorded"
		}
		line(map[string]string{"backing": "backing image", "data-file": "data file", "extent": "extent"}[r.Kind], value)
	}
	return b.String()
}
