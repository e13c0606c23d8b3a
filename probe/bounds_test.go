package probe_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
)

// TestReadBounds: an ordinary image takes one read of 4 KiB, and no image
// takes more than 2 MiB, whatever its header asks for.
func TestReadBounds(t *testing.T) {
	const mib = 1 << 20
	// An extension area of 2 MiB less the longest name, full of empty
	// extensions: a quarter of a million of them.
	full := clusters(21, v1name(2*mib-1023, strings.Repeat("x", 1023)))
	for off := 112; off+8 <= 2*mib-1023; off += 8 {
		copy(full[off:], "none")
	}
	copy(full[2*mib-1023-9:], be(uint32(0))) // which ends before the odd byte
	long := func(n int) []byte {
		return must(mkimage.Qcow2{ClusterBits: 21, VirtualSize: mib, Extensions: exts(ext(0x1234, strings.Repeat("x", n)))}.Bytes())
	}
	lateDataFile := apply(long(2*mib-8000), be64(72, 4), put(2*mib-8000+120, be(mkimage.ExtDataFile, uint32(4095))+strings.Repeat("x", 4095)))

	for _, c := range []struct {
		name         string
		image        []byte
		format       probe.Format
		reads, bytes int64
	}{
		{"raw", make([]byte, 2*mib), probe.Raw, 1, 4096},
		{"qcow2", v3image(), probe.Qcow2, 1, 4096},
		{"qcow2 with backing and data file", extended(exts(format("raw"), ext(mkimage.ExtDataFile, "/data")), be64(72, 4)), probe.Qcow2, 1, 4096},
		{"qcow2, name at the end of 2 MiB", clusters(21, v1name(2*mib-1023, strings.Repeat("x", 1023))), probe.Qcow2, 2, 4096 + 1023},
		{"qcow2, area of empty extensions", full, probe.Qcow2, 10, 2 * mib},
		{"qcow2, extension of 2 MiB", long(2*mib - 200), probe.Qcow2, 2, 2 * mib},
		{"qcow2, data file name at the end of 2 MiB", lateDataFile, probe.Qcow2, 3, 2 * mib},
		{"qcow", v1image(v1name(48, "/base")), probe.Qcow, 1, 4096},
		{"qcow, name far away", v1image(v1name(5*mib, strings.Repeat("x", 1023))), probe.Qcow, 2, 4096 + 1023},
		{"qed", qed(qedName(1, 64, "/base")), probe.QED, 1, 4096},
		{"vmdk", vmdk(), probe.VMDK, 2, 512 + 10240},
		{"vmdk, name at the end", vmdkOver(strings.Repeat(" ", 10240-84-2023) + `parentFileNameHint="` + strings.Repeat("x", 2022) + `"`), probe.VMDK, 2, 512 + 10240},
		{"vmdk stream", stream(), probe.VMDK, 3, 512 + 10240 + 1536},
		{"vmdk descriptor", []byte(flatType + "RW 1 FLAT \"flat\" 0\n"), probe.VMDK, 1, 4096},
		{"vmdk descriptor of any length", apply([]byte(flatType+"RW 1 FLAT \"flat\" 0\n"), end(5*mib)), probe.VMDK, 3, 4096 + mib + 10240},
		{"vmdk, descriptor far away", holder(vmdkIDs, le64(28, 2048), put(mib, flatType+"RW 1 FLAT \"flat\" 0\n"), end(5*mib)), probe.VMDK, 3, mib + 512 + 10240},
		{"vdi", vdi(), probe.VDI, 1, 4096},
		{"vpc, dynamic", vpcImage(), probe.VPC, 1, 4096},
		{"vpc, headers far apart", vpcImage(be64(16, mib), put(mib, string(vpcImage()[512:1536]))), probe.VPC, 2, 4096 + 1024},
		{"vpc, fixed", must(mkimage.VPC{VirtualSize: mib, Fixed: true}.Bytes()), probe.VPC, 2, 4096 + 512},
		{"vhdx", vhdx(), probe.VHDX, 10, 4096 + 2*4096 + 65536 + 6*32 + 8 + 8 + 4 + 32},
		{"vhdx, longest name", vhdxChild(strings.Repeat("é", 2047) + "x"), probe.VHDX, 11, 4096 + 2*4096 + 65536 + 7*32 + 8 + 8 + 4 + 4097*8 + 4400},
		{"vhdx, most entries", vhdx(summed(le32(vhdxRegions+8, 2047)), le16(vhdxMetadata+10, 2047)), probe.VHDX, 10, 4096 + 2*4096 + 65536 + 2048*32 + 8 + 8 + 4 + 32},
		{"parallels", parallels(), probe.Parallels, 1, 4096},
		{"parallels, largest BAT", parallels(le32(32, 1<<29-200)), probe.Parallels, 1, 4096},
		{"luks", luks(), probe.LUKS, 1, 4096},
		{"bochs", bochs(), probe.Bochs, 1, 4096},
		{"cloop", cloopImage(), probe.Cloop, 1, 4096},
		{"cloop, most blocks", cloopImage(be32(132, 1<<18-513), end(136), end(2*mib)), probe.Cloop, 2, 2 * mib},
		{"dmg", dmg(end(4096), end(5*mib), put(5*mib, string(dmg()[dmgTrailer:]))), probe.DMG, 3, 4096 + 515 + 512},
		{"dmg, resource fork", dmg(fork(dmgChunks(0, 8, 0))), probe.DMG, 4, 4096 + 515 + 512},
		{"iso", marks(put(isoOffset, "CD001")), probe.ISO, 2, 4096 + 5},
		{"qed, longest name", qed(qedName(1, 65536-4095, strings.Repeat("x", 4095))), probe.QED, 2, 4096 + 4095},
	} {
		r := &countingReader{t: t, r: bytes.NewReader(c.image), size: int64(len(c.image))}
		h, err := probe.Read(r, r.size, c.format)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if int64(r.reads) > c.reads || r.bytes > c.bytes {
			t.Errorf("%s: %d bytes in %d reads, want at most %d in %d", c.name, r.bytes, r.reads, c.bytes, c.reads)
		}
		if strings.Contains(c.name, "name") && (len(h.References()) != 1 || len(h.References()[0].Name) < 1023) {
			t.Errorf("%s: %+v", c.name, h)
		}
	}
}

