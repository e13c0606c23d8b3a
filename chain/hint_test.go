package chain

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/testdata/peers"
)

// A hint may be pasted: whatever is in a name, the shell gets the name and
// nothing else.
func TestShellWordsArePastedSafely(t *testing.T) {
	peers.Require(t, "sh")
	for _, name := range []string{
		"/plain/name.img", "with space", "it's", "''", `back\slash`, "$(touch x)", "`touch x`", "a;b&c|d", "*?[a]", "~root", "#x",
		"grün/日本", "-n", "a=b,c:d", "%s", "!history",
	} {
		word := shellWord(name)
		got, err := exec.Command("sh", "-c", "printf '%s' "+word).Output()
		if err != nil || string(got) != name {
			t.Errorf("%q is shown as %s, which the shell reads as %q (%v)", name, word, got, err)
		}
	}
	for _, name := range []string{"", "a\nb", "a\x1b[31m", "\xff", "right\u202eto left", "\u009b31m"} {
		if word := shellWord(name); word != "PATH" {
			t.Errorf("%q is shown as %q", name, word)
		}
	}
}

// What a header holds may be a password, unless it is a file's name.
func TestHintsShowNoPassword(t *testing.T) {
	for name, shown := range map[string]bool{
		"base.img": true,
		`json:{"driver":"https","url":"https://h/f","cookie":"a=base.img"}`: false,
		"https://h/base.img": false,
	} {
		overlay := Layer{Source: localSource("/x/top", false), Format: probe.Qcow2, Header: &probe.Header{Backing: &probe.Reference{Name: name}}}
		if hint := rebaseCommand(overlay, probe.Raw); strings.Contains(hint, "base.img") != shown || !strings.HasSuffix(hint, " /x/top") {
			t.Errorf("of %q: %s", name, hint)
		}
	}
}
