package probe_test

import (
	"bytes"
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
