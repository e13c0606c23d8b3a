package xmlfix_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/xmlfix"
)

func file(path string) *libvirtxml.DomainDiskSource {
	return &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: path}}
}

func block(path string) *libvirtxml.DomainDiskSource {
	return &libvirtxml.DomainDiskSource{Block: &libvirtxml.DomainDiskSourceBlock{Dev: path}}
}

func layer(src *libvirtxml.DomainDiskSource, f probe.Format) chain.Layer {
	if f == "" {
		return chain.Layer{Source: src}
	}
	return chain.Layer{Source: src, Format: f, From: chain.XML}
}

// stated returns what the first disk of a document states.
func stated(t testing.TB, in string) chain.Stated {
	t.Helper()
	s, err := parse(t, in).Disks()[0].Stated()
	if err != nil {
		t.Fatalf("Stated: %v", err)
	}
	return s
}

const (
	qcow2Top = "<driver name='qemu' type='qcow2'/><source file='/a'/>"
	vda      = "<target dev='vda' bus='virtio'/>"
)

// fileDisk is a disk of an image /a in qcow2, with more in it.
func fileDisk(more string) string { return "<disk type='file'>" + qcow2Top + more + vda + "</disk>" }

func store(format, path, below string) string {
	return "<backingStore type='file'><format type='" + format + "'/><source file='" + path + "'/>" + below + "</backingStore>"
}

