package host_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
)

// tree writes files below a folder.
func tree(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}

const status = `<!-- WARNING -->

<domstatus state='running' reason='booted' pid='1'>
  <domain-like/>
  <blockjobs active='%s'/>
  <domain type='kvm' id='1'><name>a</name><x a=">"/></domain>
</domstatus>
`

// TestSystemFolder: of a system's daemon everything is found from the folder
// of the definitions, wherever its root is mounted, and nothing is found of
// other kinds of files.
func TestSystemFolder(t *testing.T) {
	root := t.TempDir()
	tree(t, root, map[string]string{
		"etc/libvirt/qemu/a.xml":                    "<domain><name>a</name><uuid> 1-2 </uuid></domain>",
		"etc/libvirt/qemu/a-b.xml":                  "<domain><uuid>3</uuid><devices/><name>a-b</name></domain>",
		"etc/libvirt/qemu/c.xml":                    "<domain><name>c</name></domain>",
		"etc/libvirt/qemu/a.xml~":                   "<domain><name>old</name></domain>",
		"etc/libvirt/qemu/networks/default.xml":     "<network><name>default</name></network>",
		"etc/libvirt/qemu/autostart/a.xml":          "<domain><name>a</name></domain>",
		"etc/libvirt/storage/images.xml":            "<pool/>",
		"etc/libvirt/storage/autostart/images.xml":  "<pool/>",
		"var/lib/libvirt/qemu/snapshot/a/s2.xml":    "<domainsnapshot>2</domainsnapshot>",
		"var/lib/libvirt/qemu/snapshot/a/s1.xml":    "<domainsnapshot>1</domainsnapshot>",
		"var/lib/libvirt/qemu/snapshot/other/s.xml": "<domainsnapshot/>",
		"var/lib/libvirt/qemu/checkpoint/a/c.xml":   "<domaincheckpoint/>",
		"var/lib/libvirt/qemu/save/c.save":          string(savedImage("<domain/>")),
		"var/lib/libvirt/qemu/save/a-b.txt":         "",
		"run/libvirt/qemu/a.xml":                    strings.ReplaceAll(status, "%s", "no"),
		"run/libvirt/qemu/a-b.xml":                  strings.ReplaceAll(status, "%s", "yes"),
		"run/libvirt/qemu/transient.xml":            strings.ReplaceAll(status, "%s", "yes"),
		"run/libvirt/qemu/driver.pid":               "1",
	})
	folder := host.FolderAt(filepath.Join(root, "etc/libvirt/qemu"))
	all := guests(t, folder)
	live := `<domain type='kvm' id='1'><name>a</name><x a=">"/></domain>`
	for name, want := range map[string]host.Guest{
		"a":   {Name: "a", UUID: "1-2", Active: true, Live: []byte(live)},
		"a-b": {Name: "a-b", UUID: "3", Active: true, Live: []byte(live), BlockJob: true},
		"c":   {Name: "c", ManagedSave: true},
	} {
		got := all[name]
		if got == nil || got.Name != want.Name || got.UUID != want.UUID || got.Active != want.Active || got.BlockJob != want.BlockJob ||
			got.ManagedSave != want.ManagedSave || string(got.Live) != string(want.Live) || !strings.Contains(string(got.Definition), "<name>"+name) {
			t.Errorf("%q: %+v", name, got)
		}
	}
	if len(all) != 3 {
		t.Errorf("%d guests", len(all))
	}
	want := map[string]string{
		"snapshot s1": "<domainsnapshot>1</domainsnapshot>", "snapshot s2": "<domainsnapshot>2</domainsnapshot>", "checkpoint c": "<domaincheckpoint/>",
	}
	if diff := cmp.Diff(want, metadata(t, all["a"])); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"saved state managed save": "<domain/>"}, metadata(t, all["c"])); diff != "" {
		t.Error(diff)
	}
	if m := metadata(t, all["a-b"]); len(m) != 0 {
		t.Errorf("a-b has %q", m)
	}
	var transient []string
	for guest, err := range folder.Transient(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		transient = append(transient, guest.Name+": "+string(guest.Live))
	}
	if diff := cmp.Diff([]string{"transient: " + live}, transient); diff != "" {
		t.Error(diff)
	}
	var pools []string
	for pool, err := range folder.Pools(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		pools = append(pools, pool.Name)
	}
	if diff := cmp.Diff([]string{"images"}, pools); diff != "" {
		t.Error(diff)
	}
	if folder.Version().Known() {
		t.Error("files do not tell a version")
	}
}

