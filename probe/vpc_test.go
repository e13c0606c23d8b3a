package probe_test

import (
	"encoding/binary"
	"strings"

	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
)

// vpcImage is a dynamic image of 1 MiB: the copy of the footer, the header at 512,
// the block allocation table of 16 entries at 1536, and the footer. The copy's
// checksum is made right after the edits.
func vpcImage(edits ...edit) []byte {
	return apply(must(mkimage.VPC{VirtualSize: 1 << 20}.Bytes()), append(edits, vpcChecksum)...)
}

// vpcFixedImage has two sectors of data, and the footer at 1024.
func vpcFixedImage(edits ...edit) []byte {
	return apply(must(mkimage.VPC{VirtualSize: 1024, Fixed: true}.Bytes()), append(edits, vpcChecksum)...)
}

func vpcParentImage(name string, edits ...edit) []byte {
	return apply(must(mkimage.VPC{VirtualSize: 1 << 20, Parent: name}.Bytes()), edits...)
}

// vpcChecksum corrects the checksum of the footer that QEMU looks at.
func vpcChecksum(b []byte) []byte {
	b = append([]byte(nil), b...)
	at := vpcFooter(b)
	if at < 0 || len(b)-at < 68 {
		return b
	}
	footer := b[at:min(len(b), at+512)]
	clear(footer[64:68])
	var sum uint32
	for _, c := range footer {
		sum += uint32(c)
	}
	binary.BigEndian.PutUint32(footer[64:], ^sum)
	return b
}

// vpcFooter is where the footer that QEMU looks at begins; -1 if the image is too
// small for one.
func vpcFooter(b []byte) int {
	switch {
	case strings.HasPrefix(string(b), "conectix"):
		return 0
	case len(b) < 512:
		return -1
	}
	return (len(b)+511)/512*512 - 512
}

// vpcSizes says the size in both ways.
func vpcSizes(at int, creator string, current uint64, cylinders, heads, sectors int) edit {
	return func(b []byte) []byte {
		return apply(b, put(at+28, creator), be64(at+48, current), put(at+56, be(uint16(cylinders), byte(heads), byte(sectors))))
	}
}

func vpcHeader(subformat string, size uint64) *probe.Header {
	h := &probe.Header{Format: probe.VPC, Version: 0x10000, Subformat: subformat, VirtualSize: size}
	if subformat != "fixed" {
		h.ClusterSize = 65536
	}
	return h
}

func vpcOver(parent probe.Reference) *probe.Header {
	h := vpcHeader("differencing", 1<<20)
	parent.Offset = -1
	h.Parent = &parent
	return h
}

