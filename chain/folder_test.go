package chain_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
)

func ruled(path string, rule chain.Rule) chain.Folder { return chain.Folder{Path: path, Rule: &rule} }
func believing(path string) chain.Folder              { return chain.Folder{Path: path, TrustHeaders: true} }

// goldenFiles is a folder "golden" whose images record no format, three deep,
// an overlay of it outside, and a secret.
func goldenFiles(t *testing.T) *files {
	f := newFiles(t)
	f.mkdir("golden/old", "guests", "elsewhere")
	f.raw("secret", 1<<20)
	f.raw("golden/old/first.img", 1<<20)
	f.qcow2("golden/old/second.img", img{backing: "first.img"})
	f.qcow2("golden/third.img", img{backing: "old/second.img"})
	f.qcow2("guests/top.qcow2", img{backing: "../golden/third.img"})
	return f
}

// A trusted folder is libvirt's criterion "backing file is present and
// trusted": the chain is followed as the headers say, whatever the rule, and
// ends at an image without a header.
func TestBelievedHeadersAreFollowed(t *testing.T) {
	f := goldenFiles(t)
	for _, rule := range []chain.Rule{chain.Leaf, chain.Strict} {
		got := f.walk(t, chain.Policy{Rule: rule, Folders: []chain.Folder{believing(f.path("golden"))}}, f.top("guests/top.qcow2"))
		wantFixable(t, got, 4)
		for i, want := range []chain.Layer{
			{Format: probe.Qcow2, From: chain.XML}, {Format: probe.Qcow2, From: chain.Trust},
			{Format: probe.Qcow2, From: chain.Trust}, {Format: probe.Raw, From: chain.Probe},
		} {
			if have := got.Layers[i]; have.Format != want.Format || have.From != want.From {
				t.Errorf("%v: layer %d is %q from %v, want %q from %v", rule, i, have.Format, have.From, want.Format, want.From)
			}
		}
		wantFinding(t, got, finding.TrustedHeader, finding.Info)
	}
	// Nobody said what the raw image at the end is, and it has no header.
	got := f.walk(t, chain.Policy{Rule: chain.Declared, Folders: []chain.Folder{believing(f.path("golden"))}}, f.top("guests/top.qcow2"))
	wantContains(t, wantRefused(t, got, finding.FormatUnrecorded).Text, "first.img")

	// Without trust nothing is followed.
	wantRefused(t, f.walk(t, chain.Policy{}, f.top("guests/top.qcow2")), finding.ProbedBacking)
	f.wantUntouched(t, "golden/old/second.img", "guests/../golden/old/second.img")
}

// A format that a trusted image records for its backing image is a record like
// any other, and counts outside of all folders too.
func TestBelievedImageMayRecord(t *testing.T) {
	f := goldenFiles(t)
	f.qcow2("golden/fourth.img", img{backing: "old/second.img", backingFormat: "qcow2"})
	f.qcow2("guests/top.qcow2", img{backing: "../golden/fourth.img"})
	got := f.walk(t, chain.Policy{Folders: []chain.Folder{believing(f.path("golden"))}}, f.top("guests/top.qcow2"))
	wantFixable(t, got, 4)
	if got.Layers[2].From != chain.Header {
		t.Errorf("a recorded format is from %v", got.Layers[2].From)
	}
}

