package mkimage

import (
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"unicode/utf16"
)

// VHDX describes a dynamic VHDX image, or one that differs from a parent.
type VHDX struct {
	BlockBits   uint   // 20 to 28; 0 means 20
	VirtualSize uint64 // bytes that the guest sees, a multiple of 512, at most 64 TiB
	// Parent is the relative path of the parent image, which is a VHDX too,
	// in UTF-8, at most 16384 UTF-16 units long; "" for none.
	Parent string
	Data   []byte // the guest's first bytes
}

// Every image has the same identity. The linkage of a differencing image is
// its parent's vhdxDataWrite, so that it holds for parents from here.
const (
	vhdxFileWrite = "{f11e0000-0000-4000-8000-000000000001}"
	vhdxDataWrite = "{da7a0000-0000-4000-8000-000000000001}"
	vhdxDiskID    = "{d15c0000-0000-4000-8000-000000000001}"
)

// WriteTo writes the image to w. It fails if the description exceeds a limit
// of the format, or with w's error.
func (v VHDX) WriteTo(w io.Writer) (int64, error) {
	b, err := v.Bytes()
	return writeTo(w, b, err)
}

// Bytes returns the image. See [VHDX.WriteTo] for errors.
func (v VHDX) Bytes() ([]byte, error) {
	if v.BlockBits == 0 {
		v.BlockBits = 20
	}
	l, err := newLayout("vhdx", v.BlockBits, 20, 28)
	if err != nil {
		return nil, err
	}
	block := l.cluster
	l.cluster = 1 << 20 // the unit in which everything but the blocks is laid out
	if v.VirtualSize%512 != 0 {
		return nil, l.errorf("virtual size %d is not a multiple of 512", v.VirtualSize)
	}
	parent := utf16.Encode([]rune(v.Parent))
	if len(parent) > 16384 {
		return nil, l.errorf("parent name of %d UTF-16 units", len(parent))
	}
	disk := guest{v.VirtualSize, v.Data}
	if err := disk.check(l, 64<<40); err != nil {
		return nil, err
	}

	// An entry for a sector bitmap follows each chunk of blocks.
	chunk := 1 << 32 / block
	blocks := ceil(disk.size, block)
	entries := max(blocks, 1) - 1
	entries = entries + entries/chunk + 1
	if v.Parent != "" {
		entries = ceil(max(blocks, 1), chunk) * (chunk + 1)
	}
	if blocks == 0 {
		entries = 1 << 32 / chunk // which QEMU wants of an empty disk
	}

	l.take(l.cluster) // headers and region tables
	log := l.take(l.cluster)
	metadata := l.take(l.cluster)
	bat := l.take(entries * 8)
	dataBlocks := ceil(uint64(len(v.Data)), block)
	batSize := l.size - bat
	data := l.take(dataBlocks * block)
	if err := l.alloc(); err != nil {
		return nil, err
	}

	l.put(0, append([]byte("vhdxfile"), utf16le("chainfix")...))
	for i := range uint64(2) {
		l.vhdxHeader(64<<10*(i+1), i+1, log)
		l.vhdxRegions(64<<10*(i+3), bat, batSize, metadata)
	}
	l.vhdxMetadata(metadata, v, uint32(block))
	const fullyPresent = 6
	for i := range dataBlocks {
		l.le64(bat+(i+i/chunk)*8, data+i*block|fullyPresent)
	}
	l.put(data, v.Data)
	return l.b, nil
}

// vhdxHeader writes a header that says that the log is empty.
func (l *layout) vhdxHeader(at, sequence, log uint64) {
	le := binary.LittleEndian
	h := make([]byte, 4096)
	copy(h, "head")
	le.PutUint64(h[8:], sequence)
	copy(h[16:], guid(vhdxFileWrite))
	copy(h[32:], guid(vhdxDataWrite))
	le.PutUint16(h[66:], 1) // version
	le.PutUint32(h[68:], 1<<20)
	le.PutUint64(h[72:], log)
	l.putSummed(at, h)
}

