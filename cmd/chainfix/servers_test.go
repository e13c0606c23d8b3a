package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/testdata/peers"
)

// server serves the image base.img of a folder.
type server struct {
	name string
	// start returns the backing string that an overlay has for the image, and
	// the address that a connection to it shows.
	start func(t *testing.T, dir string) (backing, address string)
	// waits is the first QEMU in Debian that waits for ever for the image at the
	// start of a guest; "" for none. Its tools read it.
	waits string
}

func nbdServer(network, export string) func(*testing.T, string) (string, string) {
	return func(t *testing.T, dir string) (string, string) {
		// As raw, so that the overlay's QEMU sees the image itself.
		args := []string{"--format=raw", "--read-only"}
		if export != "" {
			args = append(args, "--export-name="+export)
		}
		address := peers.QemuNBD(t, network, append(args, filepath.Join(dir, "base.img"))...)
		if network == "unix" {
			return "nbd+unix:///" + export + "?socket=" + address, address
		}
		return "nbd://" + address + "/" + export, address
	}
}

var servers = []server{
	{name: "nbd", start: nbdServer("tcp", "")},
	{name: "nbd with an export name", start: nbdServer("tcp", "base")},
	{name: "nbd on a unix socket", start: nbdServer("unix", "")},
	{name: "nbd on a unix socket with an export name", start: nbdServer("unix", "base")},
	{name: "http", waits: "10.0", start: func(t *testing.T, dir string) (string, string) {
		address := peers.HTTP(t, dir)
		return "http://" + address + "/base.img", address
	}},
}

// served makes a qcow2 image for a server, and an overlay that names it there
// without its format.
func served(t *testing.T, l *peers.Libvirt, s server) (c *truth, address string) {
	t.Helper()
	b := &builder{t: t, dir: l.Images}
	dir, err := os.MkdirTemp(l.Images, "served-")
	if err != nil {
		t.Fatal(err)
	}
	c = &truth{name: s.name, dir: dir, top: filepath.Join(dir, "top.qcow2"), format: "qcow2",
		content: bytes.Repeat([]byte("chainfix"), truthSize/8), outcomes: map[string]outcome{}}
	if err := os.WriteFile(filepath.Join(dir, "flat"), c.content, 0o644); err != nil {
		t.Fatal(err)
	}
	b.run(dir, "qemu-img", "convert", "-f", "raw", "-O", "qcow2", "flat", "base.img")
	backing, address := s.start(t, dir)
	c.add("top.qcow2")
	b.run(dir, "qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b", backing, "-F", "qcow2", "top.qcow2", fmt.Sprint(truthSize))
	b.forgetFormat(c.top)
	l.Share(dir)
	return c, address
}

// TestGuestStartsFromAServer: an image on the network is read only if the
// operator says so; then the guest starts with everything stated, and sees what
// is in the image.
func TestGuestStartsFromAServer(t *testing.T) {
	t.Parallel()
	l := peers.StartLibvirt(t)
	peers.Require(t, "qemu-img", "qemu-storage-daemon", "strace")
	for _, s := range servers {
		t.Run(s.name, func(t *testing.T) {
			c, address := served(t, l, s)
			document := filepath.Join(c.dir, "guest.xml")
			if err := os.WriteFile(document, []byte(c.definition()), 0o644); err != nil {
				t.Fatal(err)
			}
			wantQuiet(t, trace(t, c.dir, exitRefused, document))
			for _, call := range connections(trace(t, c.dir, exitDone, "--network", document)) {
				if !strings.Contains(call, address) {
					t.Errorf("another connection: %s", call)
				}
			}

			fixed, err := exec.Command("chainfix", "--network", document).Output()
			if err != nil {
				t.Fatal(err)
			}
			if ok, report := peers.ValidByScript(t, fixed); !ok {
				t.Errorf("%s\n%s", report, fixed)
			}
			if s.waits != "" && sinceQEMU(s.waits, false, true) {
				t.Log("this QEMU would wait for ever")
				return
			}
			if seen := c.startedByLibvirt(t, l, string(fixed)); seen != right {
				t.Errorf("the guest sees: %s\n%s", seen, fixed)
			}
			for _, option := range l.Blockdevs(c.guest()) {
				if node := blockdevNode(t, option); node.Driver == "qcow2" && node.Backing == nil {
					t.Errorf("QEMU is left to follow a header: %s", option)
				}
			}
		})
	}
}

