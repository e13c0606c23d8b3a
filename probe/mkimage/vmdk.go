package mkimage

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

const vmdkSector = 512

// VMDK describes a vmdk image of type monolithicSparse. All have the same CID,
// so any of them may be the backing image of any other.
type VMDK struct {
	VirtualSize uint64 // bytes that the guest sees, a multiple of 512 and not 0
	Backing     string // the parent's name, without a quote or a newline, at most 4095 bytes; "" for none
	Data        []byte // the guest's first bytes
}

// WriteTo writes the image to w. It fails if the description exceeds a limit
// of the format, or with w's error.
func (v VMDK) WriteTo(w io.Writer) (int64, error) {
	b, err := v.Bytes()
	return writeTo(w, b, err)
}

// Bytes returns the image. See [VMDK.WriteTo] for errors.
func (v VMDK) Bytes() ([]byte, error) {
	const (
		sectorBits     = 9
		grain          = 128 // sectors
		perTable       = 512 // entries of a grain table
		maxDirectory   = 32 << 20
		descriptorAt   = 1 // sector
		descriptorSize = 20
	)
	l, err := newLayout("vmdk", sectorBits, sectorBits, sectorBits)
	if err != nil {
		return nil, err
	}
	if v.VirtualSize == 0 || v.VirtualSize%vmdkSector != 0 {
		// In an image of size 0 the descriptor would count, and be refused.
		return nil, l.errorf("virtual size %d is not a multiple of 512 from 512 on", v.VirtualSize)
	}
	perEntry := uint64(perTable * grain * vmdkSector)
	disk := guest{v.VirtualSize, v.Data}
	if err := disk.check(l, product(perEntry, maxDirectory)); err != nil {
		return nil, err
	}
	// The image names itself as its only extent; nobody looks at the name.
	descriptor, err := VMDKDescriptor{
		CreateType: "monolithicSparse",
		Backing:    v.Backing,
		Extents:    []VMDKExtent{{Kind: "SPARSE", Sectors: v.VirtualSize / vmdkSector, Name: "image.vmdk"}},
	}.Bytes()
	if err != nil {
		return nil, err
	}
	if len(descriptor) > descriptorSize*vmdkSector {
		return nil, l.errorf("a descriptor of %d bytes does not fit in %d sectors", len(descriptor), descriptorSize)
	}

	entries := ceil(disk.size, perEntry)
	grains := ceil(uint64(len(v.Data)), grain*vmdkSector)
	tables := ceil(grains, perTable)
	l.take(vmdkSector)
	l.take(descriptorSize * vmdkSector)
	directory := l.take(entries * 4)
	table := l.take(tables * perTable * 4)
	data := l.take(0)
	l.take(grains * grain * vmdkSector)
	if err := l.alloc(); err != nil {
		return nil, err
	}

	le := binary.LittleEndian
	h := []byte("KDMV")
	h = le.AppendUint32(h, 1) // version
	h = le.AppendUint32(h, 1) // flags: the line ends below are valid
	h = le.AppendUint64(h, disk.size/vmdkSector)
	h = le.AppendUint64(h, grain)
	h = le.AppendUint64(h, descriptorAt)
	h = le.AppendUint64(h, descriptorSize)
	h = le.AppendUint32(h, perTable)
	h = le.AppendUint64(h, 0) // rgdOffset
	h = le.AppendUint64(h, directory/vmdkSector)
	h = le.AppendUint64(h, data/vmdkSector) // overHead
	h = append(h, "\x00\n \r\n\x00\x00"...) // uncleanShutdown, line ends, compressAlgorithm
	l.put(0, h)
	l.put(descriptorAt*vmdkSector, descriptor)
	for i := range tables {
		le.PutUint32(l.b[directory+i*4:], uint32(table/vmdkSector+i*(perTable*4/vmdkSector)))
	}
	for i := range grains {
		le.PutUint32(l.b[table+i*4:], uint32(data/vmdkSector+i*grain))
	}
	l.put(data, v.Data)
	return l.b, nil
}

// VMDKDescriptor describes a vmdk image that is only text: other files have the data.
type VMDKDescriptor struct {
	CreateType string // "" means monolithicFlat
	Backing    string // as in [VMDK]
	Extents    []VMDKExtent
}

// VMDKExtent is a file that holds a part of the guest's disk.
type VMDKExtent struct {
	Kind    string // FLAT, SPARSE, VMFS, VMFSSPARSE or SESPARSE; "" means FLAT
	Sectors uint64 // of 512 bytes
	Name    string // at most 511 bytes, without a quote or a newline
	Offset  uint64 // of FLAT: where the part starts in the file, in sectors
}

// WriteTo writes the image to w. It fails if the description exceeds a limit
// of the format, or with w's error.
func (d VMDKDescriptor) WriteTo(w io.Writer) (int64, error) {
	b, err := d.Bytes()
	return writeTo(w, b, err)
}

// Bytes returns the image. See [VMDKDescriptor.WriteTo] for errors.
func (d VMDKDescriptor) Bytes() ([]byte, error) {
	const cid = "fffffffe"
	if d.CreateType == "" {
		d.CreateType = "monolithicFlat"
	}
	if len(d.CreateType) > 127 || !vmdkQuotable(d.CreateType) {
		return nil, fmt.Errorf("vmdk: createType %q", d.CreateType)
	}
	if len(d.Backing) > 4095 || !vmdkQuotable(d.Backing) {
		return nil, fmt.Errorf("vmdk: backing name %q of %d bytes", d.Backing, len(d.Backing))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# Disk DescriptorFile\nversion=1\nCID=%s\n", cid)
	if d.Backing == "" {
		b.WriteString("parentCID=ffffffff\n")
	} else {
		fmt.Fprintf(&b, "parentCID=%s\nparentFileNameHint=\"%s\"\n", cid, d.Backing)
	}
	fmt.Fprintf(&b, "createType=\"%s\"\n\n# Extent description\n", d.CreateType)
	for _, e := range d.Extents {
		if len(e.Name) > 511 || !vmdkQuotable(e.Name) || e.Name == "" {
			return nil, fmt.Errorf("vmdk: extent name %q of %d bytes", e.Name, len(e.Name))
		}
		switch e.Kind {
		case "", "FLAT":
			fmt.Fprintf(&b, "RW %d FLAT \"%s\" %d\n", e.Sectors, e.Name, e.Offset)
		case "SPARSE", "VMFS", "VMFSSPARSE", "SESPARSE":
			fmt.Fprintf(&b, "RW %d %s \"%s\"\n", e.Sectors, e.Kind, e.Name)
		default:
			return nil, fmt.Errorf("vmdk: extent kind %q", e.Kind)
		}
	}
	b.WriteString("\n# The Disk Data Base\n#DDB\n\nddb.adapterType = \"ide\"\n")
	return []byte(b.String()), nil
}

// vmdkQuotable tells whether a text may stand between a descriptor's quotes.
func vmdkQuotable(s string) bool { return !strings.ContainsAny(s, "\"\r\n\x00") }
