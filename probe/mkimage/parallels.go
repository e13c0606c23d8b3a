package mkimage

import (
	"encoding/binary"
	"io"
)

// Parallels describes a Parallels image.
type Parallels struct {
	ClusterBits uint   // 12 to 20; 0 means 16
	VirtualSize uint64 // bytes that the guest sees, a multiple of 512
	Data        []byte // the guest's first bytes
}

// WriteTo writes the image to w. It fails if the description exceeds a limit
// of the format, or with w's error.
func (p Parallels) WriteTo(w io.Writer) (int64, error) {
	b, err := p.Bytes()
	return writeTo(w, b, err)
}

// Bytes returns the image. See [Parallels.WriteTo] for errors.
func (p Parallels) Bytes() ([]byte, error) {
	if p.ClusterBits == 0 {
		p.ClusterBits = 16
	}
	l, err := newLayout("parallels", p.ClusterBits, 12, 20)
	if err != nil {
		return nil, err
	}
	if p.VirtualSize%512 != 0 {
		return nil, l.errorf("virtual size %d is not a multiple of 512", p.VirtualSize)
	}
	const (
		headerSize = 64
		maxEntries = 1 << 24
	)
	disk := guest{p.VirtualSize, p.Data}
	if err := disk.check(l, maxEntries*l.cluster); err != nil {
		return nil, err
	}
	entries := ceil(disk.size, l.cluster)
	l.take(headerSize + entries*4)
	data := l.take(disk.clusters(l) * l.cluster)
	if err := l.alloc(); err != nil {
		return nil, err
	}

	const heads, sectorsPerTrack = 16, 32 // the guest's geometry, which nothing hangs on
	sectors := disk.size / 512
	le := binary.LittleEndian
	h := []byte("WithouFreSpacExt")
	h = le.AppendUint32(h, 2) // version
	h = le.AppendUint32(h, heads)
	h = le.AppendUint32(h, uint32(sectors/heads/sectorsPerTrack))
	h = le.AppendUint32(h, uint32(l.cluster/512))
	h = le.AppendUint32(h, uint32(entries))
	h = le.AppendUint64(h, sectors)
	h = le.AppendUint32(h, 0) // in_use: closed
	h = le.AppendUint32(h, uint32(data/512))
	h = le.AppendUint32(h, 0) // flags
	h = le.AppendUint64(h, 0) // ext_off
	for i := range disk.clusters(l) {
		h = le.AppendUint32(h, uint32(data/l.cluster+i))
	}
	l.put(0, h)
	l.put(data, p.Data)
	return l.b, nil
}