// Attacks: an image outside of the folder is never trusted, whatever path
// leads to it.
func TestBeliefEndsAtTheFolder(t *testing.T) {
	cases := []struct {
		name    string
		prepare func(f *files)
		backing string // of the top, in guests/
		text    string // what the refusal says
	}{
		{"dots out of the folder", func(f *files) { f.qcow2("elsewhere/forged", img{backing: f.path("secret")}) },
			"../golden/../elsewhere/forged", "elsewhere/forged"},
		{"dots behind a symlink", func(f *files) {
			// Cleaned, this is golden/forged; the system opens elsewhere/forged.
			f.mkdir("elsewhere/deep")
			f.symlink("../elsewhere/deep", "golden/link")
			f.qcow2("elsewhere/forged", img{backing: f.path("secret")})
			f.qcow2("golden/forged", img{backing: "third.img"})
		}, "../golden/link/../forged", "leads to"},
		{"symlink out of the folder", func(f *files) {
			f.qcow2("elsewhere/forged", img{backing: f.path("secret")})
			f.symlink("../elsewhere/forged", "golden/link")
		}, "../golden/link", "leads to"},
		{"symlink of a folder", func(f *files) {
			f.qcow2("elsewhere/forged", img{backing: f.path("secret")})
			f.symlink(f.path("elsewhere"), "golden/link")
		}, "../golden/link/forged", "leads to"},
		{"symlink into the folder", func(f *files) { f.symlink("../golden/third.img", "elsewhere/link") },
			"../elsewhere/link", "old/second.img"},
		{"folder whose name begins alike", func(f *files) {
			f.mkdir("golden-not")
			f.qcow2("golden-not/forged", img{backing: f.path("secret")})
		}, "../golden-not/forged", "golden-not"},
		{"folder within that is not believed", func(f *files) {
			f.mkdir("golden/uploads")
			f.qcow2("golden/uploads/forged", img{backing: "../third.img"})
		}, "../golden/uploads/forged", "golden/uploads"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := goldenFiles(t)
			c.prepare(f)
			f.qcow2("guests/top.qcow2", img{backing: c.backing})
			policy := chain.Policy{Folders: []chain.Folder{believing(f.path("golden")), ruled(f.path("golden/uploads"), chain.Leaf)}}
			got := f.walk(t, policy, f.top("guests/top.qcow2"))
			wantContains(t, wantRefused(t, got, finding.ProbedBacking).Text, c.text)
			f.wantUntouched(t, "secret", "golden/third.img")
			wantVerdict(t, got, chain.Refused, 2)
		})
	}
}

// A trusted image's backing image is followed only into a trusted folder, and
// touched only if its name is in one.
func TestTrustedImageNamesNothingOutside(t *testing.T) {
	cases := []struct {
		name    string
		base    interface{ Bytes() ([]byte, error) }
		prepare func(f *files)
		code    finding.Code
		text    string
		opened  string // must not be
	}{
		{name: "absolute", base: mkimage.Qcow2{Backing: "/etc/hostname"}, code: finding.ProbedBacking, text: "is not in a folder"},
		{name: "relative", base: mkimage.Qcow2{Backing: "../secret"}, code: finding.ProbedBacking, text: "is not in a folder"},
		{name: "recorded as raw", base: mkimage.Qcow2{Backing: "../secret", BackingFormat: "raw"}, code: finding.ProbedBacking, text: "is not in a folder"},
		{name: "the folder itself", base: mkimage.Qcow2{Backing: "../golden"}, code: finding.ProbedBacking, text: "is not in a folder"},
		{name: "symlink", base: mkimage.Qcow2{Backing: "link"}, prepare: func(f *files) { f.symlink("../secret", "golden/link") },
			code: finding.ProbedBacking, text: "leads to", opened: "golden/link"},
		{name: "symlink of symlinks", base: mkimage.Qcow2{Backing: "old/link"}, prepare: func(f *files) {
			f.symlink("..", "golden/up")
			f.symlink("../up/secret", "golden/old/link")
		}, code: finding.ProbedBacking, text: "leads to", opened: "golden/old/link"},
		{name: "nothing there", base: mkimage.Qcow2{Backing: "gone.img"}, code: finding.ProbedBacking, text: "does not exist"},
		{name: "symlink to itself", base: mkimage.Qcow2{Backing: "loop"}, prepare: func(f *files) { f.symlink("loop", "golden/loop") },
			code: finding.ProbedBacking, text: "cannot be found", opened: "golden/loop"},
		{name: "protocol", base: mkimage.Qcow2{Backing: "nbd://user:password@host/x"}, code: finding.ProbedBacking, text: "local file"},
		{name: "data file", base: mkimage.Qcow2{DataFile: "/etc/hostname"}, code: finding.DataFile, text: "a backing image"},
		{name: "data file in the folder", base: mkimage.Qcow2{DataFile: "old/first.img"}, code: finding.DataFile, text: "a backing image"},
		{name: "extent", base: mkimage.VMDKDescriptor{Extents: []mkimage.VMDKExtent{{Sectors: 8, Name: "old/first.img"}}},
			code: finding.ForeignExtents, text: "a backing image"},
		{name: "parent", base: mkimage.VPC{VirtualSize: 1 << 20, Parent: "old/first.img"}, code: finding.Differencing, text: "a backing image"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := goldenFiles(t)
			if q, ok := c.base.(mkimage.Qcow2); ok {
				q.VirtualSize = overlaySize
				c.base = q
			}
			f.write("golden/base.img", c.base)
			if c.prepare != nil {
				c.prepare(f)
			}
			f.qcow2("guests/top.qcow2", img{backing: f.path("golden/base.img")})
			got := f.walk(t, chain.Policy{Folders: []chain.Folder{believing(f.path("golden"))}}, f.top("guests/top.qcow2"))
			reported := wantRefused(t, got, c.code)
			wantContains(t, reported.Text, c.text)
			wantContains(t, reported.Text, "which is trusted")
			f.wantUntouched(t, "secret", "golden/../secret", "golden/old/first.img")
			if f.touched["/etc/hostname"] || f.opened[f.path(c.opened)] > 0 {
				t.Error("what the image names was looked at")
			}
			wantVerdict(t, got, chain.Refused, 2)
			for _, reported := range got.Findings {
				if strings.Contains(reported.Text+reported.Remedy.String(), "password") {
					t.Errorf("a password is shown: %q", reported.Text+reported.Remedy.String())
				}
			}
		})
	}
}

