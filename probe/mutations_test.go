package probe_test

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
	"github.com/chainfix/chainfix/testdata/peers"
)

// mutable is a sound image and the places of its header that may be changed.
type mutable struct {
	name    string
	format  probe.Format
	image   []byte
	fields  []field
	order   binary.ByteOrder
	finish  edit                    // what keeps a changed image plausible; nil for nothing
	tooMuch func(image []byte) bool // what QEMU would take gigabytes or minutes for; nil for nothing
}

// TestMutationsAgreeWithQEMUImg compares Read with qemu-img info over images in
// every kind that qemu-img can write of these formats, and over sound images of
// those that it cannot, as they are and with a few fields of their headers
// changed.
func TestMutationsAgreeWithQEMUImg(t *testing.T) {
	peers.Require(t, "qemu-img")
	const rounds = 150 // a format
	dir := t.TempDir()
	for f, bases := range mutables(t, dir) {
		t.Run(string(f), func(t *testing.T) {
			if !qemuHasDriver(t, f) {
				peers.Lacking(t, "this qemu-img has no driver for "+string(f))
			}
			random := rand.New(rand.NewPCG(1, uint64(len(f))))
			images, accepted := 0, 0
			deliberate := make(map[string]int)
			// Round by round, since an image takes megabytes.
			for images < rounds {
				var round []drawnImage
				for _, base := range bases {
					image := base.image
					if images > 0 {
						image = base.mutate(random)
					}
					round = append(round, drawnImage{f, image})
				}
				for i, c := range compareAll(t, dir, round) {
					if images == 0 && c.ours == nil {
						t.Errorf("%s: %v", bases[i].name, c.err)
					}
					if c.ours != nil && c.theirs != nil {
						accepted++
					}
					names, unexplained := c.agree()
					if unexplained != "" {
						t.Errorf("%s\n%s", unexplained, differing(bases[i], c.image))
					}
					for _, name := range names {
						deliberate[name]++
					}
				}
				images += len(round)
			}
			t.Logf("%d images, of which both read %d; deliberate differences: %v", images, accepted, deliberate)
			if accepted < images/10 || accepted > images*9/10 {
				t.Errorf("%d images, of which both read %d, prove too little", images, accepted)
			}
		})
	}
}

// differing shows where an image differs from what it was made of.
func differing(base mutable, image []byte) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%d bytes of %s's %d\n", len(image), base.name, len(base.image))
	for at := 0; at < min(len(image), len(base.image)); at += 8 {
		to := min(at+8, len(image), len(base.image))
		if was, is := string(base.image[at:to]), string(image[at:to]); was != is {
			fmt.Fprintf(&s, "%#x: %s was %s\n", at, hex.EncodeToString([]byte(is)), hex.EncodeToString([]byte(was)))
		}
	}
	return s.String()
}

// mutate changes one to three fields, and sometimes the length.
func (m mutable) mutate(random *rand.Rand) []byte {
	for {
		b := append([]byte(nil), m.image...)
		for range 1 + random.IntN(3) {
			f := m.fields[random.IntN(len(m.fields))]
			if f.at+f.width > len(b) {
				continue
			}
			m.set(b[f.at:f.at+f.width], random)
		}
		if m.finish != nil && random.IntN(8) > 0 {
			b = m.finish(b)
		}
		if random.IntN(10) == 0 {
			b = apply(b, end(random.IntN(len(b))))
		}
		if m.tooMuch == nil || !m.tooMuch(b) {
			return b
		}
	}
}

// set changes one field: to what is next to it, by a bit, or altogether.
func (m mutable) set(b []byte, random *rand.Rand) {
	wide := make([]byte, 8)
	low := wide[:len(b)]
	if m.order == binary.BigEndian {
		low = wide[8-len(b):]
	}
	copy(low, b)
	v := m.order.Uint64(wide)
	switch random.IntN(4) {
	case 0:
		v += uint64(random.IntN(3)) - 1
	case 1:
		v ^= 1 << random.IntN(8*len(b))
	case 2:
		v = uint64(random.IntN(4))
	case 3:
		values := []uint64{
			0, 1 << 9, 1 << 12, 1 << 16, 1<<16 - 1, 1 << 20, 3 << 20, 1 << 24, 1 << 28, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 1 << 46,
			1<<54 - 1, 1 << 54, 1 << 55, 1<<63 - 1<<30, 1<<63 - 1, 1 << 63, 1<<64 - 1<<20, 1<<64 - 1,
		}
		v = values[random.IntN(len(values))]
	}
	m.order.PutUint64(wide, v)
	copy(b, low)
}

