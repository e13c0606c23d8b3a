package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/chain"
)

// TestApplyWarnsOfUnmetStatements: apply warns as scan does, about the policy file
// only if no guest is named, and its status and last line do not change.
func TestApplyWarnsOfUnmetStatements(t *testing.T) {
	h := newFixableHost(t, 2)
	base := filepath.Join(h.Images, "g0", "base.img")
	policy := filepath.Join(t.TempDir(), "policy.yaml")
	writeFile(t, policy, []byte("version: 1\nformats:\n  - {path: '"+base+"', format: raw}\n  - {path: '"+base+"s', format: raw}\n"))
	const flag, file = "chainfix: warning: --trust ", "chainfix: warning: 1 statement of "
	for _, c := range []struct {
		name  string
		args  []string
		files int // how many warnings of the file
	}{
		{"dry run of all", []string{"--dry-run"}, 1},
		{"dry run of one", []string{"--dry-run", "g0"}, 0},
		{"one", []string{"g0"}, 0},
		{"all", nil, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			stateDir := filepath.Join(t.TempDir(), "state")
			args := append([]string{"apply", "--connect", h.URI(), "--state-dir", stateDir, "--policy", policy, "--trust", base + "x=raw"}, c.args...)
			var out, complaints writer
			if status := runHere(t, &out, &complaints, args...); status != exitDone {
				t.Fatalf("status %d\n%s", status, complaints.String())
			}
			said := complaints.String()
			if strings.Count(said, flag+base+`x=raw matches no image of a disk; did you mean "`+base+`"?`) != 1 || strings.Count(said, file) != c.files ||
				strings.Count(said, "warning: ") != 1+c.files {
				t.Errorf("said:\n%s", said)
			}
			if c.files > 0 && !strings.Contains(said, file+policy+` matches no image of a disk: "`+base+`s" (did you mean "`+base+`"?)`) {
				t.Errorf("of the file:\n%s", said)
			}
		})
	}
}

// Each of the three settings has its word.
func TestDisagreementHasThreeValues(t *testing.T) {
	for want, word := range map[chain.Disagreement]string{chain.RefuseDisagreement: "refuse", chain.HeadersWin: "headers", chain.XMLWins: "xml", 3: "Disagreement(3)"} {
		if want.String() != word {
			t.Errorf("%d is %q, want %q", int(want), want, word)
		}
	}
}
