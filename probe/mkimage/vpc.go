package mkimage

import (
	"encoding/binary"
	"io"
	"unicode/utf16"
)

// VPC describes an image of Microsoft's VHD format. Its footer names Hyper-V
// as the creator, so the size of the disk does not depend on the geometry.
type VPC struct {
	VirtualSize uint64 // bytes that the guest sees, a multiple of 512, at most 2040 GiB
	Fixed       bool   // all bytes of the disk, and a footer, instead of a dynamic image
	// Parent makes it a differencing image: it is the parent's name, at most 256
	// units of UTF-16. QEMU does not look for a parent.
	Parent string
	Data   []byte // the guest's first bytes
}

const (
	vpcBlock  = 64 << 10
	vpcFooter = 512
)

// WriteTo writes the image to w. It fails if the description exceeds a limit
// of the format, or with w's error.
func (v VPC) WriteTo(w io.Writer) (int64, error) {
	b, err := v.Bytes()
	return writeTo(w, b, err)
}

// Bytes returns the image. See [VPC.WriteTo] for errors.
func (v VPC) Bytes() ([]byte, error) {
	const sectorBits = 9
	l, err := newLayout("vpc", sectorBits, sectorBits, sectorBits)
	if err != nil {
		return nil, err
	}
	if v.VirtualSize%512 != 0 {
		return nil, l.errorf("virtual size %d is not a multiple of 512", v.VirtualSize)
	}
	disk := guest{v.VirtualSize, v.Data}
	if err := disk.check(l, 2040<<30); err != nil {
		return nil, err
	}
	if v.Fixed {
		if v.Parent != "" {
			return nil, l.errorf("a fixed image has no parent")
		}
		l.take(disk.size)
		footer := l.take(vpcFooter)
		if err := l.alloc(); err != nil {
			return nil, err
		}
		l.put(0, v.Data)
		l.put(footer, v.footer(2))
		return l.b, nil
	}
	return v.dynamic(l, disk)
}

func (v VPC) dynamic(l *layout, disk guest) ([]byte, error) {
	const (
		headerSize = 1024
		bitmap     = 512
	)
	parent := utf16.Encode([]rune(v.Parent))
	if len(parent) > 256 {
		return nil, l.errorf("parent name of %d units", len(parent))
	}
	kind := uint32(3)
	if v.Parent != "" {
		kind = 4
	}
	entries := ceil(disk.size, vpcBlock)
	blocks := ceil(uint64(len(v.Data)), vpcBlock)
	l.take(vpcFooter)
	header := l.take(headerSize)
	table := l.take(entries * 4)
	data := l.take(blocks * (bitmap + vpcBlock))
	end := l.take(vpcFooter)
	if err := l.alloc(); err != nil {
		return nil, err
	}
	footer := v.footer(kind)
	l.put(0, footer)
	l.put(end, footer)

	be := binary.BigEndian
	h := []byte("cxsparse")
	h = be.AppendUint64(h, 1<<64-1) // Data Offset: none
	h = be.AppendUint64(h, table)
	h = be.AppendUint32(h, 0x10000)
	h = be.AppendUint32(h, uint32(entries))
	h = be.AppendUint32(h, vpcBlock)
	h = append(h, make([]byte, headerSize-len(h))...)
	for i, unit := range parent {
		be.PutUint16(h[64+2*i:], unit)
	}
	be.PutUint32(h[36:], vpcChecksum(h))
	l.put(header, h)
	for i := range entries {
		block := uint32(0xffffffff)
		if at := data + i*(bitmap+vpcBlock); i < blocks {
			block = uint32(at / 512)
			for j := range uint64(vpcBlock / 512 / 8) {
				l.b[at+j] = 0xff // every sector is there
			}
			l.put(at+bitmap, v.Data[i*vpcBlock:min((i+1)*vpcBlock, uint64(len(v.Data)))])
		}
		be.PutUint32(l.b[table+i*4:], block)
	}
	return l.b, nil
}

// footer has the largest geometry there is, which says nothing.
func (v VPC) footer(kind uint32) []byte {
	be := binary.BigEndian
	h := []byte("conectix")
	h = be.AppendUint32(h, 2)       // Features: a reserved bit that is set always
	h = be.AppendUint32(h, 0x10000) // File Format Version
	if kind == 2 {
		h = be.AppendUint64(h, 1<<64-1)
	} else {
		h = be.AppendUint64(h, vpcFooter) // Data Offset
	}
	h = be.AppendUint32(h, 0) // Time Stamp
	h = append(h, "win \x00\x0a\x00\x00Wi2k"...)
	h = be.AppendUint64(h, v.VirtualSize)
	h = be.AppendUint64(h, v.VirtualSize)
	h = be.AppendUint16(h, 65535)
	h = append(h, 16, 255)
	h = be.AppendUint32(h, kind)
	h = be.AppendUint32(h, 0) // Checksum
	h = append(h, "uuid of an image"...)
	h = append(h, make([]byte, vpcFooter-len(h))...)
	be.PutUint32(h[64:], vpcChecksum(h))
	return h
}

// vpcChecksum takes bytes whose own checksum is 0.
func vpcChecksum(b []byte) uint32 {
	var sum uint32
	for _, c := range b {
		sum += uint32(c)
	}
	return ^sum
}
