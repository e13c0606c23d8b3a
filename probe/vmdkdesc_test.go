package probe_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
)

const flatType = vmdkIDs + "createType=\"monolithicFlat\"\n"

// sparseType is for extents that have headers.
const sparseType = vmdkIDs + "createType=\"twoGbMaxExtentSparse\"\n"

// seSparse is an extent of ESXi's kind, of 1 MiB.
func seSparse() []byte {
	return apply(nil, le64(0, 0xcafebabe), le64(8, 0x200000001), le64(16, 2048), le64(24, 8), le64(32, 64),
		le64(80, 1), le64(128, 2), le64(136, 1), le64(512, 0xcafecafe), end(3*512))
}

// writeExtents makes the files that the cases name: QEMU opens them.
func writeExtents(t testing.TB, dir string) {
	for name, image := range map[string][]byte{
		"flat":     make([]byte, 512),
		"sparse":   vmdk(),
		"cowd":     cowd(),
		"sesparse": seSparse(),
		"é\xff":    make([]byte, 512),
		"\x1b[2J":  make([]byte, 512),
	} {
		writeImage(t, filepath.Join(dir, name), image)
	}
}

// extents is a header with extents at the offsets given, of as many sectors.
func extents(subformat string, sectors uint64, refs ...probe.Reference) *probe.Header {
	return &probe.Header{Format: probe.VMDK, Subformat: subformat, VirtualSize: sectors * 512, Extents: refs}
}

func flatExtents(sectors uint64, refs ...probe.Reference) *probe.Header {
	return extents("monolithicFlat", sectors, refs...)
}

func sparseExtents(sectors uint64, refs ...probe.Reference) *probe.Header {
	return extents("twoGbMaxExtentSparse", sectors, refs...)
}

// named is the place of a name: after flatType and so many bytes.
func named(name string, behind int) probe.Reference {
	return probe.Reference{Name: name, Offset: int64(len(flatType) + behind)}
}

func namedSparse(name string, behind int) probe.Reference {
	return probe.Reference{Name: name, Offset: int64(len(sparseType) + behind)}
}

func flatParent(h *probe.Header, name string, off int) *probe.Header {
	h.Backing = vmdkReference(name, off)
	return h
}

func flatCase(name, lines string, sectors uint64, refs ...probe.Reference) readCase {
	return readCase{name: name, image: []byte(flatType + lines), want: flatExtents(sectors, refs...)}
}

func extentRefused(name, lines string) readCase {
	return readCase{name: name, image: []byte(flatType + lines), err: probe.ErrCorrupt, field: "extent"}
}

// typed is a descriptor of some createType, as it stands.
func typed(createType string) []byte {
	return []byte(vmdkIDs + "createType=" + createType + "\nRW 8 VMFS \"flat\"\n")
}

func typeRefused(name, createType string) readCase {
	return readCase{name: name, image: typed(createType), err: probe.ErrUnsupported, field: "createType"}
}

var longFlat = strings.Repeat("./", 253) + "/flat" // 511 bytes

