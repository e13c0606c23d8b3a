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

// LocalPath returns the path of a file or block source, as it is spelled; ok
// is false for every other source, for one that is passed as a descriptor, and
// for an empty one.
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

// IsEmpty reports whether src is an empty drive's: a file or block source
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

// IsChainless reports whether a disk with src as its own image, of format f, has
// no image files below it: libvirt hands the source to the guest as it is.
func IsChainless(src *libvirtxml.DomainDiskSource, f probe.Format) bool {
	switch {
	case src.Dir != nil, src.VHostUser != nil, src.Ctl != nil:
		return true
	case src.NVME != nil, src.VHostVDPA != nil:
		return !f.CanHaveBacking()
	}
	return false
}

// LocalSource returns the source for a path: libvirt calls it "block" if a
// stat says so, else "file" (virStorageSourceNewFromBackingAbsolute, libvirt 9.0).
func LocalSource(path string, block bool) *libvirtxml.DomainDiskSource {
	if block {
		return &libvirtxml.DomainDiskSource{Block: &libvirtxml.DomainDiskSourceBlock{Dev: path}}
	}
	return &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: path}}
}

// Representable reports whether a domain XML can carry s through libvirt
// unchanged. libvirt drops most control characters on output and prints tabs
// and line ends raw, which the next reader turns into spaces (libvirt 9.0); XML has no
// NUL, no U+FFFE and U+FFFF, and libvirt assumes UTF-8.
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

// Fragment prints v, a value of libvirtxml, as the element of that name on one
// line. It is for texts and for keys of caches, never for a document; of what
// cannot be printed it is the start tag alone.
func Fragment(v any, name string) string {
	var text strings.Builder
	e := xml.NewEncoder(&text)
	if err := e.EncodeElement(v, xml.StartElement{Name: xml.Name{Local: name}}); err != nil {
		return "<" + name + ">"
	}
	return text.String()
}

// ErrNoVolume: a storage pool is not known, or its kind is none whose volumes
// libvirt can give to a guest's disk.
var ErrNoVolume = errors.New("volume cannot be found")

// Volumes knows where the volumes of storage pools are.
type Volumes interface {
	// Locate returns the source that libvirt makes of a source of type
	// volume when it starts the guest. It opens nothing. Errors wrap
	// [ErrNoVolume].
	Locate(ctx context.Context, src *libvirtxml.DomainDiskSource) (*libvirtxml.DomainDiskSource, error)
}
