package chain_test

import (
	"os/exec"
	"strings"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
)

// refusal is an input that is refused with a code. It is a folder of images that
// build makes, and a disk in it whose XML names them under @.
type refusal struct {
	name, code string
	build      func(*files)
	// disk is the disk's XML but for its <target>: that of a qcow2 image
	// top.qcow2 without a chain where it is "".
	disk     string
	document string // the whole document, instead of a domain with disk
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
	{name: "a DOCTYPE", code: "xml-ambiguous", document: "<!DOCTYPE domain><domain/>", byHand: "remove that"},
	{name: "a pool", code: "not-a-domain", document: "<pool/>", byHand: "virsh dumpxml"},
	{name: "a mere text", code: "not-a-domain", document: "<html/>", byHand: "virsh dumpxml"},
	{name: "deep", code: "input-too-large", document: "<domain>" + strings.Repeat("<a>", 300), byHand: "check that"},
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
		byHand: "remove the <backingStore> from"},

	// Of one image.
	{name: "no top", code: "image-missing", byHand: "in the <source> of the disk: virsh edit web"},
	{name: "no base", code: "image-missing", build: named("gone.img"), fill: otherName},
	{name: "no base of qcow", code: "image-missing", build: func(f *files) {
		f.raw("base.img", 1<<20)
		f.img("create -q -f qcow -b base.img -F raw top.qcow2 1M")
		f.sh("rm base.img")
	}, disk: strings.Replace(topDisk, "type='qcow2'", "type='qcow'", 1), byHand: "create the overlay"},
	{name: "no base of the XML and the header", code: "image-missing", build: named("base.img"), disk: topDisk + below("base.img", "raw") + "</backingStore>", fill: otherName},
	{name: "no base of the XML", code: "image-missing", build: named("gone.img"), disk: topDisk + below("base.img", "raw") + "</backingStore>", fill: otherName},
	{name: "no data file", code: "image-missing", policy: newer, build: func(f *files) {
		withDataFile(f, "top.qcow2", f.path("data.raw"))
		f.sh("rm data.raw")
	}, byHand: "restore the data file"},
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
	}, byHand: "restore the data file"},
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
	{name: "dead", code: "image-unanswered", build: named("other.img"), opener: func(f *files) storage.Opener { return dead{f, "other.img"} }, byHand: "check whether its storage answers"},
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
	{name: "stale, with snapshots", code: "chain-stale", build: func(f *files) {
		f.raw("base.img", 1<<20)
		f.img("create -q -f qcow2 top.qcow2 1M")
		f.img("snapshot -c before top.qcow2")
	}, disk: topDisk + below("base.img", "raw") + ended, byHand: "correct its header: qemu-img rebase -u -f qcow2 -F raw -b "},
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
