package chain_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

func TestRecordedChainIsFollowedToItsEnd(t *testing.T) {
	f := newFiles(t)
	f.raw("base.raw", 1<<20)
	f.qcow2("middle.qcow2", img{backing: "base.raw", backingFormat: "raw"})
	f.qcow2("top.qcow2", img{backing: "middle.qcow2", backingFormat: "qcow2"})
	got := f.walk(t, chain.Policy{Rule: chain.Declared}, f.top("top.qcow2"))
	wantFixable(t, got, 3)
	for i, want := range []struct {
		path   string
		format probe.Format
		from   chain.Origin
	}{
		{f.path("top.qcow2"), probe.Qcow2, chain.XML},
		{f.path("middle.qcow2"), probe.Qcow2, chain.Header},
		{f.path("base.raw"), probe.Raw, chain.Header},
	} {
		layer := got.Layers[i]
		path, _ := storage.LocalPath(layer.Source)
		if path != want.path || layer.Format != want.format || layer.From != want.from {
			t.Errorf("layer %d is %q %q from %v, want %+v", i, path, layer.Format, layer.From, want)
		}
		if n := f.opened[want.path]; n != 1 {
			t.Errorf("%q was opened %d times", want.path, n)
		}
	}
}

func TestSharedImageIsReadOnce(t *testing.T) {
	f := newFiles(t)
	f.raw("base.raw", 1<<20)
	f.qcow2("a.qcow2", img{backing: "base.raw", backingFormat: "raw"})
	f.qcow2("b.qcow2", img{backing: "base.raw", backingFormat: "raw"})
	f.touched, f.opened = map[string]bool{}, map[string]int{}
	w := &chain.Walker{Images: image.NewCache(f)}
	for _, name := range []string{"a.qcow2", "b.qcow2"} {
		if _, err := w.Walk(context.Background(), f.top(name)); err != nil {
			t.Fatal(err)
		}
	}
	if n := f.opened[f.path("base.raw")]; n != 1 {
		t.Errorf("the shared base was opened %d times", n)
	}
}

