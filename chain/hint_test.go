package chain

import (
	"io/fs"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/storage"
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
		word := finding.ShellWord(name)
		got, err := exec.Command("sh", "-c", "printf '%s' "+word).Output()
		if err != nil || string(got) != name {
			t.Errorf("%q is shown as %s, which the shell reads as %q (%v)", name, word, got, err)
		}
	}
	for _, name := range []string{"", "a\nb", "a\x1b[31m", "\xff", "right\u202eto left", "\u009b31m"} {
		if word := finding.ShellWord(name); word != "PATH" {
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
		overlay := Layer{Source: storage.LocalSource("/x/top", false), Format: probe.Qcow2, Header: &probe.Header{Backing: &probe.Reference{Name: name}}}
		if hint := rebaseCommand(overlay, probe.Raw); strings.Contains(hint, "base.img") != shown || !strings.HasSuffix(hint, " /x/top") {
			t.Errorf("of %q: %s", name, hint)
		}
	}
}

// What helps follows from what the system says; only where it forbids the file
// would another user be of use.
func TestHintsFollowTheSystemsError(t *testing.T) {
	const rename = "RENAME"
	hints := make(map[string]syscall.Errno)
	for errno, words := range map[syscall.Errno]string{
		syscall.EACCES: "as a user", syscall.ESTALE: "mount it anew", syscall.ETIMEDOUT: "server of its file system", syscall.EIO: "no other user can",
		syscall.ELOOP: "symlinks", syscall.ENAMETOOLONG: "so long a name", syscall.ENOTDIR: "no folder", syscall.ENXIO: "attach the device",
		syscall.EMFILE: "has room", syscall.EINVAL: "find out why",
	} {
		hint := errnoHint(&fs.PathError{Op: "open", Path: "/x", Err: errno}, rename)
		if !strings.Contains(hint, words) || strings.Contains(hint, "run chainfix as a user") != (errno == syscall.EACCES) {
			t.Errorf("%v: %s", errno, hint)
		}
		if other, ok := hints[hint]; ok {
			t.Errorf("%v and %v have one hint", errno, other)
		}
		hints[hint] = errno
		named := errno == syscall.ELOOP || errno == syscall.ENAMETOOLONG || errno == syscall.ENOTDIR || errno == syscall.ENXIO
		if strings.Contains(hint, rename) != named {
			t.Errorf("%v: %s", errno, hint)
		}
	}
	if a, b := errnoHint(syscall.EPERM, rename), errnoHint(syscall.EACCES, rename); a != b {
		t.Errorf("%q and %q", a, b)
	}
}

// A guest is called by its name in a command, where it can be.
func TestHintsNameTheGuest(t *testing.T) {
	for name, word := range map[string]string{"web": "web", "my guest": "'my guest'", "$(x)": "'$(x)'", "": "VM", "a\nb": "VM", "-rf": "VM", "PATH": "PATH"} {
		if got := finding.GuestWord(name); got != word {
			t.Errorf("%q is called %s, not %s", name, got, word)
		}
	}
}
