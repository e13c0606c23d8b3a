package xmlfix

import (
	"errors"
	"strconv"
	"strings"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/strictxml"
)

// Errors about a document or a requested edit. Every error of [Parse],
// [Disk.Stated] and [Disk.SetChain] is an [*Error] that wraps one of these.
var (
	// ErrSyntax is returned for a document that is not well-formed.
	ErrSyntax = strictxml.ErrSyntax
	// ErrEncoding is returned for a document that is not UTF-8 XML 1.0.
	ErrEncoding = strictxml.ErrEncoding
	// ErrAmbiguous is returned for a document that libvirt and Go would read
	// differently.
	ErrAmbiguous = strictxml.ErrAmbiguous
	// ErrNotDomain is returned for a document that is neither a domain XML nor a
	// single <disk>.
	ErrNotDomain = errors.New("not a domain XML")
	// ErrLimit is returned for a document that exceeds [MaxInput], [MaxDepth], [MaxAttrs],
	// [MaxDiskElements], [MaxDiskAttrs], [MaxDisks] or [MaxText], or its
	// chains [MaxChains].
	ErrLimit = strictxml.ErrLimit
	// ErrDisk is returned for a disk that libvirt would reject, or whose XML
	// libvirtxml cannot express.
	ErrDisk = errors.New("disk cannot be read")
	// ErrRefused is returned for a chain with the verdict [chain.Refused].
	ErrRefused = errors.New("chain is refused")
	// ErrChain is returned for a chain that the disk's XML cannot state: its top
	// is another image, or a layer lacks a format or a source.
	ErrChain = errors.New("chain cannot be written")
)

// ErrProof is returned if the edited document fails the proof of
// [Document.Bytes]. The cause is a bug of this package, or a chain that XML
// cannot express (a name with control characters). Bytes then returns no
// document.
var ErrProof = errors.New("edited document failed its proof")

// codeOf returns the finding code of an error.
func codeOf(sentinel error) finding.Code {
	switch sentinel {
	case ErrSyntax:
		return finding.XMLSyntax
	case ErrEncoding:
		return finding.XMLEncoding
	case ErrAmbiguous:
		return finding.XMLAmbiguous
	case ErrNotDomain:
		return finding.NotADomain
	case ErrLimit:
		return finding.InputLimit
	case ErrDisk, ErrChain:
		return finding.DiskUnreadable
	}
	return ""
}

// Position is a position in a document.
type Position struct {
	Line   int // from 1; a line ends with LF
	Column int // in bytes, from 1
	Offset int // in bytes, from 0
}

// after returns the position after text that begins at p.
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

// Error says what is wrong with a document, and where.
type Error struct {
	Name   string // the name passed to Parse
	Pos    Position
	Code   finding.Code   // "" for ErrRefused: see the chain's findings
	Detail string         // what is wrong; safe to print on a terminal
	Remedy finding.Remedy // what to do about it; zero for ErrRefused
	Err    error          // one of the Err... variables
	// Objection is libvirt's message if libvirt does not accept the disk; usually
	// zero.
	Objection Objection
}

// Error returns "NAME:LINE:COLUMN: text". The name is quoted if it contains
// anything but plain characters.
func (e *Error) Error() string {
	name := e.Name
	if inside := strictxml.Shown(name); inside != name || strings.ContainsAny(name, ": ") {
		name = quote(name)
	}
	return name + ":" + strconv.Itoa(e.Pos.Line) + ":" + strconv.Itoa(e.Pos.Column) + ": " + e.Text()
}

// Text returns the message without the position.
func (e *Error) Text() string {
	if e.Detail == "" {
		return e.Err.Error()
	}
	return e.Err.Error() + ": " + e.Detail
}

// Unwrap returns e.Err.
func (e *Error) Unwrap() error { return e.Err }

// quote returns a text in quotes, safe to print.
func quote(s string) string { return `"` + strictxml.Shown(s) + `"` }
