package chain_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
	"github.com/chainfix/chainfix/testdata/peers"
	"github.com/chainfix/chainfix/xmlfix"
)

// refusal is an input that is refused with a code. It is a folder of images that
// build makes, and a disk in it whose XML names them under @.
type refusal struct {
	name, code string
	build      func(*files)
	// disk is the disk's XML but for its <target>: that of a qcow2 image
	// top.qcow2 without a chain where it is "".
	disk     string
	document string // the whole document, in the place of a domain with disk
	policy   chain.Policy
	trust    string // PATH=FORMAT, PATH in the folder
	evidence func(*files) *chain.Evidence
	opener   func(*files) storage.Opener
	// fill has what people put for a word in capitals in the hint; @ is the
	// folder.
	fill map[string]string
	// byHand is part of a hint that asks for what no command does. A hint
	// without it has to have a command.
	byHand string
}

const (
	topDisk     = `<disk type='file'><driver name='qemu' type='qcow2'/><source file='@/top.qcow2'/>`
	ended       = `<backingStore/></backingStore>`
	brokenQcow2 = "QFI\xfb\x00\x00\x00\x03"
	vmdkFlat    = "create -q -f vmdk -o subformat=monolithicFlat "
)

// below is a <backingStore> without an end, so </backingStore> has to follow.
func below(name, format string) string {
	return `<backingStore type='file'><format type='` + format + `'/><source file='@/` + name + `'/>`
}

// over makes top.qcow2 over base.img, with a format recorded unless that is "".
func over(f *files, format string) {
	f.qcow2("top.qcow2", img{backing: "base.img", backingFormat: format})
}

// named makes a top.qcow2 with a name for its backing image.
func named(name string) func(*files) {
	return func(f *files) {
		f.raw("other.img", 1<<20)
		f.qcow2("top.qcow2", img{backing: name, backingFormat: "raw"})
	}
}

func (f *files) img(args string) {
	f.t.Helper()
	f.sh("qemu-img " + args)
}

func (f *files) sh(command string) {
	f.t.Helper()
	cmd := exec.Command("sh", "-c", command)
	cmd.Dir = f.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		f.t.Fatalf("%s: %v: %s", command, err, out)
	}
}

func flat(f *files) { f.img(vmdkFlat + "base.img 1M") }

func qcow2Over(f *files, name string) {
	f.raw("bottom.img", 1<<20)
	f.qcow2(name, img{backing: "bottom.img", backingFormat: "raw"})
}

func aes(f *files, name string) {
	f.put("password", []byte("secret"))
	f.img("create -q -f qcow2 --object secret,id=s,file=password -o encrypt.format=aes,encrypt.key-secret=s " + name + " 1M")
}

// withDataFile makes an image whose data are in a file of the folder.
func withDataFile(f *files, name, file string) {
	f.raw("data.raw", 1<<20)
	f.img("create -q -f qcow2 -o data_file=" + file + " " + name + " 1M")
}

var (
	otherName = map[string]string{"NAME": "other.img"}
	newer     = chain.Policy{Target: libvirt.Version{Major: 11}}
	older     = chain.Policy{Target: libvirt.Version{Major: 9}}
)

