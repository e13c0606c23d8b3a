package chain_test

import (
	"os"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/probe"
)

// Which statement counts for an image: the one with its path, then those with
// another name of the file, then the patterns.
func TestStatements(t *testing.T) {
	f := newFiles(t)
	f.mkdir("dir/deep", "elsewhere/deep")
	f.raw("lower.img", 1<<20)
	f.qcow2("dir/base.img", img{backing: "../lower.img"})
	f.qcow2("elsewhere/base.img", img{backing: "../lower.img"})
	f.symlink("base.img", "dir/link.img")
	f.symlink("../elsewhere/deep", "dir/away")
	if err := os.Link(f.path("dir/base.img"), f.path("hard.img")); err != nil {
		t.Fatal(err)
	}
	is := func(name string, format probe.Format) chain.Statement {
		return chain.Statement{Path: f.path(name), Format: format}
	}
	like := func(name string, format probe.Format) chain.Statement {
		return chain.Statement{Path: f.path(name), Pattern: true, Format: format}
	}
	const q, raw = probe.Qcow2, probe.Raw
	cases := []struct {
		name    string
		backing string // of the top; dir/base.img where it is ""
		trust   []chain.Statement
		want    probe.Format // "" where nothing is stated
		refused finding.Code
	}{
		{name: "path", trust: []chain.Statement{is("dir/base.img", q)}, want: q},
		{name: "first of two", trust: []chain.Statement{is("dir/base.img", q), is("dir/base.img", raw)}, want: q},
		{name: "symlink", trust: []chain.Statement{is("dir/link.img", q)}, want: q},
		{name: "hard link", trust: []chain.Statement{is("hard.img", q)}, want: q},
		{name: "path before other names", trust: []chain.Statement{is("hard.img", raw), is("dir/base.img", q)}, want: q},
		{name: "names of one file disagree", trust: []chain.Statement{is("hard.img", raw), is("dir/link.img", q)}, refused: finding.TrustConflict},
		{name: "first of two by another name", trust: []chain.Statement{is("hard.img", q), is("hard.img", raw)}, want: q},
		{name: "names of one file agree", trust: []chain.Statement{is("hard.img", q), is("dir/link.img", q)}, want: q},

		{name: "pattern", trust: []chain.Statement{like("dir/*.img", q)}, want: q},
		{name: "path before pattern", trust: []chain.Statement{like("dir/*", raw), is("dir/base.img", q)}, want: q},
		{name: "other name before pattern", trust: []chain.Statement{like("dir/*", raw), is("hard.img", q)}, want: q},
		{name: "patterns disagree", trust: []chain.Statement{like("dir/*", raw), like("*/base.img", q)}, refused: finding.TrustConflict},
		{name: "patterns agree", trust: []chain.Statement{like("dir/*", q), like("*/base.img", q)}, want: q},
		{name: "only one pattern matches", trust: []chain.Statement{like("dir/*.raw", raw), like("dir/b*", q)}, want: q},
		{name: "star within one folder", trust: []chain.Statement{like("*", q)}, refused: finding.ProbedBacking},
		{name: "path that looks like a pattern", trust: []chain.Statement{is("dir/*", q)}, refused: finding.ProbedBacking},
		{name: "malformed pattern", trust: []chain.Statement{like("dir/[", q)}, refused: finding.ProbedBacking},
		{name: "pattern over a cleaned name", backing: "dir/deep/../base.img", trust: []chain.Statement{like("dir/*", q)}, want: q},
		{name: "pattern that only the spelling matches", backing: "elsewhere/deep/../../dir/base.img", trust: []chain.Statement{like("elsewhere/*/*/*/*/*", q)},
			refused: finding.ProbedBacking},
		// Cleaned this is dir/base.img, which is there; opened is the other.
		{name: "dots behind a symlink", backing: "dir/away/../base.img", trust: []chain.Statement{like("dir/*", q)}, refused: finding.ProbedBacking},
		{name: "name on the network", trust: []chain.Statement{{Path: "nbd://host:10809/base", Format: q}}, refused: finding.ProbedBacking},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.backing == "" {
				c.backing = "dir/base.img"
			}
			f.qcow2("top.qcow2", img{backing: f.path(c.backing)})
			got := f.walk(t, chain.Policy{Trust: c.trust}, f.top("top.qcow2"))
			if f.touched["nbd://host:10809/base"] {
				t.Error("a name on the network was taken for a file")
			}
			if c.refused != "" {
				wantRefused(t, got, c.refused)
				if len(got.Findings) != 1 {
					t.Errorf("more was said: %+v", got.Findings)
				}
				f.wantUntouched(t, "lower.img")
				return
			}
			wantFixable(t, got, 3)
			if base := got.Layers[1]; base.Format != c.want || base.From != chain.Trust {
				t.Errorf("base is %q from %v, want %q from the operator", base.Format, base.From, c.want)
			}
		})
	}
}

// A pattern contradicts a record as any statement does, and statements that
// contradict each other stop at the top too.
func TestPatternsAgainstRecords(t *testing.T) {
	f := newFiles(t)
	f.qcow2("base.img", img{})
	f.qcow2("top.qcow2", img{backing: "base.img", backingFormat: "qcow2"})
	pattern := func(name string, format probe.Format) chain.Statement {
		return chain.Statement{Path: f.path(name), Pattern: true, Format: format}
	}
	wantRefused(t, f.walk(t, chain.Policy{Trust: []chain.Statement{pattern("*.img", probe.Raw)}}, f.top("top.qcow2")), finding.TrustConflict)
	disputed := chain.Policy{Trust: []chain.Statement{pattern("*.img", probe.Raw), pattern("base*", probe.Qcow2)}}
	wantRefused(t, f.walk(t, disputed, f.top("top.qcow2")), finding.TrustConflict)

	got := f.walk(t, disputed, chain.Stated{Target: "vda", Layers: []chain.Layer{f.layer("base.img", "")}})
	wantRefused(t, got, finding.TrustConflict)
	if len(got.Findings) != 1 {
		t.Errorf("more was said: %+v", got.Findings)
	}
}

func TestParseFormat(t *testing.T) {
	for name, want := range map[string]probe.Format{
		"raw": probe.Raw, "qcow2": probe.Qcow2, "vhd": probe.VHDX, "vhdx": probe.VHDX, "vpc": probe.VPC,
		"ploop": probe.Parallels, "parallels": probe.Parallels, "aio": probe.Raw, "dmg": probe.DMG,
		"": "", "luks": "", "iso": "", "cow": "", "dir": "", "fat": "", "none": "", "QCOW2": "", "raw ": "",
	} {
		f, err := chain.ParseFormat(name)
		if f != want || (err == nil) != (want != "") {
			t.Errorf("ParseFormat(%q) = %q, %v, want %q", name, f, err, want)
		}
		if err != nil && !strings.Contains(err.Error(), "(want one of raw, ") {
			t.Errorf("ParseFormat(%q) does not say what it wants: %v", name, err)
		}
	}
}
