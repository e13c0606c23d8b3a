package probe_test

import (
	"encoding/binary"
	"hash/crc32"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
)

// Where mkimage puts things.
const (
	vhdxHeader1  = 64 << 10
	vhdxHeader2  = 128 << 10
	vhdxRegions  = 192 << 10
	vhdxMetadata = 2 << 20
	vhdxBAT      = 3 << 20
	vhdxItems    = vhdxMetadata + 64<<10 // 16 bytes each, in the order of the table
	vhdxLocator  = vhdxItems + 5*16
)

// vhdx is a VHDX image of 4 MiB in blocks of 1 MiB, none of which it holds. It
// ends after its BAT of four entries.
func vhdx(edits ...edit) []byte {
	return apply(must(mkimage.VHDX{VirtualSize: 4 << 20}.Bytes()), append([]edit{end(vhdxBAT + 32)}, edits...)...)
}

// vhdxChild is vhdx, over a parent.
func vhdxChild(parent string, edits ...edit) []byte {
	return apply(must(mkimage.VHDX{VirtualSize: 4 << 20, Parent: parent}.Bytes()), append([]edit{end(vhdxBAT + 4097*8)}, edits...)...)
}

// summed makes edits, and sets the checksums of both headers and of the region
// table anew.
func summed(edits ...edit) edit {
	return func(b []byte) []byte {
		b = apply(b, edits...)
		vhdxSum(b, vhdxHeader1, 4096)
		vhdxSum(b, vhdxHeader2, 4096)
		vhdxSum(b, vhdxRegions, 64<<10)
		return b
	}
}

// vhdxSum sets the checksum of n bytes at off, if they are there.
func vhdxSum(b []byte, off, n int) {
	if off+n > len(b) {
		return
	}
	part := b[off : off+n]
	clear(part[4:8])
	binary.LittleEndian.PutUint32(part[4:], crc32.Checksum(part, crc32.MakeTable(crc32.Castagnoli)))
}

// head edits the header in force, which is the second.
func head(off int, put func(int, uint64) edit, v uint64) edit {
	return summed(put(vhdxHeader2+off, v))
}

// region edits entry n of the region table: the BAT, the metadata, and so on.
func region(n, off int, put func(int, uint64) edit, v uint64) edit {
	return summed(put(vhdxRegions+16+n*32+off, v))
}

// thirdRegion adds a region of an unknown kind.
func thirdRegion(off uint64, size uint32, flags uint32) edit {
	at := vhdxRegions + 16 + 2*32
	return summed(le32(vhdxRegions+8, 3), put(at, strings.Repeat("x", 16)), le64(at+16, off), le32(at+24, size), le32(at+28, flags))
}

func le32of(off int, v uint64) edit { return le32(off, uint32(v)) }
func le16(off int, v uint64) edit {
	return put(off, string(binary.LittleEndian.AppendUint16(nil, uint16(v))))
}

// item is entry n of the metadata table.
func item(n int) int { return vhdxMetadata + 32 + n*32 }

// moreItems appends an entry to the metadata table of five.
func moreItems(guid string, flags uint32) edit {
	return func(b []byte) []byte {
		return apply(b, le16(vhdxMetadata+10, 6), put(item(5), guid), le32(item(5)+24, flags))
	}
}

// locator is a parent locator of these keys and values, one after the other.
func locator(pairs ...string) edit {
	var units []uint16
	for _, s := range pairs {
		units = append(units, utf16.Encode([]rune(s))...)
	}
	return func(b []byte) []byte {
		off := 20 + len(pairs)/2*12
		b = apply(b, le16(vhdxLocator+18, uint64(len(pairs)/2)), le32(item(5)+20, uint32(off+2*len(units))))
		for i, unit := range units {
			b = apply(b, le16(vhdxLocator+off+2*i, uint64(unit)))
		}
		for i, s := range pairs {
			n := 2 * len(utf16.Encode([]rune(s)))
			at := vhdxLocator + 20 + i/2*12
			b = apply(b, le32(at+i%2*4, uint32(off)), le16(at+8+i%2*2, uint64(n)))
			off += n
		}
		return b
	}
}