var refusals = []refusal{
	// Of the document.
	{name: "cut off", code: "xml-syntax", document: "<domain><devices>", byHand: "virsh dumpxml"},
	{name: "Latin-1", code: "xml-encoding", document: "<domain><name>\xe4</name></domain>", byHand: "iconv"},
	{name: "a DOCTYPE", code: "xml-ambiguous", document: "<!DOCTYPE domain><domain/>", byHand: "take that out"},
	{name: "a pool", code: "not-a-domain", document: "<pool/>", byHand: "virsh dumpxml"},
	{name: "a mere text", code: "not-a-domain", document: "<html/>", byHand: "virsh dumpxml"},
	{name: "deep", code: "input-too-large", document: "<domain>" + strings.Repeat("<a>", 300), byHand: "look whether"},
	{name: "no format", code: "disk-unreadable", disk: topDisk + `<backingStore type='file'><source file='@/x'/></backingStore>`, byHand: "virsh edit web"},

	// Of the disk.
	{name: "a mirror", code: "mirror", build: named("other.img"), disk: topDisk + `<mirror type='file' job='copy'><source file='@/copy'/></mirror>`,
		byHand: "virsh blockjob web vda"},
	{name: "a live dump", code: "live-dump", build: named("other.img"), disk: strings.Replace(topDisk, "<source ", "<source index='1' ", 1),
		byHand: "virsh dumpxml --inactive --security-info web"},
	{name: "sd over raw", code: "sd-bus", build: func(f *files) { f.raw("base.img", 1<<20); over(f, "") }, disk: topDisk + "<target dev='sda' bus='sd'/>"},
	{name: "sd qcow", code: "sd-bus", build: func(f *files) {
		f.raw("base.img", 1<<20)
		f.img("create -q -f qcow -b base.img -F raw top.qcow2 1M")
	}, disk: strings.Replace(topDisk, "type='qcow2'", "type='qcow'", 1) + "<target dev='sda' bus='sd'/>", byHand: "virsh edit web"},
	{name: "rbd", code: "source-not-local", disk: `<disk type='network'><driver name='qemu' type='qcow2'/><source protocol='rbd' name='p/i'/>`, byHand: "--network"},
	{name: "a relative path", code: "source-relative", disk: strings.Replace(topDisk, "@/", "", 1), byHand: "virsh edit web"},
	{name: "a slice", code: "source-slice", build: named("other.img"),
		disk: strings.Replace(topDisk, "/>", "/>", 1)[:strings.Index(topDisk, "<source")] +
			`<source file='@/top.qcow2'><slices><slice type='storage' offset='0' size='99999999'/></slices></source>`, byHand: "<slice>"},
	{name: "nvme", code: "source-inexpressible", disk: topDisk + `<backingStore type='nvme'><format type='raw'/><source type='pci' managed='yes' namespace='1'><address domain='0' bus='1' slot='0' function='0'/></source></backingStore>`,
		byHand: "by hand"},
	{name: "nvme below raw", code: "source-inexpressible", disk: strings.Replace(topDisk, "'qcow2'", "'raw'", 1) + `<backingStore type='nvme'><format type='raw'/><source type='pci' managed='yes' namespace='1'><address domain='0' bus='1' slot='0' function='0'/></source>` + ended,
		byHand: "take the <backingStore> out"},

	// Of one image.
	{name: "no top", code: "image-missing", byHand: "in the <source> of the disk: virsh edit web"},
	{name: "no base", code: "image-missing", build: named("gone.img"), fill: otherName},
	{name: "no base of qcow", code: "image-missing", build: func(f *files) {
		f.raw("base.img", 1<<20)
		f.img("create -q -f qcow -b base.img -F raw top.qcow2 1M")
		f.sh("rm base.img")
	}, disk: strings.Replace(topDisk, "type='qcow2'", "type='qcow'", 1), byHand: "make the overlay"},
	{name: "no base of the XML and the header", code: "image-missing", build: named("base.img"), disk: topDisk + below("base.img", "raw") + "</backingStore>", fill: otherName},
	{name: "no base of the XML", code: "image-missing", build: named("gone.img"), disk: topDisk + below("base.img", "raw") + "</backingStore>", fill: otherName},
	{name: "no data file", code: "image-missing", policy: newer, build: func(f *files) {
		withDataFile(f, "top.qcow2", f.path("data.raw"))
		f.sh("rm data.raw")
	}, byHand: "bring the data file back"},
	{name: "links in a circle", code: "image-unreadable", build: func(f *files) {
		named("loop")(f)
		f.symlink("loop", "loop")
	}, fill: otherName},
	{name: "too long a name", code: "image-unreadable", build: named(strings.Repeat("x", 300)), fill: otherName},
	{name: "a file for a folder", code: "image-unreadable", build: named("other.img/base.img"), fill: otherName},
	{name: "top in a file", code: "image-unreadable", build: func(f *files) { f.put("top.qcow2", nil) },
		disk: strings.Replace(topDisk, "top.qcow2", "top.qcow2/x", 1), byHand: "virsh edit web"},
	{name: "a folder for the top", code: "not-an-image", build: func(f *files) { f.mkdir("top.qcow2") }, byHand: "virsh edit web"},
	{name: "a folder below", code: "not-an-image", build: func(f *files) { named("folder")(f); f.mkdir("folder") }, fill: otherName},
	{name: "a folder for the data file", code: "not-an-image", policy: newer, build: func(f *files) {
		withDataFile(f, "top.qcow2", f.path("data.raw"))
		f.sh("rm data.raw && mkdir data.raw")
	}, byHand: "bring the data file back"},
	{name: "broken", code: "image-broken", build: func(f *files) { f.put("top.qcow2", []byte(brokenQcow2)) }, byHand: "restore it from a backup"},
	{name: "broken and unrecorded", code: "image-broken", build: func(f *files) {
		f.put("base.img", []byte(brokenQcow2))
		over(f, "")
	}},
	{name: "raw said to be qcow2", code: "format-mismatch", build: func(f *files) { f.raw("top.qcow2", 1<<20) }},
	{name: "qcow2 recorded as vmdk", code: "format-mismatch", build: func(f *files) { qcow2Over(f, "base.img"); over(f, "vmdk") }},
	{name: "qcow2 stated to be vmdk in the XML", code: "format-mismatch", build: func(f *files) { f.qcow2("base.img", img{}); over(f, "") },
		disk: topDisk + below("base.img", "vmdk") + ended},
	{name: "qcow2 stated and recorded to be vmdk", code: "format-mismatch", build: func(f *files) { f.qcow2("base.img", img{}); over(f, "vmdk") },
		disk: topDisk + below("base.img", "vmdk") + ended},
	{name: "raw recorded as qcow2", code: "format-mismatch", build: func(f *files) { f.raw("base.img", 1<<20); over(f, "qcow2") }},
	{name: "qcow2 trusted to be vmdk", code: "format-mismatch", build: func(f *files) { f.qcow2("base.img", img{}); over(f, "") }, trust: "base.img=vmdk"},
	{name: "AES", code: "encrypted", build: func(f *files) { aes(f, "top.qcow2") }, fill: map[string]string{"FILE": "password"}},
	{name: "AES below", code: "encrypted", build: func(f *files) { aes(f, "base.img"); over(f, "qcow2") }, fill: map[string]string{"FILE": "password"}},
	{name: "LUKS in qcow2", code: "encrypted", build: func(f *files) { f.put("top.qcow2", luksQcow2(f.t)) }},
	{name: "LUKS in qcow2 below", code: "encrypted", build: func(f *files) { f.put("base.img", luksQcow2(f.t)); over(f, "") }},
	{name: "LUKS below", code: "encrypted", build: func(f *files) { f.write("base.img", mkimage.LUKS1{}); over(f, "") }},
	{name: "a data file for any libvirt", code: "data-file", build: func(f *files) { withDataFile(f, "top.qcow2", f.path("data.raw")) }},
	{name: "a data file for an old libvirt", code: "data-file", policy: older, build: func(f *files) { withDataFile(f, "top.qcow2", f.path("data.raw")) }},
	{name: "a relative data file", code: "data-file", policy: newer, build: func(f *files) { withDataFile(f, "top.qcow2", "data.raw") }, fill: map[string]string{"PATH": "@/data.raw"}},
	{name: "a relative data file for any libvirt", code: "data-file", build: func(f *files) { withDataFile(f, "top.qcow2", "data.raw") }, fill: map[string]string{"PATH": "@/data.raw"}},
	{name: "a data file below", code: "data-file", build: func(f *files) { withDataFile(f, "base.img", f.path("data.raw")); over(f, "qcow2") }},
	{name: "a data file that nobody recorded", code: "data-file", build: func(f *files) { withDataFile(f, "base.img", f.path("data.raw")); over(f, "") }},
	{name: "a data file that nobody recorded for a new libvirt", code: "data-file", policy: newer,
		build: func(f *files) { withDataFile(f, "base.img", f.path("data.raw")); over(f, "") }},
	{name: "a data file of what only the XML states", code: "data-file", build: func(f *files) { withDataFile(f, "base.img", f.path("data.raw")); over(f, "") },
		disk: topDisk + below("base.img", "qcow2") + ended},
	{name: "a data file of what only the XML states for a new libvirt", code: "data-file", policy: newer,
		build: func(f *files) { withDataFile(f, "base.img", f.path("data.raw")); over(f, "") }, disk: topDisk + below("base.img", "qcow2") + ended},
	{name: "a <dataStore> of nothing", code: "data-file-conflict", policy: newer, build: func(f *files) { f.raw("data.raw", 1<<20); f.qcow2("top.qcow2", img{}) },
		disk: strings.TrimSuffix(topDisk, "/>") + `><dataStore type='file'><format type='raw'/><source file='@/data.raw'/></dataStore></source>`},
	{name: "another <dataStore>", code: "data-file-conflict", policy: newer, build: func(f *files) {
		f.raw("other.img", 1<<20)
		withDataFile(f, "top.qcow2", f.path("data.raw"))
	}, disk: strings.TrimSuffix(topDisk, "/>") + `><dataStore type='file'><format type='raw'/><source file='@/other.img'/></dataStore></source>`},
	{name: "extents of the top", code: "foreign-extents", build: func(f *files) { f.img(vmdkFlat + "top.qcow2 1M") },
		disk: strings.Replace(topDisk, "'qcow2'", "'vmdk'", 1)},
	{name: "extents", code: "foreign-extents", build: func(f *files) { flat(f); over(f, "vmdk") }},
	{name: "extents that nobody recorded", code: "foreign-extents", build: func(f *files) { flat(f); over(f, "") }},
	{name: "extents that the XML states", code: "foreign-extents", build: func(f *files) { flat(f); over(f, "vmdk") }, disk: topDisk + below("base.img", "vmdk") + ended},
	{name: "differencing", code: "differencing", build: func(f *files) {
		f.write("base.img", mkimage.VHDX{VirtualSize: 1 << 20, Parent: "p.vhdx"})
		over(f, "vhdx")
	},
		byHand: "with the program that made it"},
	{name: "differencing that nobody recorded", code: "differencing", build: func(f *files) { f.write("base.img", mkimage.VHDX{VirtualSize: 1 << 20, Parent: "p.vhdx"}); over(f, "") }},
	{name: "swapped", code: "image-swapped", build: named("other.img"), opener: func(f *files) storage.Opener { return swapper{f, "other.img"} }, byHand: "again"},

	// Of formats that nobody recorded.
	{name: "declared", code: "format-unrecorded", policy: chain.Policy{Rule: chain.Declared}, build: func(f *files) { f.raw("base.img", 1<<20); over(f, "") }},
	{name: "declared and broken", code: "format-unrecorded", policy: chain.Policy{Rule: chain.Declared}, build: func(f *files) {
		f.put("base.img", []byte(brokenQcow2))
		over(f, "")
	}},
	{name: "strict", code: "probed-not-raw", policy: chain.Policy{Rule: chain.Strict}, build: func(f *files) { f.qcow2("base.img", img{}); over(f, "") }},
	{name: "strict and LUKS", code: "probed-not-raw", policy: chain.Policy{Rule: chain.Strict}, build: func(f *files) { f.put("base.img", luksQcow2(f.t)); over(f, "") }},
	{name: "strict and AES", code: "probed-not-raw", policy: chain.Policy{Rule: chain.Strict}, build: func(f *files) { aes(f, "base.img"); over(f, "") },
		fill: map[string]string{"FILE": "password"}},
	{name: "a backing image", code: "probed-backing", build: func(f *files) { qcow2Over(f, "base.img"); over(f, "") }},
	{name: "a backing image with an odd name", code: "probed-backing", build: func(f *files) {
		f.raw("other.img", 1<<20)
		f.qcow2("base.img", img{backing: "foo://x", backingFormat: "raw"})
		over(f, "")
	}, fill: otherName},
	{name: "a backing image of what only the XML states", code: "probed-backing", build: func(f *files) { qcow2Over(f, "base.img"); over(f, "") },
		disk: topDisk + below("base.img", "qcow2") + `</backingStore>`},
	{name: "two signatures", code: "ambiguous-signatures", build: func(f *files) {
		f.img("create -q -f vpc base.img 1M")
		f.sh("printf 'QFI\\373\\0\\0\\0\\003' | dd of=base.img conv=notrunc status=none")
		over(f, "")
	}},
	{name: "the name", code: "name-contradicts", build: func(f *files) {
		f.qcow2("base.raw", img{})
		f.qcow2("top.qcow2", img{backing: "base.raw"})
	}},
	{name: "the record", code: "record-contradicts", build: func(f *files) { f.qcow2("base.img", img{}); over(f, "file") }},
	{name: "the size", code: "size-contradicts", build: func(f *files) { f.qcow2("base.img", img{}); f.grow("base.img", overlaySize); over(f, "") }},
	{name: "a statement against the top", code: "trust-conflict", build: func(f *files) { f.qcow2("top.qcow2", img{}) }, trust: "top.qcow2=raw"},
	{name: "a statement against the record", code: "trust-conflict", build: func(f *files) { f.raw("base.img", 1<<20); over(f, "qcow2"); f.qcow2("base.img", img{}) }, trust: "base.img=raw"},
	{name: "a statement against the XML", code: "trust-conflict", build: func(f *files) { f.qcow2("base.img", img{}); over(f, "") }, trust: "base.img=raw",
		disk: topDisk + below("base.img", "qcow2") + ended},
	{name: "a statement against the XML and the record", code: "trust-conflict", build: func(f *files) { f.qcow2("base.img", img{}); over(f, "qcow2") }, trust: "base.img=raw",
		disk: topDisk + below("base.img", "qcow2") + ended},
	{name: "a raw disk elsewhere", code: "raw-disk-elsewhere", build: func(f *files) { f.qcow2("base.img", img{}); over(f, "") },
		evidence: func(f *files) *chain.Evidence { return f.said(diskOf("mail", f.layer("base.img", probe.Raw))) }},
	{name: "two statements elsewhere", code: "stated-conflict", build: func(f *files) { f.qcow2("base.img", img{}); over(f, "") },
		evidence: func(f *files) *chain.Evidence {
			return f.said(diskOf("mail", f.layer("base.img", probe.Qcow2)), diskOf("news", f.layer("base.img", probe.VMDK)))
		}},

	// Of the chain.
	{name: "a strange protocol", code: "backing-invalid", build: named("foo://x"), fill: otherName},
	{name: "a password", code: "backing-credentials", build: named("https://user:pw@host/x"), fill: otherName},
	{name: "TLS", code: "backing-unmapped", build: named(`json:{"driver":"nbd","server":{"type":"inet","host":"h","port":"1"},"tls-creds":"t"}`), fill: otherName},
	{name: "ssh", code: "backing-disputed", build: named("ssh://host/path"), fill: otherName},
	{name: "relative json", code: "backing-relative", build: named(`json:{"driver":"file","filename":"x"}`), fill: otherName},
	{name: "twice", code: "backing-duplicate", build: named(`json:{"driver":"file","filename":"/x","filename":"/y"}`), fill: otherName},
	{name: "no pool", code: "backing-no-pool", build: named("rbd:image"), fill: otherName},
	{name: "a control character", code: "name-unrepresentable", build: named("a\nb"), fill: otherName},
	{name: "a virtual folder", code: "backing-directory", build: named("fat:/tmp"), byHand: "put the files into an image"},
	{name: "a loop of headers", code: "chain-loop", build: func(f *files) {
		named("top.qcow2")(f)
		f.qcow2("top.qcow2", img{backing: "top.qcow2", backingFormat: "qcow2"})
	},
		fill: map[string]string{"NAME": "other.img", "-F qcow2": "-F raw"}},
	{name: "a loop of the XML", code: "chain-loop", build: func(f *files) { named("other.img")(f) }, disk: topDisk + below("top.qcow2", "qcow2") + `</backingStore>`},
	{name: "too deep", code: "chain-too-deep", build: deepChain, byHand: "virsh blockcommit web vda"},
	{name: "stale", code: "chain-stale", build: func(f *files) { f.raw("base.img", 1<<20); f.qcow2("top.qcow2", img{}) }, disk: topDisk + below("base.img", "raw") + ended},
	{name: "cut", code: "chain-cut", build: named("other.img"), disk: topDisk + `<backingStore/>`},
	{name: "two names", code: "chain-conflict", build: func(f *files) { named("other.img")(f); f.raw("base.img", 1<<20) }, disk: topDisk + below("base.img", "raw") + ended},
	{name: "cut below what only the XML states", code: "chain-cut", build: func(f *files) { qcow2Over(f, "base.img"); over(f, "") }, disk: topDisk + below("base.img", "qcow2") + ended},
	{name: "two names below what only the XML states", code: "chain-conflict", build: func(f *files) {
		f.raw("other.img", 1<<20)
		qcow2Over(f, "base.img")
		over(f, "")
	}, disk: topDisk + below("base.img", "qcow2") + below("other.img", "raw") + ended + "</backingStore>"},
	{name: "two formats below what only the XML states", code: "format-conflict", build: func(f *files) {
		qcow2Over(f, "base.img")
		over(f, "")
		f.qcow2("bottom.img", img{})
		f.qcow2("base.img", img{backing: "bottom.img", backingFormat: "qcow2"})
	},
		disk: topDisk + below("base.img", "qcow2") + below("bottom.img", "raw") + ended + "</backingStore>"},
	{name: "extents below what only the XML states", code: "foreign-extents", build: func(f *files) {
		f.img(vmdkFlat + "bottom.img 1M")
		f.qcow2("base.img", img{backing: "bottom.img", backingFormat: "vmdk"})
		over(f, "")
	}, disk: topDisk + below("base.img", "qcow2") + below("bottom.img", "vmdk") + ended + "</backingStore>"},
	{name: "the XML's end is wrong below what only the XML states", code: "format-mismatch", build: func(f *files) {
		f.qcow2("bottom.img", img{})
		f.qcow2("base.img", img{backing: "bottom.img", backingFormat: "vmdk"})
		over(f, "")
	}, disk: topDisk + below("base.img", "qcow2") + below("bottom.img", "vmdk") + ended + "</backingStore>"},
	{name: "two names and the XML's leads nowhere", code: "chain-conflict", build: named("other.img"), disk: topDisk + below("base.img", "raw") + `</backingStore>`},
	{name: "two formats", code: "format-conflict", build: named("other.img"), disk: topDisk + below("other.img", "qcow2") + ended},
	{name: "too old a target", code: "target-too-old", policy: older, build: named(`json:{"driver":"rbd","pool":"p","namespace":"n","image":"i"}`)},
	{name: "too old for explicit chains", code: "target-too-old", policy: chain.Policy{Target: libvirt.Version{Major: 5}}, build: func(f *files) { f.raw("base.img", 1<<20); over(f, "") }},
}

