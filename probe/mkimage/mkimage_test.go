package mkimage_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/probe/mkimage"
	"github.com/chainfix/chainfix/testdata/peers"
)

// image is what the formats have in common.
type image interface {
	io.WriterTo
	Bytes() ([]byte, error)
}

func content(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i/512 + i%251 + 1)
	}
	return b
}

// TestQEMUReadsThem lets qemu-img check the images and read their content back.
func TestQEMUReadsThem(t *testing.T) {
	peers.Require(t, "qemu-img")
	const mib = 1 << 20
	type test struct {
		name, format string
		image        image
		data         []byte
		size         uint64
	}
	tests := []test{
		{"empty", "qcow2", mkimage.Qcow2{}, nil, 0},
		{"plain", "qcow2", mkimage.Qcow2{VirtualSize: mib}, nil, mib},
		{"version 2", "qcow2", mkimage.Qcow2{Version: 2, VirtualSize: mib, Data: content(70000)}, content(70000), mib},
		{"smallest clusters", "qcow2", mkimage.Qcow2{ClusterBits: 9, VirtualSize: mib, Data: content(300000)}, content(300000), mib},
		{"largest clusters", "qcow2", mkimage.Qcow2{ClusterBits: 21, VirtualSize: 8 * mib, Data: content(1)}, content(1), 8 * mib},
		{"full", "qcow2", mkimage.Qcow2{ClusterBits: 12, VirtualSize: 2 * mib, Data: content(2 * mib)}, content(2 * mib), 2 * mib},
		{"large disk", "qcow2", mkimage.Qcow2{VirtualSize: 1 << 44}, nil, 1 << 44},
		{"unknown extension", "qcow2", mkimage.Qcow2{VirtualSize: mib, Extensions: []mkimage.Extension{{Type: 7, Data: []byte("x")}}}, nil, mib},
		{"plain", "qcow", mkimage.Qcow{VirtualSize: mib}, nil, mib},
		{"data", "qcow", mkimage.Qcow{VirtualSize: mib, Data: content(70000)}, content(70000), mib},
		{"smallest clusters", "qcow", mkimage.Qcow{ClusterBits: 9, VirtualSize: mib, Data: content(300000)}, content(300000), mib},
		{"largest clusters", "qcow", mkimage.Qcow{ClusterBits: 16, VirtualSize: mib, Data: content(3)}, content(3), mib},
		{"empty", "qed", mkimage.QED{}, nil, 0},
		{"plain", "qed", mkimage.QED{VirtualSize: mib}, nil, mib},
		{"data", "qed", mkimage.QED{VirtualSize: mib, Data: content(70000)}, content(70000), mib},
		{"smallest clusters", "qed", mkimage.QED{ClusterBits: 12, VirtualSize: 16 * mib, Data: content(9 * mib)}, content(9 * mib), 16 * mib},
		{"plain", "vmdk", mkimage.VMDK{VirtualSize: mib}, nil, mib},
		{"data", "vmdk", mkimage.VMDK{VirtualSize: mib, Data: content(70000)}, content(70000), mib},
		{"two grain tables", "vmdk", mkimage.VMDK{VirtualSize: 64*mib + 512, Data: content(33 * mib)}, content(33 * mib), 64*mib + 512},
		{"large disk", "vmdk", mkimage.VMDK{VirtualSize: 1 << 41}, nil, 1 << 41},
		{"empty", "vdi", mkimage.VDI{}, nil, 0},
		{"plain", "vdi", mkimage.VDI{VirtualSize: 5*mib + 512}, nil, 5*mib + 512},
		{"data", "vdi", mkimage.VDI{VirtualSize: 5 * mib, Data: content(mib + 1)}, content(mib + 1), 5 * mib},
		{"fixed", "vdi", mkimage.VDI{VirtualSize: 2 * mib, Fixed: true, Data: content(1)}, content(1), 2 * mib},
		{"empty", "vpc", mkimage.VPC{}, nil, 0},
		{"plain", "vpc", mkimage.VPC{VirtualSize: mib + 512}, nil, mib + 512},
		{"data", "vpc", mkimage.VPC{VirtualSize: mib, Data: content(70000)}, content(70000), mib},
		{"fixed", "vpc", mkimage.VPC{VirtualSize: mib, Fixed: true, Data: content(70000)}, content(70000), mib},
		{"differencing, as if it were not", "vpc", mkimage.VPC{VirtualSize: mib, Parent: "base.vhd", Data: content(5)}, content(5), mib},
		{"largest", "vpc", mkimage.VPC{VirtualSize: 2040 << 30}, nil, 2040 << 30},
		{"empty", "vhdx", mkimage.VHDX{}, nil, 0},
		{"plain", "vhdx", mkimage.VHDX{VirtualSize: mib + 512}, nil, mib + 512},
		{"data", "vhdx", mkimage.VHDX{VirtualSize: 5 * mib, Data: content(mib + 1)}, content(mib + 1), 5 * mib},
		{"large blocks", "vhdx", mkimage.VHDX{BlockBits: 23, VirtualSize: 12 * mib, Data: content(9 * mib)}, content(9 * mib), 12 * mib},
		{"large disk", "vhdx", mkimage.VHDX{BlockBits: 28, VirtualSize: 64 << 40, Data: content(1)}, content(1), 64 << 40},
		{"empty", "parallels", mkimage.Parallels{}, nil, 0},
		{"plain", "parallels", mkimage.Parallels{VirtualSize: mib}, nil, mib},
		{"data", "parallels", mkimage.Parallels{VirtualSize: mib, Data: content(70000)}, content(70000), mib},
		{"smallest clusters", "parallels", mkimage.Parallels{ClusterBits: 12, VirtualSize: 16*mib + 512, Data: content(9 * mib)}, content(9 * mib), 16*mib + 512},
		{"largest clusters", "parallels", mkimage.Parallels{ClusterBits: 20, VirtualSize: 2 * mib, Data: content(3)}, content(3), 2 * mib},
	}
	for _, test := range tests {
		t.Run(test.format+"/"+test.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "image", test.image)
			if test.format != "qcow" && test.format != "vpc" { // which qemu-img cannot check
				run(t, dir, "qemu-img", "check", "-f", test.format, "image")
			}
			info := run(t, dir, "qemu-img", "info", "-f", test.format, "image")
			if want := fmt.Sprintf("(%d bytes)", test.size); !strings.Contains(info, want) {
				t.Errorf("virtual size is not %d:\n%s", test.size, info)
			}
			if test.size <= 16*mib {
				guestReads(t, dir, test.format, "image", append(test.data, make([]byte, int(test.size)-len(test.data))...))
			}
		})
	}
}

