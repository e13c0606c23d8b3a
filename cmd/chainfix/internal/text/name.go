package text

import (
	"strconv"
	"strings"
)

// Name quotes a name that could drive a terminal or be taken for more than a name.
func Name(name string) string {
	if q := strconv.Quote(name); q[1:len(q)-1] != name || strings.ContainsAny(name, ": ") {
		return q
	}
	return name
}

// width is how many columns a text takes at most: from the first letters that may be wide
// ones on every sign counts as two.
func width(text string) int {
	const firstWide = '\u1100' // Hangul; see UAX #11
	n := 0
	for _, r := range text {
		n++
		if r >= firstWide {
			n++
		}
	}
	return n
}
