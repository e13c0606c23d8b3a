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
	// the same file.
	Path   string
	Format probe.Format
}

// Policy is what the operator decides.
type Policy struct {
	Rule  Rule
	Trust []Statement
	// Refresh: where the XML's explicit chain disagrees with the headers,
	// the headers win. KeepXML: the XML does. At most one may be set.
	Refresh, KeepXML bool
}