// TestQEMUFollowsThem builds a chain of all formats, each layer over the next.
func TestQEMUFollowsThem(t *testing.T) {
	peers.Require(t, "qemu-img")
	const size = 1 << 20
	dir := t.TempDir()
	write(t, dir, "top", mkimage.Qcow2{VirtualSize: size, Backing: "mid", BackingFormat: "qed", Data: content(10)})
	write(t, dir, "mid", mkimage.QED{VirtualSize: size, Backing: "low", Data: content(70000)[:66000]})
	write(t, dir, "low", mkimage.Qcow{VirtualSize: size, Backing: "base", Data: content(300000)})
	write(t, dir, "base", mkimage.QED{VirtualSize: size, Backing: "raw", NoProbe: true})
	if err := os.WriteFile(filepath.Join(dir, "raw"), content(size), 0o600); err != nil {
		t.Fatal(err)
	}

	// Each layer holds whole clusters: zeros after its data, then the next.
	want := content(size)
	for _, layer := range []struct{ data, cluster int }{{300000, 4096}, {66000, 65536}, {10, 65536}} {
		end := (layer.data + layer.cluster - 1) / layer.cluster * layer.cluster
		copy(want, content(layer.data))
		clear(want[layer.data:end])
	}
	guestReads(t, dir, "qcow2", "top", want)
	run(t, dir, "qemu-img", "check", "top")
}

// TestQEMUFollowsVMDK lets QEMU read through a parent and through the files that
// a descriptor names.
func TestQEMUFollowsVMDK(t *testing.T) {
	peers.Require(t, "qemu-img")
	const size = 1 << 20
	dir := t.TempDir()
	write(t, dir, "top", mkimage.VMDK{VirtualSize: size, Backing: "mid", Data: content(10)})
	write(t, dir, "mid", mkimage.VMDKDescriptor{Backing: "base", Extents: []mkimage.VMDKExtent{
		{Sectors: 1024, Name: "flat", Offset: 8}, {Kind: "VMFS", Sectors: 1024, Name: "flat"},
	}})
	write(t, dir, "base", mkimage.VMDKDescriptor{CreateType: "vmfsSparse", Extents: []mkimage.VMDKExtent{{Kind: "SPARSE", Sectors: 2048, Name: "sparse"}}})
	write(t, dir, "sparse", mkimage.VMDK{VirtualSize: size, Data: content(70000)})
	if err := os.WriteFile(filepath.Join(dir, "flat"), content(size), 0o600); err != nil {
		t.Fatal(err)
	}
	want := append(content(size)[4096:][:size/2:size/2], content(size)[:size/2]...)
	guestReads(t, dir, "vmdk", "mid", want)
	clear(want[copy(want, content(10)):65536])
	guestReads(t, dir, "vmdk", "top", want)
	guestReads(t, dir, "vmdk", "base", append(content(70000), make([]byte, size-70000)...))
}

