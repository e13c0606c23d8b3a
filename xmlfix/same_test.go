package xmlfix

import (
	"strings"
	"testing"
)

const sameDisk = `<disk type='file' device='disk'>
      <driver name='qemu' type='qcow2' cache='none'/>
      <source file='/img/a&amp;b.qcow2'/>
      <backingStore type='file'>
        <format type='raw'/>
        <source file='/img/base.img'/>
        <backingStore/>
      </backingStore>
      <target dev='vda' bus='virtio'/>
      <serial>s 1</serial>
    </disk>`

func diskIn(t *testing.T, disk string) *Disk {
	t.Helper()
	document, err := Parse("test", []byte("<domain type='kvm'>\n  <name>g</name>\n  <devices>\n    "+disk+"\n  </devices>\n</domain>\n"))
	if err != nil {
		t.Fatal(err)
	}
	return document.Disks()[0]
}

// TestSame: what versions of libvirt write differently means the same, and anything else
// does not.
func TestSame(t *testing.T) {
	for name, c := range map[string]struct {
		old, new string
		same     bool
	}{
		"itself":               {"", "", true},
		"order of attributes":  {"name='qemu' type='qcow2' cache='none'", "cache='none' type='qcow2' name='qemu'", true},
		"quotes":               {"'none'", `"none"`, true},
		"layout":               {"\n      ", " ", true},
		"comment":              {"<serial>", "<!-- a --><serial>", true},
		"character reference":  {"a&amp;b", "a&#38;b", true},
		"space around a text":  {"s 1", " s 1\n", true},
		"end tag":              {"<backingStore/>", "<backingStore></backingStore>", true},
		"place of the chain":   {"<target dev='vda' bus='virtio'/>\n      <serial>s 1</serial>", "<serial>s 1</serial><target dev='vda' bus='virtio'/>", true},
		"value":                {"'none'", "'unsafe'", false},
		"more attributes":      {"cache='none'", "cache='none' io='native'", false},
		"fewer attributes":     {" cache='none'", "", false},
		"text":                 {"s 1", "s  1", false},
		"more elements":        {"<serial>", "<boot order='1'/><serial>", false},
		"fewer elements":       {"<serial>s 1</serial>", "", false},
		"its own image":        {"a&amp;b", "a", false},
		"format of a layer":    {"'raw'", "'qcow2'", false},
		"image of a layer":     {"base.img", "other.img", false},
		"chain without an end": {"<backingStore/>", "", false},
		"disk that is refused": {"<format type='raw'/>", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			changed := strings.ReplaceAll(sameDisk, c.old, c.new)
			if c.old != "" && changed == sameDisk {
				t.Fatal("nothing is changed")
			}
			a, b := diskIn(t, sameDisk), diskIn(t, changed)
			if a.Same(b) != c.same || b.Same(a) != c.same || !b.Same(diskIn(t, changed)) {
				t.Errorf("same: %v, %v", a.Same(b), b.Same(a))
			}
		})
	}
}

// TestReplace: one disk's text replaces another's, and nothing else changes.
func TestReplace(t *testing.T) {
	plain := strings.Replace(sameDisk, "cache='none'", "cache='unsafe'", 1)
	disk := diskIn(t, plain)
	disk.RemoveChain()
	disk.Replace(diskIn(t, sameDisk))
	got, err := disk.doc.Bytes()
	if want := strings.Replace(string(disk.doc.data), plain, sameDisk, 1); err != nil || string(got) != want {
		t.Errorf("%v\n%s", err, got)
	}
	disk.RemoveChain()
	if got, err := disk.doc.Bytes(); err != nil || strings.Contains(string(got), "<backingStore") || !strings.Contains(string(got), "unsafe") {
		t.Errorf("what was queued later does not count: %v\n%s", err, got)
	}
}
