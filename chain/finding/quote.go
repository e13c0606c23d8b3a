package finding

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// ShellWord quotes s for a POSIX shell, so that a hint can be pasted. A name
// that cannot be shown safely on a terminal becomes PATH.
func ShellWord(s string) string {
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

// GuestWord names a guest in a command that is to be pasted: VM where its name is
// not known, or is none that a shell and virsh take for a name.
func GuestWord(name string) string {
	word := ShellWord(name)
	if word == "PATH" && name != "PATH" || strings.HasPrefix(name, "-") {
		return "VM"
	}
	return word
}
