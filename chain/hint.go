package chain

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/probe"
)

// shellWord quotes s for a POSIX shell, so that a hint can be pasted. A name
// that cannot be shown safely on a terminal becomes PATH.
func shellWord(s string) string {
	if !utf8.ValidString(s) || s == "" {
		return "PATH"
	}
	plain := true
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return "PATH"
		}
		if r > unicode.MaxASCII || !(unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("/._-+,=@:", r)) {
			plain = false
		}
	}
	if plain {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// printable hides what may hold a password: of a name that is no file, only
// the protocol is shown.
func printable(name string) string {
	if looksLikeFile(name) {
		return name
	}
	return redact(name)
}

// Shown returns what people may see of the name that a header has for another
// image: all of it, unless it has a protocol and holds a password, or may for
// all that can be told; then the protocol alone.
func Shown(name string) string {
	src, err := ParseBacking(name, nil)
	if err != nil || src.Cookies != nil || src.Network != nil && src.Network.Query != "" {
		return printable(name)
	}
	return name
}

// list names formats for people.
func list(formats []probe.Format) string {
	words := make([]string, len(formats))
	for i, f := range formats {
		words[i] = string(f)
	}
	return strings.Join(words, " and ")
}

// trustHint says how to state a format on the command line, looksLike being
// what the image's header speaks for. What people are not shown of a name they
// have to fill in.
func trustHint(src *libvirtxml.DomainDiskSource, looksLike probe.Format) string {
	what := "state what it is: "
	if name := Name(src); name != shownName(src) {
		what = "state what it is, with the whole query in its name: "
	}
	return what + trustChoices(shownName(src), looksLike)
}

func trustChoices(path string, looksLike probe.Format) string {
	raw := "--trust " + shellWord(path+"=raw")
	if looksLike.LibvirtName() == "" || looksLike == probe.Raw {
		return raw
	}
	return raw + " if a guest has or had it as a raw disk, else --trust " + shellWord(path+"="+string(looksLike))
}

// stateHint adds the better way, where there is one: to record the format in the
// overlay itself.
func stateHint(src *libvirtxml.DomainDiskSource, overlay Layer, looksLike probe.Format) string {
	if overlay.Header == nil || overlay.Header.Backing == nil || !canRecord(overlay.Format, looksLike) {
		return trustHint(src, looksLike)
	}
	return trustHint(src, looksLike) + "; or record it in the overlay for good: " + rebaseCommand(overlay, looksLike)
}

// canRecord reports whether an overlay can record the format of its backing
// image: qcow2 can, QED has a flag for raw, and no other overlay has a place for
// it (qemu-img 7.2 fails, or drops it without a word).
func canRecord(overlay, backing probe.Format) bool {
	return backing.LibvirtName() != "" && (overlay == probe.Qcow2 || overlay == probe.QED && backing == probe.Raw)
}

// commandWord names an image to a program that is to work on it. A part of a
// file has no name that such programs take, and part of a name is none.
func commandWord(src *libvirtxml.DomainDiskSource) string {
	if _, part := sliceOf(src); part || Name(src) != shownName(src) {
		return "IMAGE"
	}
	return shellWord(Name(src))
}

// rebaseCommand records format for the backing image that overlay's header
// names, without touching any data. A name with a protocol may hold a password
// and becomes NAME.
func rebaseCommand(overlay Layer, format probe.Format) string {
	word := "PATH"
	if overlay.Header != nil && overlay.Header.Backing != nil {
		word = "NAME"
		if name := overlay.Header.Backing.Name; looksLikeFile(name) {
			word = shellWord(name)
		}
	}
	return rebase(overlay, format, word)
}

// rebaseTo makes overlay's header name the layer that the XML names.
func rebaseTo(overlay, backing Layer) string {
	return rebase(overlay, backing.Format, commandWord(backing.at()))
}

// rebase names the backing image by a word for the shell.
func rebase(overlay Layer, format probe.Format, word string) string {
	return "qemu-img rebase -u -f " + string(overlay.Format) + " -F " + string(format) + " -b " + word + " " + commandWord(overlay.at())
}
