package main

import (
	"slices"
	"strings"

	"github.com/xrash/smetrics"
)

// nearest returns the one of the known words that somebody may have meant who typed
// another; "" if none is like it. One is like it that begins with it, that has the same
// letters in another order, or that differs in one letter, or in a quarter of them.
func nearest(typed string, known []string) string {
	const least = 3 // letters of a beginning
	found, fewest := "", (len(typed)+2)/4+1
	for _, word := range known {
		switch d := smetrics.WagnerFischer(typed, word, 1, 1, 1); {
		case d < fewest:
			found, fewest = word, d
		case found == "" && len(typed) >= least && (strings.HasPrefix(word, typed) || sameLetters(word, typed)):
			found = word
		}
	}
	return found
}

func sameLetters(a, b string) bool {
	x, y := []byte(a), []byte(b)
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(x, y)
}
