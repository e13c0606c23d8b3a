package probe

import (
	"encoding/binary"
	"io"
)

// ContentKind says whether a content suggests that an image is raw.
type ContentKind string

const (
	// GuestData is typical content of a guest's disk: partitions, a file system,
	// a volume. It suggests raw.
	GuestData ContentKind = "guest"
	// OddData rarely begins at the first byte of a disk: a compressed file or an
	// archive. It suggests an image inside of another file. (An encrypted disk
	// and the footer of a fixed VHD are formats: [Signatures] has them.)
	OddData ContentKind = "odd"
)

// Content is something that a raw image contains.
type Content struct {
	Name string // for messages: "GPT", "ext2, ext3 or ext4"
	Kind ContentKind
}

// contents has a line for each content: where it has its mark, in the first 4
// KiB (head), at 32769 (iso) or in the last sector (tail). The places and values
// are those of the formats' own documents; a mark of two bytes comes with more
// that must hold.
var contents = []struct {
	Content
	head, iso, tail test
}{
	{Content: Content{"MBR", GuestData},
		head: partitions(func(kind byte) bool { return kind != 0xee })},
	{Content: Content{"GPT", GuestData},
		// With sectors of 4096 bytes its header is out of reach, but not
		// the MBR that protects it. A copy is in the last sector.
		head: either(bytesAt(512, "EFI PART"), partitions(func(kind byte) bool { return kind == 0xee })),
		tail: bytesAt(0, "EFI PART")},
	{Content: Content{"ext2, ext3 or ext4", GuestData},
		head: ext},
	{Content: Content{"XFS", GuestData},
		head: both(bytesAt(0, "XFSB"), be32At(4, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536))},
	{Content: Content{"NTFS", GuestData},
		head: both(bytesAt(3, "NTFS    "), bytesAt(510, "\x55\xaa"))},
	{Content: Content{"FAT", GuestData},
		head: both(either(bytesAt(54, "FAT12   "), bytesAt(54, "FAT16   "), bytesAt(82, "FAT32   ")), bytesAt(510, "\x55\xaa"))},
	{Content: Content{"exFAT", GuestData},
		head: both(bytesAt(3, "EXFAT   "), bytesAt(510, "\x55\xaa"))},
	{Content: Content{"LVM2 physical volume", GuestData},
		head: either(lvm(0), lvm(512), lvm(1024), lvm(1536))},
	{Content: Content{"swap space", GuestData},
		// Of pages of 4 KiB.
		head: either(bytesAt(4086, "SWAPSPACE2"), bytesAt(4086, "SWAP-SPACE"))},
	{Content: Content{"squashfs", GuestData},
		head: both(bytesAt(0, "hsqs"), bytesAt(28, "\x04\x00"))},
	{Content: Content{"ISO 9660", GuestData},
		iso: bytesAt(0, isoMark)},

	{Content: Content{"gzip", OddData},
		head: bytesAt(0, "\x1f\x8b\x08")},
	{Content: Content{"xz", OddData},
		head: bytesAt(0, "\xfd7zXZ\x00")},
	{Content: Content{"zstd", OddData},
		head: bytesAt(0, "\x28\xb5\x2f\xfd")},
	{Content: Content{"bzip2", OddData},
		head: both(bytesAt(0, "BZh"), either(bytesAt(4, "1AY&SY"), bytesAt(4, "\x17\x72\x45\x38\x50\x90")))},
	{Content: Content{"lz4", OddData},
		head: bytesAt(0, "\x04\x22\x4d\x18")},
	{Content: Content{"zip", OddData},
		head: either(bytesAt(0, "PK\x03\x04"), bytesAt(0, "PK\x05\x06"))},
	{Content: Content{"7z", OddData},
		head: bytesAt(0, "7z\xbc\xaf\x27\x1c")},
	{Content: Content{"tar", OddData},
		head: either(bytesAt(257, "ustar\x0000"), bytesAt(257, "ustar  \x00"))},
}

// Contents returns what the image in r, which is size bytes long, holds if it
// is raw, by the marks of each content, in the order of the table. None proves
// nothing: the image may be empty, or its content may have no mark in the
// table.
//
// These are only hints. A guest can write each of these marks into its disk,
// and so can whoever made the image, in addition to the header of another
// format: an image with a partition table may be qcow2 to QEMU, and one with
// the mark of gzip may be a raw disk. [Signatures] says what QEMU and libvirt
// see.
//
// The reads are those of Signatures, three at most. An error is r's, wrapped.
func Contents(r io.ReaderAt, size int64) ([]Content, error) {
	b := samples.Get().(*sampleBuffer)
	defer samples.Put(b)
	s, err := takeSample(r, size, b)
	if err != nil {
		return nil, err
	}
	var found []Content
	for _, c := range contents {
		if c.head.in(s.libvirt) || c.iso.in(s.iso) || c.tail.in(s.tail) {
			found = append(found, c.Content)
		}
	}
	return found, nil
}

// partitions finds an MBR with a partition of such a kind. The boot sectors of
// file systems end like an MBR, but have code or text where its table is.
func partitions(of func(kind byte) bool) test {
	const table, entrySize = 446, 16
	return func(b []byte) bool {
		if !bytesAt(510, "\x55\xaa")(b) {
			return false
		}
		found := false
		for at := table; at < 510; at += entrySize {
			status, kind, sectors := b[at], b[at+4], binary.LittleEndian.Uint32(b[at+12:])
			if status != 0 && status != 0x80 {
				return false
			}
			found = found || kind != 0 && sectors != 0 && of(kind)
		}
		return found
	}
}

// ext finds the superblock of ext2 and its successors, at 1024.
func ext(b []byte) bool {
	const (
		logBlockSize = 1024 + 24 // at most 64 KiB
		magic        = 1024 + 56
		revision     = 1024 + 76
	)
	return bytesAt(magic, "\x53\xef")(b) && le32At(logBlockSize, 0, 1, 2, 3, 4, 5, 6)(b) && le32At(revision, 0, 1)(b)
}

// lvm finds a label of LVM2 at off: it may be in any of the first four
// sectors.
func lvm(off int) test {
	return both(bytesAt(off, "LABELONE"), bytesAt(off+24, "LVM2 001"))
}