// deepChain has more layers than libvirt allows.
func deepChain(f *files) {
	for i := range chain.MaxLayers + 1 {
		f.qcow2(strings.Repeat("x", i)+"top.qcow2", img{backing: strings.Repeat("x", i+1) + "top.qcow2", backingFormat: "qcow2"})
	}
}

// neverRefused are the codes of findings that are no refusals; ran-otherwise is
// one of a hook's, whose hint its own test looks at.
var neverRefused = []finding.Code{
	finding.RanOtherwise, finding.DriverTypeMissing, finding.SourceType, finding.ManagedSave, finding.BlockJob, finding.TransientLeftover, finding.RawWithSignature,
	finding.FormatDisputed, finding.ProbedFormat, finding.BelievedHeader, finding.StatedElsewhere, finding.BaseWritten, finding.SharedWritable, finding.ChainMoved,
	finding.ChainUnverified, finding.ChainKept, finding.BackingTypeless,
}

// state is a folder and what is asked of it: a case, perhaps after a hint was
// followed.
type state struct {
	*files
	*refusal
	text   string // the document
	policy chain.Policy
}

func newState(t *testing.T, r *refusal) *state {
	f := newFiles(t)
	if r.build != nil {
		r.build(f)
	}
	s := &state{files: f, refusal: r, policy: r.policy}
	disk := r.disk
	if disk == "" {
		disk = topDisk
	}
	if !strings.Contains(disk, "<target") {
		disk += "<target dev='vda' bus='virtio'/>"
	}
	s.text = "<domain><name>web</name><devices>" + strings.ReplaceAll(disk, "@", f.dir) + "</disk></devices></domain>"
	if r.document != "" {
		s.text = r.document
	}
	if r.trust != "" {
		s.trusted(f.path(r.trust))
	}
	return s
}

