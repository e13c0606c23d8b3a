package xmlfix

import (
	"fmt"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/strictxml"
	"github.com/chainfix/chainfix/probe"
)

// StatedBy returns what a disk of a libvirtxml.Domain states. [FixDomain] uses
// it; it is exported for programs that walk the chains themselves. The sources
// are shared with the disk and must not be modified; only an <encryption> or
// <auth> next to the source is moved into a copy.
//
// libvirtxml loses information: it reads a <backingStore> without a type as
// type file, which to libvirt is the end of the chain, and loses an index of
// 0. [Disk.Stated] handles both. StatedBy does not see the domain's id and
// name: for a running guest the caller has to set [chain.Stated.Live], and it
// may set [chain.Stated.Guest].
//
// The error wraps [ErrDisk]: libvirt 9.0 rejects a format, in the parser or
// before it starts QEMU.
func StatedBy(disk *libvirtxml.DomainDisk) (chain.Stated, error) {
	stated, err := statedBy(disk)
	if err != nil {
		return stated, fmt.Errorf("%w: %w", ErrDisk, err)
	}
	return stated, nil
}

func statedBy(disk *libvirtxml.DomainDisk) (chain.Stated, error) {
	stated := chain.Stated{
		Device:    disk.Device,
		ReadOnly:  disk.ReadOnly != nil || disk.Device == "cdrom" || disk.Transient != nil,
		Transient: disk.Transient != nil,
		Mirror:    disk.Mirror != nil,
	}
	stated.Shareable = disk.Shareable != nil
	stated.MirrorTo = mirrorTarget(disk.Mirror)
	if disk.Target != nil {
		stated.Target, stated.Bus = disk.Target.Dev, disk.Target.Bus
	}
	top, err := topLayer(disk)
	if err != nil {
		return stated, err
	}
	stated.Layers = []chain.Layer{top}
	stated.Live = top.Source.Index != 0
	for store := disk.BackingStore; store != nil; store = store.BackingStore {
		if sourceType(store.Source) == "" {
			stated.Terminated = true
			break
		}
		layer, err := storeLayer(store)
		if err != nil {
			return stated, err
		}
		stated.Layers = append(stated.Layers, layer)
		stated.Live = stated.Live || store.Index != 0 || store.Source.Index != 0
	}
	return stated, nil
}

// mirrorTarget returns the target of a running block job; nil if the XML has
// none or an invalid format.
func mirrorTarget(mirror *libvirtxml.DomainDiskMirror) *chain.Layer {
	if mirror == nil || mirror.Source == nil {
		return nil
	}
	target := chain.Layer{Source: mirror.Source}
	if mirror.Format != nil && mirror.Format.Type != "" {
		var err error
		if target, err = layerOf(mirror.Source, mirror.Format.Type, storeFormat); err != nil {
			return nil
		}
	}
	return &target
}

func topLayer(disk *libvirtxml.DomainDisk) (chain.Layer, error) {
	src := disk.Source
	if src == nil {
		src = &libvirtxml.DomainDiskSource{}
	}
	// libvirt reads these here too, only for the top image.
	if disk.Encryption != nil && src.Encryption == nil {
		moved := *src
		moved.Encryption = disk.Encryption
		src = &moved
	}
	if disk.Auth != nil && src.Network != nil && src.Network.Auth == nil {
		moved, network := *src, *src.Network
		network.Auth = disk.Auth
		moved.Network = &network
		src = &moved
	}
	if disk.Driver == nil || disk.Driver.Type == "" {
		return chain.Layer{Source: src}, nil
	}
	name := disk.Driver.Type
	if name == "aio" {
		name = "raw"
	}
	return layerOf(src, name, driverFormat)
}

func storeLayer(store *libvirtxml.DomainDiskBackingStore) (chain.Layer, error) {
	name := ""
	if store.Format != nil {
		name = store.Format.Type
	}
	return layerOf(store.Source, name, storeFormat)
}

// layerOf returns a layer with the format called name; named is [driverFormat]
// or [storeFormat].
func layerOf(src *libvirtxml.DomainDiskSource, name string, named func(string) (probe.Format, error)) (chain.Layer, error) {
	if src.Dir != nil && (name == "fat" || name == "dir") || src.Volume != nil && name == "fat" {
		// QEMU builds the image from the folder, in a pool too: it has no format to
		// state.
		return chain.Layer{Source: src, From: chain.Protocol}, nil
	}
	f, err := named(name)
	if err != nil {
		return chain.Layer{}, err
	}
	return chain.Layer{Source: src, Format: f, From: chain.XML}, nil
}

// driverFormat returns the format that a <driver type> states.
func driverFormat(name string) (probe.Format, error) {
	return formatNamed(name, ofDisk, "unknown driver format value ")
}

// storeFormat returns the format that a <format type> states.
func storeFormat(name string) (probe.Format, error) {
	if name == "" {
		return "", ofStore(noStoreFormat, "a <backingStore> has no <format type>")
	}
	return formatNamed(name, ofStore, "unknown storage source format ")
}

// formatNamed returns the format with this libvirt name. unknown is the
// beginning of libvirt's message about an unknown name, and objecting makes
// the error. aio means raw only in a <driver>, which the caller handles.
func formatNamed(name string, objecting func(words, detail string) error, unknown string) (probe.Format, error) {
	f, ok := probe.FromLibvirt(name)
	if ok && name != "aio" {
		return f, nil
	}
	words := neverGiven[name]
	if words == "" {
		words = unknown + "'" + strictxml.Shown(name) + "'"
	}
	return "", objecting(words, "format "+quote(name)+" is not one that libvirt passes to QEMU")
}

// sourceType returns the type attribute for a source; "" for an empty one and
// for one that a <backingStore> cannot have.
func sourceType(src *libvirtxml.DomainDiskSource) string {
	switch {
	case src == nil:
		return ""
	case src.File != nil:
		return "file"
	case src.Block != nil:
		return "block"
	case src.Dir != nil:
		return "dir"
	case src.Network != nil:
		return "network"
	case src.Volume != nil:
		return "volume"
	case src.VHostUser != nil:
		return "vhostuser"
	case src.VHostVDPA != nil:
		return "vhostvdpa"
	case src.Ctl != nil:
		return "ctl"
	}
	return ""
}
