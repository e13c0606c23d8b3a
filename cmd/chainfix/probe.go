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
	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
	"github.com/chainfix/chainfix/probe"
	"libvirt.org/go/libvirtxml"
)

func probeCommand(std streams) *cli.Command {
	return &cli.Command{
		Name:        "probe",
		Usage:       "show what an image's header claims; opens no other file",
		ArgsUsage:   "IMAGE...",
		Description: probeDescription,
		Flags:       flagsOf(outputFlags(), outFlags(), timeoutFlags(limit.DefaultTimeout)),
		Action:      func(c *cli.Context) error { return toOut(c, std, probeImages) },
	}
}

// probedJSON uses qemu-img's names, with their meaning, for what qemu-img shows too. A
// name that may contain a password is reduced to its protocol. For an image that cannot
// be read it has the name and a finding.
type probedJSON struct {
	// Filename is the image as it was named.
	Filename string `json:"filename"`
	// Format is the format that the image claims, in QEMU's word: raw if it has no
	// signature.
	Format string `json:"format,omitempty"`
	// LibvirtFormat is the same in libvirt's word, absent if libvirt has none.
	LibvirtFormat string `json:"libvirt-format,omitempty"`
	// VirtualSize is the size of the disk that a guest would see, in bytes.
	VirtualSize *uint64 `json:"virtual-size,omitempty"`
	// ActualSize is how many bytes the image occupies in its storage. It is absent if the
	// data is in other files, which are not opened.
	ActualSize *int64 `json:"actual-size,omitempty"`
	// ClusterSize is the unit of allocation in bytes, absent where there is none.
	ClusterSize uint64 `json:"cluster-size,omitempty"`
	// Dirty is true if the last writer did not close the image.
	Dirty *bool `json:"dirty-flag,omitempty"`
	// Encrypted is true if the content of the image is encrypted, absent otherwise.
	Encrypted bool `json:"encrypted,omitempty"`
	// Backing is the name of the backing image as the header has it.
	Backing string `json:"backing-filename,omitempty"`
	// FullBacking is the same name as QEMU would open it: a relative name is resolved in
	// the folder of the image.
	FullBacking string `json:"full-backing-filename,omitempty"`
	// BackingFormat is what the header records as the format of the backing image.
	BackingFormat string `json:"backing-filename-format,omitempty"`
	// DataFile is the name of the external data file.
	DataFile string `json:"data-file,omitempty"`
	// Signatures are all formats whose signature the image has, in QEMU's words.
	Signatures []string `json:"signatures"`
	// References are all other files that the image names.
	References []referenceJSON `json:"references"`
	// Findings are the findings about the image.
	Findings []report.Finding `json:"findings"`

	encryption probe.Encryption
}

// referenceJSON is another file that an image names.
type referenceJSON struct {
	// Kind says what the image needs the file for.
	Kind string `json:"kind"`
	// Name is how the image names it.
	Name string `json:"name"`
	// Format is what the image records as its format.
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
	before := "[" // written before the next image in JSON, or before the end
	// One after the other: each may name thousands of files.
	next := func(p probedJSON) error {
		text, err := encodeJSON(p)
		if err != nil {
			return err
		}
		err = write(std.out, append([]byte(before), text...))
		before = ","
		return err
	}
	for _, path := range c.Args().Slice() {
		src := &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: path}}
		// One walker per image, so that nothing is cached longer than needed.
		images := image.NewCache(nil)
		images.SetRequests(requests)
		in, err := (&chain.Walker{Images: images}).Inspect(c.Context, src)
		if c.Context.Err() != nil {
			return inputError(context.Cause(c.Context))
		}
		if err != nil {
			worst = exitInput
			hint := absentImageHint(path, err)
			if !o.json {
				fmt.Fprintf(std.err, "%s: error: cannot read the image: %v\n", shownName(path), unwrapPath(err))
				printHint(std.err, hint)
				continue
			}
			f := chain.Uninspected(src, err)
			if !hint.IsZero() {
				f.Remedy = hint
			}
			if err := next(unreadImage(path, f)); err != nil {
				return err
			}
			continue
		}
		if len(in.Signatures) == 0 && isXML(c.Context, requests, src) {
			in.Findings = append(in.Findings, finding.Finding{Code: finding.XMLNotImage, Severity: finding.Warn, Text: "this is XML; as an image it would be raw",
				Remedy: finding.Say("to check a domain XML: %s", finding.Command("chainfix check "+finding.ShellWord(path)))})
		}
		for _, f := range in.Findings {
			if !o.json { // which has them in it
				printFinding(std.err, shownName(path), f)
			}
			if f.Severity == finding.Refuse {
				worst = max(worst, exitRefused)
			}
		}
		p := probedOf(path, in)
		if o.json {
			err = next(p)
		} else {
			err = write(std.out, []byte(p.text()))
		}
		if err != nil {
			return err
		}
	}
	if o.json {
		if err := write(std.out, []byte(strings.TrimSuffix(before, ",")+"]\n")); err != nil {
			return err
		}
	}
	return ended(worst)
}

// isXML reports whether a file without a signature begins like an XML document. A read
// error counts as no.
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
		Signatures: []string{}, References: []referenceJSON{}, Findings: report.FindingsOf(in.Findings...)}
	for _, s := range in.Signatures {
		p.Signatures = append(p.Signatures, string(s.Format))
	}
	h := in.Header
	if h == nil {
		return p
	}
	p.VirtualSize, p.ClusterSize, p.Dirty = &h.VirtualSize, h.ClusterSize, &h.Dirty
	if in.Allocated >= 0 && h.DataFile == nil && len(h.Extents) == 0 {
		p.ActualSize = &in.Allocated
	}
	p.Encrypted, p.encryption = h.Encryption != probe.Plain, h.Encryption
	mention := func(kind string, r *probe.Reference) {
		p.References = append(p.References, referenceJSON{kind, storage.Shown(r.Name), r.Format})
	}
	if h.Backing != nil {
		p.Backing, p.BackingFormat = storage.Shown(h.Backing.Name), h.Backing.Format
		p.FullBacking = storage.Shown(fullBacking(path, h.Backing.Name))
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

// fullBacking is QEMU's path_combine: it resolves a relative name in the folder of
// the overlay, as the overlay itself was named.
func fullBacking(overlay, backing string) string {
	if strings.HasPrefix(backing, "/") || !storage.LooksLikeFile(backing) {
		return backing
	}
	return overlay[:strings.LastIndexByte(overlay, '/')+1] + backing
}

// unreadImage describes an image that cannot be read.
func unreadImage(path string, why finding.Finding) probedJSON {
	return probedJSON{Filename: path, Signatures: []string{}, References: []referenceJSON{}, Findings: report.FindingsOf(why)}
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