func (s *state) trusted(word string) {
	statement, err := chain.ParseStatement(word, "")
	if err != nil {
		s.t.Fatalf("--trust %s: %v", word, err)
	}
	s.policy.Trust = append(s.policy.Trust[:len(s.policy.Trust):len(s.policy.Trust)], statement)
}

// findings are the refusals.
func (s *state) findings() []finding.Finding {
	s.t.Helper()
	problem := func(err error) []finding.Finding {
		var x *xmlfix.Error
		if !errors.As(err, &x) {
			s.t.Fatal(err)
		}
		return []finding.Finding{{Code: x.Code, Severity: finding.Refuse, Text: x.Text(), Remedy: x.Remedy}}
	}
	doc, err := xmlfix.Parse("web.xml", []byte(s.text))
	if err != nil {
		return problem(err)
	}
	stated, err := doc.Disks()[0].Stated()
	if err != nil {
		return problem(err)
	}
	s.touched, s.opened = map[string]bool{}, map[string]int{}
	w := &chain.Walker{Images: image.NewCache(s.files), Policy: s.policy}
	if s.evidence != nil {
		w.Evidence = s.evidence(s.files)
	}
	if s.opener != nil {
		w.Images = image.NewCache(s.opener(s.files))
	}
	got, err := w.Walk(s.t.Context(), stated)
	if err != nil {
		s.t.Fatal(err)
	}
	var refused []finding.Finding
	for _, f := range got.Findings {
		if f.Severity == finding.Refuse {
			refused = append(refused, f)
		}
	}
	return refused
}

