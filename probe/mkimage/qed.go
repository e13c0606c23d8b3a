package mkimage

import (
	"encoding/binary"
	"io"
)

// QED describes a qed image.
type QED struct {
	ClusterBits uint   // 12 to 20; 0 means 16
	VirtualSize uint64 // bytes that the guest sees, a multiple of 512
	Backing     string // the backing image's name, at most 4095 bytes; "" for none
	NoProbe     bool   // the backing image is recorded as raw; otherwise QEMU probes it
	Data        []byte // the guest's first bytes
}

// WriteTo writes the image to w. It fails if the description exceeds a limit
// of the format, or with w's error.
func (q QED) WriteTo(w io.Writer) (int64, error) {
	b, err := q.Bytes()
	return writeTo(w, b, err)
}

// Bytes returns the image. See [QED.WriteTo] for errors.
func (q QED) Bytes() ([]byte, error) {
	if q.ClusterBits == 0 {
		q.ClusterBits = 16
	}
	l, err := newLayout("qed", q.ClusterBits, 12, 20)
	if err != nil {
		return nil, err
	}
	if len(q.Backing) > 4095 {
		return nil, l.errorf("backing name of %d bytes", len(q.Backing))
	}
	if q.VirtualSize%512 != 0 {
		return nil, l.errorf("virtual size %d is not a multiple of 512", q.VirtualSize)
	}
	// Both levels have tables of 4 clusters, as QEMU makes them.
	const tableSize = 4
	tableBytes := tableSize * l.cluster
	perTable := tableBytes / 8
	disk := guest{q.VirtualSize, q.Data}
	if err := disk.check(l, product(perTable*perTable, l.cluster)); err != nil {
		return nil, err
	}
	dataClusters := disk.clusters(l)
	l2Tables := ceil(dataClusters, perTable)

	const headerSize = 64
	l.take(headerSize + uint64(len(q.Backing)))
	l1 := l.take(tableBytes) // the header ends where it starts
	l2 := l.take(l2Tables * tableBytes)
	data := l.take(dataClusters * l.cluster)
	if err := l.alloc(); err != nil {
		return nil, err
	}

	var features uint64
	if q.Backing != "" {
		features |= 1 << 0
		if q.NoProbe {
			features |= 1 << 2
		}
	}
	le := binary.LittleEndian
	h := []byte("QED\x00")
	h = le.AppendUint32(h, uint32(l.cluster))
	h = le.AppendUint32(h, tableSize)
	h = le.AppendUint32(h, uint32(l1/l.cluster))
	h = le.AppendUint64(h, features)
	h = le.AppendUint64(h, 0) // compatible features
	h = le.AppendUint64(h, 0) // autoclear features
	h = le.AppendUint64(h, l1)
	h = le.AppendUint64(h, q.VirtualSize)
	h = le.AppendUint32(h, headerSize) // backing_filename_offset
	h = le.AppendUint32(h, uint32(len(q.Backing)))
	l.put(0, append(h, q.Backing...))
	for i := range l2Tables {
		l.le64(l1+i*8, l2+i*tableBytes)
	}
	for i := range dataClusters {
		l.le64(l2+i*8, data+i*l.cluster)
	}
	l.put(data, q.Data)
	return l.b, nil
}