// TestRelativeFolder: the other folders have absolute names, because a saved state is
// compared with images, which have nothing else.
func TestRelativeFolder(t *testing.T) {
	root := t.TempDir()
	t.Chdir(root)
	for dir, want := range map[string]string{"qemu": filepath.Join(root, "qemu"), "etc/libvirt/qemu": filepath.Join(root, "var/lib/libvirt/qemu")} {
		folder := host.FolderAt(dir)
		if folder.Definitions != dir {
			t.Errorf("definitions in %q", folder.Definitions)
		}
		for name, got := range map[string]string{"snapshot": folder.SnapshotDir, "checkpoint": folder.CheckpointDir, "save": folder.ManagedSaveDir} {
			if got != filepath.Join(want, name) {
				t.Errorf("of %q: %s in %q", dir, name, got)
			}
		}
	}
}

// TestFolderOfAnything: files that are not definitions are reported by name,
// and the others are read. Nothing blocks.
func TestFolderOfAnything(t *testing.T) {
	dir := t.TempDir()
	tree(t, dir, map[string]string{
		"good.xml":      "\ufeff<?xml version='1.0'?>\n<!-- c -->\n<domain type='kvm'><name>good</name></domain>\n",
		"network.xml":   "<network><name>n</name></network>",
		"empty.xml":     "",
		"nameless.xml":  "<domain/>",
		"namespace.xml": "<domain xmlns='urn:x'><name>n</name></domain>",
		"outside.xml":   "<domain><name>../../etc/passwd</name></domain>",
		"up.xml":        "<domain><name>..</name></domain>",
		"text.xml":      "good",
		"cut.xml":       "<domain><memory>",
		"latin.xml":     "<?xml version='1.0' encoding='latin1'?><domain><name>\xe4</name></domain>",
		"secret.xml":    "<domain><x passwd='" + password + "' =/></domain>",
		"notes.txt":     "<domain><name>n</name></domain>",
		"deep.xml":      "<domain>" + strings.Repeat("<a>", 256) + strings.Repeat("</a>", 256) + "<name>deep</name></domain>",
		"deepname.xml":  "<domain><name>" + strings.Repeat("<a>", 255) + strings.Repeat("</a>", 255) + "deepname</name></domain>",
		"attrs.xml":     "<domain" + strings.Repeat(" a=''", 1<<20/5) + "><name>attrs</name></domain>",
		"longname.xml":  "<domain><name>" + strings.Repeat("n", 256) + "</name></domain>",
		"longuuid.xml":  "<domain><name>n</name><uuid>" + strings.Repeat("n", 256) + "</uuid></domain>",
		"longroot.xml":  "<" + strings.Repeat("n", 1<<19) + "/>",
		"most.xml":      "<domain>" + strings.Repeat("<a>", 255) + strings.Repeat("</a>", 255) + "<!--" + strings.Repeat(" ", 1<<20) + "--><name>most</name></domain>",
	})
	if err := errors.Join(
		unix.Mkfifo(filepath.Join(dir, "fifo.xml"), 0o600),
		os.Symlink(filepath.Join(dir, "good.xml"), filepath.Join(dir, "link.xml")),
		os.Symlink("/dev/zero", filepath.Join(dir, "endless.xml")),
		os.Symlink(dir, filepath.Join(dir, "folder.xml")),
	); err != nil {
		t.Fatal(err)
	}
	// A file with a hole, which is as long as it says.
	long := filepath.Join(dir, "long.xml")
	if err := errors.Join(os.WriteFile(long, nil, 0o600), os.Truncate(long, 64<<20+1)); err != nil {
		t.Fatal(err)
	}
	bad := make(map[string]bool)
	var good []string
	for guest, err := range host.FolderAt(dir).Guests(t.Context()) {
		switch {
		case guest == nil:
			t.Fatal(err)
		case err == nil:
			good = append(good, filepath.Base(guest.File)+" "+guest.Name)
			continue
		}
		name := filepath.Base(guest.File)
		bad[name] = true
		if !errors.Is(err, host.ErrDefinition) && !errors.Is(err, host.ErrTooLong) {
			t.Errorf("%q: %v", name, err)
		}
		if len(err.Error()) > 1000 {
			t.Errorf("%q: an error of %d bytes", name, len(err.Error()))
		}
		if guest.Name+".xml" != name || !strings.Contains(err.Error(), `"`+guest.File+`"`) || strings.Contains(err.Error(), password) {
			t.Errorf("%q: %q, %v", name, guest.Name, err)
		}
	}
	if diff := cmp.Diff([]string{"good.xml good", "link.xml good", "most.xml most"}, good); diff != "" {
		t.Error(diff)
	}
	for _, name := range []string{
		"network", "empty", "nameless", "namespace", "outside", "up", "text", "cut", "latin", "secret", "fifo", "endless", "folder", "long", "deep", "deepname", "attrs", "longname", "longuuid", "longroot",
	} {
		if !bad[name+".xml"] {
			t.Errorf("%q passes", name)
		}
		delete(bad, name+".xml")
	}
	if len(bad) > 0 {
		t.Errorf("also bad: %v", bad)
	}
}

