package pools

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"libvirt.org/go/libvirtxml"
)

// kind is what the volumes of all pools of a type have in common.
type kind struct {
	named bool // the pool's <source> has a <name>, which is that of the pool if it is left out
	// target is the path below which the volumes are; nil if it says
	// nothing about them.
	target func(stated *libvirtxml.StoragePool, source string) string
	// place puts a volume into a source that is otherwise complete; nil if
	// libvirt lets no disk have a volume of such a pool.
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

// below ignores the stated target, as libvirt does for volume groups and ZFS.
func below(folder string) func(*libvirtxml.StoragePool, string) string {
	return func(_ *libvirtxml.StoragePool, source string) string { return folder + source }
}

// locate returns src as a source of what its volume is.
func (p *pool) locate(src *libvirtxml.DomainDiskSource) (*libvirtxml.DomainDiskSource, error) {
	volume := src.Volume
	if !plainName(volume.Volume) {
		// libvirt takes volumes from lists of what is in the pool, where no
		// such name is (CVE-2015-5313 was about one).
		return nil, errors.New("no volume can have that name")
	}
	if p.kind.place == nil {
		return nil, errors.New("libvirt lets no disk have a volume of a pool of that type")
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

// pathOf is where a volume is looked for, as far as that is known.
func (p *pool) pathOf(volume *libvirtxml.DomainDiskSourceVolume) string {
	return p.target + "/" + volume.Volume
}

// inFolder is for pools that are folders of files
// (virStorageBackendRefreshLocal). A block device there is a file to libvirt
// too, which QEMU then refuses.
func inFolder(p *pool, volume *libvirtxml.DomainDiskSourceVolume, to *libvirtxml.DomainDiskSource) error {
	path := p.pathOf(volume)
	if isFolder(path) {
		to.Dir = &libvirtxml.DomainDiskSourceDir{Dir: path}
		return nil
	}
	to.File = &libvirtxml.DomainDiskSourceFile{File: path, SecLabel: volume.SecLabel}
	return nil
}

// isFolder reports whether libvirt takes a volume for a directory. One that
// holds a ploop image it calls a file (storageBackendIsPloopDir).
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

// asDevice is for pools whose volumes are devices of their names.
func asDevice(p *pool, volume *libvirtxml.DomainDiskSourceVolume, to *libvirtxml.DomainDiskSource) error {
	setBlock(to, p.pathOf(volume), volume)
	return nil
}

func setBlock(to *libvirtxml.DomainDiskSource, path string, volume *libvirtxml.DomainDiskSourceVolume) {
	to.Block = &libvirtxml.DomainDiskSourceBlock{Dev: path, SecLabel: volume.SecLabel}
}

// nameless is for pools whose volumes have numbers, which libvirt turns into
// devices by what the kernel says while the pool runs.
func nameless(*pool, *libvirtxml.DomainDiskSourceVolume, *libvirtxml.DomainDiskSource) error {
	return errors.New("the device of a unit is known only to the running pool; state it as a disk of type block")
}

// unreachable turns the failure of a look at a folder or a device into an
// error that is quoted once.
func unreachable(what, path string, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return fmt.Errorf("%s %q: %w", what, path, err)
}
