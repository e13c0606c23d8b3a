package probe_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
	"github.com/chainfix/chainfix/testdata/peers"
)

type signatureCase struct {
	name  string
	image []byte
	want  []probe.Signature
}

func marks(edits ...edit) []byte { return apply(make([]byte, 64<<10), edits...) }

// Who takes the bytes for the format.
func onBoth(f probe.Format) probe.Signature {
	return probe.Signature{Format: f, QEMU: true, Libvirt: true}
}
func onQEMU(f probe.Format) probe.Signature    { return probe.Signature{Format: f, QEMU: true} }
func onLibvirt(f probe.Format) probe.Signature { return probe.Signature{Format: f, Libvirt: true} }
func onNone(f probe.Format) probe.Signature    { return probe.Signature{Format: f} }

func found(s ...probe.Signature) []probe.Signature { return s }

const cloop = "#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n"

func vhd(version, kind uint32) edit {
	return put(0, "conectix\x00\x00\x00\x02"+be(version)+strings.Repeat("\x00", 44)+be(kind))
}

var signatureCases = []signatureCase{
	{"nothing", marks(), nil},
	{"no bytes", nil, nil},
	{"one byte", []byte("Q"), nil},
	{"MBR", marks(put(510, "\x55\xaa")), nil},
	{"GPT", marks(put(510, "\x55\xaa"), put(512, "EFI PART")), nil},
	{"FAT", marks(put(0, "\xeb\x3c\x90mkfs.fat"), put(510, "\x55\xaa")), nil},
	{"gzip", marks(put(0, "\x1f\x8b\x08")), nil},
	{"xz", marks(put(0, "\xfd7zXZ\x00")), nil},
	{"zstd", marks(put(0, "\x28\xb5\x2f\xfd")), nil},

	{"qcow", marks(put(0, "QFI\xfb"), be32(4, 1)), found(onBoth(probe.Qcow))},
	{"qcow without 0xfb", marks(put(0, "QFIx"), be32(4, 1)), found(onLibvirt(probe.Qcow))},
	{"qcow of 8 bytes", marks(put(0, "QFI\xfb"), be32(4, 1), end(8)), found(onBoth(probe.Qcow))},
	{"qcow of 7 bytes", marks(put(0, "QFI\xfb"), be32(4, 1), end(7)), nil},
	{"qcow version 0", marks(put(0, "QFI\xfb")), nil},
	{"qcow2 version 2", marks(put(0, "QFI\xfb"), be32(4, 2)), found(onBoth(probe.Qcow2))},
	{"qcow2 version 3", marks(put(0, "QFI\xfb"), be32(4, 3)), found(onBoth(probe.Qcow2))},
	{"qcow2 version 4", marks(put(0, "QFI\xfb"), be32(4, 4)), found(onQEMU(probe.Qcow2))},
	{"qcow2 version 2^32-1", marks(put(0, "QFI\xfb"), be32(4, 1<<32-1)), found(onQEMU(probe.Qcow2))},
	{"qcow2 version 512, cut short", marks(put(0, "QFI\xfb"), be32(4, 512), end(7)), found(onQEMU(probe.Qcow2))},
	{"qcow2 without 0xfb, version 2", marks(put(0, "QFIx"), be32(4, 2)), found(onLibvirt(probe.Qcow2))},
	{"qcow2 without 0xfb, version 3", marks(put(0, "QFIx"), be32(4, 3)), found(onLibvirt(probe.Qcow2))},
	{"qcow2 without 0xfb, version 4", marks(put(0, "QFIx"), be32(4, 4)), nil},
	{"qcow2 in lower case", marks(put(0, "qfi\xfb"), be32(4, 3)), nil},
	{"qcow2 not at 0", marks(put(1, "QFI\xfb"), be32(5, 3)), nil},

	{"qed", marks(put(0, "QED\x00")), found(onBoth(probe.QED))},
	{"qed without NUL", marks(put(0, "QEDx")), found(onLibvirt(probe.QED))},
	{"qed of 3 bytes", []byte("QED"), found(onBoth(probe.QED))},

	{"vmdk version 0", marks(put(0, "KDMV")), found(onQEMU(probe.VMDK))},
	{"vmdk version 1", marks(put(0, "KDMV"), le32(4, 1)), found(onBoth(probe.VMDK))},
	{"vmdk version 3", marks(put(0, "KDMV"), le32(4, 3)), found(onBoth(probe.VMDK))},
	{"vmdk version 4", marks(put(0, "KDMV"), le32(4, 4)), found(onQEMU(probe.VMDK))},
	{"vmdk of 5 bytes", []byte("KDMV\x01"), found(onQEMU(probe.VMDK))},
	{"vmdk COWD", marks(put(0, "COWD"), le32(4, 1)), found(onQEMU(probe.VMDK))},
	{"vmdk text", marks(put(0, "# Disk DescriptorFile\nversion=1\n")), found(onQEMU(probe.VMDK))},
	{"vmdk text, version 2, CRLF", marks(put(0, "# Disk DescriptorFile\r\nversion=2\r\n")), found(onQEMU(probe.VMDK))},
	{"vmdk text, version 3, no comment", marks(put(0, "version=3\n")), found(onQEMU(probe.VMDK))},
	{"vmdk text, spaces", marks(put(0, "#\n  \n \r\n#\nversion=1\n")), found(onQEMU(probe.VMDK))},
	{"vmdk text, empty line", marks(put(0, "#\n\nversion=1\n")), nil},
	{"vmdk text, empty line, CRLF", marks(put(0, "#\r\n\r\nversion=1\r\n")), nil},
	{"vmdk text, tab", marks(put(0, "#\n\t\nversion=1\n")), nil},
	{"vmdk text, indented", marks(put(0, "#\n version=1\n")), nil},
	{"vmdk text, CR in spaces", marks(put(0, " \r version=1\n")), nil},
	{"vmdk text, version 0", marks(put(0, "version=0\n")), nil},
	{"vmdk text, version 4", marks(put(0, "version=4\n")), nil},
	{"vmdk text, version 10", marks(put(0, "version=10\n")), nil},
	{"vmdk text, version in quotes", marks(put(0, "version=\"1\"\n")), nil},
	{"vmdk text, space behind", marks(put(0, "version=1 \n")), nil},
	{"vmdk text, CR only", marks(put(0, "version=1\r")), nil},
	{"vmdk text, no line end", []byte("version=1"), nil},
	{"vmdk text, upper case", marks(put(0, "Version=1\n")), nil},
	{"vmdk text, other text first", marks(put(0, "CID=1\nversion=1\n")), nil},
	{"vmdk text, to the end of the sector", marks(put(0, "#"+strings.Repeat("x", 500)+"\nversion=1\n")), found(onQEMU(probe.VMDK))},
	{"vmdk text, over the end of the sector", marks(put(0, "#"+strings.Repeat("x", 501)+"\nversion=1\n")), nil},
	{"vmdk text, CRLF to the end of the sector", marks(put(0, "#"+strings.Repeat("x", 499)+"\nversion=1\r\n")), found(onQEMU(probe.VMDK))},
	{"vmdk text, CRLF over the end of the sector", marks(put(0, "#"+strings.Repeat("x", 500)+"\nversion=1\r\n")), nil},
	{"vmdk text, endless comment", marks(put(0, strings.Repeat("#", 4096)+"\nversion=1\n")), nil},
	{"vmdk text, endless spaces", marks(put(0, strings.Repeat(" ", 4096)+"\nversion=1\n")), nil},

	{"vpc dynamic", marks(vhd(0x10000, 3), end(64<<10), put(64<<10-512, "conectix")), found(onBoth(probe.VPC))},
	{"vpc differencing", marks(vhd(0x10000, 4)), found(onBoth(probe.VPC))},
	{"vpc version", marks(vhd(0x20000, 3)), found(onQEMU(probe.VPC))},
	{"vpc fixed", marks(put(64<<10-512, "conectix")), found(onNone(probe.VPC))},
	{"vpc fixed, 512 bytes", marks(put(0, "conectix"), end(512)), found(onQEMU(probe.VPC))},
	{"vpc fixed, odd length", marks(put(1001-512, "conectix"), end(1001)), found(onNone(probe.VPC))},
	{"vpc fixed, no whole footer", marks(put(64<<10-511, "conectix")), nil},
	{"vhdx", marks(put(0, "vhdxfile")), found(onQEMU(probe.VHDX))},
	{"vhdx, short of a byte", marks(put(0, "vhdxfil")), nil},

	{"vdi", marks(le32(64, 0xBEDA107F), le32(68, 0x10001)), found(onBoth(probe.VDI))},
	{"vdi version", marks(le32(64, 0xBEDA107F), le32(68, 0x10002)), found(onQEMU(probe.VDI))},
	{"vdi of 68 bytes", marks(le32(64, 0xBEDA107F), end(68)), found(onQEMU(probe.VDI))},
	{"vdi of 66 bytes", marks(le32(64, 0xBEDA107F), end(66)), nil},

	{"parallels, old", marks(put(0, "WithoutFreeSpace"), le32(16, 2)), found(onQEMU(probe.Parallels))},
	{"parallels, old, version", marks(put(0, "WithoutFreeSpace"), le32(16, 1)), nil},
	{"parallels, old, of 17 bytes", marks(put(0, "WithoutFreeSpace\x02"), end(17)), found(onQEMU(probe.Parallels))},
	{"parallels, extended", marks(put(0, "WithouFreSpacExt"), le32(16, 2)), found(onBoth(probe.Parallels))},
	{"parallels, extended, version", marks(put(0, "WithouFreSpacExt"), le32(16, 3)), found(onLibvirt(probe.Parallels))},

	{"luks 1", marks(put(0, "LUKS\xba\xbe\x00\x01")), found(onQEMU(probe.LUKS))},
	{"luks 2", marks(put(0, "LUKS\xba\xbe\x00\x02")), found(onNone(probe.LUKS))},
	{"luks 3", marks(put(0, "LUKS\xba\xbe\x00\x03")), nil},

	{"bochs", marks(put(0, "Bochs Virtual HD Image"), put(32, "Redolog"), put(48, "Growing"), le32(64, 0x20000)), found(onQEMU(probe.Bochs))},
	{"bochs, first version", marks(put(0, "Bochs Virtual HD Image"), put(32, "Redolog"), put(48, "Growing"), le32(64, 0x10000)), found(onQEMU(probe.Bochs))},
	{"bochs, version", marks(put(0, "Bochs Virtual HD Image"), put(32, "Redolog"), put(48, "Growing"), le32(64, 0x30000)), nil},
	{"bochs, longer string", marks(put(0, "Bochs Virtual HD Images"), put(32, "Redolog"), put(48, "Growing"), le32(64, 0x20000)), nil},
	{"bochs, flat", marks(put(0, "Bochs Virtual HD Image"), put(32, "Redolog"), put(48, "Flat"), le32(64, 0x20000)), nil},

	{"cloop", marks(put(0, cloop)), found(onQEMU(probe.Cloop))},
	{"cloop, other script", marks(put(0, "#!/bin/sh\n#V2.0 Format\nrm")), nil},

	{"dmg", marks(put(64<<10-512, "koly")), found(onNone(probe.DMG))},

	{"iso", marks(put(32769, "CD001")), found(onLibvirt(probe.ISO))},
	{"iso, ends with its mark", marks(put(32769, "CD001"), end(32774)), found(onLibvirt(probe.ISO))},
	{"iso, ends within its mark", marks(put(32769, "CD001"), end(32773)), nil},
	{"iso, UDF bridge", marks(put(32769, "BEA01")), nil},

	{"cow", marks(put(0, "OOOM"), be32(4, 2)), found(onLibvirt(probe.COW))},
	{"cow version", marks(put(0, "OOOM"), be32(4, 3)), nil},

	{"qcow2 and iso", marks(put(0, "QFI\xfb"), be32(4, 3), put(32769, "CD001")), found(onBoth(probe.Qcow2), onLibvirt(probe.ISO))},
	{"MBR and iso", marks(put(510, "\x55\xaa"), put(32769, "CD001")), found(onLibvirt(probe.ISO))},
	{"GPT and qcow2", marks(put(0, "QFI\xfb"), be32(4, 2), put(510, "\x55\xaa"), put(512, "EFI PART")), found(onBoth(probe.Qcow2))},
	{"qcow2 and fixed vpc", marks(put(0, "QFI\xfb"), be32(4, 2), put(64<<10-512, "conectix")), found(onBoth(probe.Qcow2), onNone(probe.VPC))},
	{"qcow2 and vdi", marks(put(0, "QFI\xfb"), be32(4, 2), le32(64, 0xBEDA107F)), found(onBoth(probe.Qcow2), onQEMU(probe.VDI))},
	{"real qcow2", must(mkimage.Qcow2{VirtualSize: 1 << 20}.Bytes()), found(onBoth(probe.Qcow2))},
	{"real qcow", must(mkimage.Qcow{VirtualSize: 1 << 20}.Bytes()), found(onBoth(probe.Qcow))},
	{"real qed", must(mkimage.QED{VirtualSize: 1 << 20}.Bytes()), found(onBoth(probe.QED))},
}