// TestBrokenRecords: what cannot be read of a guest is an error about that
// guest: it is not taken for a guest that is off and has no snapshots.
func TestBrokenRecords(t *testing.T) {
	root := t.TempDir()
	tree(t, root, map[string]string{
		"etc/libvirt/qemu/a.xml":                    "<domain><name>a</name></domain>",
		"etc/libvirt/qemu/b.xml":                    "<domain><name>b</name></domain>",
		"etc/libvirt/qemu/c.xml":                    "<domain><name>c</name></domain>",
		"run/libvirt/qemu/a.xml":                    "<domain><name>a</name></domain>",
		"run/libvirt/qemu/c.xml":                    "<domstatus><blockjobs active='no'/></domstatus>",
		"var/lib/libvirt/qemu/snapshot/b/fine.xml":  "<domainsnapshot/>",
		"var/lib/libvirt/qemu/snapshot/b/other.xml": "<domainsnapshot/>",
		"var/lib/libvirt/qemu/checkpoint/b":         "a file with the name of a folder",
	})
	fifo := filepath.Join(root, "var/lib/libvirt/qemu/snapshot/b/fifo.xml")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for guest, err := range host.FolderAt(filepath.Join(root, "etc/libvirt/qemu")).Guests(t.Context()) {
		if guest == nil || (err == nil) != (guest.Name == "b") {
			t.Fatalf("%+v, %v", guest, err)
		}
		var lines []string
		for m, err := range guest.Metadata(t.Context()) {
			switch {
			case m == nil:
				lines = append(lines, "end")
			case err != nil:
				lines = append(lines, m.Name+" cannot be read")
			default:
				lines = append(lines, m.Name)
			}
		}
		var want []string
		if guest.Name == "b" {
			want = []string{"fifo cannot be read", "fine", "other", "end"}
		}
		if diff := cmp.Diff(want, lines); diff != "" {
			t.Errorf("%q:\n%s", guest.Name, diff)
		}
	}
}

// TestFolderThatIsNotThere: no definitions is an error; the other folders may
// be missing.
func TestFolderThatIsNotThere(t *testing.T) {
	for guest, err := range host.FolderAt(filepath.Join(t.TempDir(), "absent")).Guests(t.Context()) {
		if guest != nil || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v, %v", guest, err)
		}
	}
	dir := t.TempDir()
	tree(t, dir, map[string]string{"a.xml": "<domain><name>a</name></domain>"})
	only := &host.Folder{Definitions: dir}
	for guest, err := range only.Guests(t.Context()) {
		if err != nil || guest.Active || guest.ManagedSave {
			t.Errorf("%+v, %v", guest, err)
		}
		for m, err := range guest.Metadata(t.Context()) {
			t.Errorf("%v, %v", m, err)
		}
	}
	for pool, err := range only.Pools(t.Context()) {
		t.Errorf("%v, %v", pool, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for guest, err := range only.Guests(ended) {
		if guest != nil || !errors.Is(err, context.Canceled) {
			t.Errorf("%v, %v", guest, err)
		}
	}
}