// connections returns the calls that connect, with addresses as HOST:PORT or as
// paths.
func connections(calls string) (found []string) {
	for _, line := range strings.Split(calls, "\n") {
		if !strings.Contains(line, " connect(") {
			continue
		}
		_, address, ok := strings.Cut(line, "sin_port=htons(")
		if port, rest, isTCP := strings.Cut(address, ")"); ok && isTCP {
			_, host, _ := strings.Cut(rest, `inet_addr("`)
			host, _, _ = strings.Cut(host, `"`)
			line += " " + host + ":" + port
		}
		found = append(found, line)
	}
	return found
}

// TestConnectionsAreSeen keeps the test above from passing for nothing.
func TestConnectionsAreSeen(t *testing.T) {
	calls := `12 connect(3, {sa_family=AF_INET, sin_port=htons(8080), sin_addr=inet_addr("127.0.0.1")}, 16) = 0
12 connect(4, {sa_family=AF_UNIX, sun_path="/run/nbd"}, 110) = 0
12 openat(AT_FDCWD, "/x", O_RDONLY) = 3`
	found := connections(calls)
	if len(found) != 2 || !strings.HasSuffix(found[0], " 127.0.0.1:8080") || !strings.Contains(found[1], "/run/nbd") {
		t.Errorf("%q", found)
	}
}

// TestServerWithoutRanges: QEMU cannot use such a server, so neither is the
// chain written.
func TestServerWithoutRanges(t *testing.T) {
	t.Parallel()
	l := peers.StartLibvirt(t)
	c, _ := served(t, l, server{name: "http without ranges", start: func(t *testing.T, dir string) (string, string) {
		address := peers.HTTPWithoutRanges(t, dir)
		return "http://" + address + "/base.img", address
	}})
	fixed, codes := c.fixed(t, l, c.definition(), "--network")
	if fixed != refused || !slices.Contains(codes, "image-unreadable") {
		t.Errorf("%s: %q", fixed, codes)
	}
	if seen := c.startedByLibvirt(t, l, c.definition()); seen != refused {
		t.Errorf("libvirt starts the unchanged guest: %s", seen)
	}
}

// TestGuestStartsFromAVolume: the pool's definition says where the volume is,
// and the XML goes on calling it a volume.
func TestGuestStartsFromAVolume(t *testing.T) {
	t.Parallel()
	l := peers.StartLibvirt(t)
	peers.Require(t, "qemu-img")
	pool := filepath.Join(l.Images, "pool")
	b := &builder{t: t}
	if err := os.Mkdir(pool, 0o755); err != nil {
		t.Fatal(err)
	}
	b.run(pool, "qemu-img", "create", "-q", "-f", "raw", "base.img", "1M")
	b.run(pool, "qemu-img", "create", "-q", "-f", "qcow2", "-b", "base.img", "-F", "raw", "top.qcow2")
	b.forgetFormat(filepath.Join(pool, "top.qcow2"))
	l.Share(pool)
	l.StartPool("images", "<pool type='dir'><name>images</name><target><path>"+pool+"</path></target></pool>")

	document := filepath.Join(pool, "guest.xml")
	if err := os.WriteFile(document, []byte(peers.VolumeGuest("volume", "images", "top.qcow2", "qcow2")), 0o644); err != nil {
		t.Fatal(err)
	}
	wantQuiet(t, trace(t, pool, exitRefused, document))
	wantQuiet(t, trace(t, pool, exitDone, "--pools", l.PoolDefinitions(), document))
	fixed, err := exec.Command("chainfix", "--pools", l.PoolDefinitions(), document).Output()
	if err != nil {
		t.Fatal(err)
	}
	if ok, report := peers.ValidByScript(t, fixed); !ok {
		t.Errorf("%s\n%s", report, fixed)
	}
	for _, part := range []string{"<source pool='images' volume='top.qcow2'/>", "<source file='" + filepath.Join(pool, "base.img") + "'/>"} {
		if !bytes.Contains(fixed, []byte(part)) {
			t.Errorf("there is no %s:\n%s", part, fixed)
		}
	}
	l.Define(string(fixed))
	l.Virsh("start", "--paused", "volume")
	names, err := peers.Filenames(l.Blockdevs("volume"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"top.qcow2", "base.img"} {
		if !slices.Contains(names, filepath.Join(pool, name)) {
			t.Errorf("QEMU opens %q", names)
		}
	}
	for _, option := range l.Blockdevs("volume") {
		if node := blockdevNode(t, option); node.Driver == "qcow2" && node.Backing == nil {
			t.Errorf("QEMU is left to follow a header: %s", option)
		}
	}
}