// TestReadManyExtents: a descriptor of 1 MiB takes time in proportion, however
// it is made, and names only so many files.
func TestReadManyExtents(t *testing.T) {
	const mib = 1 << 20
	const line = "RW 1 VMFS \"x\"\n"
	for _, c := range []struct {
		name, lines string
		extents     int
	}{
		{"as many as are taken", strings.Repeat(line, 4096), 4096},
		{"one more", strings.Repeat(line, 4097), -1},
		{"a megabyte of them", strings.Repeat(line, mib/len(line)), -1},
		{"one behind a megabyte of newlines", strings.Repeat("\n", mib-1000) + line, -1},
		{"newlines before a word and spaces", line + strings.Repeat("\n", mib/2) + "RW " + strings.Repeat(" ", mib/2-1000) + "x", 1},
		{"newlines before a word and digits", line + strings.Repeat("\n", mib/2) + "RW " + strings.Repeat("1", mib/2-1000), 1},
		{"words, each before all the others", line + strings.Repeat("RW 1\n", mib/5-100), 1},
		{"one line", line + "RW" + strings.Repeat(" 1", mib/2-1000), 1},
	} {
		image := []byte(flatType + c.lines)
		h, err := read(t, bytes.NewReader(image), int64(len(image)), probe.VMDK)
		if c.extents < 0 {
			if !errors.Is(err, probe.ErrLimit) {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if err != nil || len(h.Extents) != c.extents {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestReadAllocates: whatever a header asks for, reading it takes little more
// memory than the bytes that are read.
func TestReadAllocates(t *testing.T) {
	for _, table := range readTables {
		for _, c := range table.cases {
			r := bytes.NewReader(c.image)
			if n := allocated(func() { probe.Read(r, r.Size(), table.format) }); n > maxAllocated {
				t.Errorf("%s/%s: %d bytes", table.format, c.name, n)
			}
			if n := allocated(func() { probe.Signatures(r, r.Size()) }); n > 32<<10 {
				t.Errorf("signatures of %s/%s: %d bytes", table.format, c.name, n)
			}
		}
	}
}

// TestReadSharedTexts: texts that the pairs of a vhdx's parent locator share are
// not decoded for each of them: 50,000 pairs would make gigabytes of less than 1 MiB.
func TestReadSharedTexts(t *testing.T) {
	r := bytes.NewReader(vhdxChild("base.vhdx", sharedPairs(50000)))
	if n := allocated(func() {
		if h, err := probe.Read(r, r.Size(), probe.VHDX); err != nil || h.Parent.Name != "" {
			t.Errorf("%+v, %v", h, err)
		}
	}); n > maxAllocated {
		t.Errorf("%d bytes", n)
	}
}

// sharedPairs is a parent locator of 900 KiB with n pairs, whose keys are all
// different and whose values are all the same, each as long as may be.
func sharedPairs(n int) edit {
	const size = 900 << 10
	return func(b []byte) []byte {
		b = apply(b, le16(vhdxLocator+18, uint64(n)), le32(item(5)+20, size))
		texts := 20 + n*12
		for i := texts; i+2 <= size; i += 2 {
			binary.LittleEndian.PutUint16(b[vhdxLocator+i:], uint16(0x4e00+i%20010/2))
		}
		for i := range n {
			pair := b[vhdxLocator+20+i*12:]
			binary.LittleEndian.PutUint32(pair, uint32(texts+2*(i%30000)))
			binary.LittleEndian.PutUint32(pair[4:], uint32(texts))
			binary.LittleEndian.PutUint16(pair[8:], uint16(60000+2*(i/30000)))
			binary.LittleEndian.PutUint16(pair[10:], 65534)
		}
		return b
	}
}

// TestReadManyRegions: as many regions as a vhdx may have, and as many blocks as
// are read of it, none of which may overlap any region.
func TestReadManyRegions(t *testing.T) {
	const regions, blocks, far = 2047, 230_000, 1 << 40
	const unknown = vhdxRegions + 16 + 2*32
	image := vhdx(end(8<<20), le32(vhdxRegions+8, regions), le32(vhdxRegions+16+24, 2<<20), le64(vhdxItems+16, blocks<<20), func(b []byte) []byte {
		for i := range uint64(regions - 2) {
			at := unknown + int(i)*32
			b = apply(b, put(at, strings.Repeat("x", 16)), le64(at+16, far+i<<20), le32(at+24, 1))
		}
		for i := range blocks + blocks/4096 {
			binary.LittleEndian.PutUint64(b[vhdxBAT+i*8:], 6<<20|6)
		}
		return b
	}, summed())
	if h, err := read(t, bytes.NewReader(image), int64(len(image)), probe.VHDX); err != nil || h.VirtualSize != blocks<<20 {
		t.Fatalf("%+v, %v", h, err)
	}
	image = apply(image, le64(unknown+16, 6<<20), summed())
	if _, err := read(t, bytes.NewReader(image), int64(len(image)), probe.VHDX); !errors.Is(err, probe.ErrCorrupt) {
		t.Errorf("overlapping: %v", err)
	}
}

// TestReadRepeatedExtents: an extent after empty lines counts once for each of
// them, and its name is there once: five KiB would make megabytes.
func TestReadRepeatedExtents(t *testing.T) {
	r := strings.NewReader(flatType + strings.Repeat("\n", 4095) + `RW 1 VMFS "` + strings.Repeat("x", 511) + `"`)
	if n := allocated(func() {
		if h, err := probe.Read(r, r.Size(), probe.VMDK); err != nil || len(h.Extents) != 4096 {
			t.Errorf("%v", err)
		}
	}); n > 1<<20 {
		t.Errorf("%d bytes", n)
	}
}

// maxAllocated is what Read may allocate in all, in bytes: the 2 MiB that it
// may read, in pieces that double, and what it makes of a text.
const maxAllocated = 4 << 20

// allocated returns the bytes that f allocates. What package runtime/metrics says is
// cheaper and out by what a processor has in hand for small objects, which a collection
// in between shows all at once.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
