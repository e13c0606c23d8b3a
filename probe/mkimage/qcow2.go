package mkimage

import (
	"bytes"
	"encoding/binary"
	"io"
)

// The header extensions that [Qcow2] writes by itself (QEMU's
// docs/interop/qcow2.txt).
const (
	ExtBackingFormat uint32 = 0xE2792ACA
	ExtDataFile      uint32 = 0x44415441
)

// Qcow2 describes a qcow2 image.
type Qcow2 struct {
	Version     int    // 2 or 3; 0 means 3
	ClusterBits uint   // 9 to 21; 0 means 16
	VirtualSize uint64 // bytes that the guest sees, at most what 32 MiB of L1 table map

	Backing string // the backing image's name, at most 1023 bytes; "" for none
	// BackingFormat is recorded for the backing image, at most 15 bytes; ""
	// records none. (An Extension of type ExtBackingFormat without data
	// records an empty one.)
	BackingFormat string

	// DataFile names an external data file; version 3 only. The image then
	// holds no Data itself, and nothing of the file is mapped.
	DataFile string

	Data       []byte      // the guest's first bytes
	Extensions []Extension // written after the image's own, in order
}

// Extension is a header extension, which is padded as the format requires.
type Extension struct {
	Type uint32
	Data []byte
}

// WriteTo writes the image to w. It fails if the description exceeds a limit
// of the format, or with w's error.
func (q Qcow2) WriteTo(w io.Writer) (int64, error) {
	b, err := q.Bytes()
	return writeTo(w, b, err)
}

// Bytes returns the image. See [Qcow2.WriteTo] for errors.
func (q Qcow2) Bytes() ([]byte, error) {
	if q.Version == 0 {
		q.Version = 3
	}
	if q.ClusterBits == 0 {
		q.ClusterBits = 16
	}
	l, err := newLayout("qcow2", q.ClusterBits, 9, 21)
	if err != nil {
		return nil, err
	}
	if err := q.check(l); err != nil {
		return nil, err
	}

	const maxL1 = 32 << 20
	disk := guest{q.VirtualSize, q.Data}
	perTable := l.cluster / 8                // L2 entries
	perEntry := product(perTable, l.cluster) // bytes that an L1 entry maps
	if err := disk.check(l, product(perEntry, maxL1/8)); err != nil {
		return nil, err
	}
	l1Entries := ceil(disk.size, perEntry)
	dataClusters := disk.clusters(l)
	l2Tables := ceil(dataClusters, perTable)

	l.take(l.cluster) // the header's
	l1 := l.take(l1Entries * 8)
	l2 := l.take(l2Tables * l.cluster)
	data := l.take(dataClusters * l.cluster)
	refTable, refTableClusters, refBlocks := q.takeRefcounts(l)
	if err := l.alloc(); err != nil {
		return nil, err
	}

	const copied = 1 << 63 // set where the refcount is 1
	for i := range l2Tables {
		l.be64(l1+i*8, l2+i*l.cluster|copied)
	}
	for i := range dataClusters {
		l.be64(l2+i*8, data+i*l.cluster|copied)
	}
	l.put(data, q.Data)
	for i := range ceil(l.size/l.cluster, l.cluster/2) {
		l.be64(refTable+i*8, refBlocks+i*l.cluster)
	}
	for i := range l.size / l.cluster {
		binary.BigEndian.PutUint16(l.b[refBlocks+i*2:], 1)
	}
	if err := q.putHeader(l, uint32(l1Entries), l1, refTable, uint32(refTableClusters)); err != nil {
		return nil, err
	}
	return l.b, nil
}

func (q Qcow2) check(l *layout) error {
	switch {
	case q.Version != 2 && q.Version != 3:
		return l.errorf("version %d", q.Version)
	case len(q.Backing) > 1023:
		return l.errorf("backing name of %d bytes", len(q.Backing))
	case len(q.BackingFormat) > 15:
		return l.errorf("backing format of %d bytes", len(q.BackingFormat))
	case q.DataFile != "" && q.Version == 2:
		return l.errorf("version 2 has no data file")
	case q.DataFile != "" && len(q.Data) > 0:
		return l.errorf("data does not go into an image with a data file")
	}
	return nil
}

// takeRefcounts reserves a refcount table and the blocks of 16-bit counts that
// cover the whole image, themselves included.
func (q Qcow2) takeRefcounts(l *layout) (table, tableClusters, blocks uint64) {
	used := l.size / l.cluster
	var n uint64 // blocks
	for {
		tableClusters = ceil(n*8, l.cluster)
		need := ceil(used+tableClusters+n, l.cluster/2)
		if need == n {
			break
		}
		n = need
	}
	return l.take(tableClusters * l.cluster), tableClusters, l.take(n * l.cluster)
}

// putHeader writes the first cluster: header, extensions, backing name.
func (q Qcow2) putHeader(l *layout, l1Entries uint32, l1, refTable uint64, refTableClusters uint32) error {
	be := binary.BigEndian
	h := []byte("QFI\xfb")
	h = be.AppendUint32(h, uint32(q.Version))
	h = be.AppendUint64(h, 0) // backing_file_offset: below
	h = be.AppendUint32(h, uint32(len(q.Backing)))
	h = be.AppendUint32(h, uint32(q.ClusterBits))
	h = be.AppendUint64(h, q.VirtualSize)
	h = be.AppendUint32(h, 0) // crypt_method
	h = be.AppendUint32(h, l1Entries)
	h = be.AppendUint64(h, l1)
	h = be.AppendUint64(h, refTable)
	h = be.AppendUint32(h, refTableClusters)
	h = be.AppendUint32(h, 0) // nb_snapshots
	h = be.AppendUint64(h, 0) // snapshots_offset
	if q.Version == 3 {
		var incompatible uint64
		if q.DataFile != "" {
			incompatible = 1 << 2
		}
		h = be.AppendUint64(h, incompatible)
		h = be.AppendUint64(h, 0)   // compatible_features
		h = be.AppendUint64(h, 0)   // autoclear_features
		h = be.AppendUint32(h, 4)   // refcount_order: 16 bits
		h = be.AppendUint32(h, 112) // header_length
		h = be.AppendUint64(h, 0)   // compression_type: zlib
	}

	var extensions []Extension
	if q.BackingFormat != "" {
		extensions = append(extensions, Extension{ExtBackingFormat, []byte(q.BackingFormat)})
	}
	if q.DataFile != "" {
		extensions = append(extensions, Extension{ExtDataFile, []byte(q.DataFile)})
	}
	extensions = append(extensions, q.Extensions...)
	extensions = append(extensions, Extension{}) // the end
	for _, ext := range extensions {
		h = be.AppendUint32(h, ext.Type)
		h = be.AppendUint32(h, uint32(len(ext.Data)))
		h = append(h, ext.Data...)
		h = append(h, bytes.Repeat([]byte{0}, -len(ext.Data)&7)...)
	}
	if q.Backing != "" {
		be.PutUint64(h[8:], uint64(len(h)))
		h = append(h, q.Backing...)
	}
	if uint64(len(h)) > l.cluster {
		return l.errorf("a header of %d bytes does not fit in a cluster", len(h))
	}
	l.put(0, h)
	return nil
}
