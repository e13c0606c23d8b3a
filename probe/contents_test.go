package probe_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
	"github.com/chainfix/chainfix/testdata/peers"
)

// holds lists contents by their names.
func holds(names ...string) []probe.Content {
	odd := map[string]bool{
		"gzip": true, "xz": true, "zstd": true, "bzip2": true, "lz4": true, "zip": true, "7z": true, "tar": true,
	}
	var all []probe.Content
	for _, name := range names {
		kind := probe.GuestData
		if odd[name] {
			kind = probe.OddData
		}
		all = append(all, probe.Content{Name: name, Kind: kind})
	}
	return all
}

// partition is entry n of a partition table.
func partition(n int, status, kind byte) edit {
	at := 446 + n*16
	return func(b []byte) []byte {
		return apply(b, put(510, "\x55\xaa"), byteAt(at, status), byteAt(at+4, kind), le32(at+8, 2048), le32(at+12, 2048))
	}
}

const gpt = "EFI PART"

var contentCases = []struct {
	name  string
	image []byte
	want  []probe.Content
}{
	{"nothing", marks(), nil},
	{"no bytes", nil, nil},
	{"one byte", []byte("\x1f"), nil},
	{"text", []byte("#!/bin/sh\n"), nil},
	{"qcow2", v3image(), nil},
	{"vhdx", vhdx(), nil},
	{"parallels", parallels(), nil},

	{"MBR", marks(partition(0, 0x80, 0x83)), holds("MBR")},
	{"MBR, fourth partition", marks(partition(3, 0, 7)), holds("MBR")},
	{"MBR without partitions", marks(put(510, "\x55\xaa")), nil},
	{"MBR without its mark", marks(partition(0, 0, 7), put(510, "\xaa\x55")), nil},
	{"MBR cut short", marks(partition(0, 0, 7), end(511)), nil},
	{"MBR alone", marks(partition(0, 0, 7), end(512)), holds("MBR")},
	{"code where a partition table is", marks(partition(0, 0, 7), byteAt(446+16, 0xeb)), nil},
	{"partition of no kind", marks(partition(0, 0, 0)), nil},
	{"GPT", marks(partition(0, 0, 0xee), put(512, gpt)), holds("GPT")},
	{"GPT without its MBR", marks(put(512, gpt)), holds("GPT")},
	{"GPT in sectors of 4 KiB", marks(partition(0, 0, 0xee), put(4096, gpt)), holds("GPT")},
	{"GPT and MBR", marks(partition(0, 0, 0xee), partition(1, 0, 7), put(512, gpt)), holds("MBR", "GPT")},
	{"GPT whose first header is lost", marks(put(64<<10-512, gpt)), holds("GPT")},
	{"ext4", marks(put(1080, "\x53\xef"), le32(1048, 2), le32(1100, 1)), holds("ext2, ext3 or ext4")},
	{"ext2 of revision 0", marks(put(1080, "\x53\xef")), holds("ext2, ext3 or ext4")},
	{"ext4 in blocks of 128 KiB", marks(put(1080, "\x53\xef"), le32(1048, 7)), nil},
	{"ext4 cut short", marks(put(1080, "\x53\xef"), end(1081)), nil},
	{"XFS", marks(put(0, "XFSB"), be32(4, 4096)), holds("XFS")},
	{"XFS in blocks of nothing", marks(put(0, "XFSB")), nil},
	{"NTFS", marks(put(3, "NTFS    "), put(510, "\x55\xaa")), holds("NTFS")},
	{"FAT12", marks(put(54, "FAT12   "), put(510, "\x55\xaa")), holds("FAT")},
	{"FAT16", marks(put(54, "FAT16   "), put(510, "\x55\xaa")), holds("FAT")},
	{"FAT32", marks(put(82, "FAT32   "), put(510, "\x55\xaa")), holds("FAT")},
	{"FAT32 without its mark", marks(put(82, "FAT32   ")), nil},
	{"exFAT", marks(put(3, "EXFAT   "), put(510, "\x55\xaa")), holds("exFAT")},
	{"LVM2", marks(put(512, "LABELONE"), put(536, "LVM2 001")), holds("LVM2 physical volume")},
	{"LVM2 in the fourth sector", marks(put(1536, "LABELONE"), put(1560, "LVM2 001")), holds("LVM2 physical volume")},
	{"LVM2 in the fifth sector", marks(put(2048, "LABELONE"), put(2072, "LVM2 001")), nil},
	{"a label of something else", marks(put(512, "LABELONE"), put(536, "LVM3 001")), nil},
	{"swap", marks(put(4086, "SWAPSPACE2")), holds("swap space")},
	{"old swap", marks(put(4086, "SWAP-SPACE")), holds("swap space")},
	{"swap cut short", marks(put(4086, "SWAPSPACE2"), end(4095)), nil},
	{"squashfs", marks(put(0, "hsqs"), put(28, "\x04\x00")), holds("squashfs")},
	{"squashfs 3", marks(put(0, "hsqs"), put(28, "\x03\x00")), nil},
	{"ISO 9660", marks(put(isoOffset, "CD001")), holds("ISO 9660")},
	{"ISO 9660 with an MBR", marks(put(isoOffset, "CD001"), partition(0, 0x80, 0x17)), holds("MBR", "ISO 9660")},

	{"gzip", marks(put(0, "\x1f\x8b\x08")), holds("gzip")},
	{"xz", marks(put(0, "\xfd7zXZ\x00")), holds("xz")},
	{"zstd", marks(put(0, "\x28\xb5\x2f\xfd")), holds("zstd")},
	{"bzip2", marks(put(0, "BZh91AY&SY")), holds("bzip2")},
	{"bzip2 of nothing", []byte("BZh9\x17\x72\x45\x38\x50\x90\x00\x00\x00\x00"), holds("bzip2")},
	{"bzip2 without a block", marks(put(0, "BZh9")), nil},
	{"lz4", marks(put(0, "\x04\x22\x4d\x18")), holds("lz4")},
	{"zip", marks(put(0, "PK\x03\x04")), holds("zip")},
	{"zip of nothing", marks(put(0, "PK\x05\x06")), holds("zip")},
	{"7z", marks(put(0, "7z\xbc\xaf\x27\x1c")), holds("7z")},
	{"tar", marks(put(257, "ustar\x0000")), holds("tar")},
	{"tar, as GNU writes it", marks(put(257, "ustar  \x00")), holds("tar")},
	{"LUKS, which is a format", luks(), nil},
	{"fixed VHD, which is a format", must(mkimage.VPC{VirtualSize: 1 << 20, Fixed: true}.Bytes()), nil},
	{"MBR in a fixed VHD", marks(partition(0, 0x80, 7), put(64<<10-512, "conectix")), holds("MBR")},
	{"MBR behind a qcow2 header", marks(partition(0, 0x80, 7), put(0, "QFI\xfb"), be32(4, 3)), holds("MBR")},
}

