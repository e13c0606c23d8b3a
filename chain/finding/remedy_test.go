package finding_test

import (
	"fmt"
	"os/exec"
	"slices"
	"testing"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/testdata/peers"
)

func ExampleSay() {
	record := finding.Command("qemu-img rebase -u -f qcow2 -F raw -b base.img top.img")
	remedy := finding.Say("state its format: %s; or record it: %s", finding.Trust("/img/base.img", "raw"), record)
	fmt.Println(remedy)
	fmt.Println(remedy.Image, remedy.Formats)
	for _, command := range remedy.Commands {
		fmt.Println("$", command)
	}
	// Output:
	// state its format: --trust /img/base.img=raw; or record it: qemu-img rebase -u -f qcow2 -F raw -b base.img top.img
	// /img/base.img [raw]
	// $ --trust /img/base.img=raw
	// $ qemu-img rebase -u -f qcow2 -F raw -b base.img top.img
}

// A remedy has the data of its parts, each once, and does not share their
// memory.
func TestRemediesGatherTheirParts(t *testing.T) {
	raw, qcow2 := finding.Trust("/a", "raw"), finding.Trust("/b", "qcow2")
	for name, r := range map[string]finding.Remedy{
		"said":   finding.Say("%s, %s and again %s", raw, qcow2, raw),
		"joined": finding.Join(" or ", finding.Remedy{}, raw, finding.Remedy{}, qcow2),
	} {
		if r.Image != "/a" || !slices.Equal(r.Formats, []string{"raw", "qcow2"}) || !slices.Equal(r.Commands, []string{"--trust /a=raw", "--trust /b=qcow2"}) {
			t.Errorf("%s: %+v", name, r)
		}
		r.Commands[0] = ""
		if raw.Commands[0] == "" {
			t.Errorf("%s: its part has changed", name)
		}
	}
	if got := finding.Join(" or ", finding.Remedy{}, raw, finding.Remedy{}, qcow2).String(); got != "--trust /a=raw or --trust /b=qcow2" {
		t.Errorf("joined: %q", got)
	}
	if r := raw.About("/c", "vmdk"); r.String() != raw.String() || r.Image != "/c" || !slices.Equal(r.Formats, []string{"raw", "vmdk"}) || len(raw.Formats) != 1 {
		t.Errorf("about another image: %+v, was %+v", r, raw)
	}
	if !(finding.Remedy{}).IsZero() || raw.IsZero() {
		t.Error("IsZero is wrong")
	}
}

// Hints can be pasted: whatever a name contains, the shell gets exactly the
// name.
func TestShellWordsArePastedSafely(t *testing.T) {
	peers.Require(t, "sh")
	for _, name := range []string{
		"/plain/name.img", "with space", "it's", "''", `back\slash`, "$(touch x)", "`touch x`", "a;b&c|d", "*?[a]", "~root", "#x",
		"grün/日本", "-n", "a=b,c:d", "%s", "!history",
	} {
		word := finding.ShellWord(name)
		got, err := exec.Command("sh", "-c", "printf '%s' "+word).Output()
		if err != nil || string(got) != name {
			t.Errorf("%q is shown as %s, which the shell reads as %q (%v)", name, word, got, err)
		}
	}
	for _, name := range []string{"", "a\nb", "a\x1b[31m", "\xff", "right\u202eto left", "\u009b31m"} {
		if flag := finding.Trust(name+"x", "raw").String(); name != "" && flag != "--trust PATH=raw" {
			t.Errorf("%q: %s", name, flag)
		}
		if word := finding.ShellWord(name); word != "PATH" {
			t.Errorf("%q is shown as %q", name, word)
		}
	}
}

// A command names the guest if its name is safe to paste.
func TestHintsNameTheGuest(t *testing.T) {
	for name, word := range map[string]string{"web": "web", "my guest": "'my guest'", "$(x)": "'$(x)'", "": "GUEST", "a\nb": "GUEST", "-rf": "GUEST", "PATH": "PATH"} {
		if got := finding.GuestWord(name); got != word {
			t.Errorf("%q is called %s, not %s", name, got, word)
		}
	}
}
