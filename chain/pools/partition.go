package pools

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"libvirt.org/go/libvirtxml"
)

// number matches the part of a partition's name after its disk's name.
var number = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^p?[0-9]{1,10}$`) })

// asPartition is for pools that are the partitions of a disk. A volume has the
// name of the partition's device (virStorageBackendDiskMakeDataVol), which is
// the name of the disk's device with a number (parthelper.c); libvirt resolves
// links to the disk unless it is a device mapper device.
func asPartition(p *pool, volume *libvirtxml.DomainDiskSourceVolume, to *libvirtxml.DomainDiskSource) error {
	if len(p.source.Device) == 0 || !strings.HasPrefix(p.source.Device[0].Path, "/") || !plain(p.source.Device[0].Path) {
		return errors.New("the pool does not name its disk")
	}
	disks := []string{p.source.Device[0].Path}
	if device, err := filepath.EvalSymlinks(disks[0]); err == nil {
		disks = append(disks, device)
	}
	for _, disk := range disks {
		if rest, ok := strings.CutPrefix(volume.Volume, filepath.Base(disk)); ok && number().MatchString(rest) {
			path, err := stable(p.target, filepath.Join(filepath.Dir(disk), volume.Volume))
			if err != nil {
				return err
			}
			setBlock(to, path, volume)
			return nil
		}
	}
	return fmt.Errorf("it is not a partition of %q", disks[len(disks)-1])
}

// stable returns the name that libvirt gives a device: if the target is a
// folder below /dev, such as /dev/disk/by-id, the first link there that refers
// to the device, in the order of the folder (virStorageBackendStablePath).
func stable(target, device string) (string, error) {
	if !strings.HasPrefix(target, "/dev/") {
		return device, nil
	}
	want, err := os.Stat(device)
	if err != nil {
		return "", unreachable("the device", device, err)
	}
	folder, err := os.OpenFile(target, os.O_RDONLY|onlyFolder, 0)
	if err != nil {
		return "", unreachable("the folder of links", target, err)
	}
	defer folder.Close()
	for {
		names, err := folder.Readdirnames(256)
		for _, name := range names {
			if info, err := os.Stat(target + "/" + name); err == nil && os.SameFile(info, want) {
				return target + "/" + name, nil
			}
		}
		if err == io.EOF {
			return device, nil
		}
		if err != nil {
			return "", unreachable("the folder of links", target, err)
		}
	}
}
