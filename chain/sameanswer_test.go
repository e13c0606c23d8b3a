package chain_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"
	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/predict"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
)

// madeUpHost is a host in memory: images of every kind, sound and broken, that
// name each other by several names, and disks that state anything of them.
type madeUpHost struct {
	*rand.Rand
	images []madeUpImage
	paths  []string
	at     map[string]int // of images, by their paths
}

type madeUpImage struct {
	data []byte
	id   storage.FileID
	fail int64 // reading after it fails; 0 if it does not
}

type openMadeUp struct {
	*bytes.Reader
	madeUpImage
}

func (openMadeUp) Close() error         { return nil }
func (o openMadeUp) ID() storage.FileID { return o.id }
func (o openMadeUp) Size() int64        { return o.Reader.Size() }
func (o openMadeUp) ReadAt(p []byte, off int64) (int, error) {
	if o.fail > 0 && off+int64(len(p)) > o.fail {
		return 0, &fs.PathError{Op: "read", Path: "made up", Err: fs.ErrPermission}
	}
	return o.Reader.ReadAt(p, off)
}

// find finds an image. On the network the cookie decides which it is.
func (h *madeUpHost) find(src *libvirtxml.DomainDiskSource) (madeUpImage, error) {
	name := storage.Name(src)
	if src.Network != nil {
		n, _ := strconv.Atoi(src.Network.Name)
		if src.Cookies != nil {
			n += len(src.Cookies.Cookies[0].Value)
		}
		i := h.images[n%len(h.images)]
		i.id = storage.FileID{Remote: name}
		return i, nil
	}
	n, ok := h.at[name]
	if !ok {
		return madeUpImage{}, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return h.images[n], nil
}

func (h *madeUpHost) Open(_ context.Context, src *libvirtxml.DomainDiskSource) (storage.Image, error) {
	i, err := h.find(src)
	if err != nil {
		return nil, err
	}
	return openMadeUp{bytes.NewReader(i.data), i}, nil
}

func (h *madeUpHost) Identify(_ context.Context, src *libvirtxml.DomainDiskSource) (storage.FileID, error) {
	i, err := h.find(src)
	return i.id, err
}

func (h *madeUpHost) Resolve(_ context.Context, path string) (string, error) {
	return path, nil
}

// evidence is what other guests say of the images.
func (h *madeUpHost) evidence() *chain.Evidence {
	e := chain.NewEvidence(image.NewCache(h), nil)
	say := func(guest, path string, format probe.Format) {
		own := chain.Layer{Source: storage.LocalSource(path, false), Format: format, From: chain.XML}
		e.Add(context.Background(), chain.Defined, chain.Stated{Guest: guest, Target: "vdx", Layers: []chain.Layer{own}}, nil)
	}
	for i, path := range h.paths {
		switch i % 7 {
		case 0:
			say("raw guest", path, probe.Raw)
		case 1:
			say("a", path, probe.Qcow2)
		case 2:
			say("a", path, probe.VMDK)
			say("b", path, probe.Qcow2)
		}
	}
	return e
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

func (h *madeUpHost) name() string {
	p := pick(h.Rand, h.paths...)
	switch h.IntN(20) {
	case 0:
		return strings.TrimPrefix(p, "/")
	case 1:
		quoted, _ := json.Marshal(p)
		return fmt.Sprintf(`json:{"driver":"raw","offset":%d,"size":%d,"file":{"driver":"file","filename":%s}}`, pick(h.Rand, 0, 0, 512), pick(h.Rand, 0, 512, 1024, 4096, 1<<20), quoted)
	case 2:
		quoted, _ := json.Marshal(p)
		return fmt.Sprintf(`json:{"file":{"driver":"file","filename":%s}}`, quoted)
	case 3:
		return "nbd://h/" + strings.TrimPrefix(p, "/")
	case 4:
		return "http://u:p@h/x"
	case 5:
		return pick(h.Rand, "/gone", "", "/no\xff", "/a\x1b[2J")
	}
	return p
}

func (h *madeUpHost) img() []byte {
	size := uint64(pick(h.Rand, 4096, 1<<16, 1<<20))
	backing := ""
	if h.IntN(4) > 0 {
		backing = h.name()
	}
	format := pick(h.Rand, "", "", "raw", "qcow2", "qcow2", "vmdk", "qed", "vpc", "QCOW2", "file", "iso", "vhd", "vhdx", "cow", "none", "dmg", "luks", "nbd")
	if h.IntN(3) > 0 {
		format = "qcow2"
	}
	plain := strings.NewReplacer(`"`, "", "\n", "").Replace(backing)
	var i interface{ Bytes() ([]byte, error) }
	switch h.IntN(16) {
	default:
		q := mkimage.Qcow2{ClusterBits: 9, VirtualSize: size, Backing: backing}
		if backing != "" {
			q.BackingFormat = format
			if h.IntN(8) == 0 {
				q.Extensions = append(q.Extensions, mkimage.Extension{Type: 0x6803F857, Data: make([]byte, h.IntN(8))})
			}
		}
		if h.IntN(10) == 0 {
			q.DataFile = pick(h.Rand, "/0", "1", "/gone")
		}
		i = q
	case 0:
		i = mkimage.QED{ClusterBits: 12, VirtualSize: size, Backing: backing, NoProbe: backing != "" && h.IntN(2) == 0}
	case 1:
		i = mkimage.Qcow{ClusterBits: 9, VirtualSize: size, Backing: backing}
	case 2:
		i = mkimage.VMDK{VirtualSize: size, Backing: plain}
	case 3:
		i = mkimage.VMDKDescriptor{Backing: plain, Extents: []mkimage.VMDKExtent{{Sectors: 8, Name: pick(h.Rand, "0", "/1", "gone")}, {Sectors: 8, Name: "1"}}}
	case 4:
		i = mkimage.VPC{VirtualSize: size, Fixed: h.IntN(2) == 0}
	case 5:
		i = mkimage.VPC{VirtualSize: size, Parent: "parent"}
	case 6:
		i = mkimage.Parallels{VirtualSize: size, ClusterBits: 12}
	case 7:
		i = mkimage.VDI{VirtualSize: size, Differencing: h.IntN(3) == 0}
	case 8:
		i = mkimage.LUKS1{VirtualSize: 512}
	case 9, 10:
		data := bytes.Repeat([]byte{0x90}, int(size))
		copy(data, pick(h.Rand, "", "\x1f\x8b\x08", "PK\x03\x04", "OOOM\x00\x00\x00\x02", "QFI", "LUKS\xba\xbe\x00\x02", "XFSB\x00\x00\x02\x00"))
		if h.IntN(3) == 0 && len(data) > 40000 {
			copy(data[32769:], "CD001")
		}
		return data
	}
	data, err := i.Bytes()
	if err != nil {
		data = nil
	}
	switch h.IntN(16) {
	case 0:
		data = data[:h.IntN(len(data)+1)]
	case 1, 2:
		for range 1 + h.IntN(4) {
			if n := min(len(data), 512); n > 0 {
				data[h.IntN(n)] = byte(h.Uint32())
			}
		}
	case 3:
		if len(data) > 40000 && h.IntN(2) == 0 {
			copy(data[32769:], "CD001")
		}
		if len(data) > 1024 {
			copy(data[len(data)-512:], pick(h.Rand, "conectix", "koly"))
		}
	}
	return data
}

func newMadeUpHost(r *rand.Rand, images int) *madeUpHost {
	h := &madeUpHost{Rand: r, at: map[string]int{}}
	for n := range images {
		ending := pick(r, "", "", "", ".img", ".qcow2", ".raw", ".dmg", ".vmdk")
		for i := range 1 + r.IntN(3) {
			path := "/" + strconv.Itoa(n) + strings.Repeat("x", i) + pick(r, ending, "")
			h.at[path] = n
			h.paths = append(h.paths, path)
		}
	}
	for n := range images {
		id := storage.FileID{Device: 1, Inode: uint64(n)}
		if r.IntN(8) == 0 {
			id = storage.FileID{Device: uint64(n), Block: true}
		}
		i := madeUpImage{data: h.img(), id: id}
		if n > 0 && r.IntN(6) == 0 {
			i.data = h.images[r.IntN(n)].data
		}
		if r.IntN(15) == 0 {
			i.fail = int64(pick(r, 1, 4096, 32769, 33000, len(i.data)-1))
		}
		h.images = append(h.images, i)
	}
	return h
}

func (h *madeUpHost) isQcow2(path string) bool {
	return bytes.HasPrefix(h.images[h.at[path]].data, []byte("QFI\xfb\x00\x00\x00\x03"))
}

func (h *madeUpHost) layer(top bool) chain.Layer {
	path := pick(h.Rand, h.paths...)
	for range h.IntN(4) {
		if !h.isQcow2(path) {
			path = pick(h.Rand, h.paths...)
		}
	}
	src := storage.LocalSource(path, h.images[h.at[path]].id.Block != (h.IntN(15) == 0))
	switch h.IntN(12) {
	case 0, 1:
		src = &libvirtxml.DomainDiskSource{Network: &libvirtxml.DomainDiskSourceNetwork{Protocol: "http", Name: strconv.Itoa(h.IntN(8)),
			Hosts: []libvirtxml.DomainDiskSourceHost{{Name: "h"}}}}
		if h.IntN(2) == 0 {
			src.Cookies = &libvirtxml.DomainDiskCookies{Cookies: []libvirtxml.DomainDiskCookie{{Name: "c", Value: pick(h.Rand, "", "a", "bb", "ccc")}}}
		}
	case 2:
		src.Encryption = &libvirtxml.DomainDiskEncryption{Format: "luks"}
	}
	if h.IntN(8) == 0 {
		src.Slices = &libvirtxml.DomainDiskSlices{Slices: []libvirtxml.DomainDiskSlice{{Type: "storage",
			Offset: pick(h.Rand, uint(0), 0, 512, 1<<20), Size: pick(h.Rand, uint(0), 512, 1024, 4096, 1<<16)}}}
	}
	if top && h.IntN(8) == 0 {
		src.StartupPolicy = "optional"
	}
	l := chain.Layer{Source: src, Format: pick(h.Rand, probe.Qcow2, probe.Qcow2, probe.Qcow2, probe.Raw, probe.VMDK, probe.QED, probe.VPC, probe.VHDX, probe.DMG), From: chain.XML}
	if h.isQcow2(path) && h.IntN(3) > 0 {
		l.Format = probe.Qcow2
	}
	if top && h.IntN(10) == 0 {
		l.Format, l.From = "", chain.Unstated
	}
	return l
}

func (h *madeUpHost) disk() chain.Stated {
	s := chain.Stated{Target: "vda", Layers: []chain.Layer{h.layer(true)}, ReadOnly: h.IntN(5) == 0, Terminated: h.IntN(6) == 0}
	for h.IntN(5) == 0 {
		s.Layers = append(s.Layers, h.layer(false))
	}
	if h.IntN(12) == 0 {
		s.Bus = "sd"
	}
	return s
}

func (h *madeUpHost) policy() chain.Policy {
	p := chain.Policy{Rule: pick(h.Rand, chain.Leaf, chain.Leaf, chain.Strict, chain.Declared), Target: pick(h.Rand, libvirt.Version{}, libvirt.Version{Major: 9, Minor: 0}, libvirt.Version{Major: 11, Minor: 0})}
	p.Disagreement = pick(h.Rand, chain.RefuseDisagreement, chain.RefuseDisagreement, chain.HeadersWin, chain.XMLWins)
	if h.IntN(2) == 0 {
		p.Folders = []chain.Folder{{Path: "/", TrustHeaders: true}}
	}
	if h.IntN(3) == 0 {
		p.Trust = []chain.Statement{{Path: h.paths[0], Format: probe.Qcow2}, {Path: h.paths[3], Format: probe.Raw}}
	}
	return p
}

// answers is all that a Walker says of a disk.
func answers(w *chain.Walker, disk chain.Stated) (c *chain.Chain, text string, err error) {
	c, err = w.Walk(context.Background(), disk)
	if err != nil {
		return nil, "", err
	}
	all := []any{c}
	var targets []libvirt.Pair
	for _, version := range []libvirt.Version{{Major: 5, Minor: 0}, {Major: 6, Minor: 0}, {Major: 9, Minor: 0}, {Major: 9, Minor: 10}, {Major: 11, Minor: 3}, {Major: 12}, {Major: 12, Minor: 8}} {
		targets = append(targets, libvirt.Pair{Libvirt: version})
	}
	targets = append(targets, libvirt.Pair{Libvirt: libvirt.Version{Major: 12, Minor: 9}, QEMU: libvirt.Version{Major: 5, Minor: 2}})
	for _, target := range targets {
		p, err := predict.Disk(context.Background(), w, disk, target)
		all = append(all, p, fmt.Sprint(err))
	}
	var together []any
	for p, err := range predict.Disks(context.Background(), w, disk, targets) {
		together = append(together, p, fmt.Sprint(err))
	}
	said, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		return nil, "", err
	}
	if diff := cmp.Diff(fmt.Sprint(all[1:]), fmt.Sprint(together)); diff != "" {
		return nil, "", errors.New("predicted together: " + diff)
	}
	return c, string(said), nil
}

// What has been seen of other disks, also at the same moment, changes nothing of
// what is said of one.
func TestMemoryChangesNoAnswer(t *testing.T) {
	verdicts := map[chain.Verdict]int{}
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 0))
		h := newMadeUpHost(r, 20)
		images, policy := image.NewCache(h), h.policy()
		if r.IntN(2) == 0 {
			images.SetLimit(40 << 10) // so little that much is forgotten
		}
		var evidence *chain.Evidence
		if r.IntN(3) == 0 {
			evidence = h.evidence()
		}
		shared := &chain.Walker{Images: images, Policy: policy, Evidence: evidence}
		disks, texts := make([]chain.Stated, 100), make([]string, 100)
		for n := range disks {
			disks[n] = h.disk()
		}
		var walks errgroup.Group
		for n, disk := range disks {
			walks.Go(func() (err error) {
				_, texts[n], err = answers(shared, disk)
				return err
			})
		}
		if err := walks.Wait(); err != nil {
			t.Fatal(err)
		}
		for n, disk := range disks {
			alone := &chain.Walker{Images: image.NewCache(h), Policy: policy, Evidence: evidence}
			c, want, err := answers(alone, disk)
			if err != nil {
				t.Fatal(err)
			}
			verdicts[c.Verdict]++
			if texts[n] != want {
				t.Fatalf("host %d, disk %d:\n%s\nis without memory\n%s", seed, n, texts[n], want)
			}
		}
	}
	if verdicts[chain.Fixable] < 50 || verdicts[chain.Explicit] < 50 || verdicts[chain.Refused] < 50 {
		t.Errorf("%v: that is no good sample", verdicts)
	}
}