func vhdxHeader(change func(h *probe.Header)) *probe.Header {
	h := &probe.Header{Format: probe.VHDX, Version: 1, Subformat: "dynamic", VirtualSize: 4 << 20, ClusterSize: 1 << 20}
	if change != nil {
		change(h)
	}
	return h
}

func vhdxOver(parent *probe.Reference) *probe.Header {
	return vhdxHeader(func(h *probe.Header) { h.Subformat, h.Parent = "differencing", parent })
}

func vhdxParent(name string) *probe.Reference {
	return &probe.Reference{Name: name, Offset: -1, FormatRecorded: true, Format: "vhdx"}
}

var vhdxCases = slices.Concat(vhdxHeaderCases, vhdxRegionCases, vhdxMetadataCases, vhdxBATCases, vhdxParentCases)

const aGUID = "0123456789abcdef"

var vhdxHeaderCases = []readCase{
	{name: "plain", image: vhdx(), want: vhdxHeader(nil)},
	{name: "magic", image: vhdx(byteAt(7, 'E')), err: probe.ErrSignature, field: "magic"},
	{name: "truncated first header", image: vhdx(end(vhdxHeader1 + 4095)), err: probe.ErrTruncated, field: "Header"},
	{name: "truncated region table", image: vhdx(end(vhdxRegions + 65535)), err: probe.ErrTruncated, field: "Region Table"},
	{name: "second region table is not read", image: vhdx(put(vhdxRegions+65536, "xxxx")), want: vhdxHeader(nil)},

	{name: "first header broken", image: vhdx(byteAt(vhdxHeader1+4095, 1)), want: vhdxHeader(nil)},
	{name: "second header broken", image: vhdx(byteAt(vhdxHeader2+4095, 1)), want: vhdxHeader(nil)},
	{name: "both headers broken", image: vhdx(byteAt(vhdxHeader1+4095, 1), byteAt(vhdxHeader2+4095, 1)), err: probe.ErrCorrupt, field: "Header"},
	{name: "signature of both headers", image: vhdx(summed(put(vhdxHeader1, "Head"), put(vhdxHeader2, "Head"))), err: probe.ErrCorrupt, field: "Header"},
	{name: "version 2 in one header", image: vhdx(summed(le16(vhdxHeader2+66, 2))), want: vhdxHeader(nil)},
	{name: "version 2 in both headers", image: vhdx(summed(le16(vhdxHeader1+66, 2), le16(vhdxHeader2+66, 2))), err: probe.ErrCorrupt, field: "Header"},
	{name: "twice the same header", image: vhdx(head(8, le64, 1)), want: vhdxHeader(nil)},
	{name: "two headers of one number", image: vhdx(summed(le64(vhdxHeader2+8, 1), byteAt(vhdxHeader2+16, 1))), err: probe.ErrCorrupt, field: "SequenceNumber"},
	{name: "two headers of one number, differing in what is reserved", image: vhdx(summed(le64(vhdxHeader2+8, 1), byteAt(vhdxHeader2+80, 1))), err: probe.ErrCorrupt, field: "SequenceNumber"},
	{name: "first header is newer", image: vhdx(summed(le64(vhdxHeader1+8, 3), le16(vhdxHeader1+64, 1))), err: probe.ErrUnsupported, field: "LogVersion"},
	{name: "what the older header says", image: vhdx(summed(le16(vhdxHeader1+64, 1))), want: vhdxHeader(nil)},
	{name: "number 2^64-1", image: vhdx(summed(le64(vhdxHeader1+8, 1<<64-1), le16(vhdxHeader1+64, 1))), err: probe.ErrUnsupported, field: "LogVersion"},

	{name: "log version", image: vhdx(head(64, le16, 1)), err: probe.ErrUnsupported, field: "LogVersion"},
	{name: "log at 0", image: vhdx(head(72, le64, 0)), err: probe.ErrCorrupt, field: "LogOffset"},
	{name: "log not at a MiB", image: vhdx(head(72, le64, 1<<20+4096)), err: probe.ErrCorrupt, field: "LogOffset"},
	{name: "log at 2^64-2^20", image: vhdx(head(72, le64, 1<<64-1<<20)), want: vhdxHeader(nil)},
	{name: "log of odd length, not in use", image: vhdx(head(68, le32of, 4096)), want: vhdxHeader(nil)},
	{name: "log over the metadata", image: vhdx(head(68, le32of, 1<<20+1)), err: probe.ErrCorrupt, field: "FileOffset"},
	{name: "log of nothing, in use", image: vhdx(summed(put(vhdxHeader2+48, aGUID), le32(vhdxHeader2+68, 0))), want: vhdxHeader(nil)},
	{name: "log of odd length, in use", image: vhdx(summed(put(vhdxHeader2+48, aGUID), le32(vhdxHeader2+68, 4096))), err: probe.ErrCorrupt, field: "LogLength"},
	{name: "log in use, without entries", image: vhdx(summed(put(vhdxHeader2+48, aGUID))), differs: "vhdx log",
		want: vhdxHeader(func(h *probe.Header) { h.Dirty = true })},
	{name: "log in use, with an entry", image: vhdx(summed(put(vhdxHeader2+48, aGUID), logEntry)), differs: "vhdx log",
		want: vhdxHeader(func(h *probe.Header) { h.Dirty = true })},
}