// TestQEMURefusesDifferencingVDI: it is made for that.
func TestQEMURefusesDifferencingVDI(t *testing.T) {
	peers.Require(t, "qemu-img")
	dir := t.TempDir()
	write(t, dir, "image", mkimage.VDI{VirtualSize: 1 << 20, Differencing: true})
	out, err := exec.Command("qemu-img", "info", "-f", "vdi", filepath.Join(dir, "image")).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "non-NULL link UUID") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestQEMURefusesDifferencingVHDX: it is made for that.
func TestQEMURefusesDifferencingVHDX(t *testing.T) {
	peers.Require(t, "qemu-img")
	dir := t.TempDir()
	write(t, dir, "image", mkimage.VHDX{VirtualSize: 1 << 20, Parent: "base.vhdx"})
	out, err := exec.Command("qemu-img", "info", "-f", "vhdx", filepath.Join(dir, "image")).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "Operation not supported") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestQEMUKnowsLUKS1: it tells what the image is, and wants a passphrase.
func TestQEMUKnowsLUKS1(t *testing.T) {
	peers.Require(t, "qemu-img")
	dir := t.TempDir()
	write(t, dir, "image", mkimage.LUKS1{VirtualSize: 1 << 20})
	info := run(t, dir, "qemu-img", "info", "image")
	for _, want := range []string{"file format: luks", "(1048576 bytes)", "encrypted: yes", "cipher alg: aes-128"} {
		if !strings.Contains(info, want) {
			t.Errorf("no %q:\n%s", want, info)
		}
	}
}

