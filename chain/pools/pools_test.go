package pools_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain/pools"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/testdata/peers"
)

func volume(pool, name, mode string) *libvirtxml.DomainDiskSource {
	return &libvirtxml.DomainDiskSource{Volume: &libvirtxml.DomainDiskSourceVolume{Pool: pool, Volume: name, Mode: mode}}
}

// definitionTests are definitions of a pool "p". Those of pools that have their
// volumes below a path are read by libvirt's test driver too.
var definitionTests = []struct {
	name, xml string
	want      string // the path of the volume "v"; "" if the definition is refused
	stricter  bool   // refused, and not by libvirt
}{
	{name: "dir", xml: "<pool type='dir'><name>p</name><target><path>/srv/images</path></target></pool>", want: "/srv/images/v"},
	{name: "fs", xml: "<pool type='fs'><name>p</name><source><device path='/dev/sdb1'/></source><target><path>/srv</path></target></pool>", want: "/srv/v"},
	{name: "netfs", xml: "<pool type='netfs'><name>p</name><source><host name='h'/><dir path='/x'/></source><target><path>/srv</path></target></pool>", want: "/srv/v"},
	{name: "vstorage", xml: "<pool type='vstorage'><name>p</name><target><path>/mnt/vz</path></target></pool>", want: "/mnt/vz/v"},
	{name: "slashes", xml: "<pool type='dir'><name>p</name><target><path>//srv///images//</path></target></pool>", want: "//srv/images/v"},
	{name: "more slashes", xml: "<pool type='dir'><name>p</name><target><path>///srv/../images/.</path></target></pool>", want: "/srv/../images/./v"},
	{name: "root", xml: "<pool type='dir'><name>p</name><target><path>/</path></target></pool>", want: "//v"},
	{name: "two slashes", xml: "<pool type='dir'><name>p</name><target><path>//</path></target></pool>", want: "///v"},
	{name: "white space", xml: "<pool type='dir'><name>p</name><target><path>/ a </path></target></pool>", want: "/ a /v"},
	{name: "references", xml: "<pool type='dir'><name>p</name><target><path>/a&amp;b&#xe9;<![CDATA[&<]]></path></target></pool>", want: "/a&bé&</v"},
	{name: "comment within", xml: "<pool type='dir'><name>p</name><target><path>/a<!-- /x -->b</path></target></pool>", want: "/ab/v"},
	{name: "logical", xml: "<pool type='logical'><name>p</name><source><name>vg</name></source></pool>", want: "/dev/vg/v"},
	{name: "logical, target ignored", xml: "<pool type='logical'><name>p</name><source><name>vg</name></source><target><path>/x</path></target></pool>", want: "/dev/vg/v"},
	{name: "logical, named like the pool", xml: "<pool type='logical'><name>p</name></pool>", want: "/dev/p/v"},
	{name: "logical, pool named like it", xml: "<pool type='logical'><source><name>p</name></source></pool>", want: "/dev/p/v"},
	{name: "zfs", xml: "<pool type='zfs'><name>p</name><source><name>tank/guests</name></source></pool>", want: "/dev/zvol/tank/guests/v"},
	{name: "as libvirt writes it", xml: `<!--
WARNING: THIS IS AN AUTO-GENERATED FILE.
-->

<pool type='dir' xmlns:fs='http://libvirt.org/schemas/storagepool/fs/1.0'>
  <name>p</name>
  <uuid>7a3d5d0e-0f43-4a4b-8b55-0f3a6a0f0d11</uuid>
  <capacity unit='bytes'>0</capacity>
  <allocation unit='bytes'>0</allocation>
  <available unit='bytes'>0</available>
  <source>
  </source>
  <target>
    <path>/srv/images</path>
    <permissions><mode>0711</mode><owner>0</owner><group>0</group></permissions>
  </target>
</pool>
`, want: "/srv/images/v"},
	{name: "options", xml: `<?xml version="1.0" encoding="utf-8"?><pool type="netfs" xmlns:fs="http://libvirt.org/schemas/storagepool/fs/1.0"><name>p</name>
<source><host name="h"/><host name="i"/><dir path="/x"/></source><target><path>/srv</path></target>
<fs:mount_opts><fs:option name="ro"/><fs:option name="sync"/></fs:mount_opts></pool>`, want: "/srv/v"},

	{name: "empty", xml: ""},
	{name: "no XML", xml: "p"},
	{name: "cut off", xml: "<pool type='dir'><name>p</name>"},
	{name: "another root", xml: "<volume type='dir'><name>p</name><target><path>/srv</path></target></volume>"},
	{name: "prefixed root", xml: "<y:pool xmlns:y='urn:y' type='dir'><name>p</name><target><path>/srv</path></target></y:pool>", stricter: true},
	{name: "two roots", xml: "<pool type='dir'><name>p</name><target><path>/srv</path></target></pool><pool/>"},
	{name: "text behind", xml: "<pool type='dir'><name>p</name><target><path>/srv</path></target></pool>x"},
	{name: "no type", xml: "<pool><name>p</name><target><path>/srv</path></target></pool>"},
	{name: "unknown type", xml: "<pool type='tape'><name>p</name><target><path>/srv</path></target></pool>"},
	{name: "no name", xml: "<pool type='dir'><target><path>/srv</path></target></pool>"},
	{name: "empty name", xml: "<pool type='dir'><name/><target><path>/srv</path></target></pool>"},
	{name: "slash in the name", xml: "<pool type='dir'><name>a/p</name><target><path>/srv</path></target></pool>"},
	{name: "line end in the name", xml: "<pool type='dir'><name>p\n</name><target><path>/srv</path></target></pool>", stricter: true},
	{name: "no target", xml: "<pool type='dir'><name>p</name></pool>"},
	{name: "empty target", xml: "<pool type='dir'><name>p</name><target><path/></target></pool>"},
	{name: "relative target", xml: "<pool type='dir'><name>p</name><target><path>srv</path></target></pool>", stricter: true},
	{name: "line end in the target", xml: "<pool type='dir'><name>p</name><target><path>/srv\n</path></target></pool>", stricter: true},
	{name: "two targets", xml: "<pool type='dir'><name>p</name><target><path>/srv</path></target><target><path>/x</path></target></pool>", stricter: true},
	{name: "two paths", xml: "<pool type='dir'><name>p</name><target><path>/srv</path><path>/x</path></target></pool>", stricter: true},
	{name: "two names", xml: "<pool type='dir'><name>p</name><name>q</name><target><path>/srv</path></target></pool>", stricter: true},
	{name: "two sources", xml: "<pool type='zfs'><name>p</name><source><name>a</name></source><source><name>b</name></source></pool>", stricter: true},
	{name: "prefixed path", xml: "<pool type='dir' xmlns:y='urn:y'><name>p</name><target><path>/srv</path><y:path>/x</y:path></target></pool>", stricter: true},
	{name: "prefixed type", xml: "<pool xmlns:y='urn:y' y:type='netfs' type='dir'><name>p</name><target><path>/srv</path></target></pool>"},
	{name: "default namespace", xml: "<pool xmlns='urn:y' type='dir'><name>p</name><target><path>/srv</path></target></pool>"},
	{name: "two types", xml: "<pool type='dir' type='fs'><name>p</name><target><path>/srv</path></target></pool>"},
	{name: "element in the path", xml: "<pool type='dir'><name>p</name><target><path>/srv<x>/y</x></path></target></pool>", stricter: true},
	{name: "doctype", xml: "<!DOCTYPE pool [<!ATTLIST pool type CDATA 'dir'>]><pool><name>p</name><target><path>/srv</path></target></pool>", stricter: true},
	{name: "entity", xml: "<!DOCTYPE pool [<!ENTITY e '/x'>]><pool type='dir'><name>p</name><target><path>&e;</path></target></pool>", stricter: true},
	{name: "Latin-1", xml: "<?xml version='1.0' encoding='iso-8859-1'?><pool type='dir'><name>p</name><target><path>/\xe9</path></target></pool>"},
	{name: "late declaration", xml: " <?xml version='1.0'?><pool type='dir'><name>p</name><target><path>/srv</path></target></pool>"},
	{name: "deep", xml: "<pool type='dir'><name>p</name><target><path>/srv</path></target>" + strings.Repeat("<x>", 300) + strings.Repeat("</x>", 300) + "</pool>"},
}

