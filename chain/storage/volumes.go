package storage

import (
	"errors"

	"libvirt.org/go/libvirtxml"
)

// ErrNoVolume: a storage pool is not known, or its kind is none whose volumes
// libvirt can give to a guest's disk.
var ErrNoVolume = errors.New("volume cannot be found")

// Volumes knows where the volumes of storage pools are.
type Volumes interface {
	// Locate returns the source that libvirt makes of a source of type
	// volume when it starts the guest. It opens nothing. Errors wrap
	// [ErrNoVolume].
	Locate(src *libvirtxml.DomainDiskSource) (*libvirtxml.DomainDiskSource, error)
}
