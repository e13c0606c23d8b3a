package host_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
)

// TestStored: of what libvirt keeps of a guest a scan names what needs the fix, and what
// its own images contradict, whatever the guest is like now.
func TestStored(t *testing.T) {
	t.Parallel()
	vhdx, err := mkimage.VHDX{VirtualSize: imageSize}.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	over := func(base, format string) string {
		return "<backingStore type='file'><format type='" + format + "'/><source file='DIR/" + base + "'/><backingStore/></backingStore>"
	}
	disk := func(source, inside string) string {
		return diskOf(fileDisk, "qcow2", "<source file='DIR/"+source+"'/>"+inside)
	}
	for _, c := range []struct {
		name   string
		disks  string
		memory string // of the snapshot
		file   string // where libvirt keeps it; "" for a snapshot
		policy chain.Policy
		// now is the guest's own disk, below which more is; "" for one that has nothing to
		// do with the snapshot. Another guest uses all images but "lone".
		now, more string
		// want are the findings, each by what it must say; none means that nothing is
		// reported.
		want    []string
		verdict chain.Verdict
		held    error
	}{
		{name: "whole chain", disks: disk("over", over("base.img", "raw"))},
		{name: "no chain", disks: disk("over", ""), verdict: chain.Fixable,
			want: []string{`warn: a revert to snapshot "s" brings back the disk "vda" with a chain that is not explicit`}},
		{name: "no chain, and all of it is recorded", disks: disk("recorded", "")},
		{name: "no chain, of a guest that ran", disks: disk("over", ""), memory: "<memory snapshot='internal'/>", verdict: chain.Fixable,
			want: []string{`a revert to snapshot "s" brings back the disk "vda" with a chain that is not explicit`}},
		{name: "the shorter chain of an external snapshot", disks: disk("over", over("base.img", "raw"))},
		{name: "raw disk that has an overlay now", disks: diskOf(fileDisk, "raw", baseFile)},
		{name: "chain that goes on", disks: disk("flat", over("base.img", "raw")), verdict: chain.Refused,
			want: []string{`that its images contradict: the XML continues with "DIR/base.img", but "DIR/flat" has no backing image`}},
		{name: "chain that ends", disks: disk("over", "<backingStore/>"), verdict: chain.Refused, want: []string{`that its images contradict: the XML ends the chain at "DIR/over"`}},
		{name: "another base", disks: disk("over", over("other.img", "raw")), verdict: chain.Refused, want: []string{`that its images contradict: below "DIR/over" the XML names "DIR/other.img"`}},
		{name: "another format", disks: disk("over", over("flat", "raw")), verdict: chain.Refused, want: []string{`that its images contradict`}},
		{name: "another base, and the headers win", disks: disk("over", over("other.img", "raw")), policy: chain.Policy{Disagreement: chain.HeadersWin}, verdict: chain.Fixable, held: host.ErrByName,
			want: []string{`that its images contradict`}},
		{name: "another base of a checkpoint, and the headers win", disks: disk("over", over("other.img", "raw")), file: "checkpoint/x/s.xml",
			policy: chain.Policy{Disagreement: chain.HeadersWin}, verdict: chain.Fixable, want: []string{`that its images contradict`}},
		{name: "another base, and the XML is kept", disks: disk("over", over("other.img", "raw")), policy: chain.Policy{Disagreement: chain.XMLWins}},
		{name: "another base below memory", disks: disk("over", over("other.img", "raw")), memory: "<memory snapshot='external' file='/x'/>",
			policy: chain.Policy{Disagreement: chain.HeadersWin}, verdict: chain.Fixable, held: host.ErrGuestBusy, want: []string{`chainfix does not change that: the guest resumes with the chain that it had`}},
		{name: "base that was moved, below memory", disks: disk("over", over("moved.img", "raw")), memory: "<memory snapshot='external' file='/x'/>",
			policy: chain.Policy{Disagreement: chain.HeadersWin}, verdict: chain.Fixable, want: []string{`that its images contradict`}},
		{name: "vhdx that libvirt opens as raw, below memory", disks: disk("over-vhdx", ""), memory: "<memory snapshot='internal'/>", verdict: chain.Fixable, held: host.ErrGuestBusy,
			want: []string{`is not explicit; chainfix does not change that: the guest resumes, and may have another chain open than the headers record`}},
		{name: "vhdx that libvirt opens as raw", disks: disk("over-vhdx", ""), memory: "<memory snapshot='no'/>", verdict: chain.Fixable, held: host.ErrByName, want: []string{"is not explicit"}},
		{name: "base that a guest may have written", disks: disk("over-unknown", ""), verdict: chain.Refused, want: []string{`that cannot be made explicit: the format of "DIR/lone" is not recorded`}},
		{name: "overlay that is gone", disks: disk("gone", "")},
		{name: "base that is gone", disks: disk("over-gone", "")},
		{name: "disk that libvirt would not accept", disks: diskOf(fileDisk, "none", baseFile)},
		{name: "image that nobody uses now", disks: disk("lone", ""), verdict: chain.Refused,
			want: []string{`that cannot be made explicit: no current definition says that "DIR/lone" is still qcow2, so the files in its header are not touched`}},
		{name: "image that nobody uses now, and its whole chain", disks: disk("lone", over("other.img", "raw"))},
		{name: "image that nobody uses now, and the operator knows", disks: disk("lone", ""), policy: chain.Policy{Trust: []chain.Statement{{Path: "DIR/lone", Format: probe.Qcow2}}},
			verdict: chain.Fixable, want: []string{"is not explicit"}},
		{name: "image that is recorded below the guest's own", disks: disk("lone", ""), now: "over-lone", verdict: chain.Fixable, want: []string{"is not explicit"}},
		{name: "image that is recorded and stated below the guest's own", disks: disk("lone", ""), now: "over-lone",
			more: strings.Replace(over("lone", "qcow2"), "<backingStore/>", over("base.img", "raw"), 1), verdict: chain.Fixable, want: []string{"is not explicit"}},
		{name: "two disks", disks: disk("over", "") + strings.Replace(disk("over-flat", ""), "'vda'", "'vdb'", 1), verdict: chain.Fixable, want: []string{`the disk "vda"`, `the disk "vdb"`}},
		{name: "checkpoint", disks: disk("over", ""), file: "checkpoint/x/s.xml", verdict: chain.Fixable, want: []string{`info: checkpoint "s" has the disk "vda" with a chain that is not explicit`}},
		{name: "saved state", disks: disk("over", ""), file: "save/x.save", verdict: chain.Fixable, want: []string{`warn: the managed save image resumes with the disk "vda" with a chain that is not explicit`}},
		{name: "saved state over a vhdx", disks: disk("over-vhdx", ""), file: "save/x.save", verdict: chain.Fixable, held: host.ErrGuestBusy, want: []string{"chainfix does not change that"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newStoredHost(t)
			h.write("base.img", make([]byte, imageSize))
			h.write("other.img", make([]byte, imageSize))
			h.qcow2("over", "base.img")
			h.qcow2Over("recorded", "base.img", "raw")
			if c.name == "another format" {
				h.qcow2Over("over", "flat", "qcow2")
			}
			h.qcow2("flat", "")
			h.qcow2("over-flat", "flat")
			h.qcow2("over-unknown", "lone")
			h.qcow2Over("over-gone", "nothing", "raw")
			h.qcow2("over-vhdx", "vhdx.img")
			h.write("vhdx.img", vhdx)
			h.qcow2("lone", "base.img")
			h.qcow2Over("over-lone", "lone", "qcow2")
			own := "its-own"
			if c.now != "" {
				own = c.now
			}
			h.guest("x", diskOf(fileDisk, "qcow2", "<source file='DIR/"+own+"'/>"+c.more))
			var used strings.Builder
			for _, name := range []string{"over", "recorded", "flat", "over-flat", "over-unknown", "over-gone", "over-vhdx"} {
				used.WriteString(disk(name, ""))
			}
			h.guest("uses", used.String())
			switch root := "domain"; c.file {
			case "":
				text := strings.Replace(snapshotOf(root, c.disks), "</name>", "</name>"+c.memory, 1)
				if strings.Contains(c.memory, "internal") {
					text = strings.Replace(text, "</domain>", "</domain><inactiveDomain><devices>"+c.disks+"</devices></inactiveDomain>", 1)
				}
				h.text("var/lib/libvirt/qemu/snapshot/x/s.xml", text)
			case "save/x.save":
				h.write("var/lib/libvirt/qemu/"+c.file, savedImage(strings.ReplaceAll(stored("x", c.disks), "DIR", h.dir)))
			default:
				h.text("var/lib/libvirt/qemu/"+c.file, strings.ReplaceAll(snapshotOf(root, c.disks), "domainsnapshot", "domaincheckpoint"))
			}
			for i, s := range c.policy.Trust {
				c.policy.Trust[i].Path = strings.ReplaceAll(s.Path, "DIR", h.dir)
			}
			r := h.scan(&host.Scan{Policy: c.policy})["x"]
			if len(c.want) == 0 {
				// What could be made explicit and need not be is there for who asks for all.
				if len(r.Stored) > 0 && (len(r.Stored[0].Findings) > 0 || r.Stored[0].Wanted(r, false) || !r.Stored[0].Wanted(r, true)) {
					t.Errorf("%v is %v: %v", r.Stored[0], r.Stored[0].Verdict(), r.Stored[0].Findings)
				}
				return
			}
			if len(r.Stored) != 1 || len(r.Stored[0].Findings) != len(c.want) || r.Stored[0].Verdict() != c.verdict {
				t.Fatalf("%+v", r.Stored)
			}
			for i, want := range c.want {
				f := r.Stored[0].Findings[i]
				said := f.Severity.String() + ": " + strings.ReplaceAll(f.Text, h.dir, "DIR")
				if f.Code != finding.SnapshotDiffers || !strings.Contains(said, want) || f.Remedy.IsZero() {
					t.Errorf("[%s] %s; hint: %s; want %s", f.Code, said, f.Remedy, want)
				}
			}
			if code, why := r.Stored[0].HeldBack(r); !errors.Is(why, c.held) || (code == "") != (why == nil) {
				t.Errorf("held back: %q, %v", code, why)
			}
			r.Named = true
			if _, why := r.Stored[0].HeldBack(r); c.held == host.ErrByName && why != nil {
				t.Errorf("by name it is held back, too: %v", why)
			}
		})
	}
}
