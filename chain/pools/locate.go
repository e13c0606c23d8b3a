package pools

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"libvirt.org/go/libvirtxml"
)

// kind is what all pools of a type have in common.
type kind struct {
	named bool // the pool's <source> has a <name>, which defaults to the pool's name
	// target returns the folder of the volumes; nil if the type has none.
	target func(stated *libvirtxml.StoragePool, source string) string
	// place adds a volume to an otherwise complete source; nil if libvirt does
	// not allow a disk to use volumes of such a pool.
	place func(p *pool, volume *libvirtxml.DomainDiskSourceVolume, to *libvirtxml.DomainDiskSource) error
	// moded allows the volume a mode (libvirt 9.0 refuses it elsewhere).
	moded bool
}

// kinds are the types of pools that libvirt 9.0 has (virStoragePool), and
// 12.5 too.
var kinds = map[string]kind{
	"dir":          {target: statedTarget, place: inFolder},
	"fs":           {target: statedTarget, place: inFolder},
	"netfs":        {target: statedTarget, place: inFolder},
	"vstorage":     {target: statedTarget, place: inFolder, named: true},
	"logical":      {target: below("/dev/"), place: asDevice, named: true},
	"zfs":          {target: below("/dev/zvol/"), place: asDevice, named: true},
	"disk":         {target: statedTarget, place: asPartition},
	"scsi":         {target: statedTarget, place: nameless},
	"iscsi":        {target: statedTarget, place: asUnit, moded: true},
	"iscsi-direct": {place: overISCSI},
	"mpath":        {target: statedTarget},
	"rbd":          {named: true},
	"sheepdog":     {named: true},
	"gluster":      {named: true},
}

func statedTarget(stated *libvirtxml.StoragePool, _ string) string {
	if stated.Target == nil {
		return ""
	}
	return stated.Target.Path
}

// below returns a folder below folder and ignores the stated target, as
// libvirt does for volume groups and ZFS.
func below(folder string) func(*libvirtxml.StoragePool, string) string {
	return func(_ *libvirtxml.StoragePool, source string) string { return folder + source }
}

// locate returns the source of the volume that src refers to.
func (p *pool) locate(src *libvirtxml.DomainDiskSource) (*libvirtxml.DomainDiskSource, error) {
	volume := src.Volume
	if !plainName(volume.Volume) {
		// libvirt looks volumes up in its list of the pool, which never contains
		// such a name (CVE-2015-5313 was about one).
		return nil, errors.New("no volume can have that name")
	}
	if p.kind.place == nil {
		return nil, errors.New("libvirt does not allow disks to use volumes of a pool of that type")
	}
	switch {
	case volume.Mode == "":
	case volume.Mode != "host" && volume.Mode != "direct":
		return nil, fmt.Errorf("the mode %q is unknown", volume.Mode)
	case !p.kind.moded:
		return nil, errors.New("libvirt allows a mode only for pools of type iscsi")
	}
	located := *src
	located.Volume = nil
	if err := p.kind.place(p, volume, &located); err != nil {
		return nil, err
	}
	return &located, nil
}

// pathOf returns the path of a volume, or what is known of it.
func (p *pool) pathOf(volume *libvirtxml.DomainDiskSourceVolume) string {
	return p.target + "/" + volume.Volume
}

// inFolder is for pools that are folders of files
// (virStorageBackendRefreshLocal). libvirt treats a block device there as a
// file too, which QEMU then refuses.
func inFolder(p *pool, volume *libvirtxml.DomainDiskSourceVolume, to *libvirtxml.DomainDiskSource) error {
	path := p.pathOf(volume)
	if isFolder(path) {
		to.Dir = &libvirtxml.DomainDiskSourceDir{Dir: path}
		return nil
	}
	to.File = &libvirtxml.DomainDiskSourceFile{File: path, SecLabel: volume.SecLabel}
	return nil
}

// isFolder reports whether libvirt treats a volume as a directory. A directory
// with a ploop image counts as a file (storageBackendIsPloopDir).
func isFolder(path string) bool {
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return false
	}
	for _, name := range []string{"/root.hds", "/DiskDescriptor.xml"} {
		if _, err := os.Stat(path + name); err != nil {
			return true
		}
	}
	return false
}

// asDevice is for pools in which a volume is the device with its name.
func asDevice(p *pool, volume *libvirtxml.DomainDiskSourceVolume, to *libvirtxml.DomainDiskSource) error {
	setBlock(to, p.pathOf(volume), volume)
	return nil
}

func setBlock(to *libvirtxml.DomainDiskSource, path string, volume *libvirtxml.DomainDiskSourceVolume) {
	to.Block = &libvirtxml.DomainDiskSourceBlock{Dev: path, SecLabel: volume.SecLabel}
}

// nameless is for pools with numbered volumes. libvirt finds their devices
// only while the pool runs.
func nameless(*pool, *libvirtxml.DomainDiskSourceVolume, *libvirtxml.DomainDiskSource) error {
	return errors.New("the device of a unit is known only to the running pool; state it as a disk of type block")
}

// unreachable makes an error about a folder or a device that quotes its path
// once.
func unreachable(what, path string, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return fmt.Errorf("%s %q: %w", what, path, err)
}
