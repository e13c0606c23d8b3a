package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/probe/mkimage"
	"github.com/chainfix/chainfix/testdata/peers"
)

// recipeImages makes a folder with a raw base, an overlay of it that records no format,
// and an overlay of that one.
func recipeImages(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, backing := range map[string]string{"volume": "../template/volume", "snapshot": "volume"} {
		path := filepath.Join(dir, "image", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, path, bytesOf(mkimage.Qcow2{VirtualSize: demoSize, Backing: backing}))
	}
	if err := os.Mkdir(filepath.Join(dir, "template"), 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "template/volume"), make([]byte, 64<<10))
	return dir
}

// runScript runs a script of a recipe with chainfix in its path, and returns what it, or
// who has started it, prints.
func runScript(t *testing.T, path string, env []string, args ...string) (status int, out, stderr string) {
	t.Helper()
	script, err := filepath.Abs("../../docs/recipes/" + path)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", append([]string{"-c", `"$0" "$@"; exit $?`, script}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	var stdout, messages bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &messages
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), stdout.String(), messages.String()
}

// wantChain demands that a document states the chain to the raw base, and that libvirt
// takes it.
func wantChain(t *testing.T, document, dir string) {
	t.Helper()
	if !strings.Contains(document, dir+"/image/../template/volume") || !strings.Contains(document, `<format type="raw"/>`) || !strings.Contains(document, "<backingStore/>") {
		t.Errorf("not explicit:\n%s", document)
	}
	if !peers.Defined(t, [][]byte{[]byte(document)})[0] {
		t.Errorf("libvirt does not take it:\n%s", document)
	}
}

// TestHookOfVdsm: the script of the recipe, as vdsm runs it: the XML is in a file that
// _hook_domxml names, and read again from there. vdsm goes on if the status is 0.
func TestHookOfVdsm(t *testing.T) {
	t.Parallel()
	dir := recipeImages(t)
	for _, c := range []struct{ volume, refused string }{
		{volume: "volume"},
		{volume: "snapshot", refused: "[probed-backing]"},
	} {
		t.Run(c.volume, func(t *testing.T) {
			t.Parallel()
			// As vdsm writes it: another order of elements, and metadata of its own.
			original := `<?xml version='1.0' encoding='utf-8'?>
<domain xmlns:ns0="http://ovirt.org/vm/tune/1.0" xmlns:ovirt-vm="http://ovirt.org/vm/1.0" type="kvm"><name>web</name><uuid>4dc6d4a2-8f1b-4a0c-9a0b-6f2f0a6d9d10</uuid><memory>1048576</memory>` +
				`<metadata><ns0:qos /><ovirt-vm:vm><ovirt-vm:device devtype="disk" name="sda"><ovirt-vm:volumeID>` + c.volume + `</ovirt-vm:volumeID></ovirt-vm:device></ovirt-vm:vm></metadata>` +
				`<os><type arch="x86_64" machine="pc">hvm</type></os><devices><disk type="file" device="disk" snapshot="no"><target dev="sda" bus="scsi" /><source file="` + filepath.Join(dir, "image", c.volume) + `"><seclabel model="dac" type="none" relabel="no" /></source>` +
				`<driver name="qemu" iothread="1" io="threads" type="qcow2" error_policy="stop" cache="none" /><alias name="ua-1" /><serial>1</serial></disk></devices></domain>`
			file := filepath.Join(t.TempDir(), "domxml")
			writeFile(t, file, []byte(original))
			status, out, stderr := runScript(t, "ovirt/before_vm_start", []string{"_hook_domxml=" + file})
			now, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if status != 0 || out != "" || !strings.Contains(stderr, c.refused) {
				t.Errorf("status %d\n%s%s", status, out, stderr)
			}
			if c.refused == "" {
				wantChain(t, string(now), dir)
			} else if string(now) != original {
				t.Errorf("changed:\n%s", now)
			}
		})
	}
}

