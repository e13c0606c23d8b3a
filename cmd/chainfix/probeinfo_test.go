package main

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chainfix/chainfix/probe/mkimage"
	"github.com/chainfix/chainfix/testdata/peers"
)

// qemuNames are the fields of probe's JSON whose names are those of qemu-img info.
var qemuNames = []string{"filename", "format", "virtual-size", "actual-size", "cluster-size", "dirty-flag", "encrypted",
	"backing-filename", "full-backing-filename", "backing-filename-format"}

// probedImages are images of every format that the project makes or qemu-img creates, by
// name. What creates them follows the words "qemu-img create".
var probedImages = []struct {
	name   string
	create string
	data   maker
	apart  bool // its data is in other files
	here   bool // it is named without a folder
}{
	{name: "made.raw"},
	{name: "made.qcow", data: mkimage.Qcow{VirtualSize: demoSize}},
	{name: "made.qcow2", data: mkimage.Qcow2{VirtualSize: demoSize}},
	{name: "unrecorded", data: mkimage.Qcow2{VirtualSize: demoSize, Backing: "made.raw"}},
	{name: "made.qed", data: mkimage.QED{VirtualSize: demoSize, Backing: "made.raw"}},
	{name: "made.vmdk", data: mkimage.VMDK{VirtualSize: demoSize}},
	{name: "made.vdi", data: mkimage.VDI{VirtualSize: demoSize}},
	{name: "made.vpc", data: mkimage.VPC{VirtualSize: demoSize}},
	{name: "made.vhdx", data: mkimage.VHDX{VirtualSize: demoSize}},
	{name: "made.hds", data: mkimage.Parallels{VirtualSize: demoSize}},
	{name: "made.aes", data: encryptedQcow2{}},
	{name: "made.luks", data: mkimage.LUKS1{VirtualSize: demoSize}},

	{name: "raw", create: "-f raw raw 1M"},
	{name: "full", create: "-f raw -o preallocation=full full 1M"},
	{name: "relative", create: "-f qcow2 -b raw -F raw relative"},
	{name: "here", create: "-f qcow2 -b raw -F raw here", here: true},
	{name: "absolute", create: "-f qcow2 -b @/raw -F raw absolute"},
	{name: "above", create: "-f qcow2 -u -b ../x/raw -F raw above 1M"},
	{name: "uri", create: "-f qcow2 -u -b nbd://host:10809/x -F raw uri 1M"},
	{name: "json", create: `-f qcow2 -u -b json:{"driver":"raw","file":{"driver":"file","filename":"/raw"}} -F raw json 1M`},
	{name: "clusters", create: "-f qcow2 -o cluster_size=4k,preallocation=full,lazy_refcounts=on clusters 1M"},
	{name: "beside", create: "-f qcow2 -o data_file=beside.raw beside 1M", apart: true},
	{name: "flat.vmdk", create: "-f vmdk -o subformat=monolithicFlat flat.vmdk 1M", apart: true},
	{name: "above.vmdk", create: "-f vmdk -b made.vmdk -F vmdk above.vmdk"},
	{name: "fixed.vpc", create: "-f vpc -o subformat=fixed fixed.vpc 1M"},
}

// TestProbeMatchesQEMUImg: fields with qemu-img's names have qemu-img's meaning,
// for every format. What probe leaves out is where data in other files counts.
func TestProbeMatchesQEMUImg(t *testing.T) {
	peers.Require(t, "qemu-img")
	dir := t.TempDir()
	var paths []string
	for _, image := range probedImages {
		path := filepath.Join(dir, image.name)
		if image.here {
			paths = append(paths, image.name)
		} else {
			paths = append(paths, path)
		}
		if image.create == "" {
			data := make([]byte, 64<<10)
			if image.data != nil {
				data = bytesOf(image.data)
			}
			writeFile(t, path, data)
			continue
		}
		create := exec.Command("qemu-img", append([]string{"create"}, strings.Fields(strings.ReplaceAll(image.create, "@", dir))...)...)
		create.Dir = dir
		if out, err := create.CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", create.Args, err, out)
		}
	}
	ours := probedAsJSON(t, dir, paths)
	for i, image := range probedImages {
		var theirs map[string]any
		info := exec.Command("qemu-img", "info", "--output", "json", paths[i])
		info.Dir = dir
		out, err := info.Output()
		if err != nil {
			t.Errorf("%q: %v", info.Args, err)
			continue
		}
		if err := json.Unmarshal(out, &theirs); err != nil {
			t.Fatal(err)
		}
		want, got := onlyQEMUs(theirs), onlyQEMUs(ours[i])
		if image.apart {
			delete(want, "actual-size")
		}
		// The driver tells neither (parallels in QEMU 7.2), which is no reason not to.
		if _, told := want["dirty-flag"]; !told {
			delete(got, "dirty-flag")
			delete(got, "cluster-size")
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -qemu-img +probe\n%s", image.name, diff)
		}
	}
}

// encryptedQcow2 is a qcow2 image that says of itself that it is encrypted the old way.
type encryptedQcow2 struct{}

func (encryptedQcow2) Bytes() ([]byte, error) {
	data, err := mkimage.Qcow2{VirtualSize: demoSize}.Bytes()
	if err == nil {
		data[35] = 1 // crypt_method
	}
	return data, err
}

// maker makes an image.
type maker interface{ Bytes() ([]byte, error) }

// probedAsJSON is what probe says of images for programs.
func probedAsJSON(t *testing.T, dir string, images []string) (all []map[string]any) {
	t.Helper()
	cmd := exec.Command(builtProgram(t), append([]string{"probe", "--output", "json"}, images...)...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	valid(t, string(out))
	if err := json.NewDecoder(bytes.NewReader(out)).Decode(&all); err != nil || len(all) != len(images) {
		t.Fatalf("%v: %s", err, out)
	}
	return all
}

func onlyQEMUs(fields map[string]any) map[string]any {
	only := make(map[string]any)
	for name, value := range fields {
		if slices.Contains(qemuNames, name) {
			only[name] = value
		}
	}
	return only
}
