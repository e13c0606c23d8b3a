package chain

import (
	"fmt"

	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/probe"
)

// Rule says when a format that nobody recorded may be taken from the image's
// own header. Every rule also demands that nothing contradicts the header.
type Rule int

const (
	// Leaf takes raw, and any format whose header refers to no other file.
	Leaf Rule = iota
	// Strict takes raw only.
	Strict
	// Declared takes nothing.
	Declared
)

// String returns "leaf", "strict" or "declared".
func (r Rule) String() string {
	switch r {
	case Leaf:
		return "leaf"
	case Strict:
		return "strict"
	case Declared:
		return "declared"
	}
	return fmt.Sprintf("Rule(%d)", int(r))
}

// ParseRule returns the rule called name, as [Rule.String] has it. The error lists the
// names.
func ParseRule(name string) (Rule, error) {
	for _, r := range []Rule{Leaf, Strict, Declared} {
		if r.String() == name {
			return r, nil
		}
	}
	return 0, fmt.Errorf("unknown rule %q (want %q, %q or %q)", name, Leaf, Strict, Declared)
}

// ParseFormat returns the format that QEMU or libvirt calls name, of those that
// a disk of a libvirt guest can have. "luks", "iso" and "cow" are no such formats;
// "vhd" is libvirt's name of vhdx (see [probe.FromLibvirt]).
func ParseFormat(name string) (probe.Format, error) {
	if f, ok := probe.FromLibvirt(name); ok {
		return f, nil
	}
	if f := probe.Format(name); f.LibvirtName() != "" {
		return f, nil
	}
	return "", fmt.Errorf("%q is no format that a libvirt disk can have", name)
}

// Folder is what the operator states about the images in a folder and in all
// folders below it.
type Folder struct {
	Path string // absolute; a relative one holds nothing
	// Rule replaces the policy's for an image in the folder; nil leaves that
	// to the next folder outside. If the image's name and its path with
	// symlinks resolved are in folders of different rules, the stricter
	// counts.
	Rule *Rule
	// TrustHeaders states that no guest ever had an image of the folder as a
	// raw disk, so that the headers of these images are true: an unrecorded
	// format is what the header says, with [Trust] as its origin, even of an
	// image that refers to a backing image, if that exists and is in a folder
	// with TrustHeaders too. What contradicts a header still refuses it, and
	// for an image without a header the rule decides. Only the innermost
	// folder counts: one without TrustHeaders excludes its images from the
	// folder around it. An image is in a folder only if both its name and its
	// path with symlinks resolved are; that needs a [storage.Resolver].
	TrustHeaders bool
}

// Disagreement says which counts where the XML's explicit chain and the headers of
// the images differ.
type Disagreement int

const (
	// RefuseDisagreement refuses the disk: the operator has to decide.
	RefuseDisagreement Disagreement = iota
	// HeadersWin rebuilds the chain from the headers.
	HeadersWin
	// XMLWins keeps what the XML says.
	XMLWins
)

// String returns "refuse", "headers" or "xml".
func (d Disagreement) String() string {
	switch d {
	case RefuseDisagreement:
		return "refuse"
	case HeadersWin:
		return "headers"
	case XMLWins:
		return "xml"
	}
	return fmt.Sprintf("Disagreement(%d)", int(d))
}

// Policy is what the operator decides. The zero Policy has the rule [Leaf] and
// refuses every disagreement.
type Policy struct {
	Rule    Rule        // for formats that nobody recorded, outside of Folders
	Trust   []Statement // what the operator states of images; see [ParseStatement]
	Folders []Folder    // what the operator states of folders; their order does not matter
	// Target is the libvirt that will read the XML. If it is not known, what
	// is written is what every libvirt since 6.1 understands.
	Target libvirt.Version
	// Disagreement is what counts where the XML's explicit chain and the
	// headers differ.
	Disagreement Disagreement
	// KeptChains are the disks whose explicit chain stays as the XML states it, whatever
	// the Disagreement is. Each is named by its own image: an absolute path, which may be
	// any name of the file, or for an image that is no local file its [storage.Name].
	KeptChains []string
}