func (s *state) remedy(t *testing.T) finding.Remedy {
	t.Helper()
	refused := s.findings()
	for _, f := range refused {
		if f.Remedy.IsZero() {
			t.Errorf("no hint: [%s] %s", f.Code, f.Text)
		}
		checkRemedy(t, f)
		if strings.ContainsAny(f.Remedy.String(), "\n\x1b") {
			t.Errorf("hint %q", f.Remedy.String())
		}
	}
	for _, f := range refused {
		if f.Code == finding.Code(s.code) {
			return f.Remedy
		}
	}
	t.Fatalf("refused with %+v, not %q", refused, s.code)
	return finding.Remedy{}
}

// ofAFormat are the codes of refusals that somebody has to answer with a format.
var ofAFormat = []finding.Code{
	finding.FormatUnrecorded, finding.ProbedNotRaw, finding.ProbedBacking, finding.AmbiguousSignatures, finding.NameContradicts, finding.RecordContradicts,
	finding.SizeContradicts, finding.TrustConflict, finding.RawDiskElsewhere, finding.StatedConflict, finding.FormatConflict, finding.FormatMismatch,
}

// What looks like a command or a flag; what the operator is to take back is none.
var (
	commandLike = regexp.MustCompile(`qemu-img \w+ -|virsh \w|chainfix probe|--[a-z]`)
	takenBack   = regexp.MustCompile(`--trust .*?, or its entry`)
)

