package storage

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/chainfix/chainfix/testdata/peers"
)

// extentAt returns the extent of a file or device.
func extentAt(t *testing.T, path string) Extent {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	src := LocalSource(path, st.Mode&unix.S_IFMT == unix.S_IFBLK)
	id, err := FileOpener{}.Identify(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	return ExtentOf(t.Context(), FileOpener{}, src, id)
}

// TestLoopDeviceIsItsFile: from the offset on, and as far as its limit.
func TestLoopDeviceIsItsFile(t *testing.T) {
	img := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(img, make([]byte, 4<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	file := extentAt(t, img)
	for name, c := range map[string]struct {
		args          []string
		start, length uint64
	}{
		"whole":           {nil, 0, ToTheEnd},
		"offset":          {[]string{"--offset", "1048576"}, 1 << 20, ToTheEnd},
		"offset and size": {[]string{"--offset", "1048576", "--sizelimit", "65536"}, 1 << 20, 1 << 16},
	} {
		t.Run(name, func(t *testing.T) {
			device := peers.LoopDevice(t, append(c.args, img)...)
			if got, want := extentAt(t, device), (Extent{file.File, c.start, c.length}); got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
			on := peers.LoopDevice(t, "--offset", "512", device)
			length := c.length
			if length != ToTheEnd {
				length -= 512
			}
			if got, want := extentAt(t, on), (Extent{file.File, c.start + 512, length}); got != want {
				t.Errorf("a loop device over it: %+v, want %+v", got, want)
			}
		})
	}
	t.Run("of a file that was deleted", func(t *testing.T) {
		gone := filepath.Join(t.TempDir(), "gone")
		if err := os.WriteFile(gone, make([]byte, 1<<20), 0o600); err != nil {
			t.Fatal(err)
		}
		device := peers.LoopDevice(t, gone)
		if err := os.Remove(gone); err != nil {
			t.Fatal(err)
		}
		if got := extentAt(t, device); !got.File.Block {
			t.Errorf("%+v is not the device itself", got)
		}
	})
}

// TestDevicesOfSysfs: what the kernel shows of devices that not every machine
// has, in a folder laid out as its own.
func TestDevicesOfSysfs(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	link := func(to, name string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, path); err != nil {
			t.Fatal(err)
		}
	}
	disk := func(name, number, sectors string) {
		write("devices/"+name+"/dev", number+"\n")
		write("devices/"+name+"/size", sectors+"\n")
		link("../../devices/"+name, "dev/block/"+number)
	}
	disk("sda", "8:0", "2048")
	write("devices/sda/sda1/dev", "8:1\n")
	write("devices/sda/sda1/partition", "1\n")
	write("devices/sda/sda1/start", "64\n")
	write("devices/sda/sda1/size", "128\n")
	link("../../devices/sda/sda1", "dev/block/8:1")
	disk("dm-0", "253:0", "2048") // a multipath device over sda and sdb
	write("devices/dm-0/dm/uuid", "mpath-3600\n")
	link("../../dm-0", "devices/sda/holders/dm-0")
	disk("sdb", "8:16", "2048")
	link("../../dm-0", "devices/sdb/holders/dm-0")
	disk("sdc", "8:32", "2048") // below a volume of LVM, and below one of cryptsetup of its whole length
	disk("dm-1", "253:1", "2048")
	write("devices/dm-1/dm/uuid", "LVM-x\n")
	link("../../dm-1", "devices/sdc/holders/dm-1")
	disk("dm-2", "253:2", "2048")
	write("devices/dm-2/dm/uuid", "CRYPT-LUKS2-x\n")
	link("../../dm-2", "devices/sdc/holders/dm-2")
	disk("sdd", "8:48", "4096") // longer than the multipath device over it
	link("../../dm-0", "devices/sdd/holders/dm-0")
	write("devices/sda/sda2/dev", "8:2\n") // broken
	write("devices/sda/sda2/partition", "2\n")
	write("devices/sda/sda2/start", "99999999999999999999\n")
	write("devices/sda/sda2/size", "128\n")
	link("../../devices/sda/sda2", "dev/block/8:2")

	device := func(major, minor uint32) FileID { return FileID{Device: unix.Mkdev(major, minor), Block: true} }
	for name, c := range map[string]struct {
		major, minor uint32
		want         Extent
		ok           bool
	}{
		"a partition":                    {8, 1, Extent{device(8, 0), 64 * 512, 128 * 512}, true},
		"a path to a disk":               {8, 0, Extent{device(253, 0), 0, ToTheEnd}, true},
		"another path":                   {8, 16, Extent{device(253, 0), 0, ToTheEnd}, true},
		"the multipath device":           {253, 0, Extent{}, false},
		"a disk below LVM and LUKS":      {8, 32, Extent{}, false},
		"a volume of LVM":                {253, 1, Extent{}, false},
		"a disk of another length":       {8, 48, Extent{}, false},
		"a partition that cannot be":     {8, 2, Extent{}, false},
		"a device that is not there":     {9, 9, Extent{}, false},
		"a device that shows nothing":    {7, 7, Extent{}, false},
		"a device with an unusual minor": {259, 1 << 19, Extent{}, false},
	} {
		if got, ok := sysfs(dir).mapped(c.major, c.minor); got != c.want || ok != c.ok {
			t.Errorf("%s: %+v, %v; want %+v, %v", name, got, ok, c.want, c.ok)
		}
	}
}

func TestExtents(t *testing.T) {
	a, b := FileID{Device: 1, Inode: 1}, FileID{Device: 1, Inode: 2}
	whole := Extent{a, 0, ToTheEnd}
	for _, c := range []struct {
		x, y Extent
		want bool
	}{
		{whole, whole, true},
		{whole, Extent{b, 0, ToTheEnd}, false},
		{whole, Extent{a, 4096, 512}, true},
		{Extent{a, 0, 512}, Extent{a, 512, 512}, false},
		{Extent{a, 0, 513}, Extent{a, 512, 512}, true},
		{Extent{a, 1 << 63, ToTheEnd}, Extent{a, 1<<63 + 5, 1}, true},
		{Extent{a, 512, 0}, whole, false},
	} {
		if c.x.Overlaps(c.y) != c.want || c.y.Overlaps(c.x) != c.want {
			t.Errorf("%+v and %+v: overlap %v", c.x, c.y, !c.want)
		}
	}
	for _, c := range []struct{ inner, outer, want Extent }{
		{Extent{b, 10, 20}, Extent{a, 100, ToTheEnd}, Extent{a, 110, 20}},
		{Extent{b, 10, ToTheEnd}, Extent{a, 100, 50}, Extent{a, 110, 40}},
		{Extent{b, 60, 20}, Extent{a, 100, 50}, Extent{a, 160, 0}},
		{Extent{b, ToTheEnd, 20}, Extent{a, 100, ToTheEnd}, Extent{a, ToTheEnd, 0}},
	} {
		if got := c.inner.within(c.outer); got != c.want {
			t.Errorf("%+v within %+v: %+v, want %+v", c.inner, c.outer, got, c.want)
		}
	}
}
