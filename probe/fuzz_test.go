package probe_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chainfix/chainfix/probe"
)

// longest keeps the seeds small: zeros after them are added by the target.
const longest = 8 << 10

func FuzzSignatures(f *testing.F) {
	for _, c := range signatureCases {
		n := uint32(len(c.image))
		f.Add(c.image[:min(n, longest)], c.image[n-min(n, 512):], n)
		if n > isoOffset {
			f.Add(c.image[:min(n, longest)], c.image[isoOffset:min(n, isoOffset+5)], min(n, isoOffset+5))
		}
	}
	f.Fuzz(func(t *testing.T, head, tail []byte, size uint32) {
		image := sparse{head, tail, int64(size)}
		r := &countingReader{t: t, r: image, size: image.size}
		got, err := probe.Signatures(r, r.size)
		if err != nil || r.reads > 3 || r.bytes > 4096+5+512 {
			t.Errorf("%d bytes in %d reads: %v", r.bytes, r.reads, err)
		}
		for _, s := range got {
			if s.Format == probe.Raw || !slices.Contains(probe.Formats(), s.Format) {
				t.Errorf("%+v is no mark", s)
			}
		}
		// QEMU looks at the first sector, and no further.
		first, err := probe.Signatures(image, min(image.size, 512))
		if diff := cmp.Diff(byQEMU(first), byQEMU(got)); diff != "" || err != nil {
			t.Errorf("QEMU's marks -in the first sector +in the image\n%s\n%v", diff, err)
		}
	})
}

const isoOffset = 32769

func byQEMU(marks []probe.Signature) []probe.Format {
	var formats []probe.Format
	for _, s := range marks {
		if s.QEMU {
			formats = append(formats, s.Format)
		}
	}
	return formats
}

// sparse is an image that starts with head and ends with tail; zeros are in
// between.
type sparse struct {
	head, tail []byte
	size       int64
}

func (s sparse) ReadAt(p []byte, off int64) (int, error) {
	for i := range p {
		p[i] = 0
		if at := off + int64(i); at < int64(len(s.head)) {
			p[i] = s.head[at]
		} else if at -= s.size - int64(len(s.tail)); at >= 0 && at < int64(len(s.tail)) {
			p[i] = s.tail[at]
		}
	}
	return len(p), nil
}

func FuzzReadQcow(f *testing.F)  { fuzzRead(f, probe.Qcow, qcowCases) }
func FuzzReadQcow2(f *testing.F) { fuzzRead(f, probe.Qcow2, qcow2Cases, qcow2ExtensionCases) }
func FuzzReadQED(f *testing.F)   { fuzzRead(f, probe.QED, qedCases) }
func FuzzReadVMDK(f *testing.F)  { fuzzRead(f, probe.VMDK, vmdkCases, vmdkDescriptorCases) }
func FuzzReadVDI(f *testing.F)   { fuzzRead(f, probe.VDI, vdiCases) }
func FuzzReadVPC(f *testing.F)   { fuzzRead(f, probe.VPC, vpcCases) }

func FuzzReadParallels(f *testing.F) { fuzzRead(f, probe.Parallels, parallelsCases) }
func FuzzReadLUKS(f *testing.F)      { fuzzRead(f, probe.LUKS, luksCases) }
func FuzzReadBochs(f *testing.F)     { fuzzRead(f, probe.Bochs, bochsCases) }
func FuzzReadCloop(f *testing.F)     { fuzzRead(f, probe.Cloop, cloopCases) }
func FuzzReadDMG(f *testing.F)       { fuzzRead(f, probe.DMG, dmgCases) }

func fuzzRead(f *testing.F, format probe.Format, tables ...[]readCase) {
	for _, cases := range tables {
		for _, c := range cases {
			n := uint32(len(c.image))
			f.Add(c.image[:min(n, longest)], n)
		}
	}
	f.Fuzz(func(t *testing.T, head []byte, size uint32) {
		image := padded(head[:min(uint64(size), uint64(len(head)))])
		if format == probe.VPC && size%2 == 0 {
			// Past the checksum, which no mutation would hit.
			image = vpcChecksum(image)
		}
		h, err := read(t, image, int64(size), format)
		again, _ := probe.Read(image, int64(size), format)
		if diff := cmp.Diff(h, again); diff != "" {
			t.Errorf("another Read: %s", diff)
		}
		if err != nil || readAtEnd(h, image) {
			return
		}
		// What is added after an image changes nothing that it says.
		const more = 1 << 32
		if h.Format == probe.LUKS {
			h.VirtualSize += more // but for the guest's disk, which is the rest of it
		}
		longer, err := probe.Read(image, int64(size)+more, format)
		if diff := cmp.Diff(h, longer); diff != "" || err != nil {
			t.Errorf("with zeros behind it: %s\n%v", diff, err)
		}
	})
}

// readAtEnd tells whether the image's own end says what it is.
func readAtEnd(h *probe.Header, head []byte) bool {
	return h.Format == probe.DMG || h.Format == probe.VPC && h.Subformat == "fixed" || h.Format == probe.VMDK && vmdkStreamed(head)
}