// Contradictions apply to trusted headers too: then the backing image is not
// even touched.
func TestContradictionsOfTrustedHeaders(t *testing.T) {
	cases := map[string]struct {
		prepare func(f *files)
		backing string
		format  string
		code    finding.Code
	}{
		"name": {func(f *files) { f.qcow2("golden/base.raw", img{backing: "third.img"}) }, "golden/base.raw", "", finding.NameContradicts},
		"size": {func(f *files) {
			f.qcow2("golden/base.img", img{backing: "third.img"})
			f.grow("golden/base.img", overlaySize)
		}, "golden/base.img", "", finding.SizeContradicts},
		"record": {func(f *files) { f.qcow2("golden/base.img", img{backing: "third.img"}) }, "golden/base.img", "vhdx", finding.RecordContradicts},
		"two signatures": {func(f *files) {
			f.qcow2("golden/base.img", img{backing: "third.img"})
			f.grow("golden/base.img", 1<<20)
			signIn(f, "golden/base.img", "CD001", 32769)
		}, "golden/base.img", "", finding.AmbiguousSignatures},
		"encryption": {func(f *files) { f.write("golden/base.img", mkimage.LUKS1{VirtualSize: 1 << 20}) }, "golden/base.img", "", finding.Encrypted},
		"broken header": {func(f *files) {
			f.qcow2("golden/base.img", img{backing: "third.img"})
			signIn(f, "golden/base.img", "\x00\x00\x00\x3f", 20) // cluster bits
		}, "golden/base.img", "", finding.ImageBroken},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := goldenFiles(t)
			c.prepare(f)
			f.qcow2("guests/top.qcow2", img{backing: f.path(c.backing), backingFormat: c.format})
			got := f.walk(t, chain.Policy{Folders: []chain.Folder{believing(f.path("golden"))}}, f.top("guests/top.qcow2"))
			wantRefused(t, got, c.code)
			f.wantUntouched(t, "golden/third.img")
		})
	}
}