var statedTests = []struct {
	name  string
	disk  string
	want  chain.Stated
	wrong string // in the error, which then wraps ErrDisk
	live  bool   // the domain is a running guest's
	// beyond says why libvirt's test driver cannot be asked.
	beyond string
}{
	{name: "top alone", disk: fileDisk(""),
		want: chain.Stated{Layers: []chain.Layer{layer(file("/a"), probe.Qcow2)}}},
	{name: "terminator", disk: fileDisk("<backingStore/>"),
		want: chain.Stated{Layers: []chain.Layer{layer(file("/a"), probe.Qcow2)}, Terminated: true}},
	{name: "partial chain", disk: fileDisk(store("qcow2", "/b", "")),
		want: chain.Stated{Layers: []chain.Layer{layer(file("/a"), probe.Qcow2), layer(file("/b"), probe.Qcow2)}}},
	{name: "whole chain", disk: fileDisk(store("qed", "/b", store("raw", "/c", "<backingStore/>"))),
		want: chain.Stated{Layers: []chain.Layer{layer(file("/a"), probe.Qcow2), layer(file("/b"), probe.QED), layer(file("/c"), probe.Raw)}, Terminated: true}},
	{name: "libvirt's names", disk: fileDisk(store("vhd", "/b", "")),
		want: chain.Stated{Layers: []chain.Layer{layer(file("/a"), probe.Qcow2), layer(file("/b"), probe.VHDX)}}},
	{name: "no type of disk", disk: strings.Replace(fileDisk(""), " type='file'", "", 1),
		want: chain.Stated{Layers: []chain.Layer{layer(file("/a"), probe.Qcow2)}}},
	{name: "no driver", disk: "<disk type='file'><source file='/a'/>" + vda + "</disk>",
		want: chain.Stated{Layers: []chain.Layer{layer(file("/a"), "")}}},
	{name: "no driver type", disk: "<disk type='file'><driver name='qemu' cache='none'/><source file='/a'/>" + vda + "</disk>",
		want: chain.Stated{Layers: []chain.Layer{layer(file("/a"), "")}}},
	{name: "aio", disk: "<disk type='file'><driver name='qemu' type='aio'/><source file='/a'/>" + vda + "</disk>",
		want: chain.Stated{Layers: []chain.Layer{layer(file("/a"), probe.Raw)}}},
	{name: "typeless", disk: fileDisk("<backingStore><format type='raw'/><source file='/b'/></backingStore>"),
		want: chain.Stated{Layers: []chain.Layer{layer(file("/a"), probe.Qcow2)}, Terminated: true, Typeless: true}},
	{name: "typeless with what nobody knows", disk: fileDisk("<backingStore><format type='bogus'/></backingStore>"),
		want: chain.Stated{Layers: []chain.Layer{layer(file("/a"), probe.Qcow2)}, Terminated: true, Typeless: true}},
	{name: "typeless below", disk: fileDisk(store("qcow2", "/b", "<backingStore><source file='/c'/></backingStore>")),
		want: chain.Stated{Layers: []chain.Layer{layer(file("/a"), probe.Qcow2), layer(file("/b"), probe.Qcow2)}, Terminated: true, Typeless: true}},
	{name: "comments", disk: "<disk type='file'><!-- <source file='/z'/> -->" + qcow2Top + "<!-- --><backingStore><!-- --></backingStore>" + vda + "</disk>",
		want: chain.Stated{Layers: []chain.Layer{layer(file("/a"), probe.Qcow2)}, Terminated: true}},
	{name: "white space in attributes", disk: "<disk type='file'><driver name='qemu'\n\ttype='raw'/><source file='/a\tb\r\nc\rd\ne'/>" + vda + "</disk>",
		want: chain.Stated{Layers: []chain.Layer{layer(file("/a b c d e"), probe.Raw)}}},
	{name: "references in attributes", disk: "<disk type='file'><driver name='qemu' type='raw'/><source file='/a&amp;&lt;&quot;&apos;&#x41;\n'/>" + vda + "</disk>",
		want: chain.Stated{Layers: []chain.Layer{layer(file(`/a&<"'A `), probe.Raw)}}},
	{name: "line feed by reference", disk: "<disk type='file'><driver name='qemu' type='raw'/><source file='/a&#10;b&#x9;c\nd'/>" + vda + "</disk>",
		want:   chain.Stated{Layers: []chain.Layer{layer(file("/a\nb\tc d"), probe.Raw)}},
		beyond: "virsh prints a plain line feed, which is a space to the next reader"},
	{name: "block device", disk: "<disk type='block' device='lun'><driver name='qemu' type='raw'/><source dev='/dev/sda'/><target dev='sda' bus='scsi'/></disk>",
		want: chain.Stated{Target: "sda", Device: "lun", Bus: "scsi", Layers: []chain.Layer{layer(block("/dev/sda"), probe.Raw)}}},
	{name: "empty drive", disk: "<disk type='file' device='cdrom'><driver name='qemu' type='raw'/><target dev='hda' bus='ide'/><readonly/></disk>",
		want: chain.Stated{Target: "hda", Device: "cdrom", Bus: "ide", ReadOnly: true, Layers: []chain.Layer{layer(file(""), probe.Raw)}}},
	{name: "directory", disk: "<disk type='dir' device='floppy'><driver name='qemu' type='fat'/><source dir='/a'/><target dev='fda' bus='fdc'/><readonly/></disk>",
		want: chain.Stated{Target: "fda", Device: "floppy", Bus: "fdc", ReadOnly: true, Layers: []chain.Layer{
			{Source: &libvirtxml.DomainDiskSource{Dir: &libvirtxml.DomainDiskSourceDir{Dir: "/a"}}, From: chain.Protocol}}}},
	{name: "directory of a pool", disk: "<disk type='volume'><driver name='qemu' type='fat'/><source pool='p' volume='v'/>" + vda + "<readonly/></disk>",
		want: chain.Stated{ReadOnly: true, Layers: []chain.Layer{{Source: &libvirtxml.DomainDiskSource{
			Volume: &libvirtxml.DomainDiskSourceVolume{Pool: "p", Volume: "v"}}, From: chain.Protocol}}}},
	{name: "descriptor group", disk: "<disk type='file'><driver name='qemu' type='qcow2'/><source file='/a' fdgroup='g'/>" + store("raw", "/b' fdgroup='h", "<backingStore/>") + vda + "</disk>",
		want:   chain.Stated{Layers: []chain.Layer{layer(passed("/a", "g"), probe.Qcow2), layer(passed("/b", "h"), probe.Raw)}, Terminated: true},
		beyond: "the test driver can pass none"},
	{name: "nvme below", disk: fileDisk(store("qcow2", "/b", nvme("raw", "<backingStore/>"))),
		want: chain.Stated{Layers: []chain.Layer{layer(file("/a"), probe.Qcow2), layer(file("/b"), probe.Qcow2)},
			Inexpressible: "a <backingStore> of type nvme", Terminated: true}},
	{name: "nvme below without an end", disk: fileDisk(nvme("qcow2", "")),
		want: chain.Stated{Layers: []chain.Layer{layer(file("/a"), probe.Qcow2)}, Inexpressible: "a <backingStore> of type nvme"}},
	{name: "more below nvme", disk: fileDisk(nvme("qcow2", store("raw", "/c", "<backingStore/>"))),
		want: chain.Stated{Layers: []chain.Layer{layer(file("/a"), probe.Qcow2)}, Inexpressible: "a <backingStore> of type nvme", Terminated: true}},
	{name: "typeless below nvme", disk: fileDisk(nvme("qcow2", "<backingStore><source file='/c'/></backingStore>")),
		want: chain.Stated{Layers: []chain.Layer{layer(file("/a"), probe.Qcow2)}, Inexpressible: "a <backingStore> of type nvme", Terminated: true, Typeless: true}},
	{name: "data store", disk: strings.Replace(fileDisk(""), "'/a'/>", "'/a'>"+inlineData+"</source>", 1),
		want:   chain.Stated{Layers: []chain.Layer{layer(withDataStore(file("/a"), dataStore("/d")), probe.Qcow2)}},
		beyond: "libvirt before 10.10 drops it"},
	{name: "encryption next to the source", disk: fileDisk("<encryption format='luks'><secret type='passphrase' uuid='4c5f8d0a-0000-4000-8000-000000000001'/></encryption>"),
		want: chain.Stated{Layers: []chain.Layer{layer(encrypted(file("/a")), probe.Qcow2)}}},
	{name: "encryption in the source", disk: "<disk type='file'><driver name='qemu' type='qcow2'/><source file='/a'>" +
		"<encryption format='luks'><secret type='passphrase' uuid='4c5f8d0a-0000-4000-8000-000000000001'/></encryption></source>" + vda + "</disk>",
		want: chain.Stated{Layers: []chain.Layer{layer(encrypted(file("/a")), probe.Qcow2)}}},
	{name: "auth next to the source", disk: "<disk type='network'><driver name='qemu' type='qcow2'/>" + auth + "<source protocol='https' name='a'><host name='h' port='443'/></source>" + vda + "</disk>",
		want: chain.Stated{Layers: []chain.Layer{layer(authorized(), probe.Qcow2)}}},
	{name: "auth in the source", disk: "<disk type='network'><driver name='qemu' type='qcow2'/><source protocol='https' name='a'><host name='h' port='443'/>" + auth + "</source>" + vda + "</disk>",
		want: chain.Stated{Layers: []chain.Layer{layer(authorized(), probe.Qcow2)}}},
	{name: "mirror", disk: fileDisk("<mirror type='file' job='copy'><format type='raw'/><source file='/m'/></mirror>"),
		want:   chain.Stated{Layers: []chain.Layer{layer(file("/a"), probe.Qcow2)}, Mirror: true, MirrorTo: &chain.Layer{Source: file("/m"), Format: probe.Raw, From: chain.XML}},
		beyond: "define drops it"},
	{name: "index on the source", disk: "<disk type='file'><driver name='qemu' type='qcow2'/><source file='/a' index='0'/>" + vda + "</disk>",
		want: chain.Stated{Layers: []chain.Layer{layer(file("/a"), probe.Qcow2)}, Live: true}, live: true},
	{name: "index below", disk: fileDisk("<backingStore type='file' index='0'><format type='raw'/><source file='/b'/></backingStore>"),
		want: chain.Stated{Layers: []chain.Layer{layer(file("/a"), probe.Qcow2), layer(file("/b"), probe.Raw)}, Live: true}, live: true},

	// What libvirt rejects.
	{name: "unknown type of disk", disk: strings.Replace(fileDisk(""), "'file'", "'tape'", 1), wrong: `unknown disk type "tape"`},
	{name: "empty type of disk", disk: strings.Replace(fileDisk(""), "'file'", "''", 1), wrong: `unknown disk type ""`},
	{name: "unknown driver type", disk: strings.Replace(fileDisk(""), "qcow2", "QCOW2", 1), wrong: `format "QCOW2"`},
	{name: "driver type with space", disk: strings.Replace(fileDisk(""), "qcow2", "\tqcow2", 1), wrong: `format " qcow2"`},
	{name: "empty driver type", disk: strings.Replace(fileDisk(""), "qcow2", "", 1), wrong: "the type of the <driver> is empty"},
	{name: "luks as driver type", disk: strings.Replace(fileDisk(""), "qcow2", "luks", 1), wrong: `format "luks"`},
	{name: "backing store without format", disk: fileDisk("<backingStore type='file'><source file='/b'/></backingStore>"), wrong: "no <format>"},
	{name: "backing store with a typeless format", disk: fileDisk("<backingStore type='file'><format/><source file='/b'/></backingStore>"), wrong: "no <format type>"},
	{name: "backing store without source", disk: fileDisk("<backingStore type='file'><format type='raw'/></backingStore>"), wrong: "no <source>"},
	{name: "backing store of unknown type", disk: fileDisk("<backingStore type='tape'><format type='raw'/><source file='/b'/></backingStore>"), wrong: `unknown type "tape"`},
	{name: "backing store of empty type", disk: fileDisk("<backingStore type=''><format type='raw'/><source file='/b'/></backingStore>"), wrong: `unknown type ""`},
	{name: "backing store of unknown format", disk: fileDisk(store("vhdx", "/b", "")), wrong: `format "vhdx"`},
	{name: "backing store of luks", disk: fileDisk(store("luks", "/b", "")), wrong: `format "luks"`},
	{name: "backing store of aio", disk: fileDisk(store("aio", "/b", "")), wrong: `format "aio"`},

	{name: "unknown format below nvme", disk: fileDisk(nvme("qcow2", store("luks", "/c", "<backingStore/>"))), wrong: `format "luks"`},
	{name: "unknown type below nvme", disk: fileDisk(nvme("qcow2", "<backingStore type='tape'/>")), wrong: `unknown type "tape"`},

	// What libvirt's parser takes and we do not.
	{name: "data store without type", disk: strings.Replace(fileDisk(""), "'/a'/>", "'/a'>"+strings.Replace(inlineData, " type='file'", "", 1)+"</source>", 1),
		wrong: "a <dataStore> has no type", beyond: "libvirt before 10.10 drops it"},
	{name: "data store in qcow2", disk: fileDisk(strings.Replace(store("qcow2", "/b", ""), "'/b'/>", "'/b'>"+strings.Replace(inlineData, "raw", "qcow2", 1)+"</source>", 1)),
		wrong: "a <dataStore> is not stated to be raw", beyond: "libvirt before 10.10 drops it"},
	{name: "data store of type nvme", disk: strings.Replace(fileDisk(""), "'/a'/>", "'/a'>"+strings.Replace(inlineData, "'file'", "'nvme'", 1)+"</source>", 1),
		wrong: "type nvme cannot be expressed", beyond: "libvirt before 10.10 drops it"},
	{name: "backing store with an empty source", disk: fileDisk("<backingStore type='file'><format type='raw'/><source/></backingStore>"),
		wrong: "empty <source>", beyond: "it is taken and useless"},
	{name: "backing store of type file with a device", disk: fileDisk("<backingStore type='file'><format type='raw'/><source dev='/b'/></backingStore>"),
		wrong: "empty <source>", beyond: "it is taken and useless"},
	{name: "backing store of type block with a file", disk: fileDisk("<backingStore type='block'><format type='raw'/><source file='/b'/></backingStore>"),
		wrong: "empty <source>", beyond: "it is taken and useless"},
	{name: "backing store with an empty name", disk: fileDisk("<backingStore type='file'><format type='raw'/><source file=''/></backingStore>"),
		wrong: "empty <source>", beyond: "it is taken and useless"},
	{name: "iso", disk: strings.Replace(fileDisk(""), "qcow2", "iso", 1), wrong: `format "iso"`, beyond: "QEMU's driver refuses it at start"},
	{name: "number that libvirtxml cannot hold", disk: "<disk type='file'><driver name='qemu' type='raw'/><source file='/a'/><target dev='vda' rotation_rate='\u009b'/></disk>",
		wrong: `strconv.ParseUint: parsing \"\\u009b\"`, beyond: "rejected in another way"},
}

