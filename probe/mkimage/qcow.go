package mkimage

import (
	"encoding/binary"
	"io"
)

// Qcow describes an image of the first qcow format, which has no place for the
// backing image's format.
type Qcow struct {
	ClusterBits uint   // 9 to 16; 0 means 12
	VirtualSize uint64 // bytes that the guest sees, from 2 up to what 32 MiB of L1 table map
	Backing     string // the backing image's name, at most 1023 bytes; "" for none
	Data        []byte // the guest's first bytes
}

// WriteTo writes the image to w. It fails if the description exceeds a limit
// of the format, or with w's error.
func (q Qcow) WriteTo(w io.Writer) (int64, error) {
	b, err := q.Bytes()
	return writeTo(w, b, err)
}

// Bytes returns the image. See [Qcow.WriteTo] for errors.
func (q Qcow) Bytes() ([]byte, error) {
	if q.ClusterBits == 0 {
		q.ClusterBits = 12
	}
	l, err := newLayout("qcow", q.ClusterBits, 9, 16)
	if err != nil {
		return nil, err
	}
	if len(q.Backing) > 1023 {
		return nil, l.errorf("backing name of %d bytes", len(q.Backing))
	}
	if q.VirtualSize < 2 {
		return nil, l.errorf("virtual size %d is less than 2", q.VirtualSize)
	}
	// An L2 table takes one cluster here; QEMU (block/qcow.c) sets no limit
	// of the L1 table that matters for small images.
	const maxL1 = 32 << 20
	disk := guest{q.VirtualSize, q.Data}
	perTable := l.cluster / 8
	perEntry := product(perTable, l.cluster)
	if err := disk.check(l, product(perEntry, maxL1/8)); err != nil {
		return nil, err
	}
	dataClusters := disk.clusters(l)
	l2Tables := ceil(dataClusters, perTable)

	be := binary.BigEndian
	h := []byte("QFI\xfb")
	h = be.AppendUint32(h, 1)
	h = be.AppendUint64(h, 0) // backing_file_offset: below
	h = be.AppendUint32(h, uint32(len(q.Backing)))
	h = be.AppendUint32(h, 0) // mtime
	h = be.AppendUint64(h, q.VirtualSize)
	h = append(h, byte(q.ClusterBits), byte(q.ClusterBits-3), 0, 0)
	h = be.AppendUint32(h, 0) // crypt_method
	h = be.AppendUint64(h, 0) // l1_table_offset: below
	if q.Backing != "" {
		be.PutUint64(h[8:], uint64(len(h)))
		h = append(h, q.Backing...)
	}

	l.take(uint64(len(h)))
	l1 := l.take(ceil(disk.size, perEntry) * 8)
	l2 := l.take(l2Tables * l.cluster)
	data := l.take(dataClusters * l.cluster)
	if err := l.alloc(); err != nil {
		return nil, err
	}
	be.PutUint64(h[40:], l1)
	l.put(0, h)
	for i := range l2Tables {
		l.be64(l1+i*8, l2+i*l.cluster)
	}
	for i := range dataClusters {
		l.be64(l2+i*8, data+i*l.cluster)
	}
	l.put(data, q.Data)
	return l.b, nil
}
