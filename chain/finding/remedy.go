package finding

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Remedy is what to do about a [Finding]: words for people, which String
// returns, and as data what a program would else have to take out of them. The
// zero Remedy says that there is nothing to do, or nothing that is known to help.
//
// [Say] makes a remedy of words and of smaller remedies, whose data it gathers:
//
//	finding.Say("state what it is: %s; or keep what the XML says: %s",
//		finding.Trust("/img/base.img", "qcow2"), finding.Command("--keep-xml"))
type Remedy struct {
	// Image is the image that somebody has to do something about, by the name
	// that --trust takes, without what must not be shown of a URL; "" if it is
	// about none.
	Image string
	// Formats are QEMU's names of the formats that come into question for
	// Image, each once, if its format is what somebody has to state or mend.
	Formats []string
	// Commands are the commands for a shell, and the flags for chainfix, that
	// stand in the words, in their order and as they may be pasted. Words in
	// capitals, such as NAME, have to be filled in. The words tell which are
	// alternatives and which are steps.
	Commands []string

	words string
}

// String returns the remedy in words, on one line: the hint of the text and JSON
// output. It is "" for the zero Remedy.
func (r Remedy) String() string { return r.words }

// IsZero reports whether the remedy says nothing.
func (r Remedy) IsZero() bool { return r.words == "" }

// Say returns a remedy in the words of [fmt.Sprintf]. Those of args that are
// remedies themselves, best formatted by %s, add their commands and formats; the
// image is that of the first that has one.
func Say(format string, args ...any) Remedy {
	r := Remedy{words: fmt.Sprintf(format, args...)}
	for _, arg := range args {
		if part, ok := arg.(Remedy); ok {
			r.add(part)
		}
	}
	return r
}

// Join returns parts as one remedy, with separator between them. Those that say
// nothing are left out.
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

// Command returns a remedy that is a command, or are flags for chainfix, to be
// pasted as they stand. See [ShellWord].
func Command(words string) Remedy {
	return Remedy{Commands: []string{words}, words: words}
}

// Trust returns the flag that states the format, by QEMU's name, of the image
// that --trust knows by this name.
func Trust(image, format string) Remedy {
	word := ShellWord(image + "=" + format)
	if word == "PATH" {
		word += "=" + format
	}
	return Command("--trust "+word).About(image, format)
}

// About returns r as the remedy for an image, of which formats come into question
// besides those that r has already. Its words stay.
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

// union returns a with what only b has, in memory of its own.
func union(a, b []string) []string {
	all := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

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

// GuestWord names a guest in a command that is to be pasted: GUEST where its name is
// not known, or is none that a shell and virsh take for a name.
func GuestWord(name string) string {
	word := ShellWord(name)
	if word == "PATH" && name != "PATH" || strings.HasPrefix(name, "-") {
		return "GUEST"
	}
	return word
}