var vmdkDescriptorCases = []readCase{
	flatCase("flat", "RW 2048 FLAT \"flat\" 0\n", 2048, named("flat", 14)),
	{name: "made by mkimage", image: must(mkimage.VMDKDescriptor{Extents: []mkimage.VMDKExtent{{Sectors: 2048, Name: "flat"}}}.Bytes()),
		want: flatExtents(2048, probe.Reference{Name: "flat", Offset: 128})},
	flatCase("flat, without a newline", "RW 2048 FLAT \"flat\" 0", 2048, named("flat", 14)),
	{name: "flat, ends in CRLF", image: []byte(strings.ReplaceAll(flatType+"RW 2048 FLAT \"flat\" 0\n", "\n", "\r\n")), want: flatExtents(2048, named("flat", 14+5))},
	{name: "zeros behind the text", image: apply([]byte(flatType+"RW 1 FLAT \"flat\" 0\n"), end(100000)), want: flatExtents(1, named("flat", 11))},
	{name: "text behind a NUL", image: []byte(flatType + "RW 1 FLAT \"flat\" 0\n\x00RW 1 FLAT \"flat\" 0\n"), want: flatExtents(1, named("flat", 11))},
	{name: "without a comment", image: []byte("version=1\nCID=1\nparentCID=1\ncreateType=\"vmfs\"\nRW 1 VMFS \"flat\"\n"),
		want: extents("vmfs", 1, probe.Reference{Name: "flat", Offset: 57})},
	{name: "nothing but what QEMU wants", image: []byte("parentCID=1createType=\"vmfs\"\nRW 1 VMFS \"flat\""),
		want: extents("vmfs", 1, probe.Reference{Name: "flat", Offset: 40})},
	{name: "comment and no more", image: []byte("# Disk DescriptorFile\nversion=1\n"), err: probe.ErrCorrupt, field: "createType"},
	{name: "no descriptor", image: []byte("#!/bin/sh\n"), err: probe.ErrSignature, field: "magicNumber"},
	{name: "createType behind 2^20-1 bytes", image: []byte("version=1\n" + strings.Repeat(" ", 1<<20-12) + "createType=\"vmfs\""), err: probe.ErrCorrupt, field: "createType"},

	{name: "vmfs", image: typed(`"vmfs"`), want: extents("vmfs", 8, probe.Reference{Name: "flat", Offset: 93})},
	{name: "vmfsSparse", image: typed(`"vmfsSparse"`), want: extents("vmfsSparse", 8, probe.Reference{Name: "flat", Offset: 99})},
	{name: "seSparse", image: typed(`"seSparse"`), want: extents("seSparse", 8, probe.Reference{Name: "flat", Offset: 97})},
	{name: "twoGbMaxExtentFlat", image: typed(`"twoGbMaxExtentFlat"`), want: extents("twoGbMaxExtentFlat", 8, probe.Reference{Name: "flat", Offset: 107})},
	{name: "createType behind any two bytes", image: []byte(vmdkIDs + "createType: vmfs\"\nRW 8 VMFS \"flat\"\n"), want: extents("vmfs", 8, probe.Reference{Name: "flat", Offset: 93})},
	typeRefused("monolithicSparse", `"monolithicSparse"`),
	typeRefused("streamOptimized", `"streamOptimized"`),
	typeRefused("fullDevice", `"fullDevice"`),
	typeRefused("vmfsRaw", `"vmfsRaw"`),
	typeRefused("custom", `"custom"`),
	typeRefused("createType in capitals", `"VMFS"`),
	typeRefused("createType of nothing", `""`),
	typeRefused("createType for a terminal", "\"\x1b[2J\""),
	typeRefused("createType with a space", `"vmfs "`),
	typeRefused("createType of 127 bytes", `"`+strings.Repeat("x", 127)+`"`),
	{name: "createType of 128 bytes", image: typed(`"` + strings.Repeat("x", 128) + `"`), err: probe.ErrCorrupt, field: "createType"},
	{name: "createType without quotes", image: []byte(vmdkIDs + "createType=vmfs\n"), err: probe.ErrCorrupt, field: "createType"},
	{name: "createType at the end", image: []byte(vmdkIDs + "createType=\""), err: probe.ErrCorrupt, field: "createType"},
	{name: "two createTypes", image: []byte(vmdkIDs + "createType=\"vmfs\"\ncreateType=\"custom\"\nRW 8 VMFS \"flat\"\n"), want: extents("vmfs", 8, probe.Reference{Name: "flat", Offset: 113})},

	flatCase("two extents", "RW 3 FLAT \"flat\" 0\nRW 5 FLAT \"./flat\" 1\n", 8, named("flat", 11), named("./flat", 30)),
	flatCase("an extent of each flat kind", "RW 3 FLAT \"flat\" 0\nRW 5 VMFS \"flat\"\n", 8, named("flat", 11), named("flat", 30)),
	flatCase("an extent behind an empty line, which counts twice", "\nRW 3 FLAT \"flat\" 0\n", 6, named("flat", 12), named("flat", 12)),
	flatCase("an extent behind three lines of white space", "\n \t\n\r\nRW 3 FLAT \"flat\" 0\n", 12, named("flat", 17), named("flat", 17), named("flat", 17), named("flat", 17)),
	flatCase("an extent over many lines", "RW\n3\n\nFLAT\n\"flat\"\n0\n", 3, named("flat", 12)),
	flatCase("an extent indented", "   RW 3 FLAT \"flat\" 0\n", 3, named("flat", 14)),
	flatCase("an extent without white space", "RW 3FLAT \"flat\"0\n", 3, named("flat", 10)),
	flatCase("an extent with signs", "RW +3 FLAT \"flat\" +0\n", 3, named("flat", 12)),
	flatCase("an extent and words behind it", "RW 3 FLAT \"flat\" 0 partitionUUID x\n", 3, named("flat", 11)),
	flatCase("an extent and white space behind it", "RW 3 FLAT \"flat\" 0\n\n \t\n ", 3, named("flat", 11)),
	flatCase("an extent in a comment", "RW 3 FLAT \"flat\" 0\n# RW 3 FLAT \"/none\" 0\n", 3, named("flat", 11)),
	flatCase("an extent to read only", "RW 3 FLAT \"flat\" 0\nRDONLY 3 FLAT \"/none\" 0\nNOACCESS 3 FLAT \"/none\" 0\nrw 3 FLAT \"/none\" 0\n", 3, named("flat", 11)),
	flatCase("an extent of zeros", "RW 3 FLAT \"flat\" 0\nRW 3 ZERO\n", 3, named("flat", 11)),
	flatCase("an extent of unknown kind", "RW 3 FLAT \"flat\" 0\nRW 3 VMFSRDM \"/none\"\n", 3, named("flat", 11)),
	flatCase("an extent of a kind in small letters", "RW 3 FLAT \"flat\" 0\nRW 3 sparse \"/none\"\n", 3, named("flat", 11)),
	flatCase("an extent of a kind of 11 letters", "RW 3 FLAT \"flat\" 0\nRW 3 VMFSSPARSEx \"/none\"\n", 3, named("flat", 11)),
	flatCase("an extent of 0 sectors", "RW 3 FLAT \"flat\" 0\nRW 0 FLAT \"/none\" 0\nRW -1 FLAT \"/none\" 0\n", 3, named("flat", 11)),
	flatCase("an extent without a name", "RW 3 FLAT \"flat\" 0\nRW 3 FLAT \"\" 0\n", 3, named("flat", 11)),
	flatCase("an extent without quotes", "RW 3 FLAT \"flat\" 0\nRW 3 FLAT none 0\n", 3, named("flat", 11)),
	flatCase("an extent at a huge offset", "RW 3 FLAT \"flat\" 99999999999999999999\n", 3, named("flat", 11)),
	flatCase("a disk of all sectors there are", "RW 18014398507384832 FLAT \"flat\" 0\n", 18014398507384832, named("flat", 27)),
	extentRefused("a disk of more", "RW 18014398507384833 FLAT \"flat\" 0\n"),
	extentRefused("a disk of more in two extents", "RW 18014398507384832 FLAT \"flat\" 0\nRW 1 FLAT \"flat\" 0\n"),
	extentRefused("an extent of 2^63-1 sectors", "RW 9223372036854775807 FLAT \"flat\" 0\n"),
	extentRefused("an extent of 10^30 sectors", "RW 1000000000000000000000000000000 FLAT \"flat\" 0\n"),
	extentRefused("no extent", "# none\n"),
	extentRefused("no extent to write", "RDONLY 3 FLAT \"flat\" 0\n"),
	extentRefused("flat without an offset", "RW 3 FLAT \"flat\"\n"),
	extentRefused("flat at -1", "RW 3 FLAT \"flat\" -1\n"),
	extentRefused("flat of 0 sectors without an offset", "RW 3 FLAT \"flat\" 0\nRW 0 FLAT \"flat\"\n"),
	extentRefused("flat without a closing quote", "RW 3 FLAT \"flat 0\n"),
	extentRefused("vmfs with an offset", "RW 3 VMFS \"flat\" 0\n"),
	extentRefused("an unknown kind with an offset", "RW 3 VMFS \"flat\"\nRW 3 ZERO \"flat\" 0\n"),
	extentRefused("an unknown kind for a terminal", "RW 3 VMFS \"flat\"\nRW 3 \x1b[2J \"flat\" 0\n"),
	extentRefused("vmfs and a number on the next line", "RW 3 VMFS \"flat\"\n3\n"),
	flatCase("vmfs without a closing quote", "RW 3 VMFS \"flat\n", 3, named("flat", 11)),
	flatCase("a name of 511 bytes", "RW 3 FLAT \""+longFlat+"\" 0\n", 3, named(longFlat, 11)),
	extentRefused("a name of 512 bytes", "RW 3 FLAT \"./"+longFlat[1:]+"\" 0\n"),
	flatCase("a name of 512 bytes, cut off without a word", "RW 3 VMFS \""+longFlat+"x\"\n", 3, named(longFlat, 11)),
	flatCase("a name that is no UTF-8", "RW 3 FLAT \"é\xff\" 0\n", 3, named("é\xff", 11)),
	flatCase("a name for a terminal", "RW 3 FLAT \"\x1b[2J\" 0\n", 3, named("\x1b[2J", 11)),
	{name: "a name of the host", image: []byte(flatType + "RW 3 FLAT \"/nowhere/shadow\" 0\n"), want: flatExtents(3, named("/nowhere/shadow", 11)), differs: "extent that QEMU cannot open"},
	{name: "a name above", image: []byte(flatType + "RW 3 FLAT \"../../nowhere/shadow\" 0\n"), want: flatExtents(3, named("../../nowhere/shadow", 11)), differs: "extent that QEMU cannot open"},
	{name: "a name with a protocol", image: []byte(flatType + "RW 3 FLAT \"x://flat\" 0\n"), want: flatExtents(3, named("x://flat", 11)), differs: "extent that QEMU cannot open"},

	{name: "sparse extent", image: []byte(sparseType + "RW 2048 SPARSE \"sparse\"\n"), want: sparseExtents(2048, namedSparse("sparse", 16)), differs: "sparse extents"},
	{name: "sparse extent that says another size", image: []byte(sparseType + "RW 1 SPARSE \"sparse\"\n"), want: sparseExtents(1, namedSparse("sparse", 13)), differs: "sparse extents"},
	{name: "older sparse extent", image: []byte(sparseType + "RW 2048 VMFSSPARSE \"cowd\"\n"), want: sparseExtents(2048, namedSparse("cowd", 20)), differs: "sparse extents"},
	{name: "seSparse extent", image: []byte(sparseType + "RW 2048 SESPARSE \"sesparse\"\n"), want: sparseExtents(2048, namedSparse("sesparse", 18)), differs: "sparse extents"},
	{name: "sparse extent with an offset", image: []byte(sparseType + "RW 2048 SPARSE \"sparse\" 0\n"), err: probe.ErrCorrupt, field: "extent"},

	{name: "flat, with a parent", image: []byte(flatType + "RW 1 FLAT \"flat\" 0\nparentFileNameHint=\"/base\"\n"),
		want: flatParent(flatExtents(1, named("flat", 11)), "/base", len(flatType)+39)},
	{name: "flat, parent behind 10240 bytes", image: []byte(flatType + "RW 1 FLAT \"flat\" 0\n" + strings.Repeat(" ", 10240) + "parentFileNameHint=\"/base\"\n"),
		want: flatExtents(1, named("flat", 11))},
	{name: "flat, extent behind 10240 bytes", image: []byte(flatType + strings.Repeat("#\n", 6000) + "RW 1 FLAT \"flat\" 0\n"), want: flatExtents(1, named("flat", 12011))},
	{name: "flat, no parentCID", image: []byte("version=1\nCID=1\ncreateType=\"vmfs\"\nRW 1 VMFS \"flat\"\n"), err: probe.ErrCorrupt, field: "parentCID"},
	{name: "flat, CIDs behind 10240 bytes", image: []byte("createType=\"vmfs\"\nRW 1 VMFS \"flat\"\n" + strings.Repeat("#\n", 6000) + vmdkIDs), err: probe.ErrCorrupt, field: "CID"},

	{name: "sparse of size 0 that names files", image: holder(flatType + "RW 3 FLAT \"flat\" 0\n"), want: func() *probe.Header {
		h := flatExtents(3, named("flat", 512+11))
		h.Version = 1
		return h
	}()},
	{name: "sparse of size 0, descriptor at the end", image: holder(vmdkIDs+"parentFileNameHint=\"/base\"", le64(28, 22), put(22*512, flatType+"RW 3 FLAT \"flat\" 0\nparentFileNameHint=\"/none\"\n")),
		want: func() *probe.Header {
			h := flatParent(flatExtents(3, named("flat", 22*512+11)), "/base", hintAt)
			h.Version = 1
			return h
		}()},
	{name: "sparse of size 0, any version", image: holder(flatType+"RW 3 FLAT \"flat\" 0\n", le32(4, 99), le64(20, 0), le64(56, 1<<64-1)), want: func() *probe.Header {
		h := flatExtents(3, named("flat", 512+11))
		h.Version = 99
		return h
	}()},
	{name: "sparse of size 0, of its own type", image: vmdk(le64(12, 0)), err: probe.ErrUnsupported, field: "createType"},
	{name: "sparse of size 0, no CID at 512", image: holder("", le64(28, 22), put(22*512, flatType+"RW 3 FLAT \"flat\" 0\n")), err: probe.ErrCorrupt, field: "CID"},
	{name: "sparse of size 0, descriptor behind the end", image: holder(flatType, le64(28, 1000)), err: probe.ErrCorrupt, field: "createType"},
	{name: "sparse of size 0, descriptor at 2^54", image: holder(flatType, le64(28, 1<<54)), err: probe.ErrCorrupt, field: "descriptorOffset"},
	{name: "sparse of size 0, descriptor at 2^55 and 1", image: holder(flatType+"RW 3 FLAT \"flat\" 0\n", le64(28, 1<<55+1)),
		err: probe.ErrCorrupt, field: "descriptorOffset", differs: "offset that wraps around"},
	{name: "sparse of size 0, without extents", image: holder(flatType), err: probe.ErrCorrupt, field: "extent"},
}