func signIn(f *files, name, mark string, off int64) {
	f.t.Helper()
	w, err := os.OpenFile(f.path(name), os.O_WRONLY, 0)
	if err != nil {
		f.t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.WriteAt([]byte(mark), off); err != nil {
		f.t.Fatal(err)
	}
}

// A folder may be named by a symlink, and its images by symlinks within it.
func TestBelievedFolderBehindSymlinks(t *testing.T) {
	f := goldenFiles(t)
	f.symlink(f.path("golden"), "names")
	f.symlink("third.img", "golden/latest.img")
	f.symlink(f.path("golden/third.img"), "golden/newest.img")
	policy := chain.Policy{Folders: []chain.Folder{believing(f.path("names"))}}
	for _, base := range []string{"names/third.img", "names/latest.img", "names/newest.img", "names/old/../third.img", "names//./third.img"} {
		f.qcow2("guests/top.qcow2", img{backing: f.path(base)})
		wantFixable(t, f.walk(t, policy, f.top("guests/top.qcow2")), 4)
	}
	// The folder is not trusted by its other name.
	f.qcow2("guests/top.qcow2", img{backing: f.path("golden/third.img")})
	wantRefused(t, f.walk(t, policy, f.top("guests/top.qcow2")), finding.ProbedBacking)
}

// Without an Opener that resolves symlinks nothing is trusted.
func TestNoTrustWithoutResolver(t *testing.T) {
	f := goldenFiles(t)
	w := &chain.Walker{Images: image.NewCache(struct{ storage.Opener }{f}), Policy: chain.Policy{Folders: []chain.Folder{believing(f.path("golden"))}}}
	f.touched, f.opened = map[string]bool{}, map[string]int{}
	got, err := w.Walk(context.Background(), f.top("guests/top.qcow2"))
	if err != nil {
		t.Fatal(err)
	}
	wantContains(t, wantRefused(t, got, finding.ProbedBacking).Text, "symlinks cannot be resolved")
}

// The innermost folder's rule is used, and the stricter one if the image's
// name and its resolved path are in folders with different rules.
func TestRulesOfFolders(t *testing.T) {
	f := newFiles(t)
	f.mkdir("a/b/c", "ab", "guests")
	for _, name := range []string{"top.img", "a/x.img", "a/b/x.img", "a/b/c/x.img", "ab/x.img"} {
		f.qcow2(name, img{})
	}
	f.symlink("../a/b/x.img", "ab/link.img")
	f.symlink("../../ab/x.img", "a/b/link.img")
	f.symlink("a/b/c", "link")
	f.symlink("ab", "named")
	policy := chain.Policy{Rule: chain.Strict, Folders: []chain.Folder{
		ruled(f.path("a"), chain.Leaf), ruled(f.path("a/b"), chain.Declared), {Path: f.path("a/b/c")}, ruled("ab", chain.Leaf), ruled(f.path("named"), chain.Leaf),
	}}
	const declared, strict, leaf = finding.FormatUnrecorded, finding.ProbedNotRaw, finding.Code("")
	for base, want := range map[string]finding.Code{
		"top.img": strict, "a/x.img": leaf, "a/b/x.img": declared, "a/b/c/x.img": declared, "ab/x.img": strict,
		"a/b/../x.img": leaf, "a/b/c/../../x.img": leaf, "a/../ab/x.img": strict,
		"ab/link.img": declared, "a/b/link.img": declared, "link/../x.img": declared, "named/x.img": leaf,
	} {
		t.Run(base, func(t *testing.T) {
			f.qcow2("guests/top.qcow2", img{backing: f.path(base)})
			got := f.walk(t, policy, f.top("guests/top.qcow2"))
			if want == leaf {
				wantFixable(t, got, 2)
				return
			}
			wantRefused(t, got, want)
		})
	}
	// Two entries for one folder: the stricter one is used, in any order.
	for _, folders := range [][]chain.Folder{
		{ruled(f.path("a"), chain.Leaf), ruled(f.path("a/"), chain.Declared)},
		{ruled(f.path("a"), chain.Declared), ruled(f.path("a/"), chain.Leaf)},
	} {
		f.qcow2("guests/top.qcow2", img{backing: f.path("a/x.img")})
		wantRefused(t, f.walk(t, chain.Policy{Folders: folders}, f.top("guests/top.qcow2")), declared)
	}
	everywhere := chain.Policy{Folders: []chain.Folder{ruled("/", chain.Strict)}}
	wantRefused(t, f.walk(t, everywhere, f.top("guests/top.qcow2")), strict)
}

func TestResolve(t *testing.T) {
	f := newFiles(t)
	f.raw("image", 512)
	f.symlink("image", "link")
	real, err := storage.FileOpener{}.Resolve(context.Background(), f.path("image"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := (storage.FileOpener{}).Resolve(context.Background(), f.path("link")); err != nil || got != real {
		t.Errorf("Resolve(link) = %q, %v, want %q", got, err, real)
	}
	for path, want := range map[string]error{f.path("gone"): fs.ErrNotExist, "image": fs.ErrInvalid, "": fs.ErrInvalid} {
		if got, err := (storage.FileOpener{}).Resolve(context.Background(), path); !errors.Is(err, want) {
			t.Errorf("Resolve(%q) = %q, %v, want %v", path, got, err, want)
		}
	}
}