// TestSidecarOfKubeVirt: the script of the recipe, as KubeVirt's sidecar-shim runs it: the
// XML is an argument, and what is printed takes its place if the status is 0.
func TestSidecarOfKubeVirt(t *testing.T) {
	t.Parallel()
	dir := recipeImages(t)
	for _, c := range []struct{ image, refused string }{
		{image: "image/volume"},
		{image: "image/snapshot", refused: "[probed-backing]"},
		{image: "unseen/volume", refused: "[image-missing]"},
	} {
		t.Run(c.image, func(t *testing.T) {
			t.Parallel()
			// As Go writes it: tabs, and no element is closed by "/>".
			original := "<domain type=\"kvm\" xmlns:qemu=\"http://libvirt.org/schemas/domain/qemu/1.0\">\n\t<name>default_web</name>\n\t<memory unit=\"b\">1073741824</memory>\n\t<os>\n\t\t<type arch=\"x86_64\" machine=\"q35\">hvm</type>\n\t</os>\n" +
				"\t<devices>\n\t\t<disk device=\"disk\" type=\"file\" model=\"virtio-non-transitional\">\n\t\t\t<source file=\"" + filepath.Join(dir, c.image) + "\"></source>\n\t\t\t<target bus=\"virtio\" dev=\"vda\"></target>\n" +
				"\t\t\t<driver cache=\"none\" error_policy=\"stop\" name=\"qemu\" type=\"qcow2\"></driver>\n\t\t\t<alias name=\"ua-data\"></alias>\n\t\t</disk>\n\t</devices>\n</domain>"
			status, out, stderr := runScript(t, "kubevirt/onDefineDomain", nil, "--vmi", `{"metadata": {"name": "--domain"}}`, "--domain", original)
			if status != 0 || !strings.Contains(stderr, c.refused) {
				t.Errorf("status %d\n%s", status, stderr)
			}
			if c.refused == "" {
				wantChain(t, out, dir)
			} else if out != original {
				t.Errorf("changed:\n%s", out)
			}
		})
	}
}

// TestRecipeForNova: the page is right on a host whose instances nova has made, some of
// them before it recorded formats. Of OpenStack there is one command, which stops one.
func TestRecipeForNova(t *testing.T) {
	t.Parallel()
	peers.Require(t, "qemu-img", "qemu-io")
	l := peers.StartLibvirt(t)
	instances := filepath.Join(l.Dir, "instances")
	for guest, format := range map[string]string{"instance-0000000a": "", "instance-0000000b": "", "instance-0000000c": "raw"} {
		disk := filepath.Join(instances, guest, "disk")
		base := filepath.Join(instances, "_base/65a3a1b6a7c2b1e0f4d8a2c96d1c7f3b0e5d4c3a")
		for _, path := range []string{disk, base} {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		writeFile(t, base, make([]byte, 64<<10))
		writeFile(t, disk, bytesOf(mkimage.Qcow2{VirtualSize: demoSize, Backing: base, BackingFormat: format}))
		l.Share(instances)
		l.Define(guestWithDisk(guest, "qcow2", disk))
	}
	l.Virsh("start", "instance-0000000b")
	openstack := filepath.Join(l.Dir, "openstack") // is first in the path
	writeFile(t, openstack, []byte("#!/bin/sh\n[ \"$*\" = 'server stop db' ] && virsh -q destroy instance-0000000b >/dev/null\n"))
	if err := os.Chmod(openstack, 0o755); err != nil {
		t.Fatal(err)
	}
	before := virshDefinitions(l)
	follow(t, "recipes/nova.md", map[string]*shell{"": newShell(t, l, "instances="+instances)})
	for name, definition := range virshDefinitions(l) {
		if definition != before[name] {
			t.Errorf("%q is not what it was:\n%s", name, definition)
		}
	}
}

// TestRecipeForVirtManager: what the page says of virt-clone and virt-xml is so.
func TestRecipeForVirtManager(t *testing.T) {
	t.Parallel()
	peers.Require(t, "qemu-img", "virt-clone", "virt-xml")
	l := runbook(t, "base.qcow2")
	defineOverlay(t, l, "web", "base.qcow2")
	follow(t, "recipes/virt-manager.md", map[string]*shell{"": newShell(t, l)})
	for _, name := range []string{"web", "copy"} {
		l.Virsh("start", name)
	}
}
