package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// truthSize is the virtual size of every disk whose content is known.
const truthSize = 2 << 20

// truth is a disk over a chain of real images, made by qemu-img, with every
// byte that its guest must see.
type truth struct {
	name    string // says what the chain is made of, top first
	dir     string
	top     string   // the top image's path
	format  string   // libvirt's name for its format
	images  []string // the base first
	drivers []string // QEMU's, of each image
	content []byte
	// stated is the operator's statement about each image whose format no
	// header records.
	stated []string

	outcomes map[string]outcome // by graph of nodes
	plain    []string           // the nodes of the unchanged definition; nil if it is refused
}

// baseKind is a kind of image that a chain can end in.
type baseKind struct {
	name    string
	driver  string // QEMU's
	libvirt string // what --trust and the XML call it
	options []string
}

var baseKinds = []baseKind{
	{"raw", "raw", "raw", nil},
	{"qcow2", "qcow2", "qcow2", nil},
	{"qcow2v2", "qcow2", "qcow2", []string{"-o", "compat=0.10,cluster_size=4096"}},
	{"qcow2ext", "qcow2", "qcow2", []string{"-o", "extended_l2=on,cluster_size=65536"}},
	{"qcow", "qcow", "qcow", nil},
	{"qed", "qed", "qed", nil},
	{"vdi", "vdi", "vdi", nil},
	{"vdistatic", "vdi", "vdi", []string{"-o", "static=on"}},
	{"vpc", "vpc", "vpc", []string{"-o", "force_size=on"}},
	{"vpcfixed", "vpc", "vpc", []string{"-o", "subformat=fixed,force_size=on"}},
	{"vhdx", "vhdx", "vhd", nil},
	{"vhdxfixed", "vhdx", "vhd", []string{"-o", "subformat=fixed"}},
	{"parallels", "parallels", "ploop", nil},
	{"vmdk", "vmdk", "vmdk", nil},
	{"vmdkstream", "vmdk", "vmdk", []string{"-o", "subformat=streamOptimized"}},
	{"vmdkflat", "vmdk", "vmdk", []string{"-o", "subformat=monolithicFlat"}},
	{"vmdksplit", "vmdk", "vmdk", []string{"-o", "subformat=twoGbMaxExtentSparse"}},
}

// builder makes chains, each in a folder of its own.
type builder struct {
	t   *testing.T
	dir string
	rng *rand.Rand
}

func (b *builder) run(dir, program string, args ...string) {
	b.t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		b.t.Fatalf("%s %q: %v\n%s", program, args, err, out)
	}
}

// build makes the nth chain: a base of the kind, below it nothing, above it
// overlays of every format that can have a backing image.
func (b *builder) build(n int, base baseKind, overlays int) *truth {
	b.t.Helper()
	c := &truth{dir: filepath.Join(b.dir, fmt.Sprintf("chain%d", n)), content: make([]byte, truthSize), outcomes: make(map[string]outcome)}
	if err := os.Mkdir(c.dir, 0o755); err != nil {
		b.t.Fatal(err)
	}
	b.fill(c.content)
	flat := filepath.Join(c.dir, "flat")
	if err := os.WriteFile(flat, c.content, 0o644); err != nil {
		b.t.Fatal(err)
	}
	below, name := base, "base.img"
	b.run(c.dir, "qemu-img", append(append([]string{"convert", "-f", "raw", "-O", base.driver}, base.options...), "flat", name)...)
	os.Remove(flat)
	c.name = base.name
	c.add(name)
	c.drivers = append(c.drivers, base.driver)
	for i := range overlays {
		below, name = b.overlay(c, i, below, name)
	}
	c.top, c.format = filepath.Join(c.dir, name), below.libvirt
	return c
}

func (c *truth) add(name string) { c.images = append(c.images, filepath.Join(c.dir, name)) }

// fill writes a boot sector's mark and some runs of random bytes.
func (b *builder) fill(content []byte) {
	copy(content[510:], "\x55\xaa")
	for range 8 {
		at, n := b.rng.IntN(len(content)-70000), 1+b.rng.IntN(65536)
		for i := at; i < at+n; i++ {
			content[i] = byte(b.rng.Uint32())
		}
	}
}

// overlay puts an image above another one and writes into it.
func (b *builder) overlay(c *truth, i int, below baseKind, backing string) (baseKind, string) {
	b.t.Helper()
	kinds := []baseKind{
		{"qcow2", "qcow2", "qcow2", nil},
		{"qcow2", "qcow2", "qcow2", []string{"-o", "cluster_size=2M"}},
		{"qcow2", "qcow2", "qcow2", []string{"-o", "compat=0.10,cluster_size=512"}},
		{"qcow", "qcow", "qcow", nil},
		{"qed", "qed", "qed", nil},
	}
	if below.name == "vmdk" {
		kinds = append(kinds, baseKind{"vmdk", "vmdk", "vmdk", nil})
	}
	kind := kinds[b.rng.IntN(len(kinds))]
	name := fmt.Sprintf("layer%d.%s", i, []string{"img", "bin", "snapshot"}[b.rng.IntN(3)])
	named := backing
	switch b.rng.IntN(3) {
	case 0:
		named = filepath.Join(c.dir, backing)
	case 1:
		named = "./" + backing
	}
	b.run(c.dir, "qemu-img", append(append([]string{"create", "-q", "-f", kind.driver, "-b", named, "-F", below.driver}, kind.options...), name)...)
	at, n := b.rng.IntN(truthSize/4096-8)*4096, 4096*(1+b.rng.IntN(7))
	pattern := byte(1 + b.rng.IntN(255))
	b.run(c.dir, "qemu-io", "-f", kind.driver, "-c", fmt.Sprintf("write -P %d %d %d", pattern, at, n), name)
	copy(c.content[at:], bytes.Repeat([]byte{pattern}, n))

	recorded := kind.name == "vmdk" || kind.name == "qed" && below.driver == "raw"
	if kind.name == "qcow2" {
		// The names vhdx and parallels are recorded, too: libvirt does not know
		// them, but the image confirms them.
		if recorded = b.rng.IntN(3) > 0; !recorded {
			b.forgetFormat(filepath.Join(c.dir, name))
		}
	}
	if !recorded {
		c.stated = append(c.stated, filepath.Join(c.dir, backing)+"="+below.libvirt)
	}
	c.name = kind.name + map[bool]string{true: " over ", false: " over unrecorded "}[recorded] + c.name
	c.add(name)
	c.drivers = append(c.drivers, kind.driver)
	return kind, name
}

// forgetFormat takes the backing format out of a qcow2 header, as overlays
// made without -F have it: the extension becomes one that means nothing.
func (b *builder) forgetFormat(path string) {
	b.t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	defer f.Close()
	head := make([]byte, 512)
	if _, err := f.ReadAt(head, 0); err != nil {
		b.t.Fatal(err)
	}
	at := bytes.Index(head, binary.BigEndian.AppendUint32(nil, 0xE2792ACA))
	if at < 0 {
		b.t.Fatalf("%s records no format", path)
	}
	if _, err := f.WriteAt([]byte("none"), int64(at)); err != nil {
		b.t.Fatal(err)
	}
}