// checkRemedy compares the data of a remedy with its words: they have the same
// commands, and where a format has to be stated the data say of which image.
func checkRemedy(t *testing.T, f finding.Finding) {
	t.Helper()
	words := takenBack.ReplaceAllString(f.Remedy.String(), "")
	for _, command := range f.Remedy.Commands {
		if !strings.Contains(words, command) {
			t.Errorf("[%s] %q is not in %q", f.Code, command, f.Remedy)
		}
	}
	longestFirst := slices.SortedFunc(slices.Values(f.Remedy.Commands), func(a, b string) int { return len(b) - len(a) })
	for _, command := range longestFirst {
		words = strings.ReplaceAll(words, command, "")
	}
	if commandLike.MatchString(words) {
		t.Errorf("[%s] %q has commands besides %q", f.Code, f.Remedy, f.Remedy.Commands)
	}
	lost := strings.Contains(words, "if it is lost") // and so of no format
	if f.Severity == finding.Refuse && slices.Contains(ofAFormat, f.Code) && !lost && (f.Remedy.Image == "" || len(f.Remedy.Formats) == 0) {
		t.Errorf("[%s] %q names the image %q and the formats %q", f.Code, f.Remedy, f.Remedy.Image, f.Remedy.Formats)
	}
	if len(f.Remedy.Formats) > 0 && f.Remedy.Image == "" {
		t.Errorf("[%s] %q has the formats %q of no image", f.Code, f.Remedy, f.Remedy.Formats)
	}
}