// nvme is a backing store that libvirtxml cannot express.
func nvme(format, below string) string {
	return "<backingStore type='nvme'><format type='" + format + "'/><source type='pci' managed='yes' namespace='1'>" +
		"<address domain='0x0000' bus='0x01' slot='0x00' function='0x0'/></source>" + below + "</backingStore>"
}

func passed(path, group string) *libvirtxml.DomainDiskSource {
	src := file(path)
	src.File.FDGroup = group
	return src
}

func encrypted(src *libvirtxml.DomainDiskSource) *libvirtxml.DomainDiskSource {
	src.Encryption = &libvirtxml.DomainDiskEncryption{Format: "luks",
		Secrets: []libvirtxml.DomainDiskSecret{{Type: "passphrase", UUID: "4c5f8d0a-0000-4000-8000-000000000001"}}}
	return src
}

const auth = "<auth username='u'><secret type='iscsi' uuid='4c5f8d0a-0000-4000-8000-000000000001'/></auth>"

func authorized() *libvirtxml.DomainDiskSource {
	return &libvirtxml.DomainDiskSource{Network: &libvirtxml.DomainDiskSourceNetwork{Protocol: "https", Name: "a",
		Hosts: []libvirtxml.DomainDiskSourceHost{{Name: "h", Port: "443"}},
		Auth:  &libvirtxml.DomainDiskAuth{Username: "u", Secret: &libvirtxml.DomainDiskSecret{Type: "iscsi", UUID: "4c5f8d0a-0000-4000-8000-000000000001"}}}}
}