func mutables(t *testing.T, dir string) map[probe.Format][]mutable {
	all := make(map[probe.Format][]mutable)
	add := func(m mutable) { all[m.format] = append(all[m.format], m) }
	created := func(f probe.Format, size string, options ...string) (name string, image []byte) {
		name = strings.Join(append([]string{string(f), size}, options...), " ")
		return name, create(t, dir, f, size, options)
	}
	for _, options := range [][]string{
		{"5M", "subformat=dynamic"},
		{"5M", "subformat=dynamic,block_size=1M", "block_state_zero=off"},
		{"70000M", "subformat=dynamic,block_size=256M"},
		{"5M", "subformat=dynamic,log_size=3M"},
		{"3M", "subformat=fixed,block_size=1M"},
		{"3M", "subformat=fixed,block_size=1M,block_state_zero=off"},
	} {
		name, image := created(probe.VHDX, options[0], options[1:]...)
		add(vhdxMutable(name, image))
	}
	add(vhdxMutable("vhdx over a parent", vhdxChild("base.vhdx")))
	for _, clusters := range []string{"cluster_size=1M", "cluster_size=64K", "cluster_size=4K"} {
		name, image := created(probe.Parallels, "5M", clusters)
		add(parallelsMutable(name, image))
	}
	add(parallelsMutable("old parallels", oldParallels()))
	add(parallelsMutable("parallels with an extension", parallels(parallelsExtension)))
	// Each takes seconds, in which qemu-img finds out how fast it hashes. The
	// tables have more ciphers.
	ciphers := []string{
		"cipher-alg=aes-256,cipher-mode=xts,ivgen-alg=plain64,hash-alg=sha256",
		"cipher-alg=aes-128,cipher-mode=cbc,ivgen-alg=essiv,ivgen-hash-alg=sha256,hash-alg=sha1",
		"cipher-alg=twofish-256,cipher-mode=cbc,ivgen-alg=plain,hash-alg=sha512",
	}
	for _, options := range ciphers {
		name, image := created(probe.LUKS, "64K", "key-secret=s,iter-time=10", options)
		add(luksMutable(name, image))
	}
	add(mutable{name: "bochs", format: probe.Bochs, image: bochs(), order: binary.LittleEndian, fields: []field{
		{20, 4}, {36, 4}, {52, 4}, {64, 4}, {68, 4}, {72, 4}, {76, 4}, {80, 4}, {80, 4}, {84, 4}, {88, 8}, {88, 8},
	}})
	add(mutable{name: "cloop", format: probe.Cloop, image: cloopImage(), order: binary.BigEndian, fields: []field{
		{80, 4}, {128, 4}, {132, 4}, {136, 8}, {144, 8}, {152, 8},
	}, tooMuch: func(b []byte) bool {
		const least, most = 64 << 20, 512 << 20
		n := (uint64(binary.BigEndian.Uint32(apply(b, end(136))[132:])) + 1) * 8
		return n > least && n <= most
	}})
	for name, image := range map[string][]byte{"dmg": dmg(), "dmg with a resource fork": dmg(fork(dmgChunks(0, 8, 0)))} {
		add(mutable{name: name, format: probe.DMG, image: image, order: binary.BigEndian, fields: []field{
			{dmgTrailer, 4}, {dmgTrailer + 0x18, 8}, {dmgTrailer + 0x28, 8}, {dmgTrailer + 0x30, 8}, {dmgTrailer + 0xd8, 8}, {dmgTrailer + 0xe0, 8},
			{dmgTrailer + 0x1ec, 8}, {dmgTrailer + 0x1ec, 8}, {1024, 4}, {1024 + 8, 4}, {1024 + 256, 4},
		}})
	}
	return all
}

// create lets qemu-img write an image.
func create(t *testing.T, dir string, f probe.Format, size string, options []string) []byte {
	t.Helper()
	args := []string{"create", "-q", "-f", string(f), "-o", strings.Join(options, ",")}
	if f == probe.LUKS {
		args = append(args, "--object", "secret,id=s,data=chainfix")
	}
	args = append(args, "created", size)
	_, stderr, err := command(dir, "qemu-img", args...)
	// For a luks image it measures its own speed, which on a busy machine it
	// sometimes cannot.
	for tries := 0; err != nil && strings.Contains(stderr, "accurate CPU usage") && tries < 50; tries++ {
		_, stderr, err = command(dir, "qemu-img", args...)
	}
	if err != nil {
		t.Fatalf("%s: %v, %s", options, err, stderr)
	}
	path := filepath.Join(dir, "created")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	return b
}

