package peers

import (
	"context"
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Root is the root folder of another Debian, with a libvirt and the QEMU that
// Debian pairs with it. testdata/peers/libvirts/build makes them.
type Root struct {
	Name string // after the version of its libvirt: "9.0"
	// Known: it is in the list of roots.
	Known bool

	path string
}

//go:embed libvirts/roots
var knownRoots string

// Roots returns the roots of the list, the oldest libvirt first, followed by
// any others in the folder CHAINFIX_LIBVIRTS. Without that variable the test
// is skipped, even if peers are required: only .ci/versions sets it.
func Roots(t testing.TB) []Root {
	t.Helper()
	dir := os.Getenv("CHAINFIX_LIBVIRTS")
	if dir == "" {
		t.Skip("CHAINFIX_LIBVIRTS does not name a folder of roots with other libvirts")
	}
	var all []Root
	for line := range strings.Lines(knownRoots) {
		if name := strings.Fields(line)[0]; name != "#" {
			all = append(all, Root{Name: name, Known: true, path: filepath.Join(dir, name)})
		}
	}
	there, err := filepath.Glob(filepath.Join(dir, "[0-9]*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range there {
		name := filepath.Base(path)
		if !slices.ContainsFunc(all, func(r Root) bool { return r.Name == name }) {
			all = append(all, Root{Name: name, path: path})
		}
	}
	return all
}

// Require skips the test if the root is absent, for example because the mirror
// no longer has its packages, and fails it if its libvirt has another version.
func (r Root) Require(t testing.TB) {
	t.Helper()
	if _, err := os.Stat(r.path); err != nil {
		t.Skipf("there is no root with libvirt %s: %v", r.Name, err)
	}
	if os.Getuid() != 0 {
		Lacking(t, "only root enters the root of another system")
	}
	out, err := exec.Command("chroot", r.path, "virsh", "--version").Output()
	if version := strings.TrimSpace(string(out)); err != nil || !strings.HasPrefix(version, r.Name+".") {
		t.Fatalf("%q has libvirt %q: %v", r.path, version, err)
	}
}

// enterRoot is the first process of the namespaces of a command in a root. It
// reaps orphaned processes of daemons, which the command may not do. Its
// arguments are the root, the folders for /tmp and /mnt, and the command.
const enterRoot = `set -e
root=$1 tmp=$2 mnt=$3
shift 3
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount --bind "$tmp" "$root/tmp"
mount --bind "$mnt" "$root/mnt"
chroot "$root" "$@"`

// Command returns a command that runs in the root, with the folder tmp as its
// /tmp and mnt as its /mnt, in separate namespaces (mounts, processes, host
// name): when it ends, all of its processes end, and its mounts are private.
// It shares the machine's network.
func (r Root) Command(ctx context.Context, tmp, mnt string, command ...string) *exec.Cmd {
	args := append(slices.Clone(namespaces), "sh", "-c", enterRoot, "sh", r.path, tmp, mnt)
	return exec.CommandContext(ctx, "unshare", append(args, command...)...)
}