func TestDataFile(t *testing.T) {
	peers.Require(t, "qemu-img")
	dir := t.TempDir()
	write(t, dir, "image", mkimage.Qcow2{VirtualSize: 1 << 20, DataFile: "data"})
	if err := os.WriteFile(filepath.Join(dir, "data"), content(1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if info := run(t, dir, "qemu-img", "info", "-f", "qcow2", "image"); !strings.Contains(info, "data file: data") {
		t.Errorf("no data file:\n%s", info)
	}
	run(t, dir, "qemu-img", "check", "image")
	guestReads(t, dir, "qcow2", "image", make([]byte, 1<<20))
}

func TestRefusals(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for name, image := range map[string]image{
		"qcow2 version":           mkimage.Qcow2{Version: 4},
		"qcow2 clusters":          mkimage.Qcow2{ClusterBits: 22},
		"qcow2 name":              mkimage.Qcow2{Backing: long[:1024]},
		"qcow2 name in cluster":   mkimage.Qcow2{ClusterBits: 9, Backing: long[:1000]},
		"qcow2 format":            mkimage.Qcow2{BackingFormat: long[:16]},
		"qcow2 data over size":    mkimage.Qcow2{VirtualSize: 1, Data: content(2)},
		"qcow2 size over tables":  mkimage.Qcow2{ClusterBits: 9, VirtualSize: 1<<37 + 1},
		"qcow2 data file, old":    mkimage.Qcow2{Version: 2, DataFile: "x"},
		"qcow2 data file, data":   mkimage.Qcow2{VirtualSize: 9, DataFile: "x", Data: content(1)},
		"qcow2 extension":         mkimage.Qcow2{Extensions: []mkimage.Extension{{Type: 1, Data: make([]byte, 1<<16)}}},
		"qcow clusters":           mkimage.Qcow{ClusterBits: 17, VirtualSize: 2},
		"qcow size":               mkimage.Qcow{VirtualSize: 1},
		"qcow size over tables":   mkimage.Qcow{ClusterBits: 9, VirtualSize: 1<<37 + 1},
		"qcow name":               mkimage.Qcow{VirtualSize: 2, Backing: long[:1024]},
		"qcow data over size":     mkimage.Qcow{VirtualSize: 2, Data: content(3)},
		"qed clusters":            mkimage.QED{ClusterBits: 11},
		"qed size in sectors":     mkimage.QED{VirtualSize: 1},
		"qed name":                mkimage.QED{Backing: long},
		"qed data over size":      mkimage.QED{VirtualSize: 512, Data: content(513)},
		"qed size over tables":    mkimage.QED{ClusterBits: 12, VirtualSize: 1<<34 + 512},
		"vmdk size in sectors":    mkimage.VMDK{VirtualSize: 1},
		"vmdk of size 0":          mkimage.VMDK{},
		"vmdk size over tables":   mkimage.VMDK{VirtualSize: 1 << 51},
		"vmdk name":               mkimage.VMDK{VirtualSize: 512, Backing: long},
		"vmdk name with a quote":  mkimage.VMDK{VirtualSize: 512, Backing: "a\"b"},
		"vmdk data over size":     mkimage.VMDK{VirtualSize: 512, Data: content(513)},
		"vmdk type":               mkimage.VMDKDescriptor{CreateType: "a\nb"},
		"vmdk extent kind":        mkimage.VMDKDescriptor{Extents: []mkimage.VMDKExtent{{Kind: "flat", Name: "x"}}},
		"vmdk extent name":        mkimage.VMDKDescriptor{Extents: []mkimage.VMDKExtent{{Name: long[:512]}}},
		"vmdk extent unnamed":     mkimage.VMDKDescriptor{Extents: []mkimage.VMDKExtent{{}}},
		"vmdk parent's name":      mkimage.VMDKDescriptor{Backing: "a\nb"},
		"vdi size in sectors":     mkimage.VDI{VirtualSize: 1},
		"vdi size over blocks":    mkimage.VDI{VirtualSize: 1 << 50},
		"vdi fixed with parent":   mkimage.VDI{Fixed: true, Differencing: true},
		"vdi larger than a GiB":   mkimage.VDI{VirtualSize: 1 << 30, Fixed: true},
		"vdi data over size":      mkimage.VDI{VirtualSize: 512, Data: content(513)},
		"vpc size in sectors":     mkimage.VPC{VirtualSize: 1},
		"vpc size":                mkimage.VPC{VirtualSize: 2040<<30 + 512},
		"vpc fixed with parent":   mkimage.VPC{Fixed: true, Parent: "x"},
		"vpc larger than a GiB":   mkimage.VPC{VirtualSize: 1 << 30, Fixed: true},
		"vpc parent's name":       mkimage.VPC{Parent: long},
		"vpc data over size":      mkimage.VPC{VirtualSize: 512, Data: content(513)},
		"vhdx blocks":             mkimage.VHDX{BlockBits: 19},
		"vhdx size in sectors":    mkimage.VHDX{VirtualSize: 1},
		"vhdx size":               mkimage.VHDX{VirtualSize: 64<<40 + 512},
		"vhdx parent's name":      mkimage.VHDX{Parent: strings.Repeat(long, 4)},
		"vhdx data over size":     mkimage.VHDX{VirtualSize: 512, Data: content(513)},
		"parallels clusters":      mkimage.Parallels{ClusterBits: 11},
		"parallels in sectors":    mkimage.Parallels{VirtualSize: 1},
		"parallels size":          mkimage.Parallels{ClusterBits: 12, VirtualSize: 1<<36 + 512},
		"parallels data":          mkimage.Parallels{VirtualSize: 512, Data: content(513)},
		"luks size in sectors":    mkimage.LUKS1{VirtualSize: 1},
		"luks larger than a GiB":  mkimage.LUKS1{VirtualSize: 1 << 30},
		"luks of 2^64-512 bytes":  mkimage.LUKS1{VirtualSize: 1<<64 - 512},
		"image larger than a GiB": mkimage.QED{ClusterBits: 20, VirtualSize: 2 << 30, Backing: "x", Data: make([]byte, 1<<30)},
	} {
		if b, err := image.Bytes(); err == nil || b != nil {
			t.Errorf("%s: %d bytes, error %v", name, len(b), err)
		}
		var out bytes.Buffer
		if n, err := image.WriteTo(&out); err == nil || n != 0 || out.Len() != 0 {
			t.Errorf("%s: wrote %d bytes, error %v", name, n, err)
		}
	}
}

func write(t *testing.T, dir, name string, image image) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := image.WriteTo(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// guestReads converts the image to raw, as a guest would read it.
func guestReads(t *testing.T, dir, format, image string, want []byte) {
	t.Helper()
	run(t, dir, "qemu-img", "convert", "-f", format, "-O", "raw", image, "guest")
	got, err := os.ReadFile(filepath.Join(dir, "guest"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the guest reads other bytes (%d of them, want %d)", len(got), len(want))
	}
}

func run(t *testing.T, dir, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out)
}
