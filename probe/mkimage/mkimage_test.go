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
	}
	for _, test := range tests {
		t.Run(test.format+"/"+test.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "image", test.image)
			if test.format != "qcow" { // which qemu-img cannot check
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

	// Each layer holds whole clusters: zeros behind its data, then the next.
	want := content(size)
	for _, layer := range []struct{ data, cluster int }{{300000, 4096}, {66000, 65536}, {10, 65536}} {
		end := (layer.data + layer.cluster - 1) / layer.cluster * layer.cluster
		copy(want, content(layer.data))
		clear(want[layer.data:end])
	}
	guestReads(t, dir, "qcow2", "top", want)
	run(t, dir, "qemu-img", "check", "top")
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