func TestDefinitions(t *testing.T) {
	for _, tt := range definitionTests {
		t.Run(tt.name, func(t *testing.T) {
			var p pools.Pools
			err := p.Add([]byte(tt.xml))
			if tt.want == "" {
				if !errors.Is(err, pools.ErrDefinition) {
					t.Errorf("Add: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			located, err := p.Locate(t.Context(), volume("p", "v", ""))
			if err != nil {
				t.Fatal(err)
			}
			if path, _ := storage.LocalPath(located); path != tt.want {
				t.Errorf("path %q, want %q", path, tt.want)
			}
		})
	}
}

func TestDefinitionIsBounded(t *testing.T) {
	var p pools.Pools
	if err := p.Add(make([]byte, pools.MaxDefinition+1)); !errors.Is(err, pools.ErrDefinition) {
		t.Errorf("Add: %v", err)
	}
}

const iscsiSource = `<source><host name='portal.example'/><device path='iqn.2013-06.com.example:target'/>
<initiator><iqn name='iqn.2013-06.com.example:initiator'/></initiator>
<auth type='chap' username='operator'><secret usage='libvirtiscsi'/></auth></source>`

// samples are pools of every type, by their names.
var samples = map[string]string{
	"dir":      "<pool type='dir'><name>dir</name><target><path>/nowhere</path></target></pool>",
	"logical":  "<pool type='logical'><name>logical</name></pool>",
	"disk":     "<pool type='disk'><name>disk</name><source><device path='/dev/nosuch'/></source><target><path>/dev</path></target></pool>",
	"ended":    "<pool type='disk'><name>ended</name><source><device path='/dev/nosuch0'/></source><target><path>/dev/</path></target></pool>",
	"mapped":   "<pool type='disk'><name>mapped</name><source><device path='/dev/mapper/nosuch'/></source><target><path>/dev</path></target></pool>",
	"gone":     "<pool type='disk'><name>gone</name><source><device path='/dev/nosuch'/></source><target><path>/dev/disk/by-id</path></target></pool>",
	"diskless": "<pool type='disk'><name>diskless</name><target><path>/dev</path></target></pool>",
	"scsi":     "<pool type='scsi'><name>scsi</name><source><adapter name='host0'/></source><target><path>/dev/disk/by-path</path></target></pool>",
	"iscsi":    "<pool type='iscsi'><name>iscsi</name>" + iscsiSource + "<target><path>/dev/disk/by-path/</path></target></pool>",
	"by-id":    "<pool type='iscsi'><name>by-id</name>" + iscsiSource + "<target><path>/dev/disk/by-id</path></target></pool>",
	"direct":   "<pool type='iscsi-direct'><name>direct</name>" + strings.Replace(iscsiSource, "<host name='portal.example'/>", "<host name='::1' port='3261'/>", 1) + "</pool>",
	"two-hosts": "<pool type='iscsi-direct'><name>two-hosts</name>" + strings.Replace(iscsiSource, "<host", "<host name='other'/><host", 1) +
		"</pool>",
	"secretless": "<pool type='iscsi-direct'><name>secretless</name>" + strings.Replace(iscsiSource, "<secret usage='libvirtiscsi'/>", "", 1) + "</pool>",
	"bad-port":   "<pool type='iscsi-direct'><name>bad-port</name>" + strings.Replace(iscsiSource, "portal.example'", "h' port='99999'", 1) + "</pool>",
	"mpath":      "<pool type='mpath'><name>mpath</name><target><path>/dev/mapper</path></target></pool>",
	"rbd":        "<pool type='rbd'><name>rbd</name><source><name>rbdpool</name><host name='h'/></source></pool>",
	"sheepdog":   "<pool type='sheepdog'><name>sheepdog</name><source><name>s</name><host name='h'/></source></pool>",
	"gluster":    "<pool type='gluster'><name>gluster</name><source><name>v</name><host name='h'/></source></pool>",
}

func sampled(t testing.TB) *pools.Pools {
	t.Helper()
	p := &pools.Pools{}
	for name, definition := range samples {
		if err := p.Add([]byte(definition)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	return p
}

func TestLocate(t *testing.T) {
	block := func(path string) *libvirtxml.DomainDiskSource {
		return &libvirtxml.DomainDiskSource{Block: &libvirtxml.DomainDiskSourceBlock{Dev: path}}
	}
	iscsi := func(host, port string) *libvirtxml.DomainDiskSource {
		return &libvirtxml.DomainDiskSource{Network: &libvirtxml.DomainDiskSourceNetwork{
			Protocol:  "iscsi",
			Name:      "iqn.2013-06.com.example:target/2",
			Hosts:     []libvirtxml.DomainDiskSourceHost{{Name: host, Port: port}},
			Initiator: &libvirtxml.DomainDiskSourceNetworkInitiator{IQN: &libvirtxml.DomainDiskSourceNetworkIQN{Name: "iqn.2013-06.com.example:initiator"}},
			Auth:      &libvirtxml.DomainDiskAuth{Username: "operator", Secret: &libvirtxml.DomainDiskSecret{Type: "iscsi", Usage: "libvirtiscsi"}},
		}}
	}
	p := sampled(t)
	for _, tt := range []struct {
		pool, volume, mode string
		want               *libvirtxml.DomainDiskSource // nil: an error that has the words
		words              string
	}{
		{pool: "dir", volume: "v", want: &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: "/nowhere/v"}}},
		{pool: "dir", volume: "...", want: &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: "/nowhere/..."}}},
		{pool: "logical", volume: "lv", want: block("/dev/logical/lv")},
		{pool: "disk", volume: "nosuch1", want: block("/dev/nosuch1")},
		{pool: "ended", volume: "nosuch0p12", want: block("/dev/nosuch0p12")},
		{pool: "mapped", volume: "nosuch1", want: block("/dev/mapper/nosuch1")},
		{pool: "disk", volume: "sda1", words: "not a partition"},
		{pool: "disk", volume: "nosuch", words: "not a partition"},
		{pool: "disk", volume: "nosuchx1", words: "not a partition"},
		{pool: "gone", volume: "nosuch1", words: "nosuch1"},
		{pool: "diskless", volume: "sda1", words: "does not name its disk"},
		{pool: "scsi", volume: "unit:0:0:1", words: "running pool"},
		{pool: "iscsi", volume: "unit:0:0:2", want: block("/dev/disk/by-path/ip-portal.example:3260-iscsi-iqn.2013-06.com.example:target-lun-2")},
		{pool: "iscsi", volume: "unit:0:0:2", mode: "host", want: block("/dev/disk/by-path/ip-portal.example:3260-iscsi-iqn.2013-06.com.example:target-lun-2")},
		{pool: "iscsi", volume: "unit:0:0:2", mode: "direct", want: iscsi("portal.example", "3260")},
		{pool: "iscsi", volume: "unit:0:0:2", mode: "other", words: "mode"},
		{pool: "iscsi", volume: "2", words: "unit:0:0:1"},
		{pool: "iscsi", volume: "unit:0:0:2:3", mode: "direct", words: "unit:0:0:1"},
		{pool: "by-id", volume: "unit:0:0:2", words: "running pool"},
		{pool: "by-id", volume: "unit:0:0:2", mode: "direct", want: iscsi("portal.example", "3260")},
		{pool: "direct", volume: "unit:0:0:2", want: iscsi("::1", "3261")},
		{pool: "direct", volume: "unit:0:0:2", mode: "direct", words: "only for pools of type iscsi"},
		{pool: "dir", volume: "v", mode: "host", words: "only for pools of type iscsi"},
		{pool: "two-hosts", volume: "unit:0:0:2", words: "one host"},
		{pool: "secretless", volume: "unit:0:0:2", words: "<auth>"},
		{pool: "bad-port", volume: "unit:0:0:2", words: "port"},
		{pool: "mpath", volume: "dm-0", words: "does not allow"},
		{pool: "rbd", volume: "v", words: "does not allow"},
		{pool: "sheepdog", volume: "v", words: "does not allow"},
		{pool: "gluster", volume: "v", words: "does not allow"},
		{pool: "unknown", volume: "v", words: `"unknown"`},
		{pool: "", volume: "v", words: `""`},
		{pool: "../dir", volume: "v", words: `"../dir"`},
		// What is no name in a folder (CVE-2015-5313).
		{pool: "dir", volume: "", words: "no volume can have that name"},
		{pool: "dir", volume: ".", words: "no volume can have that name"},
		{pool: "dir", volume: "..", words: "no volume can have that name"},
		{pool: "dir", volume: "../../etc/shadow", words: "no volume can have that name"},
		{pool: "dir", volume: "/etc/shadow", words: "no volume can have that name"},
		{pool: "dir", volume: "a/b", words: "no volume can have that name"},
		{pool: "dir", volume: "a\x00b", words: "no volume can have that name"},
		{pool: "dir", volume: "a\nb", words: "no volume can have that name"},
		{pool: "dir", volume: "a\xffb", words: "no volume can have that name"},
		{pool: "logical", volume: "../sda", words: "no volume can have that name"},
	} {
		t.Run(tt.pool+" "+tt.volume+" "+tt.mode, func(t *testing.T) {
			got, err := p.Locate(t.Context(), volume(tt.pool, tt.volume, tt.mode))
			if tt.want == nil {
				if !errors.Is(err, storage.ErrNoVolume) || !strings.Contains(err.Error(), tt.words) {
					t.Errorf("Locate: %v, want an error with %q", err, tt.words)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestLocateKeepsTheRest: what a source says of its image holds wherever that
// is, and the source itself is not changed.
func TestLocateKeepsTheRest(t *testing.T) {
	src := volume("dir", "v", "")
	src.StartupPolicy = "optional"
	src.Encryption = &libvirtxml.DomainDiskEncryption{Format: "luks"}
	src.Slices = &libvirtxml.DomainDiskSlices{Slices: []libvirtxml.DomainDiskSlice{{Type: "storage", Size: 512}}}
	src.Volume.SecLabel = []libvirtxml.DomainDeviceSecLabel{{Model: "dac"}}
	got, err := sampled(t).Locate(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	want := &libvirtxml.DomainDiskSource{
		File:          &libvirtxml.DomainDiskSourceFile{File: "/nowhere/v", SecLabel: src.Volume.SecLabel},
		StartupPolicy: "optional", Encryption: src.Encryption, Slices: src.Slices,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if src.Volume == nil || src.File != nil {
		t.Error("the source has changed")
	}
}

func TestLocateOfNoVolume(t *testing.T) {
	for _, src := range []*libvirtxml.DomainDiskSource{nil, {}, {File: &libvirtxml.DomainDiskSourceFile{File: "/x"}}} {
		if _, err := sampled(t).Locate(t.Context(), src); !errors.Is(err, storage.ErrNoVolume) {
			t.Errorf("%s: %v", storage.Describe(src), err)
		}
	}
}

// TestPartitionByLink: below /dev, a partition has the name of the first link
// that leads to it.
func TestPartitionByLink(t *testing.T) {
	links, err := os.MkdirTemp("/dev/shm", "by-id-")
	if err != nil {
		peers.Lacking(t, fmt.Sprintf("no folder below /dev can be made: %v", err))
	}
	t.Cleanup(func() { os.RemoveAll(links) })
	// Files do for devices: libvirt, too, asks only whether two names are one.
	disk := filepath.Join(links, "disk")
	for _, err := range []error{
		os.WriteFile(disk+"3", nil, 0o600), os.WriteFile(disk+"4", nil, 0o600),
		os.Mkdir(filepath.Join(links, "by-id"), 0o700),
		os.Symlink("../disk4", filepath.Join(links, "by-id", "ata-x-part4")),
		os.Symlink("nothing", filepath.Join(links, "by-id", "dangling")),
		os.Symlink("../disk3", filepath.Join(links, "by-id", "ata-x-part3")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	p := &pools.Pools{}
	if err := p.Add([]byte("<pool type='disk'><name>p</name><source><device path='" + disk + "'/></source>" +
		"<target><path>" + links + "/by-id</path></target></pool>")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"disk3": "ata-x-part3", "disk4": "ata-x-part4"} {
		located, err := p.Locate(t.Context(), volume("p", name, ""))
		if err != nil {
			t.Fatal(err)
		}
		if located.Block == nil || located.Block.Dev != links+"/by-id/"+want {
			t.Errorf("%s: %s, want %s", name, storage.Describe(located), want)
		}
	}
}

// TestRead: only the file with the pool's name is read, and an error in it
// affects only lookups of that pool.
func TestRead(t *testing.T) {
	dir := t.TempDir()
	definition := func(name, target string) []byte {
		return []byte("<pool type='dir'><name>" + name + "</name><target><path>" + target + "</path></target></pool>")
	}
	for name, content := range map[string][]byte{
		"images.xml":  definition("images", "/srv/images"),
		"renamed.xml": definition("other", "/srv/other"),
		"broken.xml":  []byte("<pool type='dir'><name>broken</name>"),
		"large.xml":   append(definition("large", "/srv/large"), make([]byte, pools.MaxDefinition)...),
		"unsuffixed":  definition("unsuffixed", "/srv/x"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range []error{
		os.Mkdir(filepath.Join(dir, "autostart"), 0o700),
		os.WriteFile(filepath.Join(dir, "autostart", "hidden.xml"), definition("hidden", "/srv/hidden"), 0o600),
		os.Symlink("images.xml", filepath.Join(dir, "linked.xml")),
		os.Mkdir(filepath.Join(dir, "folder.xml"), 0o700),
		syscall.Mkfifo(filepath.Join(dir, "fifo.xml"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	p, err := pools.Read(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ pool, want, words string }{
		{pool: "images", want: "/srv/images/v"},
		{pool: "images", want: "/srv/images/v"},
		{pool: "renamed", words: "renamed.xml"},
		{pool: "other", words: `"other" is not defined`},
		{pool: "broken", words: "broken.xml"},
		{pool: "large", words: "large.xml"},
		{pool: "unsuffixed", words: `"unsuffixed" is not defined`},
		{pool: "hidden", words: `"hidden" is not defined`},
		{pool: "autostart/hidden", words: `"autostart/hidden"`},
		{pool: "linked", words: "linked.xml"},
		{pool: "folder", words: "folder.xml"},
		{pool: "fifo", words: "fifo.xml"},
		{pool: "a\x00b", words: `"a\x00b"`},
		{pool: strings.Repeat("a", 300), words: "too long"},
	} {
		located, err := p.Locate(t.Context(), volume(tt.pool, "v", ""))
		if tt.want == "" {
			if !errors.Is(err, storage.ErrNoVolume) || !strings.Contains(err.Error(), tt.words) {
				t.Errorf("%q: %v, want an error with %q", tt.pool, err, tt.words)
			}
			continue
		}
		if path, _ := storage.LocalPath(located); path != tt.want {
			t.Errorf("%q: %q, %v, want %q", tt.pool, path, err, tt.want)
		}
	}

	for name, want := range map[string]error{"images": pools.ErrDuplicate, "broken": pools.ErrDuplicate, "new": nil} {
		if err := p.Add(definition(name, "/elsewhere")); !errors.Is(err, want) {
			t.Errorf("Add of %q: %v, want %v", name, err, want)
		}
	}
	if err := p.Add(definition("new", "/elsewhere")); !errors.Is(err, pools.ErrDuplicate) {
		t.Errorf("Add of what was added: %v", err)
	}
}

// TestReadOnce: an unusable definition is not read again for each volume.
func TestReadOnce(t *testing.T) {
	dir := t.TempDir()
	write := func(definition string) {
		if err := os.WriteFile(filepath.Join(dir, "dir.xml"), []byte(definition), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	located := func(p *pools.Pools) error {
		_, err := p.Locate(t.Context(), volume("dir", "v", ""))
		return err
	}
	read := func() *pools.Pools {
		p, err := pools.Read(t.Context(), dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	write("<pool>")
	p := read()
	before := located(p)
	write(samples["dir"])
	if after := located(p); !errors.Is(before, pools.ErrDefinition) || after == nil || after.Error() != before.Error() {
		t.Errorf("%v, then %v", before, after)
	}
	if err := located(read()); err != nil {
		t.Errorf("by others: %v", err)
	}
}

func TestReadOfNoFolder(t *testing.T) {
	if _, err := pools.Read(t.Context(), filepath.Join(t.TempDir(), "none"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Read: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := pools.Read(t.Context(), file, nil); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("Read: %v", err)
	}
}

// TestPasswordsStayHidden: old definitions have passwords, and whatever is
// wrong with one, they are not in the error.
func TestPasswordsStayHidden(t *testing.T) {
	const password = "Xyzzy"
	for _, definition := range []string{
		"<pool type='iscsi'><name>p</name><source><auth login='l' passwd='" + password + "'></source></pool>",
		"<pool type='iscsi'><name>p</name><source><auth passwd=" + password + "/></source></pool>",
		"<pool type='iscsi'><name>p</name><source><auth passwd='a&" + password + ";'/></source></pool>",
		"<pool type='iscsi'><name>p</name><source><auth passwd='" + password + "'/><" + "</source></pool>",
		"<pool type='iscsi'><name>p</name><capacity>" + password + "</capacity></pool>",
		"<pool type='iscsi'><name>p</name><source><adapter><parentaddr unique_id='" + password + "'/></adapter></source></pool>",
	} {
		err := new(pools.Pools).Add([]byte(definition))
		if err == nil || strings.Contains(err.Error(), password) {
			t.Errorf("%s: %v", definition, err)
		}
	}
}

func TestSeveralGoroutines(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "dir.xml"), []byte(samples["dir"]), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := pools.Read(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := p.Locate(t.Context(), volume("dir", "v", "")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