func vhdxMutable(name string, b []byte) mutable {
	var fields []field
	for _, at := range []int{vhdxHeader1, vhdxHeader2, vhdxHeader2} {
		fields = append(fields, []field{{at, 4}, {at + 8, 8}, {at + 48, 8}, {at + 64, 2}, {at + 66, 2}, {at + 68, 4}, {at + 72, 8}}...)
	}
	var spans [2]int // the BAT and the metadata, in either order
	used := 0
	fields = append(fields, field{vhdxRegions, 4}, field{vhdxRegions + 8, 4})
	for i := range spans {
		at := vhdxRegions + 16 + i*32
		fields = append(fields, []field{{at, 4}, {at + 16, 8}, {at + 16, 8}, {at + 24, 4}, {at + 28, 4}}...)
		spans[i] = int(binary.LittleEndian.Uint64(b[at+16:]))
		used = max(used, spans[i]+int(binary.LittleEndian.Uint32(b[at+24:])))
	}
	if !strings.Contains(name, "fixed") {
		// qemu-img makes room for blocks that are not there yet.
		b = b[:min(used, len(b))]
	}
	bat, metadata := spans[0], spans[1]
	if string(b[bat:][:8]) == "metadata" {
		bat, metadata = metadata, bat
	}
	fields = append(fields, []field{{metadata, 4}, {metadata + 10, 2}, {bat, 8}, {bat + 8, 8}, {bat, 1}, {bat + 8, 1}}...)
	for i := range int(b[metadata+10]) {
		at := metadata + 32 + i*32
		item := metadata + int(binary.LittleEndian.Uint32(b[at+16:]))
		fields = append(fields, []field{{at, 4}, {at + 16, 4}, {at + 20, 4}, {at + 24, 4}, {item, 4}, {item, 8}, {item + 4, 4}}...)
	}
	tooMuch := func(b []byte) bool {
		const most = 64 << 20
		b = apply(b[:len(b):len(b)], end(max(len(b), vhdxRegions+100)))
		for _, at := range []int{vhdxHeader1 + 68, vhdxHeader2 + 68, vhdxRegions + 16 + 24, vhdxRegions + 48 + 24} {
			if binary.LittleEndian.Uint32(b[at:]) > most {
				return true
			}
		}
		return false
	}
	return mutable{name: name, format: probe.VHDX, image: b, fields: fields, order: binary.LittleEndian, finish: summed(), tooMuch: tooMuch}
}

func parallelsMutable(name string, b []byte) mutable {
	tooMuch := func(b []byte) bool {
		const most = 64 << 20
		b = apply(b[:len(b):len(b)], end(max(len(b), 64)))
		bat, tracks := binary.LittleEndian.Uint32(b[32:]), binary.LittleEndian.Uint32(b[28:])
		return bat > most/4 && bat < 1<<29 || extensionOffset(b) != 0 && tracks > most/512
	}
	return mutable{name: name, format: probe.Parallels, image: b, order: binary.LittleEndian, tooMuch: tooMuch, fields: []field{
		{12, 4}, {16, 4}, {20, 4}, {28, 4}, {28, 4}, {32, 4}, {36, 8}, {36, 8}, {40, 4}, {44, 4}, {48, 4}, {52, 4}, {56, 8}, {64, 4},
		{64 << 10, 8}, {64<<10 + 24, 8},
	}}
}

func luksMutable(name string, b []byte) mutable {
	fields := []field{{4, 2}, {6, 2}, {8, 4}, {40, 4}, {44, 4}, {72, 4}, {104, 4}, {104, 4}, {108, 4}, {164, 4}}
	for n := 1; n <= 8; n++ {
		fields = append(fields, []field{{slot(n), 4}, {slot(n) + 4, 4}, {slot(n) + 40, 4}, {slot(n) + 40, 4}, {slot(n) + 44, 4}}...)
	}
	return mutable{name: name, format: probe.LUKS, image: b, fields: fields, order: binary.BigEndian}
}

// TestMutablesHaveTheirFields: no place is outside of the image it belongs to,
// or it would never be changed.
func TestMutablesHaveTheirFields(t *testing.T) {
	for _, m := range []mutable{vhdxMutable("vhdx", vhdx()), luksMutable("luks", must(mkimage.LUKS1{}.Bytes()))} {
		for _, f := range m.fields {
			if f.at < 0 || f.at+f.width > len(m.image) {
				t.Errorf("%s: %+v of %d bytes", m.name, f, len(m.image))
			}
		}
	}
}