// logEntry puts an entry of no descriptors into the log.
func logEntry(b []byte) []byte {
	const log = 1 << 20
	b = apply(b, put(log, "loge"), le32(log+8, 4096), le64(log+16, 1), put(log+32, aGUID))
	vhdxSum(b, log, 4096)
	return b
}

var vhdxRegionCases = []readCase{
	{name: "region table's checksum", image: vhdx(byteAt(vhdxRegions+65535, 1)), err: probe.ErrCorrupt, field: "Checksum"},
	{name: "region table's signature", image: vhdx(summed(put(vhdxRegions, "REGI"))), err: probe.ErrCorrupt, field: "Signature"},
	{name: "2048 regions", image: vhdx(summed(le32(vhdxRegions+8, 2048))), err: probe.ErrCorrupt, field: "EntryCount"},
	{name: "2047 regions, of nothing but for two", image: vhdx(summed(le32(vhdxRegions+8, 2047))), want: vhdxHeader(nil)},
	{name: "2^32-1 regions", image: vhdx(summed(le32(vhdxRegions+8, 1<<32-1))), err: probe.ErrCorrupt, field: "EntryCount"},
	{name: "no region", image: vhdx(summed(le32(vhdxRegions+8, 0))), err: probe.ErrCorrupt, field: "EntryCount"},
	{name: "no metadata", image: vhdx(summed(le32(vhdxRegions+8, 1))), err: probe.ErrCorrupt, field: "EntryCount"},
	{name: "no BAT", image: vhdx(region(0, 0, le64, 0), region(0, 28, le32of, 0)), err: probe.ErrCorrupt, field: "EntryCount"},
	{name: "two BATs", image: vhdx(summed(func(b []byte) []byte {
		bat := string(b[vhdxRegions+16:][:16])
		return apply(b, le32(vhdxRegions+8, 3), put(vhdxRegions+16+64, bat), le64(vhdxRegions+16+64+16, 8<<20), le32(vhdxRegions+16+64+24, 1<<20))
	})), err: probe.ErrCorrupt, field: "Guid"},
	{name: "unknown region", image: vhdx(thirdRegion(8<<20, 1<<20, 0)), want: vhdxHeader(nil)},
	{name: "unknown region, required", image: vhdx(thirdRegion(8<<20, 1<<20, 1)), err: probe.ErrUnsupported, field: "Required"},
	{name: "unknown region over the BAT", image: vhdx(thirdRegion(3<<20+4096, 1, 0)), err: probe.ErrCorrupt, field: "FileOffset"},
	{name: "unknown region of nothing over the BAT", image: vhdx(thirdRegion(3<<20+4096, 0, 0)), err: probe.ErrCorrupt, field: "FileOffset"},
	{name: "unknown region that ends at 2^64", image: vhdx(thirdRegion(1<<64-1<<20, 1<<20, 0)), want: vhdxHeader(nil)},
	{name: "BAT in the log", image: vhdx(region(0, 16, le64, 1<<20)), err: probe.ErrCorrupt, field: "FileOffset"},
	{name: "BAT behind the end", image: vhdx(region(0, 16, le64, 8<<20)), err: probe.ErrTruncated, field: "BAT", differs: "truncated"},
	{name: "BAT at the last byte", image: vhdx(region(0, 16, le64, 1<<63-1<<30-1<<20)), err: probe.ErrTruncated, field: "BAT", differs: "truncated"},
	{name: "BAT over the last byte", image: vhdx(region(0, 16, le64, 1<<63-1<<30-1<<20+1)), err: probe.ErrCorrupt, field: "FileOffset"},
	{name: "BAT at 2^64-2^20", image: vhdx(region(0, 16, le64, 1<<64-1<<20)), err: probe.ErrCorrupt, field: "FileOffset"},
	{name: "BAT of 2^32-1 bytes", image: vhdx(region(0, 24, le32of, 1<<32-1)), err: probe.ErrCorrupt, field: "FileOffset"},
	{name: "metadata at 2^63", image: vhdx(region(1, 16, le64, 1<<63)), err: probe.ErrCorrupt, field: "FileOffset"},
	{name: "metadata behind the end", image: vhdx(region(1, 16, le64, 16<<20)), err: probe.ErrTruncated, field: "Metadata Table"},
	{name: "metadata's length does not matter", image: vhdx(region(1, 24, le32of, 0)), want: vhdxHeader(nil)},
}

