package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/chainfix/chainfix/chain"
)

const (
	maxUnmetShown    = 5   // statements of a policy file that are listed
	maxUnmetCompared = 100 // statements for which a similar name is searched
)

// sayUnmet warns of the statements that match no image of the run.
func (w *walkers) sayUnmet(to io.Writer) { printWarnings(to, w.unmet()) }

func printWarnings(to io.Writer, texts []string) {
	for _, text := range texts {
		fmt.Fprintf(to, "chainfix: warning: %s\n", text)
	}
}

// unmet returns warnings about the statements that match no image of the run: one for each
// --trust flag, and one for all statements of the policy file, if they were watched.
func (w *walkers) unmet() (texts []string) {
	flags := make(map[string]bool)
	for _, s := range w.policy.Trust[:w.trustFlags] {
		flags[s.Path] = true
	}
	var ofFile []chain.Statement
	for _, s := range w.met.Unmet() {
		if s.Pattern || !flags[s.Path] {
			ofFile = append(ofFile, s)
			continue
		}
		text := ""
		if near := w.met.Nearest(s); near != "" {
			text = "; did you mean " + strconv.Quote(near) + "?"
		}
		texts = append(texts, "--trust "+shownName(s.Shown()+"="+string(s.Format))+" matches no image of a disk"+text)
	}
	if len(ofFile) > 0 {
		texts = append(texts, w.unmetOfFile(ofFile))
	}
	return texts
}

// unmetOfFile returns the warning about statements of the policy file that match
// no image of a disk, near misses first.
func (w *walkers) unmetOfFile(unmet []chain.Statement) string {
	var near, others []string
	for i, s := range unmet {
		word, meant := strconv.Quote(s.Shown()), ""
		if i < maxUnmetCompared {
			meant = w.met.Nearest(s)
		}
		if meant != "" {
			near = append(near, word+" (did you mean "+strconv.Quote(meant)+"?)")
		} else {
			others = append(others, word)
		}
	}
	words := slices.Concat(near, others)
	text := fmt.Sprintf("%d statements of %s match no image of a disk: ", len(words), shownName(w.file))
	if len(words) == 1 {
		text = fmt.Sprintf("1 statement of %s matches no image of a disk: ", shownName(w.file))
	}
	if more := len(words) - maxUnmetShown; more > 0 {
		return text + strings.Join(words[:maxUnmetShown], ", ") + " and " + strconv.Itoa(more) + " more"
	}
	return text + strings.Join(words, ", ")
}