func (l *layout) vhdxRegions(at, bat, batSize, metadata uint64) {
	le := binary.LittleEndian
	t := make([]byte, 64<<10)
	copy(t, "regi")
	le.PutUint32(t[8:], 2)
	for i, r := range []struct {
		guid      string
		off, size uint64
	}{
		{"{2dc27766-f623-4200-9d64-115e9bfd4a08}", bat, batSize},
		{"{8b7ca206-4790-4b9a-b8fe-575f050f886e}", metadata, 1 << 20},
	} {
		e := t[16+i*32:]
		copy(e, guid(r.guid))
		le.PutUint64(e[16:], r.off)
		le.PutUint32(e[24:], uint32(r.size))
		le.PutUint32(e[28:], 1) // required
	}
	l.putSummed(at, t)
}

// vhdxMetadata writes the metadata table, and the items 64 KiB after it.
func (l *layout) vhdxMetadata(at uint64, v VHDX, block uint32) {
	const (
		virtualDisk = 1 << 1
		required    = 1 << 2
		hasParent   = 1 << 1
	)
	le := binary.LittleEndian
	var flags uint32
	if v.Parent != "" {
		flags = hasParent
	}
	items := []struct {
		guid  string
		flags uint32
		data  []byte
	}{
		{"{caa16737-fa36-4d43-b3b6-33f0aa44e76b}", required, le.AppendUint32(le.AppendUint32(nil, block), flags)},
		{"{2fa54224-cd1b-4876-b211-5dbed83bf4b8}", required | virtualDisk, le.AppendUint64(nil, v.VirtualSize)},
		{"{beca12ab-b2e6-4523-93ef-c309e000c746}", required | virtualDisk, guid(vhdxDiskID)},
		{"{8141bf1d-a96f-4709-ba47-f233a8faab5f}", required | virtualDisk, le.AppendUint32(nil, 512)},
		{"{cda348c7-445d-4471-9cc9-e9885251c556}", required | virtualDisk, le.AppendUint32(nil, 4096)},
		{"{a8d35f2d-b30b-454d-abf7-d3d84834ab0c}", required, vhdxLocator(v.Parent)},
	}
	if v.Parent == "" {
		items = items[:5]
	}
	table := le.AppendUint16([]byte("metadata\x00\x00"), uint16(len(items)))
	table = append(table, make([]byte, 20)...)
	off := uint64(64 << 10)
	for _, item := range items {
		table = append(table, guid(item.guid)...)
		table = le.AppendUint32(table, uint32(off))
		table = le.AppendUint32(table, uint32(len(item.data)))
		table = le.AppendUint32(table, item.flags)
		table = le.AppendUint32(table, 0)
		l.put(at+off, item.data)
		off += ceil(uint64(len(item.data)), 16) * 16
	}
	l.put(at, table)
}

// vhdxLocator is a parent locator of two pairs: how to know the parent, and how
// to find it.
func vhdxLocator(parent string) []byte {
	le := binary.LittleEndian
	pairs := [][]byte{utf16le("parent_linkage"), utf16le(vhdxDataWrite), utf16le("relative_path"), utf16le(parent)}
	b := guid("{b04aefb7-d19e-4a81-b789-25b8e9445913}")
	b = le.AppendUint32(b, uint32(len(pairs)/2)<<16)
	off := len(b) + len(pairs)/2*12
	for i := 0; i < len(pairs); i += 2 {
		key, value := pairs[i], pairs[i+1]
		b = le.AppendUint32(b, uint32(off))
		b = le.AppendUint32(b, uint32(off+len(key)))
		b = le.AppendUint16(b, uint16(len(key)))
		b = le.AppendUint16(b, uint16(len(value)))
		off += len(key) + len(value)
	}
	for _, s := range pairs {
		b = append(b, s...)
	}
	return b
}

// putSummed writes b, with its CRC-32C at 4.
func (l *layout) putSummed(at uint64, b []byte) {
	binary.LittleEndian.PutUint32(b[4:], crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	l.put(at, b)
}

func utf16le(s string) []byte {
	var b []byte
	for _, unit := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, unit)
	}
	return b
}

// guid returns a GUID as Microsoft's formats store it: its first three groups
// little-endian, the rest byte by byte.
func guid(s string) []byte {
	b, err := hex.DecodeString(strings.NewReplacer("{", "", "}", "", "-", "").Replace(s))
	if err != nil {
		panic(err) // a constant of this package
	}
	for _, group := range [][]byte{b[0:4], b[4:6], b[6:8]} {
		slices.Reverse(group)
	}
	return b
}
