package draft

import (
	"bytes"
	"cmp"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/policyfile"
	"github.com/chainfix/chainfix/probe"
)

// StatesNothing reports whether a text is a policy file without statements.
func StatesNothing(text []byte) bool {
	file, err := policyfile.Parse("", text)
	if err != nil {
		return false
	}
	p := file.Policy
	return file.Pools == "" && p.Rule == chain.Leaf && !p.Target.Known() && len(p.Trust) == 0 && len(p.Folders) == 0 && len(p.KeptChains) == 0
}

// IsDraft reports whether a text is a draft without answers.
func IsDraft(text []byte) bool {
	return bytes.HasPrefix(text, []byte(firstLine)) && StatesNothing(text)
}

// stateFormats writes a line for each possible format of an image. If a policy
// file cannot name the image, it writes why and returns false.
func (d *draft) stateFormats(e *entry, name string, formats []string) bool {
	key, named, why := d.imageOf(name)
	written := false
	for _, format := range formats {
		item := "{" + key + ": " + strconv.Quote(named) + ", format: " + format + "}"
		if why == "" && states(item, chain.Statement{Path: named, Format: probe.Format(format)}) {
			e.answer(item)
			written = true
		}
	}
	if !written {
		e.say("  " + cmp.Or(why, unnamable))
	}
	return written
}

// states reports whether an item of a policy file's "formats" is the statement
// want.
func states(item string, want chain.Statement) bool {
	file, err := policyfile.Parse("", []byte("version: 1\nformats:\n  - "+item+"\n"))
	return err == nil && slices.Equal(file.Policy.Trust, []chain.Statement{want})
}

// keeps reports whether an item of a policy file's "disks" keeps the chain of this disk.
func keeps(item, own string) bool {
	file, err := policyfile.Parse("", []byte("version: 1\ndisks:\n  - "+item+"\n"))
	return err == nil && slices.Equal(file.Policy.KeptChains, []string{own})
}

// keepChains writes a line for each disk, named by its own image, that may
// keep its chain. If a policy file cannot name any of them, it writes why and
// returns false.
func (d *draft) keepChains(e *entry, disks []string) bool {
	written := false
	for _, name := range disks {
		key, named, why := d.imageOf(name)
		item := "{" + key + ": " + strconv.Quote(named) + ", chain: kept}"
		if why != "" || !keeps(item, named) {
			e.say("  " + shownWord(name) + ": " + cmp.Or(why, unnamable))
			continue
		}
		e.answer(item)
		written = true
	}
	return written
}

// Why a policy file cannot name an image.
const (
	unnamable = "a policy file cannot contain this name: rename the image, or state its format by a flag"
	hidden    = "its name has a query that is not shown here: write an entry with the full name after \"source\""
)

// imageOf returns how a policy file names an image, by a key and a name, or why it cannot.
func (d *draft) imageOf(name string) (key, named, why string) {
	switch {
	case !utf8.ValidString(name):
		return "", "", unnamable
	case !strings.HasPrefix(name, "/"):
		if strings.HasSuffix(name, "?...") {
			return "", "", hidden
		}
		return "source", name, ""
	case path.Clean(name) == name:
		return "path", name, ""
	case d.Resolve == nil:
		return "", "", unnamable
	}
	resolved, err := d.Resolve(d.ctx, name)
	if err != nil {
		return "", "", unnamable
	}
	// The folder before ".." may be a symlink.
	if clean := path.Clean(name); d.leadsTo(clean, resolved) {
		return "path", clean, ""
	}
	return "path", resolved, ""
}

// leadsTo reports whether the path name, with symlinks resolved, is resolved.
func (d *draft) leadsTo(name, resolved string) bool {
	to, err := d.Resolve(d.ctx, name)
	return err == nil && to == resolved
}
