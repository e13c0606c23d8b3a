package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chainfix/chainfix/probe/mkimage"
	"github.com/chainfix/chainfix/testdata/peers"
)

// attack is a disk prepared to make the host open a file of the attacker's
// choice, or hang. Each is made in its own folder, in which "secret" is the
// file that must never be touched.
type attack struct {
	name   string
	base   func(secret string) []byte // of base.img; nil for none
	top    mkimage.Qcow2              // over it; the backing name may be changed by prepare
	format string                     // the <driver type> of the top; "" for none, "-" for no top but base.img itself as raw
	device string                     // "" means disk

	prepare func(t *testing.T, dir string) // what else is in the folder
	trust   string                         // --trust base.img=...
	status  int
	code    string // of a finding that is required; "" for none
}

const attackSize = 1 << 20

func bytesOf(i interface{ Bytes() ([]byte, error) }) []byte {
	b, err := i.Bytes()
	if err != nil {
		panic(err)
	}
	return b
}

func forgedQcow2(secret string) []byte {
	return bytesOf(mkimage.Qcow2{VirtualSize: attackSize, Backing: secret})
}

// descriptor is the text of a VMDK whose data is in the secret file.
func descriptor(secret string) string {
	return "version=1\nCID=12345678\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\nRW 2048 FLAT \"" + secret + "\" 0\n"
}

func descriptorText(edit func(string) string) func(string) []byte {
	return func(secret string) []byte {
		return append([]byte(edit(descriptor(secret))), make([]byte, 4096)...)
	}
}

// capacity0 is a sparse VMDK of capacity 0, whose descriptor therefore decides.
func capacity0(secret string) []byte {
	b := make([]byte, 64<<10)
	copy(b, "KDMV")
	le := binary.LittleEndian
	le.PutUint32(b[4:], 1)    // version
	le.PutUint32(b[8:], 3)    // flags
	le.PutUint64(b[20:], 128) // grain size
	le.PutUint64(b[28:], 1)   // descriptor's offset
	le.PutUint64(b[36:], 20)  // and size
	le.PutUint32(b[44:], 512)
	copy(b[512:], descriptor(secret))
	return b
}

func named(backing, format string) mkimage.Qcow2 {
	return mkimage.Qcow2{VirtualSize: attackSize, Backing: backing, BackingFormat: format}
}

func relative(string) []byte { return forgedQcow2("../" + "x/../secret") }

func symlinked(t *testing.T, dir string) {
	if err := os.Symlink("secret", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
}

func special(make func(path string) error) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		if err := make(filepath.Join(dir, "special")); err != nil {
			t.Fatal(err)
		}
	}
}

