// Package storage knows storage sources: their names, what the header of an overlay
// says of a backing image ([ParseBacking], [ReadRecord]), parts of files ([Slice]),
// where the bytes of an image are ([Extent]), and how an image is opened ([Opener],
// [FileOpener]).
//
// A source is libvirt.org/go/libvirtxml's DomainDiskSource, as everywhere in this
// module. Names are read as libvirt 9.0 reads them. Nothing is opened but by an
// Opener, and nothing that an image names is looked at.
package storage

import (
	"encoding/xml"
	"strconv"
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
// stat says so, else "file" (virStorageSourceNewFromBackingAbsolute, 9.0).
func LocalSource(path string, block bool) *libvirtxml.DomainDiskSource {
	if block {
		return &libvirtxml.DomainDiskSource{Block: &libvirtxml.DomainDiskSourceBlock{Dev: path}}
	}
	return &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: path}}
}

// Describe names a source for people: its quoted path, or its kind and quoted
// name. Credentials never appear.
func Describe(src *libvirtxml.DomainDiskSource) string {
	if path, ok := LocalPath(src); ok {
		return strconv.Quote(path)
	}
	switch {
	case src == nil:
		return "an empty source"
	case src.File != nil && src.File.FDGroup != "":
		return "the descriptor group " + strconv.Quote(src.File.FDGroup)
	case src.Network != nil:
		return "the " + strconv.Quote(src.Network.Protocol) + " source " + strconv.Quote(src.Network.Name)
	case src.Volume != nil:
		return "the volume " + strconv.Quote(src.Volume.Volume) + " of the pool " + strconv.Quote(src.Volume.Pool)
	case src.Dir != nil:
		return "the directory " + strconv.Quote(src.Dir.Dir)
	case src.NVME != nil:
		return "an nvme device"
	case src.VHostUser != nil, src.VHostVDPA != nil:
		return "a vhost device"
	}
	return "an empty source"
}

// Representable reports whether a domain XML can carry s through libvirt
// unchanged. libvirt drops most control characters on output and prints tabs
// and line ends raw, which the next reader turns into spaces (9.0); XML has no
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

// Fragment prints a part of libvirt's XML on one line.
func Fragment(v any, name string) string {
	var text strings.Builder
	e := xml.NewEncoder(&text)
	if err := e.EncodeElement(v, xml.StartElement{Name: xml.Name{Local: name}}); err != nil {
		return "<" + name + ">"
	}
	return text.String()
}