var vhdxMetadataCases = []readCase{
	{name: "metadata table's signature", image: vhdx(put(vhdxMetadata, "Metadata")), err: probe.ErrCorrupt, field: "Signature"},
	{name: "2048 items", image: vhdx(le16(vhdxMetadata+10, 2048)), err: probe.ErrCorrupt, field: "EntryCount"},
	{name: "2047 items, of nothing but for five", image: vhdx(le16(vhdxMetadata+10, 2047)), want: vhdxHeader(nil)},
	{name: "65535 items", image: vhdx(le16(vhdxMetadata+10, 65535)), err: probe.ErrCorrupt, field: "EntryCount"},
	{name: "no item", image: vhdx(le16(vhdxMetadata+10, 0)), err: probe.ErrCorrupt, field: "File Parameters"},
	{name: "no physical sector size", image: vhdx(le16(vhdxMetadata+10, 4)), err: probe.ErrCorrupt, field: "Physical Sector Size"},
	{name: "no virtual disk ID", image: vhdx(le64(item(2), 0), le32(item(2)+24, 0)), err: probe.ErrCorrupt, field: "Virtual Disk ID"},
	{name: "two virtual disk sizes", image: vhdx(moreItems("\x24\x42\xa5\x2f\x1b\xcd\x76\x48\xb2\x11\x5d\xbe\xd8\x3b\xf4\xb8", 0)), err: probe.ErrCorrupt, field: "ItemId"},
	{name: "unknown item", image: vhdx(moreItems(aGUID, 3)), want: vhdxHeader(nil)},
	{name: "unknown item, required", image: vhdx(moreItems(aGUID, 4)), err: probe.ErrUnsupported, field: "IsRequired"},
	{name: "table over the image's end", image: vhdx(region(0, 16, le64, 4<<20), region(1, 16, le64, 3<<20), put(3<<20, "metadata\x00\x00\x05\x00"), end(3<<20+191)),
		err: probe.ErrTruncated, field: "Metadata Table"},
	{name: "item behind the image's end", image: vhdx(le32(item(1)+16, 1<<32-1)), err: probe.ErrTruncated, field: "Virtual Disk Size"},
	{name: "item's length does not matter", image: vhdx(le32(item(1)+20, 0)), want: vhdxHeader(nil)},

	{name: "block size 0", image: vhdx(le32(vhdxItems, 0)), err: probe.ErrCorrupt, field: "BlockSize"},
	{name: "block size 512 KiB", image: vhdx(le32(vhdxItems, 1<<19)), err: probe.ErrCorrupt, field: "BlockSize"},
	{name: "block size 3 MiB", image: vhdx(le32(vhdxItems, 3<<20)), err: probe.ErrCorrupt, field: "BlockSize"},
	{name: "block size 256 MiB", image: vhdx(le32(vhdxItems, 1<<28)), want: vhdxHeader(func(h *probe.Header) { h.ClusterSize = 1 << 28 })},
	{name: "block size 512 MiB", image: vhdx(le32(vhdxItems, 1<<29)), err: probe.ErrCorrupt, field: "BlockSize"},
	{name: "fixed", image: vhdx(le32(vhdxItems+4, 1)), want: vhdxHeader(func(h *probe.Header) { h.Subformat = "fixed" })},
	{name: "unknown parameters", image: vhdx(le32(vhdxItems+4, 1<<32-4)), want: vhdxHeader(nil)},

	{name: "size 1000", image: vhdx(le64(vhdxItems+16, 1000)), want: vhdxHeader(func(h *probe.Header) { h.VirtualSize = 512 })},
	{name: "size 64 TiB", image: vhdx(le32(vhdxItems, 1<<28), le64(vhdxItems+16, 1<<46), region(0, 24, le32of, 1<<21+1<<17), end(vhdxBAT+1<<21+1<<17)),
		err: probe.ErrLimit, field: "BAT", differs: "vhdx with a large BAT"},
	{name: "size 32 TiB", image: vhdx(le32(vhdxItems, 1<<28), le64(vhdxItems+16, 1<<45), region(0, 24, le32of, 2<<20), end(5<<20)),
		want: vhdxHeader(func(h *probe.Header) { h.VirtualSize, h.ClusterSize = 1<<45, 1<<28 })},
	{name: "size over 64 TiB", image: vhdx(le32(vhdxItems, 1<<28), le64(vhdxItems+16, 1<<46+512), region(0, 24, le32of, 4<<20)),
		err: probe.ErrCorrupt, field: "VirtualDiskSize", differs: "vhdx of more than 64 TiB"},
	{name: "size 2^64-1", image: vhdx(le64(vhdxItems+16, 1<<64-1)), err: probe.ErrCorrupt, field: "VirtualDiskSize"},
	{name: "sectors of 4096 bytes", image: vhdx(le32(vhdxItems+48, 4096)), err: probe.ErrUnsupported, field: "LogicalSectorSize"},
	{name: "sectors of 1024 bytes", image: vhdx(le32(vhdxItems+48, 1024)), err: probe.ErrCorrupt, field: "LogicalSectorSize"},
	{name: "physical sector size is not looked at", image: vhdx(le32(vhdxItems+64, 3)), want: vhdxHeader(nil)},
}

