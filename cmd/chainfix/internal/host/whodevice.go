package host

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/chainfix/chainfix/chain/storage"
)

// The identity of a block device does not show who else uses it: LVM volumes,
// a RAID, or file systems with images in them. sysfs shows that, for a device
// and its partitions.

// sysBlock is where the kernel shows block devices by number.
const sysBlock = "/sys/dev/block"

// deviceDoubts returns reasons why more than the guests that name an image may
// use it.
func deviceDoubts(image storage.FileID) []string {
	if !image.Block {
		return loopDoubts(image)
	}
	dir, ok := sysDir(image)
	if !ok {
		return []string{"it is unknown what uses the device: the kernel does not show it in " + sysBlock}
	}
	return heldDoubts(dir, "the device")
}

// loopDoubts returns those of a file: it may be the file of loop devices with
// file systems.
func loopDoubts(file storage.FileID) (doubts []string) {
	loops, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, entry := range loops {
		text, err := os.ReadFile(entry)
		if err != nil {
			continue // it was detached meanwhile
		}
		var st unix.Stat_t
		if unix.Stat(strings.TrimSuffix(string(text), "\n"), &st) != nil || uint64(st.Dev) != file.Device || st.Ino != file.Inode {
			continue
		}
		dir := filepath.Dir(filepath.Dir(entry))
		doubts = append(doubts, heldDoubts(dir, "its loop device /dev/"+filepath.Base(dir))...)
	}
	return doubts
}

// heldDoubts returns those of a device, given its folder in sysfs, and of its
// partitions.
func heldDoubts(dir, what string) (doubts []string) {
	mounted := mountedDevices()
	entries, _ := filepath.Glob(dir + "/*/partition")
	dirs := []string{dir}
	for _, entry := range entries {
		dirs = append(dirs, filepath.Dir(entry))
	}
	held, isMounted := false, false
	for _, d := range dirs {
		holders, _ := os.ReadDir(d + "/holders")
		held = held || len(holders) > 0
		number, _ := os.ReadFile(d + "/dev")
		isMounted = isMounted || mounted[strings.TrimSpace(string(number))]
	}
	if held {
		doubts = append(doubts, "other devices use "+what+", such as LVM, a RAID or multipath: run the command for them too")
	}
	if isMounted {
		doubts = append(doubts, "a file system on "+what+" is mounted: guests may use images in it")
	}
	return doubts
}

// mountedDevices returns the numbers of the mounted devices, as MAJOR:MINOR.
func mountedDevices() map[string]bool {
	all := make(map[string]bool)
	text, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) > 2 {
			all[fields[2]] = true
		}
		// btrfs has an anonymous number there, and names the device at the end.
		_, end, _ := strings.Cut(line, " - ")
		var st unix.Stat_t
		if fields := strings.Fields(end); len(fields) > 1 && strings.HasPrefix(fields[1], "/dev/") && unix.Stat(fields[1], &st) == nil {
			all[strconv.FormatUint(uint64(unix.Major(st.Rdev)), 10)+":"+strconv.FormatUint(uint64(unix.Minor(st.Rdev)), 10)] = true
		}
	}
	return all
}

func sysDir(id storage.FileID) (string, bool) {
	dir, err := filepath.EvalSymlinks(filepath.Join(sysBlock, strconv.FormatUint(uint64(unix.Major(id.Device)), 10)+":"+strconv.FormatUint(uint64(unix.Minor(id.Device)), 10)))
	return dir, err == nil
}

// maxBelow bounds the number of layers of devices.
const maxBelow = 8

// isBelowDevice reports whether a device uses another, as an LVM volume does a
// disk.
func isBelowDevice(upper, lower storage.FileID) bool {
	if !upper.Block || !lower.Block {
		return false
	}
	want, ok := sysDir(lower)
	dir, okUpper := sysDir(upper)
	return ok && okUpper && standsOn(dir, want, maxBelow)
}

func standsOn(dir, want string, depth int) bool {
	if depth == 0 {
		return true // unknown
	}
	slaves, _ := os.ReadDir(dir + "/slaves")
	for _, s := range slaves {
		below, err := filepath.EvalSymlinks(filepath.Join(dir, "slaves", s.Name()))
		if err != nil {
			continue
		}
		// A partition's folder is in that of its disk.
		if below == want || strings.HasPrefix(below, want+"/") || standsOn(below, want, depth-1) {
			return true
		}
	}
	return false
}