func TestStated(t *testing.T) {
	for _, tt := range statedTests {
		t.Run(tt.name, func(t *testing.T) {
			disk := parse(t, domain(tt.disk)).Disks()[0]
			got, err := disk.Stated()
			if tt.wrong != "" {
				var e *xmlfix.Error
				if !errors.Is(err, xmlfix.ErrDisk) || !errors.As(err, &e) || e.Code != finding.DiskUnreadable || !strings.Contains(err.Error(), tt.wrong) {
					t.Errorf("error is %v, want %q", err, tt.wrong)
				}
				if got.Target != "vda" {
					t.Errorf("target is %q even so", got.Target)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := tt.want
			want.Guest = "vm"
			if want.Target == "" {
				want.Target, want.Bus = "vda", "virtio"
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Stated (-want +got):\n%s", diff)
			}
		})
	}
}

// TestLiveDomain: an id on the domain counts for every disk.
func TestLiveDomain(t *testing.T) {
	if !stated(t, strings.Replace(domain(fileDisk("")), "<domain", "<domain id='1'", 1)).Live {
		t.Error("a disk of a running guest is not live")
	}
}

// TestStatedBy: what holds for text holds for libvirtxml's disks, except for
// what libvirtxml has lost.
func TestStatedBy(t *testing.T) {
	lost := map[string]bool{
		"typeless": true, "typeless with what nobody knows": true, "typeless below": true,
		"white space in attributes": true, "references in attributes": true, "line feed by reference": true,
		"index on the source": true, "index below": true,
		"nvme below": true, "nvme below without an end": true, "more below nvme": true, "typeless below nvme": true,
	}
	for _, tt := range statedTests {
		if lost[tt.name] || tt.wrong != "" {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			disk := &libvirtxml.DomainDisk{}
			if err := disk.Unmarshal(tt.disk); err != nil {
				t.Fatal(err)
			}
			got, err := xmlfix.StatedBy(disk)
			if err != nil {
				t.Fatal(err)
			}
			got.Guest = "vm" // which no disk says
			if diff := cmp.Diff(stated(t, domain(tt.disk)), got); diff != "" {
				t.Errorf("StatedBy (-text +libvirtxml):\n%s", diff)
			}
		})
	}
	if _, err := xmlfix.StatedBy(&libvirtxml.DomainDisk{Driver: &libvirtxml.DomainDiskDriver{Type: "vhdx"}, Source: file("/a")}); !errors.Is(err, xmlfix.ErrDisk) {
		t.Errorf("a format that libvirt does not know: %v", err)
	}
	if s, err := xmlfix.StatedBy(&libvirtxml.DomainDisk{}); err != nil || len(s.Layers) != 1 {
		t.Errorf("a disk with nothing in it: %+v, %v", s, err)
	}
}