// Every code that refuses is there, each with a hint.
func TestEveryRefusalHasAHint(t *testing.T) {
	peers.Require(t, "sh", "qemu-img")
	produced := make(map[finding.Code]bool)
	for _, r := range refusals {
		produced[finding.Code(r.code)] = true
	}
	for _, code := range neverRefused {
		if produced[code] {
			t.Errorf("%q never refuses, and does", code)
		}
		produced[code] = true
	}
	for _, e := range finding.Explanations() {
		if !produced[e.Code] {
			t.Errorf("nothing here is refused with %q", e.Code)
		}
	}
	for _, r := range refusals {
		t.Run(r.code+"/"+r.name, func(t *testing.T) {
			hint := newState(t, &r).remedy(t).String()
			if r.byHand != "" {
				wantContains(t, hint, r.byHand)
			}
		})
	}
}

// No code that is said never to refuse is given to what refuses.
func TestCodesThatNeverRefuse(t *testing.T) {
	never := make(map[string]bool)
	for name, code := range codeNames(t) {
		for _, c := range neverRefused {
			never[name] = never[name] || c == code && c != finding.RanOtherwise
		}
	}
	paths, err := filepath.Glob("*.go")
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	calls := 0
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			method, _ := call.Fun.(*ast.SelectorExpr)
			code, _ := call.Args[0].(*ast.SelectorExpr)
			if method == nil || code == nil || method.Sel.Name != "refuse" && method.Sel.Name != "resolveConflict" {
				return true
			}
			calls++
			if never[code.Sel.Name] {
				t.Errorf("%s: %s refuses", path, code.Sel.Name)
			}
			return true
		})
	}
	if calls == 0 {
		t.Error("no refusals were found")
	}
}

// codeNames returns the codes by their names.
func codeNames(t *testing.T) map[string]finding.Code {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), "finding/codes.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]finding.Code)
	ast.Inspect(parsed, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			for i, v := range spec.Values {
				names[spec.Names[i].Name] = finding.Code(strings.Trim(v.(*ast.BasicLit).Value, `"`))
			}
		}
		return true
	})
	return names
}

// What a hint may ask for that can be done without anybody's thought.
var (
	alternative   = regexp.MustCompile(`; or |; else |; if |; |, else | else | or (?:--|rebuild|name |mend |virsh)`)
	droppedFlag   = regexp.MustCompile(`drop --trust (\S+?),? `)
	driverTag     = regexp.MustCompile(`<driver name='qemu' type='\w+'/>`)
	formatTag     = regexp.MustCompile(`<format type='\w+'/>`)
	encryptionTag = regexp.MustCompile(`^.*(<encryption.*</encryption>).*$`)
	storeTag      = regexp.MustCompile(`(<backingStore type=.*</backingStore>)`)
)

