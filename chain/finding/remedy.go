package finding

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Remedy is what to do about a [Finding]: a text, which String returns, and
// the image, formats and commands in that text as data. The zero Remedy means
// that there is nothing to do, or that nothing is known to help.
//
// [Say] makes a remedy from a text and smaller remedies, and collects their
// data:
//
//	finding.Say("state what it is: %s; or keep what the XML says: %s",
//		finding.Trust("/img/base.img", "qcow2"), finding.Command("--keep-xml"))
type Remedy struct {
	// Image is the image that the remedy is about, by the name that --trust
	// takes, without the credentials of a URL; "" for none.
	Image string
	// Formats are QEMU's names of the formats that Image may have, each once, if
	// somebody has to state or correct its format.
	Formats []string
	// Commands are the shell commands and chainfix flags in the text, in its
	// order, ready to paste. Words in capitals, such as NAME, have to be filled
	// in. The text says which are alternatives and which are steps.
	Commands []string

	words string
}

// String returns the text of the remedy, on one line: the hint of the text and
// JSON output. It is "" for the zero Remedy.
func (r Remedy) String() string { return r.words }

// IsZero reports whether the remedy is empty.
func (r Remedy) IsZero() bool { return r.words == "" }

// Say returns a remedy with a text formatted by [fmt.Sprintf]. Arguments that
// are remedies themselves (format them with %s) add their commands and
// formats; Image comes from the first that has one.
func Say(format string, args ...any) Remedy {
	r := Remedy{words: fmt.Sprintf(format, args...)}
	for _, arg := range args {
		if part, ok := arg.(Remedy); ok {
			r.add(part)
		}
	}
	return r
}

// Join returns parts as one remedy, with separator between their texts. It
// leaves out zero remedies.
func Join(separator string, parts ...Remedy) Remedy {
	var r Remedy
	var words []string
	for _, part := range parts {
		if !part.IsZero() {
			words = append(words, part.words)
			r.add(part)
		}
	}
	r.words = strings.Join(words, separator)
	return r
}

// Command returns a remedy whose text is one command, or flags for chainfix,
// ready to paste. Quote its arguments with [ShellWord].
func Command(words string) Remedy {
	return Remedy{Commands: []string{words}, words: words}
}

// Trust returns the --trust flag that states the format of image. format is
// QEMU's name of it; image is the name that --trust takes.
func Trust(image, format string) Remedy {
	word := ShellWord(image + "=" + format)
	if word == "PATH" {
		word += "=" + format
	}
	return Command("--trust "+word).About(image, format)
}

// About returns r as the remedy for image, and adds formats to those that r
// already has. The text stays the same.
func (r Remedy) About(image string, formats ...string) Remedy {
	r.Image = image
	r.Formats = union(r.Formats, formats)
	return r
}

// add adds the data of a part of r.
func (r *Remedy) add(part Remedy) {
	if r.Image == "" {
		r.Image = part.Image
	}
	r.Formats = union(r.Formats, part.Formats)
	r.Commands = union(r.Commands, part.Commands)
}

// union returns a new slice of the elements of a and those that only b has.
func union(a, b []string) []string {
	all := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

// ShellWord quotes s for a POSIX shell, for hints that are pasted. A name that
// is not safe to show on a terminal becomes PATH.
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

// GuestWord returns the word for a guest in a command to paste: its quoted
// name, or GUEST if the name is unknown or if a shell or virsh would not read
// it as a name.
func GuestWord(name string) string {
	word := ShellWord(name)
	if word == "PATH" && name != "PATH" || strings.HasPrefix(name, "-") {
		return "GUEST"
	}
	return word
}
