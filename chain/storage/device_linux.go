package storage

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// sectorSize is the unit of sysfs for offsets of partitions and sizes of
// devices, in bytes, whatever the sector size of the device.
const sectorSize = 512

// Map reads sysfs and sends no request to a device. See [Mapper].
//
// A loop device maps to its file from its offset on, a partition to a part of
// its disk, a path of a multipath device to that device. Other device mapper
// devices map to themselves: sysfs does not show their tables.
func (FileOpener) Map(ctx context.Context, device FileID) (Extent, bool) {
	if !device.Block {
		return Extent{}, false
	}
	return sysfs("/sys").mapped(unix.Major(device.Device), unix.Minor(device.Device))
}

// sysfs is the folder where the kernel shows its devices.
type sysfs string

func (s sysfs) mapped(major, minor uint32) (Extent, bool) {
	dir := filepath.Join(string(s), "dev/block", strconv.FormatUint(uint64(major), 10)+":"+strconv.FormatUint(uint64(minor), 10))
	if e, ok := loopFile(dir); ok {
		return e, true
	}
	if e, ok := wholeDisk(dir); ok {
		return e, true
	}
	return multipath(dir)
}

// loopFile returns the extent of a loop device's file.
func loopFile(dir string) (Extent, bool) {
	path, err := os.ReadFile(filepath.Join(dir, "loop/backing_file"))
	if err != nil {
		return Extent{}, false
	}
	start, ok := readNumber(filepath.Join(dir, "loop/offset"))
	length, okLength := readNumber(filepath.Join(dir, "loop/sizelimit"))
	if !ok || !okLength {
		return Extent{}, false
	}
	if length == 0 {
		length = ToTheEnd
	}
	var st unix.Stat_t
	// The kernel adds a line end, and appends " (deleted)" to the name of a
	// deleted file, so that the stat fails.
	if unix.Stat(strings.TrimSuffix(string(path), "\n"), &st) != nil {
		return Extent{}, false
	}
	id, err := identity(&st)
	if err != nil {
		return Extent{}, false
	}
	return Extent{File: id, Start: start, Length: length}, true
}

// wholeDisk returns the extent of a partition on its disk.
func wholeDisk(dir string) (Extent, bool) {
	if _, err := os.Stat(filepath.Join(dir, "partition")); err != nil {
		return Extent{}, false
	}
	start, ok := readNumber(filepath.Join(dir, "start"))
	size, okSize := readNumber(filepath.Join(dir, "size"))
	// The entry is a link into the disk's folder, so ".." is that folder.
	disk, okDisk := readDevice(dir + "/../dev")
	if !ok || !okSize || !okDisk || start > ToTheEnd/sectorSize || size > ToTheEnd/sectorSize {
		return Extent{}, false
	}
	return Extent{File: disk, Start: start * sectorSize, Length: size * sectorSize}, true
}

// multipath returns the multipath device of a path device. Its table maps the
// whole disk unchanged.
func multipath(dir string) (Extent, bool) {
	holders, err := os.ReadDir(filepath.Join(dir, "holders"))
	if err != nil {
		return Extent{}, false
	}
	size, ok := readNumber(filepath.Join(dir, "size"))
	for _, holder := range holders {
		holderDir := filepath.Join(dir, "holders", holder.Name())
		uuid, err := os.ReadFile(filepath.Join(holderDir, "dm/uuid"))
		if err != nil || !strings.HasPrefix(string(uuid), "mpath-") {
			continue
		}
		holderSize, okSize := readNumber(filepath.Join(holderDir, "size"))
		device, okDevice := readDevice(filepath.Join(holderDir, "dev"))
		if ok && okSize && okDevice && size == holderSize {
			return Extent{File: device, Length: ToTheEnd}, true
		}
	}
	return Extent{}, false
}

func readNumber(path string) (uint64, bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	return n, err == nil
}

// readDevice reads the number of a block device, as MAJOR:MINOR.
func readDevice(path string) (FileID, bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return FileID{}, false
	}
	majorText, minorText, _ := strings.Cut(strings.TrimSpace(string(text)), ":")
	major, err := strconv.ParseUint(majorText, 10, 32)
	if err != nil {
		return FileID{}, false
	}
	minor, err := strconv.ParseUint(minorText, 10, 32)
	if err != nil {
		return FileID{}, false
	}
	return FileID{Device: unix.Mkdev(uint32(major), uint32(minor)), Block: true}, true
}