// alternatives takes a hint apart.
func alternatives(hint string) []string {
	var found []string
	for {
		at := alternative.FindStringIndex(hint)
		if at == nil {
			return append(found, hint)
		}
		found = append(found, hint[:at[0]])
		rest := hint[at[1]:]
		if word := regexp.MustCompile(`(--|rebuild|name |mend |virsh)$`).FindString(hint[at[0]:at[1]]); word != "" {
			rest = word + rest
		}
		hint = rest
	}
}

// follow does what one alternative of a remedy says. It reports whether there was
// anything to do.
func (s *state) follow(way string, remedy finding.Remedy) bool {
	s.t.Helper()
	did := false
	if m := droppedFlag.FindStringSubmatch(way + " "); m != nil {
		s.policy.Trust = nil
		return true
	}
	for _, command := range remedy.Commands {
		if !strings.Contains(way, command) {
			continue // of another alternative
		}
		for word, text := range s.fill {
			command = strings.ReplaceAll(command, word, strings.ReplaceAll(text, "@", s.dir))
		}
		program, rest, _ := strings.Cut(command, " ")
		verb, _, _ := strings.Cut(rest, " ")
		switch {
		case strings.HasPrefix(program, "--"):
			did = s.give(strings.Fields(command)) || did
		case program == "qemu-img" && (verb == "rebase" || verb == "convert" || verb == "amend"):
			s.sh(command)
			did = true
			if strings.Contains(way, "name the copy in the XML") {
				copied := command[strings.LastIndex(command, " ")+1:]
				s.text = strings.Replace(s.text, "file='"+s.path("top.qcow2")+"'", "file='"+copied+"'", 1)
			}
		}
	}
	if tag := driverTag.FindString(way); tag != "" {
		s.text, did = driverTag.ReplaceAllString(s.text, tag), true
	}
	switch store := storeTag.FindString(way); {
	case store != "":
		s.text, did = strings.Replace(s.text, "<target", strings.ReplaceAll(store, "UUID-OF-THE-SECRET", someUUID)+"<target", 1), true
	case encryptionTag.MatchString(way):
		tag := strings.ReplaceAll(encryptionTag.FindStringSubmatch(way)[1], "UUID-OF-THE-SECRET", someUUID)
		s.text, did = strings.Replace(s.text, "/><target", ">"+tag+"</source><target", 1), true
	case strings.Contains(way, "in its <backingStore>"):
		if all := formatTag.FindAllString(s.text, -1); len(all) > 0 {
			at := strings.LastIndex(s.text, all[len(all)-1])
			s.text, did = s.text[:at]+formatTag.FindString(way)+s.text[at+len(all[len(all)-1]):], true
		}
	}
	if strings.Contains(way, "remove the <dataStore>") {
		s.text, did = regexp.MustCompile(`<dataStore.*</dataStore>`).ReplaceAllString(s.text, ""), true
	}
	return did
}

// give gives flags. It reports whether it knows them.
func (s *state) give(flags []string) bool {
	s.t.Helper()
	did, trusted := false, false
	for i, flag := range flags {
		switch flag {
		case "--trust":
			if !trusted {
				s.policy.Trust = nil // in the place of what was stated
			}
			s.trusted(flags[i+1])
			did, trusted = true, true
		case "--target-libvirt":
			target, err := libvirt.ParseVersion(flags[i+1])
			if err != nil {
				s.t.Fatal(err)
			}
			s.policy.Target, did = target, true
		case "--refresh":
			s.policy.Disagreement, did = chain.HeadersWin, true
		case "--keep-xml":
			s.policy.Disagreement, did = chain.XMLWins, true
		}
	}
	return did
}

const someUUID = "00000000-0000-4000-8000-000000000001"

// Every alternative of a hint that is a command, a flag or a line of XML does away
// with the refusal, and puts no other in its place.
func TestHintsLeadSomewhere(t *testing.T) {
	peers.Require(t, "sh", "qemu-img")
	for _, r := range refusals {
		t.Run(r.code+"/"+r.name, func(t *testing.T) {
			ways := alternatives(newState(t, &r).remedy(t).String())
			followed := 0
			for i := range ways {
				s := newState(t, &r) // in a folder of its own
				remedy := s.remedy(t)
				own := alternatives(remedy.String())
				if len(own) != len(ways) {
					t.Fatalf("%q is %q another time", ways, own)
				}
				if !s.follow(own[i], remedy) {
					continue
				}
				followed++
				for _, f := range s.findings() {
					t.Errorf("hint: %s\nway: %s\n[%s] %s\nhint: %s", remedy, own[i], f.Code, f.Text, f.Remedy)
				}
			}
			if followed == 0 && r.byHand == "" {
				t.Errorf("nobody follows %q", ways)
			}
		})
	}
}
