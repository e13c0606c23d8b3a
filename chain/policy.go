package chain

import (
	"fmt"

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

// ParseRule returns the rule called name.
func ParseRule(name string) (Rule, error) {
	for _, r := range []Rule{Leaf, Strict, Declared} {
		if r.String() == name {
			return r, nil
		}
	}
	return 0, fmt.Errorf("unknown rule %q (want %q, %q or %q)", name, Leaf, Strict, Declared)
}

// Statement is the operator's word on the format of one image. It fills the
// silence of the headers; it does not override what a header or the XML says.
type Statement struct {
	// Path names the image: as the chain spells it, or by any other name of
	// the same file; an image that is no local file by its [Name].
	Path string
	// Pattern makes Path a pattern of [path.Match] that is held against the
	// name as the chain spells it, cleaned. A statement with a plain path
	// comes before one with a pattern.
	Pattern bool
	Format  probe.Format
}

// Folder is what the operator states about the images in a folder and in all
// folders below it. The innermost folder that says something counts.
type Folder struct {
	Path string // absolute
	// Rule replaces the policy's for an image in the folder; nil leaves it.
	Rule *Rule
	// Believed states that no guest ever had an image of the folder as a raw
	// disk, so that their headers tell the truth: an unrecorded format is
	// what the header says, with [Trust] as its origin, even of an image
	// that refers to a backing image, if that is there and in a folder that
	// is believed too. Whatever contradicts a header still does.
	Believed bool
}

// Policy is what the operator decides.
type Policy struct {
	Rule    Rule
	Trust   []Statement
	Folders []Folder
	// Target is the libvirt that will read the XML. If it is not known, what
	// is written is what every libvirt since 6.1 understands.
	Target Version
	// Refresh: where the XML's explicit chain disagrees with the headers,
	// the headers win. KeepXML: the XML does. At most one may be set.
	Refresh, KeepXML bool
}
