package page

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/text"
)

// plain returns a sentence of a report. Names in it are already quoted, but a report read from a file is
// untrusted.
func plain(text string) string {
	clean := func(r rune) bool { return unicode.IsPrint(r) || r == '\n' }
	if strings.IndexFunc(text, func(r rune) bool { return !clean(r) || r == unicode.ReplacementChar }) < 0 {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if clean(r) {
			b.WriteRune(r)
			continue
		}
		q := strconv.QuoteRune(r)
		b.WriteString(q[1 : len(q)-1])
	}
	return b.String()
}

// path is a name in two parts, of which the second matters most.
type path struct{ Dir, Base string }

func pathOf(name string) path {
	s := text.Name(name)
	if slash := strings.LastIndexByte(s, '/'); s == name && slash < len(s)-1 {
		return path{s[:slash+1], s[slash+1:]}
	}
	return path{"", s}
}

// counted returns a number of things in words.
func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return thousands(n) + " " + thing + "s"
}

func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// bytesOf formats a size in a readable unit.
func bytesOf(n uint64) string {
	const units = "KMGTPE"
	if n < 1<<10 {
		return counted(int(n), "byte")
	}
	value, unit := float64(n)/(1<<10), 0
	for value >= 1024 && unit < len(units)-1 {
		value /= 1024
		unit++
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", value), ".0") + " " + units[unit:unit+1] + "iB"
}

// A stateWord is a state in words. The class is that of its severity.
type stateWord struct{ Text, Class, Means string }

var stateWords = map[report.State]stateWord{
	report.WillNotStart: {"will not start", "error", "libvirt, or the QEMU that it runs, refuses a disk"},
	report.WrongData:    {"reads the wrong data", "error", "it starts, but reads bytes that are not its disk's"},
	report.Guessed:      {"starts by a guess", "warning", "it starts because libvirt or QEMU guesses a format that is not recorded"},
	report.Unreadable:   {"definition cannot be read", "warning", "nothing is known about it"},
	report.Unknown:      {"unknown", "unknown", "it depends on an image that is not readable here"},
	report.Fine:         {"nothing to do", "fine", "it starts, and nothing is guessed"},
}

// wordOf returns the words for any state, even one from a newer program's report.
func wordOf(s report.State) stateWord {
	if w, ok := stateWords[s]; ok {
		return w
	}
	return stateWord{plain(string(s)), "unknown", ""}
}

// An outcomeWord is an outcome in words.
type outcomeWord struct{ Text, Class string }

func outcomeOf(word string) outcomeWord {
	switch word {
	case "starts":
		return outcomeWord{"starts", "fine"}
	case "refuses":
		return outcomeWord{"refuses", "error"}
	case "misopens":
		return outcomeWord{"wrong data", "error"}
	}
	return outcomeWord{"unknown", "unknown"}
}

// targetName returns a target in words: "11.3.0+10.0.0" is a libvirt and its QEMU.
func targetName(target string) string {
	libvirt, qemu, both := strings.Cut(target, "+")
	if both {
		return "libvirt " + plain(libvirt) + ", QEMU " + plain(qemu)
	}
	return "libvirt " + plain(libvirt)
}
