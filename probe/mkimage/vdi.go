package mkimage

import (
	"encoding/binary"
	"io"
)

// VDI describes an image of VirtualBox's format.
type VDI struct {
	VirtualSize uint64 // bytes that the guest sees, a multiple of 512
	Fixed       bool   // every block is allocated, so the image is as large as the disk
	// Differencing gives the image a parent's UUID. QEMU then refuses it.
	Differencing bool
	Data         []byte // the guest's first bytes, in blocks of 1 MiB
}

// WriteTo writes the image to w. It fails if the description exceeds a limit
// of the format, or with w's error.
func (v VDI) WriteTo(w io.Writer) (int64, error) {
	b, err := v.Bytes()
	return writeTo(w, b, err)
}

// Bytes returns the image. See [VDI.WriteTo] for errors.
func (v VDI) Bytes() ([]byte, error) {
	const (
		sectorBits = 9
		headerSize = 512
		block      = 1 << 20
		maxBlocks  = (1<<31 - 512) / 4
	)
	l, err := newLayout("vdi", sectorBits, sectorBits, sectorBits)
	if err != nil {
		return nil, err
	}
	if v.VirtualSize%512 != 0 {
		return nil, l.errorf("virtual size %d is not a multiple of 512", v.VirtualSize)
	}
	if v.Fixed && v.Differencing {
		return nil, l.errorf("a fixed image has no parent")
	}
	disk := guest{v.VirtualSize, v.Data}
	if err := disk.check(l, product(block, maxBlocks)); err != nil {
		return nil, err
	}
	blocks := ceil(disk.size, block)
	allocated := ceil(uint64(len(v.Data)), block)
	kind := uint32(1)
	switch {
	case v.Fixed:
		kind, allocated = 2, blocks
	case v.Differencing:
		kind = 4
	}
	l.take(headerSize)
	blockMap := l.take(blocks * 4)
	data := l.take(0)
	l.take(product(allocated, block))
	if err := l.alloc(); err != nil {
		return nil, err
	}

	le := binary.LittleEndian
	h := make([]byte, headerSize)
	copy(h, "<<< chainfix mkimage >>>\n")
	for _, field := range []struct{ at, value uint32 }{
		{64, 0xbeda107f}, // u32Signature
		{68, 0x00010001}, // u32Version
		{72, 400},        // cbHeader
		{76, kind},
		{340, uint32(blockMap)},
		{344, uint32(data)},
		{360, 512},   // cbSector
		{376, block}, // cbBlock
		{384, uint32(blocks)},
		{388, uint32(allocated)},
	} {
		le.PutUint32(h[field.at:], field.value)
	}
	le.PutUint64(h[368:], disk.size)
	copy(h[392:], "uuid of an image")
	copy(h[408:], "uuid of its time")
	if v.Differencing {
		copy(h[424:], "uuid of a parent")
		copy(h[440:], "uuid of its time")
	}
	l.put(0, h)
	for i := range blocks {
		to := uint32(i)
		if i >= allocated {
			to = 0xffffffff
		}
		le.PutUint32(l.b[blockMap+i*4:], to)
	}
	l.put(data, v.Data)
	return l.b, nil
}
