package storage

import (
	"context"

	"encoding/xml"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/chainfix/chainfix/probe"
	"libvirt.org/go/libvirtxml"
)

// LocalPath returns the path of a file or block source, unchanged; ok is false
// for other sources, for a file descriptor, and for an empty source.
func LocalPath(src *libvirtxml.DomainDiskSource) (path string, ok bool) {
	switch {
	case src == nil:
		return "", false
	case src.File != nil && src.File.FDGroup == "":
		path = src.File.File
	case src.Block != nil:
		path = src.Block.Dev
	}
	return path, path != ""
}

// IsEmpty reports whether src is an empty drive: a file or block source
// without a name.
func IsEmpty(src *libvirtxml.DomainDiskSource) bool {
	switch {
	case src == nil:
		return true
	case src.File != nil:
		return src.File.File == "" && src.File.FDGroup == ""
	case src.Block != nil:
		return src.Block.Dev == ""
	}
	return false
}

// IsChainless reports whether a disk with the own image src, of format f,
// cannot have a chain: libvirt passes the source to the guest directly.
func IsChainless(src *libvirtxml.DomainDiskSource, f probe.Format) bool {
	switch {
	case src.Dir != nil, src.VHostUser != nil, src.Ctl != nil:
		return true
	case src.NVME != nil, src.VHostVDPA != nil:
		return !f.CanHaveBacking()
	}
	return false
}

// LocalSource returns the source for a path: libvirt uses type "block" for a
// block device, otherwise "file" (virStorageSourceNewFromBackingAbsolute,
// libvirt 9.0).
func LocalSource(path string, block bool) *libvirtxml.DomainDiskSource {
	if block {
		return &libvirtxml.DomainDiskSource{Block: &libvirtxml.DomainDiskSourceBlock{Dev: path}}
	}
	return &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: path}}
}

// Representable reports whether s survives in a domain XML that libvirt reads
// and writes. libvirt drops most control characters on output and does not
// escape tabs and line ends, which the next parser turns into spaces (libvirt
// 9.0); XML cannot have NUL, U+FFFE and U+FFFF, and libvirt assumes UTF-8.
func Representable(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if r < 0x20 || r == 0xFFFE || r == 0xFFFF {
			return false
		}
	}
	return true
}

// Fragment prints v, a libvirtxml value, as an element with this name on one
// line. It is for messages and cache keys, never for documents. If v cannot be
// printed, it returns only the start tag.
func Fragment(v any, name string) string {
	var text strings.Builder
	e := xml.NewEncoder(&text)
	if err := e.EncodeElement(v, xml.StartElement{Name: xml.Name{Local: name}}); err != nil {
		return "<" + name + ">"
	}
	return text.String()
}

// ErrNoVolume: a storage pool is unknown, or libvirt cannot use volumes of its
// kind for a guest's disk.
var ErrNoVolume = errors.New("volume cannot be found")

// Volumes locates the volumes of storage pools.
type Volumes interface {
	// Locate returns the source that libvirt makes from a source of type volume
	// when it starts the guest. It opens nothing. Errors wrap [ErrNoVolume].
	Locate(ctx context.Context, src *libvirtxml.DomainDiskSource) (*libvirtxml.DomainDiskSource, error)
}
