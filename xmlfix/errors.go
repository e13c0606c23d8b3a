package xmlfix

import (
	"errors"
	"strconv"
	"strings"

	"github.com/chainfix/chainfix/chain/finding"
)

// What can be wrong with a document, or with what is asked of it. Every error
// of [Parse], [Disk.Stated] and [Disk.SetChain] is an [*Error] that wraps one
// of these.
var (
	// ErrSyntax: the document is not well-formed.
	ErrSyntax = errors.New("not well-formed XML")
	// ErrEncoding: the document is not UTF-8 XML 1.0.
	ErrEncoding = errors.New("not UTF-8 XML 1.0")
	// ErrAmbiguous: libvirt and Go would read the document differently.
	ErrAmbiguous = errors.New("ambiguous XML")
	// ErrNotDomain: the document is neither a domain XML nor a lone <disk>.
	ErrNotDomain = errors.New("not a domain XML")
	// ErrLimit: the document exceeds [MaxInput], [MaxDepth], [MaxAttrs],
	// [MaxDiskElements], [MaxDiskAttrs], [MaxDisks] or [MaxText], or its
	// chains [MaxChains].
	ErrLimit = errors.New("input exceeds a limit")
	// ErrDisk: libvirt would reject the disk, or libvirtxml cannot express
	// what it says.
	ErrDisk = errors.New("disk cannot be read")
	// ErrRefused: the chain has the verdict [chain.Refused].
	ErrRefused = errors.New("chain is refused")
	// ErrChain: the chain is not one that this disk's XML could state: its
	// top is another image, or a layer lacks a format or a source.
	ErrChain = errors.New("chain cannot be written")
)

// ErrProof: the edited document failed the proof that [Document.Bytes] demands
// of it. That is a defect of this package, or a chain that XML cannot carry (a
// name with control characters); nothing was returned.
var ErrProof = errors.New("edited document failed its proof")

// codes gives each error the code of the finding that it makes.
var codes = map[error]finding.Code{
	ErrSyntax:    finding.XMLSyntax,
	ErrEncoding:  finding.XMLEncoding,
	ErrAmbiguous: finding.XMLAmbiguous,
	ErrNotDomain: finding.NotADomain,
	ErrLimit:     finding.InputLimit,
	ErrDisk:      finding.DiskUnreadable,
	ErrChain:     finding.DiskUnreadable,
}

// remedyOf says what to do about an error of the document of a guest, whose name is
// "" where it is not known.
func remedyOf(sentinel error, guest string) finding.Remedy {
	vm := finding.GuestWord(guest)
	fresh := finding.Command("virsh dumpxml --inactive --security-info " + vm)
	switch sentinel {
	case ErrSyntax:
		return finding.Say("take the definition from libvirt again: %s", fresh)
	case ErrEncoding:
		return finding.Say("take the definition from libvirt again, which writes UTF-8: %s; or convert it with iconv, and mend its XML declaration", fresh)
	case ErrAmbiguous:
		return finding.Say("take that out; to see what libvirt makes of the document, define it and look: %s", fresh)
	case ErrLimit:
		return finding.Say("look whether this is the document that was meant: a definition as libvirt writes it is far smaller")
	case ErrDisk, ErrChain:
		return finding.Say("correct the disk: %s", finding.Command("virsh edit "+vm))
	}
	return finding.Remedy{}
}

// takeApart is for a document whose chains take too much.
var takeApart = finding.Say("take disks out of the document, and handle them in one of their own")

// Position is a place in a document.
type Position struct {
	Line   int // from 1; a line ends with LF
	Column int // in bytes, from 1
	Offset int // in bytes, from 0
}

// after returns the position behind text that begins at p.
func (p Position) after(text []byte) Position {
	for _, b := range text {
		p.Column++
		if b == '\n' {
			p.Line, p.Column = p.Line+1, 1
		}
	}
	p.Offset += len(text)
	return p
}

// Error says what is wrong with a document and where.
type Error struct {
	Name   string // the document's, as it was given to Parse
	Pos    Position
	Code   finding.Code   // "" for ErrRefused, of which the chain's findings say more
	Detail string         // what is wrong; nothing in it can drive a terminal
	Remedy finding.Remedy // what to do about it; says nothing for ErrRefused
	Err    error          // one of the Err... variables
}

// Error returns "NAME:LINE:COLUMN: text". The name is quoted if it holds
// anything but plain characters.
func (e *Error) Error() string {
	name := e.Name
	if inside := quoteInside(name); inside != name || strings.ContainsAny(name, ": ") {
		name = quote(name)
	}
	return name + ":" + strconv.Itoa(e.Pos.Line) + ":" + strconv.Itoa(e.Pos.Column) + ": " + e.Text()
}

// Text returns the message without the place.
func (e *Error) Text() string {
	if e.Detail == "" {
		return e.Err.Error()
	}
	return e.Err.Error() + ": " + e.Detail
}

// Unwrap returns e.Err.
func (e *Error) Unwrap() error { return e.Err }

// maxShown is how much is shown of a text that a document or the system has, in
// bytes: a path has no more.
const maxShown = 4096

// quote is strconv.Quote, but of a text that is too long it shows the beginning.
func quote(s string) string { return `"` + quoteInside(s) + `"` }

// quoteInside is quote, without the quotes.
func quoteInside(s string) string {
	more := ""
	if len(s) > maxShown {
		s, more = s[:maxShown], "..."
	}
	q := strconv.Quote(s)
	return q[1:len(q)-1] + more
}