func TestSignatures(t *testing.T) {
	for _, c := range signatureCases {
		r := &countingReader{t: t, r: bytes.NewReader(c.image), size: int64(len(c.image))}
		got, err := probe.Signatures(r, r.size)
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("%s: -want +got\n%s\nerror: %v", c.name, diff, err)
		}
		if r.reads > 3 || r.bytes > 4096+5+512 {
			t.Errorf("%s: %d bytes in %d reads", c.name, r.bytes, r.reads)
		}
	}
}

// TestSignaturesCoverEveryFormat: each has a mark, but for raw.
func TestSignaturesCoverEveryFormat(t *testing.T) {
	missing := make(map[probe.Format]bool)
	for _, f := range probe.Formats()[1:] {
		missing[f] = true
	}
	for _, c := range signatureCases {
		for _, s := range c.want {
			delete(missing, s.Format)
		}
	}
	if len(missing) > 0 {
		t.Errorf("no case for %v", missing)
	}
}

// TestSignaturesAgreeWithQEMU lets qemu-img probe every case. Where it takes
// one format, it must say of the image what it says when it is told that
// format; these images are mostly broken, so that often is an error.
func TestSignaturesAgreeWithQEMU(t *testing.T) {
	peers.Require(t, "qemu-img")
	dir := t.TempDir()
	for _, c := range signatureCases {
		writeImage(t, filepath.Join(dir, "image"), c.image)
		want := probe.Raw
		candidates := 0
		for _, s := range c.want {
			if s.QEMU {
				want = s.Format
				candidates++
			}
		}
		if candidates > 1 {
			continue // a tie, which the order of QEMU's drivers decides
		}
		probed, told := qemuSays(t, dir, ""), qemuSays(t, dir, want)
		if probed != told {
			t.Errorf("%s: probed\n%s\nas %s\n%s", c.name, probed, want, told)
		}
		if asRaw := qemuSays(t, dir, probe.Raw); want != probe.Raw && probed == asRaw {
			t.Errorf("%s: QEMU takes it for raw, not %s", c.name, want)
		}
	}
}

