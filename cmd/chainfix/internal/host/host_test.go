package host_test

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
	"github.com/chainfix/chainfix/testdata/peers"
)

// Every guest of these tests has a password, which nobody may print.
const password = "s3cr3t"

// domain is the definition of a small guest over images of a folder, each with
// its format.
func domain(name string, disks ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<domain type='qemu'>
  <name>%s</name>
  <metadata><note xmlns='urn:note'>  <!-- kept -->  <a b="c"/></note></metadata>
  <memory unit='MiB'>16</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <features><acpi/></features>
  <devices>
`, name)
	for i, disk := range disks {
		format := strings.TrimPrefix(filepath.Ext(disk), ".")
		fmt.Fprintf(&b, "    <disk type='file' device='disk'><driver name='qemu' type='%s'/><source file='%s'/><target dev='vd%c' bus='virtio'/></disk>\n",
			format, disk, 'a'+i)
	}
	b.WriteString("    <disk type='file' device='cdrom'><target dev='sda' bus='sata'/></disk>\n")
	fmt.Fprintf(&b, "    <graphics type='vnc' port='-1' passwd='%s'/>\n  </devices>\n</domain>\n", password)
	return b.String()
}

// image makes an image, of the format that is its name's suffix.
func image(t *testing.T, l *peers.Libvirt, name string) string {
	t.Helper()
	path := filepath.Join(l.Images, name)
	format := strings.TrimPrefix(filepath.Ext(name), ".")
	if out, err := l.Command("qemu-img", "create", "-q", "-f", format, path, "16M").CombinedOutput(); err != nil {
		t.Fatalf("qemu-img: %v\n%s", err, out)
	}
	return path
}

func connect(t *testing.T, l *peers.Libvirt) *host.Daemon {
	t.Helper()
	d, err := host.Connect(t.Context(), l.URI())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// offline is the folder of a private daemon.
func offline(l *peers.Libvirt) *host.Folder {
	f := host.FolderAt(l.ConfigDir())
	f.StatusDir = l.StatusDir()
	return f
}

func guests(t *testing.T, inventory host.Inventory) map[string]*host.Guest {
	t.Helper()
	all := make(map[string]*host.Guest)
	last := ""
	for guest, err := range inventory.Guests(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if guest.Name <= last {
			t.Errorf("%q comes after %q", guest.Name, last)
		}
		last = guest.Name
		all[guest.Name] = guest
	}
	return all
}

func metadata(t *testing.T, guest *host.Guest) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for m, err := range guest.Metadata(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all[string(m.Kind)+" "+m.Name] = string(m.XML)
	}
	return all
}

// withoutComment drops what libvirt puts on top of its files.
func withoutComment(file []byte) string {
	if bytes.HasPrefix(file, []byte("<!--\nWARNING: THIS IS AN AUTO-GENERATED FILE.")) {
		_, file, _ = bytes.Cut(file, []byte("-->\n\n"))
	}
	return string(file)
}

// sources are the files that a text names as sources.
func sources(text string) map[string]bool {
	all := make(map[string]bool)
	for _, part := range strings.Split(text, "<source file='")[1:] {
		name, _, _ := strings.Cut(part, "'")
		all[name] = true
	}
	return all
}

// TestInventory: over a real daemon with guests in every state, what the
// daemon tells is what virsh tells, and what its files tell is the same.
func TestInventory(t *testing.T) {
	l := peers.StartLibvirt(t)
	define := func(name string, disks ...string) { l.Define(domain(name, disks...)) }

	define("off", image(t, l, "off.qcow2"), image(t, l, "off.raw"))
	define("a &amp; b'\"ü", image(t, l, "odd name.qcow2"))
	define("diskless")

	define("off-snapshots", image(t, l, "off-snapshots.qcow2"))
	l.Virsh("snapshot-create-as", "off-snapshots", "internal")
	l.Virsh("snapshot-create-as", "off-snapshots", "external", "--disk-only")

	define("running", image(t, l, "running.qcow2"))
	l.Virsh("start", "running")
	define("running-snapshots", image(t, l, "running-snapshots.qcow2"))
	l.Virsh("start", "running-snapshots")
	l.Virsh("snapshot-create-as", "running-snapshots", "with memory")
	l.Virsh("snapshot-create-as", "running-snapshots", "disk only", "--disk-only")
	l.Virsh("checkpoint-create-as", "running-snapshots", "check")

	define("copying", image(t, l, "copying.qcow2"), image(t, l, "second.qcow2"))
	l.Virsh("start", "copying")
	l.Virsh("blockcopy", "copying", "vdb", filepath.Join(l.Images, "copy.qcow2"), "--transient-job")

	// A pull has no <mirror>. Throttled, it is still there when it is looked
	// for.
	base := image(t, l, "base.qcow2")
	if out, err := l.Command("qemu-io", "-c", "write -q 0 16M", base).CombinedOutput(); err != nil {
		t.Fatalf("qemu-io: %v\n%s", err, out)
	}
	overlay := filepath.Join(l.Images, "overlay.qcow2")
	if out, err := l.Command("qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", overlay).CombinedOutput(); err != nil {
		t.Fatalf("qemu-img: %v\n%s", err, out)
	}
	define("pulling", overlay)
	l.Virsh("start", "pulling")
	l.Virsh("blockpull", "pulling", "vda", "1", "--bytes")

	define("saved", image(t, l, "saved.qcow2"))
	l.Virsh("start", "saved")
	l.Virsh("managedsave", "saved")

	define("hotplug", image(t, l, "hotplug.qcow2"))
	l.Virsh("start", "hotplug")
	plugged := image(t, l, "plugged.raw")
	l.Virsh("attach-disk", "hotplug", plugged, "vdb", "--live", "--subdriver", "raw")

	// Running guests without a definition are none of the inventory's.
	define("transient", image(t, l, "transient.qcow2"))
	l.Virsh("start", "transient")
	l.Virsh("undefine", "transient")

	l.Virsh("pool-define-as", "images", "dir", "--target", l.Images)
	l.Virsh("pool-start", "images")
	l.Virsh("pool-define-as", "idle", "dir", "--target", filepath.Join(l.Dir, "idle"))

	d := connect(t, l)
	fromDaemon, fromFolder := guests(t, d), guests(t, offline(l))

	t.Run("version", func(t *testing.T) {
		if out := l.Virsh("version"); !strings.Contains(out, "Using library: libvirt "+d.Version().String()+"\n") {
			t.Errorf("%s, but virsh says:\n%s", d.Version(), out)
		}
	})
	t.Run("virsh", func(t *testing.T) {
		listed := strings.Split(strings.TrimSpace(l.Virsh("list", "--all", "--persistent", "--name")), "\n")
		if len(listed) != len(fromDaemon) || len(listed) != 10 {
			t.Errorf("%d guests, but virsh says %q", len(fromDaemon), listed)
		}
		saved := l.Virsh("list", "--all", "--with-managed-save", "--name")
		active := l.Virsh("list", "--name")
		has := func(list, name string) bool { return strings.Contains("\n"+list, "\n"+name+"\n") }
		for _, name := range listed {
			guest := fromDaemon[name]
			if guest == nil {
				t.Errorf("%q is missing", name)
				continue
			}
			if want := l.Virsh("dumpxml", "--inactive", "--security-info", name); string(guest.Definition) != want {
				t.Errorf("%q: the definition is not virsh's:\n%s", name, cmp.Diff(want, string(guest.Definition)))
			}
			if !strings.Contains(string(guest.Definition), password) {
				t.Errorf("%q: the definition is without its password", name)
			}
			if want := strings.TrimSpace(l.Virsh("domuuid", name)); guest.UUID != want {
				t.Errorf("%q: UUID %q, not %q", name, guest.UUID, want)
			}
			if guest.Active != has(active, name) || guest.ManagedSave != has(saved, name) {
				t.Errorf("%q: active %v, saved %v", name, guest.Active, guest.ManagedSave)
			}
			if want := name == "copying" || name == "pulling"; guest.BlockJob != want {
				t.Errorf("%q: block job %v", name, guest.BlockJob)
			}
			if guest.Active {
				if want := l.Virsh("dumpxml", name); string(guest.Live) != want {
					t.Errorf("%q: the running XML is not virsh's:\n%s", name, cmp.Diff(want, string(guest.Live)))
				}
			} else if guest.Live != nil {
				t.Errorf("%q does not run, but has XML that it runs with", name)
			}
		}
		if hotplug := fromDaemon["hotplug"]; !sources(string(hotplug.Live))[plugged] || sources(string(hotplug.Definition))[plugged] {
			t.Error("a disk that came while the guest ran is to be seen in what it runs with, and nowhere else")
		}
	})
	t.Run("metadata", func(t *testing.T) {
		for name, guest := range fromDaemon {
			all := metadata(t, guest)
			want := map[string]string{}
			for _, kind := range []string{"snapshot", "checkpoint"} {
				for _, item := range strings.Split(strings.TrimSpace(l.Virsh(kind+"-list", name, "--name")), "\n") {
					if item != "" {
						want[kind+" "+item] = l.Virsh(kind+"-dumpxml", name, item, "--security-info")
					}
				}
			}
			if guest.ManagedSave {
				want["saved state managed save"] = l.Virsh("managedsave-dumpxml", name, "--security-info")
			}
			if diff := cmp.Diff(want, all); diff != "" {
				t.Errorf("%q:\n%s", name, diff)
			}
		}
		if all := metadata(t, fromDaemon["running-snapshots"]); len(all) != 3 {
			t.Errorf("%d records", len(all))
		}
	})
	t.Run("folder", func(t *testing.T) {
		ignored := cmp.Options{cmpopts.IgnoreUnexported(host.Guest{}), cmpopts.IgnoreFields(host.Guest{}, "File", "Definition", "Live")}
		if diff := cmp.Diff(fromDaemon, fromFolder, ignored); diff != "" {
			t.Errorf("the files tell something else than the daemon (-):\n%s", diff)
		}
		for name, guest := range fromFolder {
			want := fromDaemon[name]
			if diff := cmp.Diff(string(want.Definition), withoutComment(guest.Definition)); diff != "" {
				t.Errorf("%q: the stored definition is another than the daemon's:\n%s", name, diff)
			}
			if guest.File != filepath.Join(l.ConfigDir(), name+".xml") {
				t.Errorf("%q is in %q", name, guest.File)
			}
			if diff := cmp.Diff(sources(string(want.Live)), sources(string(guest.Live))); diff != "" {
				t.Errorf("%q runs with other disks:\n%s", name, diff)
			}
			stored := metadata(t, guest)
			for record, text := range metadata(t, want) {
				if diff := cmp.Diff(sources(text), sources(stored[record])); diff != "" {
					t.Errorf("%q: %s names other disks:\n%s", name, record, diff)
				}
				delete(stored, record)
			}
			if len(stored) > 0 {
				t.Errorf("%q: the daemon does not know %q", name, stored)
			}
		}
	})
	t.Run("transient", func(t *testing.T) {
		for _, inventory := range []host.Inventory{d, offline(l)} {
			n := 0
			for guest, err := range inventory.Transient(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				if n++; guest.Name != "transient" || guest.Definition != nil {
					t.Errorf("%q, with a definition of %d bytes", guest.Name, len(guest.Definition))
				}
				if diff := cmp.Diff(sources(l.Virsh("dumpxml", "transient")), sources(string(guest.Live))); diff != "" {
					t.Errorf("it runs with other disks:\n%s", diff)
				}
			}
			if n != 1 {
				t.Errorf("%d guests", n)
			}
		}
	})
	t.Run("pools", func(t *testing.T) {
		for _, inventory := range []host.Inventory{d, offline(l)} {
			var names []string
			for pool, err := range inventory.Pools(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				names = append(names, pool.Name)
				if want := "<name>" + pool.Name + "</name>"; !strings.Contains(string(pool.XML), want) || !strings.Contains(string(pool.XML), "<path>"+l.Dir) {
					t.Errorf("%q: %s", pool.Name, pool.XML)
				}
			}
			if diff := cmp.Diff([]string{"idle", "images"}, names); diff != "" {
				t.Error(diff)
			}
		}
	})
	t.Run("inspect", func(t *testing.T) {
		for name, guest := range fromDaemon {
			again, err := d.Inspect(t.Context(), guest.UUID)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(guest, again, cmpopts.IgnoreUnexported(host.Guest{})); diff != "" {
				t.Errorf("%q:\n%s", name, diff)
			}
		}
		uuid := strings.TrimSpace(l.Virsh("domuuid", "transient"))
		if _, err := d.Inspect(t.Context(), uuid); !errors.Is(err, host.ErrNoGuest) {
			t.Errorf("a transient guest: %v", err)
		}
		for _, uuid := range []string{"8f2bd4ab-2db2-4d1e-9b1b-2f3a3b5f4c11", "", "no uuid"} {
			if _, err := d.Inspect(t.Context(), uuid); !errors.Is(err, host.ErrNoGuest) {
				t.Errorf("guest %q: %v", uuid, err)
			}
		}
	})
}