var attacks = []attack{
	// A guest writes a header into its raw disk, and an overlay of that disk
	// does not record what it is.
	{name: "CVE-2008-2004 qcow2", base: forgedQcow2, top: named("base.img", ""), format: "qcow2", status: exitRefused, code: "probed-backing"},
	{name: "CVE-2008-2004 qcow", base: func(s string) []byte { return bytesOf(mkimage.Qcow{VirtualSize: attackSize, Backing: s}) }, top: named("base.img", ""), format: "qcow2", status: exitRefused, code: "probed-backing"},
	{name: "CVE-2008-2004 qed", base: func(s string) []byte { return bytesOf(mkimage.QED{VirtualSize: attackSize, Backing: s}) }, top: named("base.img", ""), format: "qcow2", status: exitRefused, code: "probed-backing"},
	{name: "CVE-2008-2004 vmdk", base: func(s string) []byte { return bytesOf(mkimage.VMDK{VirtualSize: attackSize, Backing: s}) }, top: named("base.img", ""), format: "qcow2", status: exitRefused, code: "probed-backing"},
	{name: "CVE-2008-2004 vmdk, any two characters before the name", base: func(s string) []byte {
		b := bytesOf(mkimage.VMDK{VirtualSize: attackSize, Backing: s})
		return bytes.Replace(b, []byte(`parentFileNameHint="`), []byte(`parentFileNameHint:'`), 1)
	}, top: named("base.img", ""), format: "qcow2", status: exitRefused, code: "probed-backing"},
	{name: "CVE-2015-5163 relative name", base: relative, top: named("base.img", ""), format: "qcow2", status: exitRefused, code: "probed-backing"},
	{name: "CVE-2015-5163 name of a symbolic link", base: func(s string) []byte { return forgedQcow2(strings.TrimSuffix(s, "secret") + "link") }, prepare: symlinked, top: named("base.img", ""), format: "qcow2", status: exitRefused, code: "probed-backing"},
	{name: "CVE-2008-2004 exactly as long as the disk", base: func(string) []byte {
		b := bytesOf(mkimage.Qcow2{VirtualSize: attackSize})
		return append(b, make([]byte, attackSize-len(b))...)
	}, top: named("base.img", ""), format: "qcow2", status: exitRefused, code: "size-contradicts"},

	// The same guest, and the operator states that its disk is raw.
	{name: "CVE-2010-2238 recorded raw stops there", base: forgedQcow2, top: named("base.img", "raw"), format: "qcow2", status: exitChange, code: "raw-with-signature"},
	{name: "CVE-2010-2238 raw by --trust stops there", base: forgedQcow2, top: named("base.img", ""), format: "qcow2", trust: "raw", status: exitChange, code: "raw-with-signature"},
	{name: "CVE-2010-2237 stated raw stays raw", base: forgedQcow2, format: "-", status: exitDone, code: "raw-with-signature"},
	{name: "CVE-2008-1945 removable media", base: forgedQcow2, format: "-", device: "cdrom", status: exitDone, code: "raw-with-signature"},
	{name: "CVE-2010-3851 no format stated", base: forgedQcow2, format: "", status: exitDone, code: "driver-type-missing"},
	{name: "CVE-2010-3851 no format stated of removable media", base: forgedQcow2, format: "", device: "cdrom", status: exitDone, code: "driver-type-missing"},
	{name: "CVE-2024-40767 claim and content differ", base: func(string) []byte { return make([]byte, attackSize) }, top: named("base.img", "qcow2"), format: "qcow2", status: exitRefused, code: "format-mismatch"},

	// The overlay records a name that only QEMU writes, and the guest has
	// written another format's header, or one that asks for more.
	{name: "recorded vhdx over qcow2", base: forgedQcow2, top: named("base.img", "vhdx"), format: "qcow2", status: exitRefused, code: "record-contradicts"},
	{name: "recorded vhdx over a descriptor", base: descriptorText(func(s string) string { return s }), top: named("base.img", "vhdx"), format: "qcow2", status: exitRefused, code: "record-contradicts"},
	{name: "recorded vhdx on a parent", base: func(s string) []byte { return bytesOf(mkimage.VHDX{VirtualSize: attackSize, Parent: s}) }, top: named("base.img", "vhdx"), format: "qcow2", status: exitRefused, code: "differencing"},
	{name: "recorded parallels over qcow2", base: forgedQcow2, top: named("base.img", "parallels"), format: "qcow2", status: exitRefused, code: "record-contradicts"},
	{name: "recorded parallels over vhdx", base: func(s string) []byte { return bytesOf(mkimage.VHDX{VirtualSize: attackSize}) }, top: named("base.img", "parallels"), format: "qcow2", status: exitRefused, code: "record-contradicts"},

	// An image says that its data is in a file of the host.
	{name: "CVE-2022-47951 descriptor", base: descriptorText(func(s string) string { return "# Disk DescriptorFile\n" + s }), top: named("base.img", ""), format: "qcow2", status: exitRefused, code: "foreign-extents"},
	{name: "CVE-2022-47951 descriptor without a comment", base: descriptorText(func(s string) string { return s }), top: named("base.img", ""), format: "qcow2", status: exitRefused, code: "foreign-extents"},
	{name: "CVE-2022-47951 descriptor with CRLF", base: descriptorText(func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }), top: named("base.img", ""), format: "qcow2", status: exitRefused, code: "foreign-extents"},
	{name: "CVE-2022-47951 descriptor, recorded", base: descriptorText(func(s string) string { return s }), top: named("base.img", "vmdk"), format: "qcow2", status: exitRefused, code: "foreign-extents"},
	{name: "VMDK of capacity 0", base: capacity0, top: named("base.img", ""), format: "qcow2", status: exitRefused, code: "foreign-extents"},
	{name: "CVE-2024-32498 data file", base: func(s string) []byte { return bytesOf(mkimage.Qcow2{VirtualSize: attackSize, DataFile: s}) }, top: named("base.img", ""), format: "qcow2", status: exitRefused, code: "data-file"},
	{name: "CVE-2024-32498 data file, recorded", base: func(s string) []byte { return bytesOf(mkimage.Qcow2{VirtualSize: attackSize, DataFile: s}) }, top: named("base.img", "qcow2"), format: "qcow2", status: exitRefused, code: "data-file"},
	{name: "CVE-2024-32498 data file of the top", top: mkimage.Qcow2{VirtualSize: attackSize, DataFile: "secret"}, format: "qcow2", status: exitRefused, code: "data-file"},
	{name: "CVE-2024-4467 data file in json", base: func(s string) []byte {
		return bytesOf(mkimage.Qcow2{VirtualSize: attackSize, DataFile: `json:{"driver":"file","filename":"` + s + `"}`})
	}, top: named("base.img", "qcow2"), format: "qcow2", status: exitRefused, code: "data-file"},

	// A recorded name leads away from the local files.
	{name: "CVE-2013-1922 nbd", top: named("nbd:localhost:10809", "qcow2"), format: "qcow2", status: exitRefused, code: "source-not-local"},
	{name: "CVE-2026-34881 http", top: named("http://user:password@localhost/x", "raw"), format: "qcow2", status: exitRefused, code: "backing-credentials"},
	{name: "json name", top: named(`json:{"driver":"file","filename":"secret"}`, "raw"), format: "qcow2", status: exitRefused, code: "backing-relative"},
	{name: "file protocol", top: named("file:secret", "raw"), format: "qcow2", status: exitRefused, code: "backing-invalid"},
	{name: "fat directory", top: named("fat:/etc", "raw"), format: "qcow2", status: exitRefused, code: "backing-directory"},

	// A recorded name leads to something that is not an image.
	{name: "FIFO", top: named("special", "raw"), format: "qcow2", prepare: special(func(p string) error { return syscall.Mkfifo(p, 0o644) }), status: exitRefused, code: "not-an-image"},
	{name: "directory", top: named("special", "raw"), format: "qcow2", prepare: special(func(p string) error { return os.Mkdir(p, 0o755) }), status: exitRefused, code: "not-an-image"},
	{name: "character device without end", top: named("/dev/zero", "raw"), format: "qcow2", status: exitRefused, code: "not-an-image"},
	{name: "terminal", top: named("/dev/tty", "raw"), format: "qcow2", status: exitRefused},
	{name: "memory of the process", top: named("/proc/self/mem", "qcow2"), format: "qcow2", status: exitRefused, code: "image-unreadable"},
	{name: "sparse file of 8 TiB", top: named("special", ""), format: "qcow2", prepare: special(func(p string) error {
		return errors.Join(os.WriteFile(p, nil, 0o644), os.Truncate(p, 8<<40))
	}), status: exitChange, code: "probed-format"},

	// A name is not what it looks like.
	{name: "newline in a name", top: named("base.img\nsecret", "raw"), format: "qcow2", status: exitRefused, code: "name-unrepresentable"},
	{name: "escape sequence in a name", top: named("base.img\x1b[2J", "raw"), format: "qcow2", status: exitRefused, code: "name-unrepresentable"},
	{name: "no UTF-8 in a name", top: named("base\xff.img", "raw"), format: "qcow2", status: exitRefused, code: "name-unrepresentable"},
	{name: "markup in a name", top: named("a]]>&'\"<secret>.img", "raw"), format: "qcow2", prepare: func(t *testing.T, dir string) {
		if err := os.WriteFile(filepath.Join(dir, "a]]>&'\"<secret>.img"), make([]byte, 512), 0o644); err != nil {
			t.Fatal(err)
		}
	}, status: exitChange},

	// A chain has no end.
	{name: "image over itself", top: named("top.qcow2", "qcow2"), format: "qcow2", status: exitRefused, code: "chain-loop"},
	{name: "image over a symbolic link to itself", top: named("link", "qcow2"), format: "qcow2", prepare: func(t *testing.T, dir string) {
		if err := os.Symlink("top.qcow2", filepath.Join(dir, "link")); err != nil {
			t.Fatal(err)
		}
	}, status: exitRefused, code: "chain-loop"},
	{name: "images over each other", base: func(string) []byte { return bytesOf(named("top.qcow2", "qcow2")) }, top: named("base.img", "qcow2"), format: "qcow2", status: exitRefused, code: "chain-loop"},
	{name: "10,000 layers", top: named("l0", "qcow2"), format: "qcow2", prepare: func(t *testing.T, dir string) {
		for i := range 10_000 {
			b := bytesOf(mkimage.Qcow2{ClusterBits: 9, VirtualSize: 512, Backing: "l" + strconv.Itoa(i+1), BackingFormat: "qcow2"})
			if err := os.WriteFile(filepath.Join(dir, "l"+strconv.Itoa(i)), b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}, status: exitRefused, code: "chain-too-deep"},
}

// TestAttacks prepares each disk and lets the real program check it, under
// strace: it must come to the expected end, never name the secret file to the
// system, start no process and open no socket, in 64 MiB of memory.
func TestAttacks(t *testing.T) {
	peers.Require(t, "strace")
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			dir := t.TempDir()
			secret := filepath.Join(dir, "secret")
			a.write(t, dir, secret)
			args := []string{"check"}
			if a.trust != "" {
				args = append(args, "--trust", filepath.Join(dir, "base.img")+"="+a.trust)
			}
			calls, said := attackRun(t, dir, a.status, append(args, "guest.xml")...)
			if a.code != "" && !strings.Contains(said, "["+a.code+"]") {
				t.Errorf("no finding %q:\n%s", a.code, said)
			}
			if strings.Contains(said, "\x1b") || strings.Contains(said, "\xff") || strings.Contains(said, "password") {
				t.Errorf("what the image says reaches the terminal: %q", said)
			}
			wantQuiet(t, calls)
			for _, line := range strings.Split(calls, "\n") {
				// However the path to it is spelled.
				if strings.Contains(line, `secret"`) || strings.Contains(line, `/link"`) && strings.Contains(a.name, "CVE-2015-5163") {
					t.Errorf("the secret file is touched: %s", line)
				}
			}
			if a.status == exitRefused {
				// Nothing is printed, and no stricter rule is weaker.
				for _, rule := range []string{"leaf", "strict", "declared"} {
					attackRun(t, dir, exitRefused, append([]string{"fix", "--rule", rule}, "guest.xml")...)
				}
			}
		})
	}
}

