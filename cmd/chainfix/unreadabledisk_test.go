package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/testdata/peers"
	"github.com/chainfix/chainfix/xmlfix"
)

// unreadableDisks are disks that chainfix does not read. IMAGE is an image; before the
// colon is the type, and what else is in the <disk>.
var unreadableDisks = []struct {
	disk string
	// unknown: libvirt may accept the disk, or what it does is not known.
	unknown bool
}{
	{disk: "bogus: <source file='IMAGE'/>"},
	{disk: ": <source file='IMAGE'/>"},
	{disk: "file: <driver name='qemu' type=''/><source file='IMAGE'/>"},
	{disk: "file: <driver name='qemu' type='none'/><source file='IMAGE'/>"},
	{disk: "file: <driver name='qemu' type='QCOW2'/><source file='IMAGE'/>"},
	{disk: "file: <driver name='qemu' type='vhdx'/><source file='IMAGE' startupPolicy='optional'/>"},
	{disk: "file: <driver name='qemu' type='cow'/><source file='IMAGE'/>"},
	{disk: "file: <driver name='qemu' type='dir'/><source file='IMAGE'/>"},
	{disk: "file: <driver name='qemu' type='fat'/><source file='/nowhere' startupPolicy='optional'/>"},
	{disk: "file: <driver name='qemu' type='iso'/><source file='IMAGE'/>"},
	{disk: "file: <driver name='qemu' type='raw'/><source file='IMAGE'/><iotune><total_bytes_sec>many</total_bytes_sec></iotune>", unknown: true},
	{disk: below("type='file'", "<source file='IMAGE'/>")},
	{disk: below("type='file'", "<format/><source file='IMAGE'/>")},
	{disk: below("type='file'", "<format type=''/><source file='IMAGE'/>")},
	{disk: below("type='file'", "<format type='raw'/>")},
	{disk: below("type='file'", "<format type='raw'/><source/>")},
	{disk: below("type='block'", "<format type='raw'/><source dev=''/><backingStore/>")},
	{disk: below("type='network'", "<format type='raw'/><source name='x'/>"), unknown: true},
	{disk: below("type='bogus'", "<format type='raw'/><source file='IMAGE'/>")},
	{disk: below("type='file'", "<format type='none'/><source file='IMAGE'/>")},
	{disk: below("type='file'", "<format type='aio'/><source file='IMAGE'/>")},
	{disk: below("type='file'", "<format type='vhdx'/><source file='IMAGE'/><backingStore/>")},
	{disk: below("type='file'", "<format type='cow'/><source file='IMAGE'/>")},
	{disk: below("type='file'", "<format type='iso'/><source file='IMAGE'/><backingStore/>")},
	{disk: below("type='nvme'", "<format type='bogus'/><source type='pci' managed='yes' namespace='1'><address domain='0x0000' bus='0x01' slot='0x00' function='0x0'/></source>")},
	{disk: stored("", "<format type='raw'/><source file='IMAGE'/>")},
	{disk: stored("type='bogus'", "<format type='raw'/><source file='IMAGE'/>")},
	{disk: stored("type='nvme'", "<format type='raw'/><source file='IMAGE'/>"), unknown: true},
	{disk: stored("type='file'", "<source file='IMAGE'/>")},
	{disk: stored("type='file'", "<format type='qcow2'/><source file='IMAGE'/>")},
	{disk: stored("type='file'", "<format type='raw'/>")},
	{disk: stored("type='file'", "<format type='raw'/><source file='IMAGE'>"+dataStore("type='file'", "<format type='raw'/><source file='IMAGE'/>")+"</source>")},
}

// below is a disk with a <backingStore>.
func below(attributes, content string) string {
	return "file: <driver name='qemu' type='qcow2'/><source file='IMAGE'/><backingStore " + attributes + ">" + content + "</backingStore>"
}

// stored is a disk with a <dataStore>.
func stored(attributes, content string) string {
	return "file: <driver name='qemu' type='qcow2'/><source file='IMAGE'>" + dataStore(attributes, content) + "</source>"
}

func dataStore(attributes, content string) string {
	return "<dataStore " + attributes + ">" + content + "</dataStore>"
}

// TestUnreadableDiskIsRefused: for a disk that chainfix does not read, the
// installed libvirt's error is as predicted, or the prediction is unknown.
func TestUnreadableDiskIsRefused(t *testing.T) {
	t.Parallel()
	l := peers.StartLibvirt(t)
	target, err := installed()
	if err != nil {
		t.Fatal(err)
	}
	image := filepath.Join(l.Images, "image")
	if err := os.WriteFile(image, make([]byte, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	l.Share(l.Images)
	for n, c := range unreadableDisks {
		t.Run(c.disk, func(t *testing.T) {
			kind, inner, _ := strings.Cut(strings.ReplaceAll(c.disk, "IMAGE", image), ": ")
			guest := fmt.Sprintf("unreadable%d", n)
			document := peers.SmallGuest(guest, fmt.Sprintf("<disk type='%s'>%s<target dev='vda' bus='virtio'/></disk>", kind, inner))
			d, err := xmlfix.Parse("guest.xml", []byte(document))
			if err != nil {
				t.Fatal(err)
			}
			_, err = d.Disks()[0].Stated()
			var e *xmlfix.Error
			if !errors.As(err, &e) || e.Err != xmlfix.ErrDisk {
				t.Fatalf("the disk is read: %v", err)
			}
			if known := e.Objection.Words != ""; known == c.unknown {
				t.Errorf("what libvirt says: %q", e.Objection.Words)
			}
			words, sure := e.Objection.By(target)
			if !sure {
				return
			}
			said := l.TryDefine(document)
			if said == nil {
				said = l.TryStart(guest)
			}
			if said == nil || !strings.Contains(said.Error(), words) && !target.Before(libvirt.Version{Major: 9}) {
				t.Errorf("libvirt says %v, not %s", said, words)
			}
		})
	}
}

// TestObjectionByVersion: what is wrong in an element counts for those that read it.
func TestObjectionByVersion(t *testing.T) {
	for _, c := range []struct {
		objection xmlfix.Objection
		version   libvirt.Version
		sure      bool
	}{
		{xmlfix.Objection{}, libvirt.Version{Major: 9}, false},
		{xmlfix.Objection{Words: "no"}, libvirt.Version{Major: 1}, true},
		{xmlfix.Objection{Words: "no", Since: libvirt.DataStores.Since}, libvirt.Version{Major: 10, Minor: 9}, false},
		{xmlfix.Objection{Words: "no", Since: libvirt.DataStores.Since}, libvirt.Version{Major: 10, Minor: 10}, true},
	} {
		if _, sure := c.objection.By(c.version); sure != c.sure {
			t.Errorf("%+v by %s: %v", c.objection, c.version, sure)
		}
	}
}
