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
	// Known: it is one of those that there should be.
	Known bool

	path string
}

//go:embed libvirts/roots
var knownRoots string

// Roots returns the roots that there should be, the oldest libvirt first, and
// behind them what else there is in the folder CHAINFIX_LIBVIRTS. Without that
// variable in the environment the test is skipped, whether peers are required or
// not: .ci/versions sets it.
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

// Require skips the test if the root is not there, as where the mirror has no
// packages for it any more, and fails it if its libvirt is another one.
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
// buries what daemons leave behind, which the command itself may not do. Its
// words are the root, what is to be /tmp and /mnt there, and the command.
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
// /tmp and mnt as its /mnt, in namespaces of its own (mounts, processes, host
// name): with it ends everything that it has started, and what it mounts nobody
// else sees. The network is the machine's.
func (r Root) Command(ctx context.Context, tmp, mnt string, command ...string) *exec.Cmd {
	args := append(slices.Clone(namespaces), "sh", "-c", enterRoot, "sh", r.path, tmp, mnt)
	return exec.CommandContext(ctx, "unshare", append(args, command...)...)
}