func (a attack) write(t *testing.T, dir, secret string) {
	t.Helper()
	put := func(name string, b []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put("secret", []byte("root:secret"))
	if a.base != nil {
		put("base.img", a.base(secret))
	}
	if a.prepare != nil {
		a.prepare(t, dir)
	}
	source, driver, device := "base.img", " type='raw'", a.device
	switch a.format {
	case "-":
	case "":
		driver = ""
	default:
		source, driver = "top.qcow2", " type='"+a.format+"'"
		put(source, bytesOf(a.top))
	}
	if device == "" {
		device = "disk"
	}
	put("guest.xml", fmt.Appendf(nil, `<domain type='qemu'>
  <name>vm</name>
  <devices>
    <disk type='file' device='%s'>
      <driver name='qemu'%s/>
      <source file='%s'/>
      <target dev='sda' bus='sata'/>
    </disk>
  </devices>
</domain>
`, device, driver, filepath.Join(dir, source)))
}

// attackMemory is how much more memory any document may take than an idle run,
// in KiB.
const attackMemory = 64 << 10

// idlePeak is the peak of the memory of a run that does nothing, in KiB: what
// the program is built of says how much that is.
var idlePeak = sync.OnceValue(func() int64 {
	cmd := exec.Command("strace", "-f", "-e", "trace=ioctl", "-o", "/dev/null", "chainfix", "--version")
	if err := cmd.Run(); err != nil {
		panic(err)
	}
	return cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss
})

// attackRun runs chainfix under strace and returns its calls, as trace does,
// and what it said. A run that hangs ends with the test's failure.
func attackRun(t *testing.T, dir string, want int, args ...string) (calls, said string) {
	t.Helper()
	report := filepath.Join(t.TempDir(), "calls")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "strace", append([]string{"-f", "-e", "trace=%file,%network,%process,ioctl", "-o", report, "chainfix"}, args...)...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil || cmd.ProcessState == nil {
		t.Fatalf("chainfix %q: %v", args, err)
	}
	if status := cmd.ProcessState.ExitCode(); status != want {
		t.Fatalf("chainfix %q ends with %d, not %d\n%s", args, status, want, out)
	}
	if peak := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss; peak > idlePeak()+attackMemory {
		t.Errorf("chainfix %q took %d KiB, and %d to do nothing", args, peak, idlePeak())
	}
	text, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	return string(text), string(out)
}

// docs/dev/attacks.md names tests and vectors that exist.
func TestAttacksAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/dev/attacks.md")
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]bool)
	for _, a := range attacks {
		names[a.name] = true
	}
	mentioned := make(map[string]bool)
	for _, m := range regexp.MustCompile("`(attack|vector|test):([^`]+)`").FindAllStringSubmatch(string(doc), -1) {
		kind, name := m[1], m[2]
		switch kind {
		case "attack":
			mentioned[name] = true
			if !names[name] {
				t.Errorf("no attack is called %q", name)
			}
		case "vector":
			if _, err := os.Stat("../../probe/testdata/vectors/" + name + ".vector"); err != nil {
				t.Error(err)
			}
		case "test":
			folder, function, _ := strings.Cut(name, ".")
			if out, err := exec.Command("grep", "-rqE", "^func "+function+`\(`, "../../"+folder).CombinedOutput(); err != nil {
				t.Errorf("no test is called %q: %v %s", name, err, out)
			}
		}
	}
	for name := range names {
		if !mentioned[name] {
			t.Errorf("docs/dev/attacks.md does not mention the attack %q", name)
		}
	}
}