func qemuSays(t *testing.T, dir string, f probe.Format) string {
	t.Helper()
	i, stderr, err := qemuInfo(dir, "image", f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(i)
	if err != nil {
		t.Fatal(err)
	}
	return string(b) + "\n" + stderr
}

// TestReaderErrors: what the reader says comes back, from every read.
func TestReaderErrors(t *testing.T) {
	broken := errors.New("broken")
	image := clusters(21, v1name(1<<20, "/base"))
	for nth := range 3 {
		r := &failingReader{r: bytes.NewReader(image), after: nth, err: broken}
		if got, err := probe.Signatures(r, int64(len(image))); !errors.Is(err, broken) || got != nil {
			t.Errorf("Signatures, read %d: %v, %v", nth, got, err)
		}
	}
	for nth := range 2 {
		r := &failingReader{r: bytes.NewReader(image), after: nth, err: broken}
		if h, err := probe.Read(r, int64(len(image)), probe.Qcow2); !errors.Is(err, broken) || h != nil || sentinels(err) != nil {
			t.Errorf("Read, read %d: %v, %v", nth, h, err)
		}
	}
	// A file that has shrunk since its size was taken.
	if _, err := probe.Read(bytes.NewReader(image[:100]), int64(len(image)), probe.Qcow2); !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		t.Errorf("shrunk: %v", err)
	}
}

type failingReader struct {
	r     io.ReaderAt
	after int // reads that succeed
	err   error
}

func (f *failingReader) ReadAt(p []byte, off int64) (int, error) {
	if f.after--; f.after < 0 {
		return 0, f.err
	}
	return f.r.ReadAt(p, off)
}