var vhdxBATCases = []readCase{
	{name: "size that the BAT maps", image: vhdx(le64(vhdxItems+16, 130_000<<20), region(0, 24, le32of, 130_031*8), end(vhdxBAT+130_031*8)),
		want: vhdxHeader(func(h *probe.Header) { h.VirtualSize = 130_000 << 20 })},
	{name: "size that it does not", image: vhdx(le64(vhdxItems+16, 130_000<<20), region(0, 24, le32of, 130_030*8), end(vhdxBAT+130_031*8)),
		err: probe.ErrCorrupt, field: "Length"},
	{name: "size 0, which QEMU wants a large BAT for", image: vhdx(le64(vhdxItems+16, 0)), err: probe.ErrCorrupt, field: "Length"},
	{name: "size 0", image: vhdx(le64(vhdxItems+16, 0), region(0, 24, le32of, 8<<20), end(11<<20)), err: probe.ErrLimit, field: "BAT", differs: "vhdx with a large BAT"},
	{name: "BAT over the image's end", image: vhdx(end(vhdxBAT + 31)), err: probe.ErrTruncated, field: "BAT", differs: "truncated"},
	{name: "block", image: vhdx(le64(vhdxBAT+24, 4<<20|6), end(5<<20)), want: vhdxHeader(nil)},
	{name: "block over the image's end", image: vhdx(le64(vhdxBAT, 4<<20|6), end(5<<20-512)), err: probe.ErrTruncated, field: "BAT Entry"},
	{name: "block to the last, broken sector", image: vhdx(le64(vhdxBAT, 4<<20|6), end(5<<20-511)), want: vhdxHeader(nil)},
	{name: "last block, cut short", image: vhdx(le64(vhdxItems+16, 3<<20+512), le64(vhdxBAT+24, 4<<20|6), end(4<<20+512)),
		want: vhdxHeader(func(h *probe.Header) { h.VirtualSize = 3<<20 + 512 })},
	{name: "block behind the image's end", image: vhdx(le64(vhdxBAT, 1<<40|6)), err: probe.ErrTruncated, field: "BAT Entry"},
	{name: "block at 2^64-2^20", image: vhdx(le64(vhdxBAT, 1<<64-1<<20|6)), err: probe.ErrTruncated, field: "BAT Entry"},
	{name: "block over the log", image: vhdx(le64(vhdxBAT, 1<<20|6)), err: probe.ErrCorrupt, field: "BAT Entry"},
	{name: "block in the headers", image: vhdx(le64(vhdxBAT, 6)), want: vhdxHeader(nil)},
	{name: "block that is not there", image: vhdx(le64(vhdxBAT, 1<<40|3)), want: vhdxHeader(nil)},
	{name: "block that is partly there", image: vhdx(le64(vhdxBAT, 1<<40|7)), want: vhdxHeader(nil)},
}

