package probe

import (
	"encoding/binary"
	"math"
)

const (
	cloopMagic     = "#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n"
	cloopOffsetsAt = 136
	cloopMaxBlock  = 64 << 20
)

// readCloop reads version 2.0 of the format of cloop's create_compressed_fs,
// big-endian, with the checks of block/cloop.c (QEMU 7.2). It does not check
// the compressed blocks.
//
// QEMU checks the magic only when it probes. This package refuses an image
// that is stated to be cloop and lacks the magic.
func readCloop(m *image) (*Header, error) {
	if err := m.magic(cloopMagic); err != nil {
		return nil, err
	}
	b, err := m.prefix(cloopOffsetsAt, "header")
	if err != nil {
		return nil, err
	}
	blockSize := uint64(binary.BigEndian.Uint32(b[128:]))
	blocks := uint64(binary.BigEndian.Uint32(b[132:]))
	const maxOffsets = 512 << 20
	switch {
	case blockSize == 0 || blockSize%sectorSize != 0 || blockSize > cloopMaxBlock:
		return nil, m.corrupt("block_size", 128, "%d is not a multiple of 512 up to 64 MiB", blockSize)
	case (blocks+1)*8 > maxOffsets:
		return nil, m.corrupt("num_blocks", 132, "%d are too many", blocks)
	case blocks*(blockSize/sectorSize) > math.MaxUint32:
		// QEMU counts sectors in 32 bits and would truncate the number.
		return nil, m.corrupt("num_blocks", 132, "%d blocks of %d bytes are more than 2 TiB", blocks, blockSize)
	}
	// The blocks are contiguous: each ends where the next begins.
	offsets, err := m.at(cloopOffsetsAt, (blocks+1)*8, "offsets")
	if err != nil {
		return nil, err
	}
	for i := uint64(1); i <= blocks; i++ {
		at := int64(cloopOffsetsAt + i*8)
		begin, end := binary.BigEndian.Uint64(offsets[i*8-8:]), binary.BigEndian.Uint64(offsets[i*8:])
		if end < begin || end-begin > 2*cloopMaxBlock {
			return nil, m.corrupt("offsets", at, "block %d is said to be from %d to %d", i-1, begin, end)
		}
	}
	return &Header{
		Format:      Cloop,
		VirtualSize: blocks * blockSize,
		ClusterSize: blockSize,
	}, nil
}