// libvirt resolves a relative name from the overlay's directory as named:
// without resolving symlinks or cleaning the path.
func TestRelativeNameStartsAtTheOverlayAsNamed(t *testing.T) {
	f := newFiles(t)
	for _, dir := range []string{"real", "links"} {
		if err := os.Mkdir(f.path(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	f.raw("links/base.raw", 1<<20)
	f.qcow2("real/top.qcow2", img{backing: "./../links/base.raw", backingFormat: "raw"})
	f.qcow2("real/other.qcow2", img{backing: "base.raw", backingFormat: "raw"})
	for _, name := range []string{"top.qcow2", "other.qcow2"} {
		if err := os.Symlink("../real/"+name, f.path("links/"+name)); err != nil {
			t.Fatal(err)
		}
	}
	got := f.walk(t, chain.Policy{}, f.top("real/top.qcow2"))
	wantFixable(t, got, 2)
	if path, _ := storage.LocalPath(got.Layers[1].Source); path != f.path("real/./../links/base.raw") {
		t.Errorf("the base is spelled %q", path)
	}
	got = f.walk(t, chain.Policy{}, f.top("links/other.qcow2"))
	wantFixable(t, got, 2)
	wantRefused(t, f.walk(t, chain.Policy{}, f.top("real/other.qcow2")), finding.ImageMissing)
}

func TestLoops(t *testing.T) {
	f := newFiles(t)
	f.qcow2("self.qcow2", img{backing: "self.qcow2", backingFormat: "qcow2"})
	f.qcow2("a.qcow2", img{backing: "b.qcow2", backingFormat: "qcow2"})
	f.qcow2("b.qcow2", img{backing: "a.qcow2", backingFormat: "qcow2"})
	f.qcow2("hard.qcow2", img{backing: "hard-link.qcow2", backingFormat: "qcow2"})
	f.qcow2("soft.qcow2", img{backing: "soft-link.qcow2", backingFormat: "qcow2"})
	if err := os.Link(f.path("hard.qcow2"), f.path("hard-link.qcow2")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("soft.qcow2", f.path("soft-link.qcow2")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"self.qcow2", "a.qcow2", "hard.qcow2", "soft.qcow2"} {
		t.Run(name, func(t *testing.T) {
			wantRefused(t, f.walk(t, chain.Policy{}, f.top(name)), finding.ChainLoop)
		})
	}
}

func TestDepth(t *testing.T) {
	f := newFiles(t)
	f.raw("0", 1<<20)
	format := "raw"
	for i := 1; i <= chain.MaxLayers; i++ {
		f.qcow2(fmt.Sprint(i), img{backing: fmt.Sprint(i - 1), backingFormat: format})
		format = "qcow2"
	}
	wantFixable(t, f.walk(t, chain.Policy{}, f.top(fmt.Sprint(chain.MaxLayers-1))), chain.MaxLayers)
	wantRefused(t, f.walk(t, chain.Policy{}, f.top(fmt.Sprint(chain.MaxLayers))), finding.ChainTooDeep)
}

// Files that are not images are not read, and nothing blocks.
func TestNamesThatAreNoImages(t *testing.T) {
	f := newFiles(t)
	if err := syscall.Mkfifo(f.path("fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(f.path("folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	socket, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(socket)
	t.Chdir(f.dir) // a socket's name has to be short
	if err := syscall.Bind(socket, &syscall.SockaddrUnix{Name: "socket"}); err != nil {
		t.Fatal(err)
	}
	for name, code := range map[string]finding.Code{
		f.path("fifo"):           finding.NotAnImage,
		f.path("folder"):         finding.NotAnImage,
		f.path("socket"):         finding.NotAnImage,
		"/dev/zero":              finding.NotAnImage,
		"/dev/null":              finding.NotAnImage,
		f.path("absent"):         finding.ImageMissing,
		"fat:/etc":               finding.BackingDirectory,
		"http://user:pw@host/x":  finding.BackingCredentials,
		`json:{"driver":"file"}`: finding.BackingInvalid,
		"a:b.qcow2":              finding.BackingInvalid,
		"nbd:unix:socket":        finding.BackingRelative,
		"fat:/a:/b":              finding.BackingDisputed,
		"rbd:image":              finding.BackingNoPool,
		"http://host":            finding.NameUnrepresentable,
		`json:{"driver":"raw","offset":1,"size":2,"file":{"driver":"file","filename":"/dev/null"}}`: finding.NotAnImage,
		`json:{"driver":"nbd","host":"h","tls-creds":"pw"}`:                                         finding.BackingUnmapped,
		`json:{"driver":"file","filename":"/x","filename":"/y"}`:                                    finding.BackingDuplicate,
		"/x/with\nnewline":         finding.NameUnrepresentable,
		"/x/with\x1b[31mescape":    finding.NameUnrepresentable,
		"/x/not-utf8-\xff":         finding.NameUnrepresentable,
		"/x/no-character-\uffff":   finding.NameUnrepresentable,
		"/proc/self/mem":           finding.ImageUnreadable, // a regular file of length 0 that cannot be read
		"relative/and/missing.img": finding.ImageMissing,
	} {
		t.Run(name, func(t *testing.T) {
			f.qcow2("top.qcow2", img{backing: name, backingFormat: "raw"})
			got := f.walk(t, chain.Policy{}, f.top("top.qcow2"))
			reported := wantRefused(t, got, code)
			if strings.Contains(reported.Text+reported.Remedy.String(), "pw") {
				t.Errorf("a password is shown: %+v", reported)
			}
			for _, r := range reported.Text + reported.Remedy.String() {
				if r < ' ' {
					t.Errorf("a control character is shown: %q", reported.Text)
				}
			}
		})
	}
}

// A recorded format is compared with the header.
func TestRecordedFormats(t *testing.T) {
	f := newFiles(t)
	f.raw("raw.img", 1<<20)
	f.qcow2("qcow2.img", img{})
	f.qcow2("qcow2-on-file.img", img{backing: f.path("raw.img"), backingFormat: "raw"})
	cases := []struct {
		name, base, record string
		refused            finding.Code
		format             probe.Format
		from               chain.Origin
		note, warn         finding.Code
	}{
		{name: "qcow2 whose header is not", base: "raw.img", record: "qcow2", refused: finding.FormatMismatch},
		{name: "qed whose header is qcow2", base: "qcow2.img", record: "qed", refused: finding.FormatMismatch},
		{name: "raw whose bytes say qcow2", base: "qcow2.img", record: "raw", format: probe.Raw, from: chain.Header, warn: finding.RawWithSignature},
		{name: "raw, and what the bytes name is not followed", base: "qcow2-on-file.img", record: "raw", format: probe.Raw, from: chain.Header, warn: finding.RawWithSignature},
		{name: "a NUL ends the field", base: "qcow2.img", record: "qcow2\x00raw", format: probe.Qcow2, from: chain.Header},
		{name: "vmdk whose header is not", base: "raw.img", record: "vmdk", refused: finding.FormatMismatch},

		{name: "protocol name over raw", base: "raw.img", record: "file", format: probe.Raw, from: chain.Probe, note: finding.FormatDisputed},
		{name: "protocol name over qcow2", base: "qcow2.img", record: "file", refused: finding.RecordContradicts},
		{name: "device protocol over qcow2", base: "qcow2.img", record: "host_device", refused: finding.RecordContradicts},
		{name: "nbd over qcow2", base: "qcow2.img", record: "nbd", refused: finding.RecordContradicts},
		{name: "upper case over qcow2", base: "qcow2.img", record: "QCOW2", format: probe.Qcow2, from: chain.Probe, note: finding.FormatDisputed},
		{name: "upper case over raw", base: "raw.img", record: "QCOW2", refused: finding.RecordContradicts},
		{name: "QEMU's word alone", base: "raw.img", record: "vhdx", refused: finding.RecordContradicts},
		{name: "libvirt's word alone", base: "raw.img", record: "ploop", refused: finding.RecordContradicts},
		{name: "an unknown word", base: "raw.img", record: "garbage", format: probe.Raw, from: chain.Probe, note: finding.FormatDisputed},
		{name: "an unknown word over qcow2 with backing", base: "qcow2-on-file.img", record: "garbage", refused: finding.ProbedBacking},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f.qcow2("top.qcow2", img{backing: c.base, backingFormat: c.record})
			got := f.walk(t, chain.Policy{}, f.top("top.qcow2"))
			if c.refused != "" {
				wantRefused(t, got, c.refused)
				return
			}
			wantFixable(t, got, 2)
			if base := got.Layers[1]; base.Format != c.format || base.From != c.from {
				t.Errorf("base is %q from %v, want %q from %v", base.Format, base.From, c.format, c.from)
			}
			if c.note != "" {
				wantFinding(t, got, c.note, finding.Info)
			}
			if c.warn != "" {
				wantFinding(t, got, c.warn, finding.Warn)
			}
		})
	}
}

func TestContradictions(t *testing.T) {
	f := newFiles(t)
	for _, name := range []string{"a.raw", "a.RAW", "a.iso", "a.vmdk", "a.img", "a.bin", "a", "a.qcow2", "a.qcow", "a.snapshot1", "a.raw.bak"} {
		f.qcow2(name, img{})
		f.qcow2("top.qcow2", img{backing: name})
		got := f.walk(t, chain.Policy{}, f.top("top.qcow2"))
		switch name {
		case "a.raw", "a.RAW", "a.iso", "a.vmdk":
			wantRefused(t, got, finding.NameContradicts)
		default:
			wantFixable(t, got, 2)
		}
	}
	f.raw("raw.qcow2", 1<<20)
	f.qcow2("top.qcow2", img{backing: "raw.qcow2"})
	for _, rule := range []chain.Rule{chain.Leaf, chain.Strict} {
		got := f.walk(t, chain.Policy{Rule: rule}, f.top("top.qcow2"))
		wantFixable(t, got, 2)
		wantFinding(t, got, finding.NameContradicts, finding.Warn)
	}

	f.qcow2("hybrid", img{})
	hybrid, err := os.OpenFile(f.path("hybrid"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hybrid.WriteAt([]byte("CD001"), 32769); err != nil {
		t.Fatal(err)
	}
	hybrid.Close()
	f.qcow2("top.qcow2", img{backing: "hybrid"})
	wantRefused(t, f.walk(t, chain.Policy{}, f.top("top.qcow2")), finding.AmbiguousSignatures)

	f.raw("disc", 1<<20)
	disc, err := os.OpenFile(f.path("disc"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := disc.WriteAt([]byte("CD001"), 32769); err != nil {
		t.Fatal(err)
	}
	disc.Close()
	f.qcow2("top.qcow2", img{backing: "disc"})
	got := f.walk(t, chain.Policy{Rule: chain.Strict}, f.top("top.qcow2"))
	wantFixable(t, got, 2)
	if got.Layers[1].Format != probe.Raw {
		t.Errorf("an ISO file system is handed out as %q", got.Layers[1].Format)
	}
}

func TestTrust(t *testing.T) {
	f := newFiles(t)
	f.raw("lower.img", 1<<20)
	f.qcow2("base.img", img{backing: "lower.img"})
	f.qcow2("top.qcow2", img{backing: "base.img"})
	if err := os.Symlink("base.img", f.path("other-name.img")); err != nil {
		t.Fatal(err)
	}
	trust := func(path string, format probe.Format) chain.Policy {
		return chain.Policy{Trust: []chain.Statement{{Path: path, Format: format}}}
	}

	got := f.walk(t, trust(f.path("other-name.img"), probe.Qcow2), f.top("top.qcow2"))
	wantFixable(t, got, 3)
	if got.Layers[1].From != chain.Trust || got.Layers[2].From != chain.Probe {
		t.Errorf("origins are %v and %v", got.Layers[1].From, got.Layers[2].From)
	}
	wantRefused(t, f.walk(t, trust(f.path("base.img"), probe.QED), f.top("top.qcow2")), finding.FormatMismatch)
	wantRefused(t, f.walk(t, trust(f.path("elsewhere.img"), probe.Qcow2), f.top("top.qcow2")), finding.ProbedBacking)

	f.qcow2("recorded.qcow2", img{backing: "base.img", backingFormat: "qcow2"})
	wantRefused(t, f.walk(t, trust(f.path("base.img"), probe.Raw), f.top("recorded.qcow2")), finding.TrustConflict)
	wantFixable(t, f.walk(t, trust(f.path("base.img"), probe.Qcow2), f.top("recorded.qcow2")), 3)
	wantRefused(t, f.walk(t, trust(f.path("top.qcow2"), probe.Raw), f.top("top.qcow2")), finding.TrustConflict)
}

func TestBrokenImagesAreNeverRaw(t *testing.T) {
	f := newFiles(t)
	f.put("short", []byte("QFI\xfb\x00\x00\x00\x03"))
	f.put("version 4", append([]byte("QFI\xfb\x00\x00\x00\x04"), make([]byte, 512)...))
	f.put("third byte", append([]byte("QFIx\x00\x00\x00\x03"), make([]byte, 512)...))
	f.put("qed alike", append([]byte("QEDx"), make([]byte, 512)...))
	f.put("vhdx", append([]byte("vhdxfile"), make([]byte, 512)...))
	for name, code := range map[string]finding.Code{
		"short": finding.ImageBroken, "version 4": finding.ImageBroken, "third byte": finding.ImageBroken,
		"qed alike": finding.ImageBroken, "vhdx": finding.ImageBroken,
	} {
		f.qcow2("top.qcow2", img{backing: name})
		wantRefused(t, f.walk(t, chain.Policy{}, f.top("top.qcow2")), code)
	}
}

func TestTopsThatEndTheChain(t *testing.T) {
	f := newFiles(t)
	f.qcow2("image", img{})
	f.raw("disk", 1<<20)
	one := func(l chain.Layer) chain.Stated { return chain.Stated{Target: "vda", Layers: []chain.Layer{l}} }

	got := f.walk(t, chain.Policy{}, one(f.layer("image", probe.Raw)))
	wantVerdict(t, got, chain.Explicit, 1)
	wantFinding(t, got, finding.RawWithSignature, finding.Warn)
	got = f.walk(t, chain.Policy{}, one(f.layer("disk", probe.Raw)))
	wantVerdict(t, got, chain.Explicit, 1)
	if len(got.Findings) != 0 {
		t.Errorf("findings %+v", got.Findings)
	}
	wantVerdict(t, f.walk(t, chain.Policy{}, one(f.layer("absent", probe.Raw))), chain.Explicit, 1)
	wantVerdict(t, f.walk(t, chain.Policy{}, one(f.layer("absent", probe.VDI))), chain.Explicit, 1)
	wantRefused(t, f.walk(t, chain.Policy{}, one(f.layer("absent", probe.Qcow2))), finding.ImageMissing)
	wantRefused(t, f.walk(t, chain.Policy{}, one(f.layer("disk", probe.Qcow2))), finding.FormatMismatch)
	wantFixable(t, f.walk(t, chain.Policy{}, one(f.layer("image", probe.Qcow2))), 1)

	empty := chain.Layer{Source: &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{}}}
	wantVerdict(t, f.walk(t, chain.Policy{}, one(empty)), chain.Skipped, 1)
	wantVerdict(t, f.walk(t, chain.Policy{}, one(chain.Layer{})), chain.Skipped, 1)
}

func TestDisksWithABehaviourOfTheirOwn(t *testing.T) {
	f := newFiles(t)
	f.raw("base.raw", 1<<20)
	f.qcow2("recorded.qcow2", img{backing: "base.raw", backingFormat: "raw"})
	f.qcow2("unrecorded.qcow2", img{backing: "base.raw"})

	sd := f.top("recorded.qcow2")
	sd.Bus = "sd"
	got := f.walk(t, chain.Policy{}, sd)
	wantVerdict(t, got, chain.Explicit, 1)
	wantFinding(t, got, finding.SDBus, finding.Info)
	sd = f.top("unrecorded.qcow2")
	sd.Bus = "sd"
	reported := wantRefused(t, f.walk(t, chain.Policy{}, sd), finding.SDBus)
	wantContains(t, reported.Remedy.String(), "qemu-img rebase -u -f qcow2 -F raw -b base.raw "+f.path("unrecorded.qcow2"))

	mirror := f.top("recorded.qcow2")
	mirror.Mirror = true
	wantRefused(t, f.walk(t, chain.Policy{}, mirror), finding.MirrorRunning)

	live := f.top("recorded.qcow2")
	live.Live = true
	reported = wantRefused(t, f.walk(t, chain.Policy{}, live), finding.LiveDump)
	wantContains(t, reported.Remedy.String(), "virsh dumpxml --inactive")
	live.Layers[0] = f.layer("base.raw", probe.Raw)
	wantVerdict(t, f.walk(t, chain.Policy{}, live), chain.Explicit, 1)

	network := func(format probe.Format, terminated bool) chain.Stated {
		src := &libvirtxml.DomainDiskSource{Network: &libvirtxml.DomainDiskSourceNetwork{Protocol: "nbd", Name: "export"}}
		l := chain.Layer{Source: src, Format: format, From: chain.XML}
		if format == "" {
			l.From = chain.Unstated
		}
		return chain.Stated{Layers: []chain.Layer{l}, Terminated: terminated}
	}
	wantVerdict(t, f.walk(t, chain.Policy{}, network(probe.Raw, false)), chain.Explicit, 1)
	wantRefused(t, f.walk(t, chain.Policy{}, network(probe.Qcow2, false)), finding.SourceNotLocal)
	got = f.walk(t, chain.Policy{}, network(probe.Qcow2, true))
	wantVerdict(t, got, chain.Explicit, 1)
	wantFinding(t, got, finding.ChainUnverified, finding.Warn)
	got = f.walk(t, chain.Policy{}, network("", false))
	wantVerdict(t, got, chain.Explicit, 1)
	wantFinding(t, got, finding.DriverTypeMissing, finding.Warn)
}

func TestWalkErrors(t *testing.T) {
	var w chain.Walker
	if _, err := w.Walk(context.Background(), chain.Stated{}); !errors.Is(err, chain.ErrNoTop) {
		t.Errorf("no layers: %v", err)
	}
	f := newFiles(t)
	f.qcow2("top.qcow2", img{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if c, err := w.Walk(ctx, f.top("top.qcow2")); !errors.Is(err, context.Canceled) || c != nil {
		t.Errorf("cancelled: %v, %v", c, err)
	}
}