var vhdxParentCases = []readCase{
	{name: "parent", image: vhdxChild("base.vhdx"), want: vhdxOver(vhdxParent("base.vhdx")), differs: "vhdx with a parent"},
	{name: "parent of many words", image: vhdxChild(`.\grüße\𝄞 base.vhdx`), want: vhdxOver(vhdxParent(`.\grüße\𝄞 base.vhdx`)), differs: "vhdx with a parent"},
	{name: "parent without its locator", image: vhdx(le32(vhdxItems+4, 2)), err: probe.ErrCorrupt, field: "HasParent"},
	{name: "locator without a parent", image: vhdxChild("base.vhdx", le32(vhdxItems+4, 0)), err: probe.ErrCorrupt, field: "HasParent"},
	{name: "parent, otherwise broken", image: vhdxChild("base.vhdx", le32(vhdxItems, 3)), err: probe.ErrCorrupt, field: "BlockSize"},
	{name: "parent, BAT without room for sector bitmaps", image: vhdxChild("base.vhdx", region(0, 24, le32of, 4096*8)), err: probe.ErrCorrupt, field: "Length"},
	{name: "parent and fixed", image: vhdxChild("base.vhdx", le32(vhdxItems+4, 3)), want: vhdxOver(vhdxParent("base.vhdx")), differs: "vhdx with a parent"},

	{name: "locator of another type", image: vhdxChild("base.vhdx", byteAt(vhdxLocator, 0)), want: vhdxOver(&probe.Reference{Offset: -1}), differs: "vhdx with a parent"},
	{name: "locator of 19 bytes", image: vhdxChild("base.vhdx", le32(item(5)+20, 19)), err: probe.ErrCorrupt, field: "Parent Locator"},
	{name: "locator of more than 1 MiB", image: vhdxChild("base.vhdx", le32(item(5)+20, 1<<20+1)), err: probe.ErrCorrupt, field: "Parent Locator"},
	{name: "locator over the image's end", image: vhdxChild("base.vhdx", le32(item(5)+16, 1<<20+4097*8-20), le32(item(5)+20, 100)), err: probe.ErrTruncated, field: "Parent Locator"},
	{name: "locator of no pairs", image: vhdxChild("base.vhdx", locator()), want: vhdxOver(&probe.Reference{Offset: -1}), differs: "vhdx with a parent"},
	{name: "more pairs than there is room for", image: vhdxChild("base.vhdx", le16(vhdxLocator+18, 65535)), err: probe.ErrCorrupt, field: "KeyValueCount"},
	{name: "key outside of the locator", image: vhdxChild("base.vhdx", le32(vhdxLocator+20, 1<<32-1)), err: probe.ErrCorrupt, field: "KeyOffset"},
	{name: "value outside of the locator", image: vhdxChild("base.vhdx", le16(vhdxLocator+20+10, 65534)), err: probe.ErrCorrupt, field: "ValueOffset"},
	{name: "key of an odd length", image: vhdxChild("base.vhdx", le16(vhdxLocator+20+8, 7)), err: probe.ErrCorrupt, field: "KeyOffset"},
	{name: "other key twice", image: vhdxChild("base.vhdx", locator("parent_linkage", "a", "parent_linkage", "b", "relative_path", "c")),
		want: vhdxOver(&probe.Reference{Name: "c", Offset: -1, FormatRecorded: true, Format: "vhdx"}), differs: "vhdx with a parent"},
	{name: "key twice", image: vhdxChild("base.vhdx", locator("relative_path", "a", "relative_path", "b")), err: probe.ErrCorrupt, field: "KeyOffset"},
	{name: "parent by three paths", image: vhdxChild("base.vhdx", locator("absolute_win32_path", `C:\a`, "volume_path", `\\?\Volume{1}\b`, "relative_path", `..\c`)),
		want: vhdxOver(vhdxParent(`..\c`)), differs: "vhdx with a parent"},
	{name: "parent by two paths", image: vhdxChild("base.vhdx", locator("absolute_win32_path", `C:\a`, "volume_path", `\\?\Volume{1}\b`, "relative_path", "")),
		want: vhdxOver(vhdxParent(`\\?\Volume{1}\b`)), differs: "vhdx with a parent"},
	{name: "parent by its absolute path", image: vhdxChild("base.vhdx", locator("parent_linkage", "x", "absolute_win32_path", `C:\a`)),
		want: vhdxOver(vhdxParent(`C:\a`)), differs: "vhdx with a parent"},
	{name: "parent by a key in upper case", image: vhdxChild("base.vhdx", locator("RELATIVE_PATH", "a")), want: vhdxOver(&probe.Reference{Offset: -1}), differs: "vhdx with a parent"},
	{name: "parent's name with a NUL", image: vhdxChild("base.vhdx", locator("relative_path", "a\x00b")), differs: "vhdx with a parent",
		want: vhdxOver(&probe.Reference{Name: "a", Offset: -1, CutAtNUL: true, FormatRecorded: true, Format: "vhdx"})},
	{name: "parent's name with half a surrogate pair", image: vhdxChild("base.vhdx", locator("relative_path", "ab"), le16(vhdxLocator+32+26, 0xD800)),
		want: vhdxOver(vhdxParent("\uFFFDb")), differs: "vhdx with a parent"},
	{name: "parent's name of 4095 bytes", image: vhdxChild(strings.Repeat("é", 2047) + "x"), want: vhdxOver(vhdxParent(strings.Repeat("é", 2047) + "x")), differs: "vhdx with a parent"},
	{name: "parent's name of 4096 bytes", image: vhdxChild(strings.Repeat("é", 2048)), err: probe.ErrLimit, field: "relative_path"},
}
