package rebase

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/testdata/peers"
)

// TestQuotedWordsStayWords: a shell takes every quoted text for the one word that it is.
func TestQuotedWordsStayWords(t *testing.T) {
	words := []string{"", "-", "-rf", "'", "''", `"`, `\`, `\'`, "$(false)", "`false`", "$HOME", "a b", " ", "*", "~", "#", "!", "a\nb", "\n", "\r\n", "\t", "\x1b[31m", "\u2028", "\xff\xfe", "é"}
	any := rapid.SliceOfN(rapid.ByteRange(1, 255), 0, 40)
	for seed := range 200 {
		words = append(words, string(any.Example(seed)))
	}
	script := "printf '%s\\0'"
	for _, word := range words {
		script += " " + quote(word)
	}
	file := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(file, []byte(script+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, shell := range []string{"sh", "bash"} {
		peers.Require(t, shell)
		cmd := exec.Command(shell, file)
		cmd.Env = append(os.Environ(), "LC_ALL=C") // as the scripts have it
		out, err := cmd.Output()
		if want := strings.Join(words, "\x00") + "\x00"; err != nil || string(out) != want {
			t.Errorf("%s: %v, %q\nwant %q", shell, err, out, want)
		}
	}
}

// TestCommentsStayComments: no text ends the comment that it stands in.
func TestCommentsStayComments(t *testing.T) {
	for _, text := range []string{"a\nb", "a\rb", "a\r\nrm x", "a\x00b", "a\u2028b", "\n\n"} {
		o := &overlay{layer: chain.Layer{Source: storage.LocalSource("/a\nb", false)}}
		for line := range strings.Lines(comment("QUESTION", o, text)) {
			if line != "\n" && !strings.HasPrefix(line, "\t# ") || strings.Trim(line, "\t\n") != strings.Map(printable, strings.Trim(line, "\t\n")) {
				t.Errorf("%q: %q", text, line)
			}
		}
	}
}