var vpcCases = []readCase{
	{name: "dynamic", image: vpcImage(), want: vpcHeader("dynamic", 1<<20)},
	{name: "dynamic, empty", image: must(mkimage.VPC{}.Bytes()), want: vpcHeader("dynamic", 0)},
	{name: "dynamic, without its footer", image: vpcImage(end(2048)), want: vpcHeader("dynamic", 1<<20)},
	{name: "dynamic, without the copy", image: apply(vpcImage(), byteAt(0, 'x')), err: probe.ErrCorrupt, field: "Disk Type"},
	{name: "fixed", image: vpcFixedImage(), want: vpcHeader("fixed", 1024)},
	{name: "fixed, footer of 511 bytes", image: vpcFixedImage(end(1535)), want: vpcHeader("fixed", 1024)},
	{name: "fixed, of no sector", image: must(mkimage.VPC{Fixed: true}.Bytes()), err: probe.ErrCorrupt, field: "Disk Type"},
	{name: "fixed, a sector behind the footer", image: apply(vpcFixedImage(), end(2048)), err: probe.ErrSignature, field: "Cookie"},
	{name: "fixed, a byte behind the footer", image: apply(vpcFixedImage(), end(1537)), err: probe.ErrSignature, field: "Cookie"},
	{name: "fixed, larger than the file", image: vpcFixedImage(be64(1024+48, 1<<30)), want: vpcHeader("fixed", 1<<30)},
	{name: "empty", image: nil, err: probe.ErrSignature, field: "Cookie"},
	{name: "one byte", image: []byte("c"), err: probe.ErrSignature, field: "Cookie"},
	{name: "cookie and no more", image: []byte("conectix"), err: probe.ErrTruncated, field: "footer"},
	{name: "truncated footer", image: vpcImage(end(511)), err: probe.ErrTruncated, field: "footer"},

	{name: "checksum", image: apply(vpcImage(), byteAt(100, 1)), err: probe.ErrCorrupt, field: "Checksum"},
	{name: "checksum of a fixed image", image: apply(vpcFixedImage(), byteAt(1535, 1)), err: probe.ErrCorrupt, field: "Checksum"},
	{name: "checksum of the dynamic disk header, which QEMU does not check", image: vpcImage(be32(512+36, 0)), want: vpcHeader("dynamic", 1<<20)},
	{name: "version 2", image: vpcImage(be32(12, 0x20000)), want: func() *probe.Header {
		h := vpcHeader("dynamic", 1<<20)
		h.Version = 0x20000
		return h
	}()},
	{name: "type 2 with a copy in front", image: vpcImage(be32(60, 2)), err: probe.ErrCorrupt, field: "Disk Type", differs: "vpc of another type"},
	{name: "type 5 with a copy in front", image: vpcImage(be32(60, 5)), err: probe.ErrCorrupt, field: "Disk Type", differs: "vpc of another type"},
	{name: "type 3 without", image: vpcFixedImage(be32(1024+60, 3)), err: probe.ErrCorrupt, field: "Disk Type"},
	{name: "type 4 without", image: vpcFixedImage(be32(1024+60, 4)), err: probe.ErrCorrupt, field: "Disk Type"},

	{name: "geometry of Virtual PC", image: vpcImage(vpcSizes(0, "vpc ", 1<<20, 10, 4, 17)), want: vpcHeader("dynamic", 10*4*17*512)},
	{name: "geometry of old QEMU", image: vpcImage(vpcSizes(0, "qemu", 1<<20, 10, 4, 17)), want: vpcHeader("dynamic", 10*4*17*512)},
	{name: "size of VirtualBox", image: vpcImage(vpcSizes(0, "vbox", 1<<20, 10, 4, 17)), want: vpcHeader("dynamic", 1<<20), differs: "vpc of a creator that QEMU does not know"},
	{name: "size of VirtualBox, smaller than the geometry", image: vpcImage(vpcSizes(0, "vbox", 1<<19, 10, 8, 17)), want: vpcHeader("dynamic", 1<<19), differs: "vpc of a creator that QEMU does not know"},
	{name: "size of VirtualBox, larger than the blocks", image: vpcImage(vpcSizes(0, "vbox", 1<<20+512, 10, 4, 17)), err: probe.ErrCorrupt, field: "Max Table Entries",
		differs: "vpc of a creator that QEMU does not know"},
	{name: "size of VirtualBox, as large as the blocks, its geometry larger", image: vpcImage(vpcSizes(0, "vbox", 1<<20, 31, 4, 17)), want: vpcHeader("dynamic", 1<<20),
		differs: "vpc of a creator that QEMU does not know"},
	{name: "size of VirtualBox, fixed", image: vpcFixedImage(vpcSizes(1024, "vbox", 1024, 1, 1, 1)), want: vpcHeader("fixed", 1024), differs: "vpc of a creator that QEMU does not know"},
	{name: "size of VirtualBox and its geometry alike", image: vpcImage(vpcSizes(0, "vbox", 10*4*17*512, 10, 4, 17)), want: vpcHeader("dynamic", 10*4*17*512)},
	{name: "size of Azure", image: vpcImage(vpcSizes(0, "wa\x00\x00", 1<<20, 10, 4, 17)), want: vpcHeader("dynamic", 1<<20), differs: "vpc of a creator that QEMU does not know"},
	{name: "geometry of a fixed image", image: vpcFixedImage(vpcSizes(1024, "vpc ", 1024, 1, 1, 1)), want: vpcHeader("fixed", 512)},
	{name: "geometry of nothing", image: vpcImage(vpcSizes(0, "vpc ", 1<<20, 0, 4, 17)), want: vpcHeader("dynamic", 0)},
	{name: "geometry at its maximum", image: vpcImage(vpcSizes(0, "vpc ", 1<<20-1, 65535, 16, 255)), want: vpcHeader("dynamic", 1<<20-512)},
	{name: "size of Hyper-V", image: vpcImage(vpcSizes(0, "win ", 1<<20, 10, 4, 17)), want: vpcHeader("dynamic", 1<<20)},
	{name: "size of new QEMU", image: vpcImage(vpcSizes(0, "qem2", 1<<20, 10, 4, 17)), want: vpcHeader("dynamic", 1<<20)},
	{name: "size of disk2vhd", image: vpcImage(vpcSizes(0, "d2v ", 1<<20, 10, 4, 17)), want: vpcHeader("dynamic", 1<<20)},
	{name: "size of XenServer", image: vpcImage(vpcSizes(0, "tap\x00", 1<<20, 10, 4, 17)), want: vpcHeader("dynamic", 1<<20)},
	{name: "size of nearly XenServer", image: vpcImage(vpcSizes(0, "tape", 1<<20, 10, 4, 17)), want: vpcHeader("dynamic", 1<<20), differs: "vpc of a creator that QEMU does not know"},
	{name: "size of XenConverter", image: vpcImage(vpcSizes(0, "CTXS", 1<<20, 10, 4, 17)), want: vpcHeader("dynamic", 1<<20)},
	{name: "size of 2040 GiB", image: vpcFixedImage(be64(1024+48, 2040<<30)), want: vpcHeader("fixed", 2040<<30)},
	{name: "size of 2040 GiB and a sector", image: vpcFixedImage(be64(1024+48, 2040<<30+512)), err: probe.ErrCorrupt, field: "Current Size"},
	{name: "size 2^64-1", image: vpcFixedImage(be64(1024+48, 1<<64-1)), err: probe.ErrCorrupt, field: "Current Size"},
	{name: "geometry of 65535*255*255 sectors", image: vpcFixedImage(vpcSizes(1024, "vpc ", 1024, 65535, 255, 255)), want: vpcHeader("fixed", 65535*255*255*512)},

	{name: "dynamic disk header behind the end", image: vpcImage(be64(16, 1<<20)), err: probe.ErrTruncated, field: "dynamic disk header"},
	{name: "dynamic disk header at 2^64-512", image: vpcImage(be64(16, 1<<64-512)), err: probe.ErrTruncated, field: "dynamic disk header"},
	{name: "dynamic disk header over the end", image: vpcImage(be64(16, 2048), put(2048, string(vpcImage()[512:1024])), end(3000)),
		err: probe.ErrTruncated, field: "dynamic disk header", differs: "truncated"},
	{name: "dynamic disk header within a sector", image: vpcImage(be64(16, 2051), put(2051, string(vpcImage()[512:1536]))), want: vpcHeader("dynamic", 1<<20)},
	{name: "cookie of the dynamic disk header", image: vpcImage(byteAt(519, 0)), err: probe.ErrCorrupt, field: "Cookie"},
	{name: "block size 0", image: vpcImage(be32(512+32, 0)), err: probe.ErrCorrupt, field: "Block Size"},
	{name: "block size 256", image: vpcImage(be32(512+32, 256), be32(512+28, 4096)), err: probe.ErrCorrupt, field: "Block Size"},
	{name: "block size 65537", image: vpcImage(be32(512+32, 65537)), err: probe.ErrCorrupt, field: "Block Size"},
	{name: "block size 512", image: vpcImage(be64(48, 8192), be32(512+32, 512)), want: func() *probe.Header {
		h := vpcHeader("dynamic", 8192)
		h.ClusterSize = 512
		return h
	}()},
	{name: "block size 2^30", image: vpcImage(be32(512+32, 1<<30)), want: func() *probe.Header {
		h := vpcHeader("dynamic", 1<<20)
		h.ClusterSize = 1 << 30
		return h
	}()},
	{name: "block size 2^31", image: vpcImage(be32(512+32, 1<<31)), err: probe.ErrCorrupt, field: "Block Size", differs: "vpc blocks of 2 GiB"},
	{name: "entries too few", image: vpcImage(be32(512+28, 15)), err: probe.ErrCorrupt, field: "Max Table Entries"},
	{name: "2^29 entries", image: vpcImage(be32(512+28, 1<<29)), err: probe.ErrCorrupt, field: "Max Table Entries"},
	{name: "2^32-1 entries", image: vpcImage(be32(512+28, 1<<32-1)), err: probe.ErrCorrupt, field: "Max Table Entries"},
	{name: "table over the end", image: vpcImage(be32(512+28, 257)), err: probe.ErrTruncated, field: "Table Offset"},
	{name: "table to the last, broken sector", image: vpcImage(be64(48, 8192), be32(512+32, 512), put(1536, strings.Repeat("\x00", 64)), end(1599)), want: func() *probe.Header {
		h := vpcHeader("dynamic", 8192)
		h.ClusterSize = 512
		return h
	}()},
	{name: "table at 2^64-512", image: vpcImage(be64(512+16, 1<<64-512)), err: probe.ErrCorrupt, field: "Table Offset"},
	{name: "table within a sector", image: vpcImage(be64(512+16, 1537), put(1537+60, "\xff\xff\xff\xff")), want: vpcHeader("dynamic", 1<<20)},
	{name: "block behind the end", image: vpcImage(be32(1536, 9)), want: vpcHeader("dynamic", 1<<20), differs: "block allocation table"},

	{name: "differencing", image: vpcParentImage("base.vhd"), want: vpcOver(probe.Reference{Name: "base.vhd"})},
	{name: "differencing, without a name", image: vpcImage(be32(60, 4)), want: vpcOver(probe.Reference{})},
	{name: "differencing, longest name", image: vpcParentImage(strings.Repeat("€", 256)), want: vpcOver(probe.Reference{Name: strings.Repeat("€", 256)})},
	{name: "differencing, name beyond 16 bits", image: vpcParentImage("a\U0001F4BEb"), want: vpcOver(probe.Reference{Name: "a\U0001F4BEb"})},
	{name: "differencing, half a surrogate", image: vpcParentImage("ab", put(512+64, "\xd8\x3d")), want: vpcOver(probe.Reference{Name: "\uFFFDb"})},
	{name: "differencing, odd characters", image: vpcParentImage("\x1b[2J\n"), want: vpcOver(probe.Reference{Name: "\x1b[2J\n"})},
	{name: "differencing, name with a NUL", image: vpcParentImage("a\x00b"), want: vpcOver(probe.Reference{Name: "a", CutAtNUL: true})},
	{name: "differencing and broken", image: vpcParentImage("base.vhd", be32(512+32, 0)), err: probe.ErrCorrupt, field: "Block Size"},
	{name: "dynamic with a parent's name", image: apply(vpcParentImage("base.vhd", be32(60, 3)), vpcChecksum), want: vpcHeader("dynamic", 1<<20)},
}
