package chain

import (
	"fmt"
	"strings"

	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/probe"
)

// Rule says when a format that nobody recorded may be taken from the image's
// own header. Every rule also requires that nothing contradicts the header.
type Rule int

const (
	// Leaf accepts raw, and any format if the header refers to no other file.
	Leaf Rule = iota
	// Strict accepts only raw.
	Strict
	// Declared accepts no format.
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

// ParseRule returns the rule with this name (see [Rule.String]). The error
// lists the names.
func ParseRule(name string) (Rule, error) {
	for _, r := range []Rule{Leaf, Strict, Declared} {
		if r.String() == name {
			return r, nil
		}
	}
	return 0, fmt.Errorf("unknown rule %q (want %q, %q or %q)", name, Leaf, Strict, Declared)
}

// ParseFormat returns the format with this QEMU or libvirt name, if a disk of
// a libvirt guest can have it. "luks", "iso" and "cow" are not accepted; "vhd"
// is libvirt's name of vhdx (see [probe.FromLibvirt]). The error lists QEMU's
// names.
func ParseFormat(name string) (probe.Format, error) {
	if f, ok := probe.FromLibvirt(name); ok {
		return f, nil
	}
	if f := probe.Format(name); f.LibvirtName() != "" {
		return f, nil
	}
	var known []string
	for _, f := range probe.Formats() {
		if f.LibvirtName() != "" {
			known = append(known, string(f))
		}
	}
	return "", fmt.Errorf("%q is not a format that a libvirt disk can have (want one of %s)", name, strings.Join(known, ", "))
}

// Folder is what the operator states about the images in a folder and its
// subfolders.
type Folder struct {
	Path string // absolute; a relative one contains no image
	// Rule replaces the policy's for an image in the folder; nil means the rule
	// of the enclosing folder. If the image's name and its path with symlinks
	// resolved are in folders with different rules, the stricter one is used.
	Rule *Rule
	// TrustHeaders states that no guest ever used an image of the folder as a raw
	// disk, so no guest wrote these headers. An unrecorded format is then taken
	// from the header, with the origin [Trust]. The image may have a backing
	// image, if that exists and is in a folder with TrustHeaders too.
	// Contradictions still refuse the header, and the rule decides for an image
	// without a header. Only the innermost folder counts: one without
	// TrustHeaders excludes its images from the enclosing folder. An image is in
	// a folder only if both its name and its path with symlinks resolved are;
	// that needs a [storage.Resolver].
	TrustHeaders bool
}

// Disagreement says what to do if the XML's explicit chain and the image
// headers differ.
type Disagreement int

const (
	// RefuseDisagreement refuses the disk: the operator has to decide.
	RefuseDisagreement Disagreement = iota
	// HeadersWin rebuilds the chain from the headers.
	HeadersWin
	// XMLWins keeps the chain in the XML.
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

// Policy has the operator's decisions. The zero Policy has the rule [Leaf] and
// refuses every disagreement.
type Policy struct {
	Rule    Rule        // for formats that nobody recorded, outside of Folders
	Trust   []Statement // formats that the operator states; see [ParseStatement]
	Folders []Folder    // in any order
	// Target is the libvirt that will read the XML. If unknown, the XML is
	// written for every libvirt since 6.1.
	Target libvirt.Version
	// Disagreement says what to do if the XML's explicit chain and the headers
	// differ.
	Disagreement Disagreement
	// KeptChains are the disks that keep their explicit chain, whatever the
	// Disagreement is. Each is named by its own image: an absolute path, which
	// may be any name of the file, or the [storage.Name] of an image that is not
	// a local file.
	KeptChains []string
}
