package chain

import (
	"strings"
	"unicode"
	"unicode/utf8"

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
// what the image's header speaks for.
func trustHint(path string, looksLike probe.Format) string {
	return "state what it is: " + trustChoices(path, looksLike)
}

func trustChoices(path string, looksLike probe.Format) string {
	raw := "--trust " + shellWord(path+"=raw")
	if looksLike.LibvirtName() == "" || looksLike == probe.Raw {
		return raw
	}
	return raw + " if a guest has or had it as a raw disk, else --trust " + shellWord(path+"="+string(looksLike))
}

// stateHint adds the better way: to record the format in the overlay itself.
func stateHint(path string, overlay Layer, looksLike probe.Format) string {
	if overlay.Header == nil || overlay.Header.Backing == nil || looksLike.LibvirtName() == "" {
		return trustHint(path, looksLike)
	}
	return trustHint(path, looksLike) + "; or record it in the overlay for good: " + rebaseCommand(overlay, looksLike)
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
	return rebase(overlay, backing.Format, shellWord(shownName(backing.at())))
}

// rebase names the backing image by a word for the shell.
func rebase(overlay Layer, format probe.Format, word string) string {
	return "qemu-img rebase -u -f " + string(overlay.Format) + " -F " + string(format) + " -b " + word + " " + shellWord(shownName(overlay.at()))
}