func TestContents(t *testing.T) {
	for _, c := range contentCases {
		r := &countingReader{t: t, r: bytes.NewReader(c.image), size: int64(len(c.image))}
		got, err := probe.Contents(r, r.size)
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("%s: -want +got\n%s\nerror: %v", c.name, diff, err)
		}
		if r.reads > 3 || r.bytes > 4096+5+512 {
			t.Errorf("%s: %d bytes in %d reads", c.name, r.bytes, r.reads)
		}
	}
}

// TestContentsOfArchives: what Go's own writers make is known.
func TestContentsOfArchives(t *testing.T) {
	for name, write := range map[string]func(w io.Writer) error{
		"gzip": func(w io.Writer) error {
			z := gzip.NewWriter(w)
			_, err := z.Write(make([]byte, 1<<20))
			return errors.Join(err, z.Close())
		},
		"zip": func(w io.Writer) error {
			z := zip.NewWriter(w)
			_, err := z.Create("disk")
			return errors.Join(err, z.Close())
		},
		"tar": func(w io.Writer) error {
			z := tar.NewWriter(w)
			return errors.Join(z.WriteHeader(&tar.Header{Name: "disk", Mode: 0o600}), z.Close())
		},
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		got, err := probe.Contents(bytes.NewReader(b.Bytes()), int64(b.Len()))
		if diff := cmp.Diff(holds(name), got); diff != "" || err != nil {
			t.Errorf("%s: %s\n%v", name, diff, err)
		}
	}
}

// TestContentsOfFileSystems: what the system's own programs make is known.
func TestContentsOfFileSystems(t *testing.T) {
	peers.Require(t, "mkfs.ext4", "mkswap", "xz")
	dir := t.TempDir()
	for name, args := range map[string][]string{
		"ext2, ext3 or ext4": {"mkfs.ext4", "-q", "image"},
		"swap space":         {"mkswap", "-q", "-p", "4096", "image"},
		"xz":                 {"xz", "image"},
	} {
		path := filepath.Join(dir, "image")
		writeImage(t, path, make([]byte, 4<<20))
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, stderr, err := command(dir, args[0], args[1:]...); err != nil {
			t.Fatalf("%s: %v, %s", args, err, stderr)
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			b, err = os.ReadFile(path + ".xz")
		}
		if err != nil {
			t.Fatal(err)
		}
		got, err := probe.Contents(bytes.NewReader(b), int64(len(b)))
		if diff := cmp.Diff(holds(name), got); diff != "" || err != nil {
			t.Errorf("%s: %s\n%v", name, diff, err)
		}
	}
}

func FuzzContents(f *testing.F) {
	for _, c := range contentCases {
		n := uint32(len(c.image))
		f.Add(c.image[:min(n, longest)], c.image[n-min(n, 512):], n)
	}
	f.Fuzz(func(t *testing.T, head, tail []byte, size uint32) {
		r := &countingReader{t: t, r: sparse{head, tail, int64(size)}, size: int64(size)}
		got, err := probe.Contents(r, r.size)
		if err != nil || r.reads > 3 || r.bytes > 4096+5+512 {
			t.Errorf("%d bytes in %d reads: %v", r.bytes, r.reads, err)
		}
		for _, c := range got {
			if c.Name == "" || c.Kind != probe.GuestData && c.Kind != probe.OddData {
				t.Errorf("%+v is no content", c)
			}
		}
	})
}
