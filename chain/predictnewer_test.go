package chain_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/predict"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
)

// namedSource is a source on the network.
func namedSource(protocol, name string) *libvirtxml.DomainDiskSource {
	return &libvirtxml.DomainDiskSource{Network: &libvirtxml.DomainDiskSourceNetwork{Protocol: protocol, Name: name, Hosts: []libvirtxml.DomainDiskSourceHost{{Name: "h"}}}}
}

// TestPredictionOfNewerVersions has what a run of 7.0, 11.3 and 12.9 has shown. Between
// the last version that is known not to do something and the first that is known
// to, the worse of both is predicted.
func TestPredictionOfNewerVersions(t *testing.T) {
	f := newFiles(t)
	f.raw("raw", 1<<20)
	f.raw("data.raw", 1<<20)
	f.qcow2("leaf", img{})
	f.qcow2("guessed-with-data", img{dataFile: f.path("data.raw")})
	f.write("parallels", mkimage.Parallels{VirtualSize: overlaySize})
	f.write("cow", bytesImage("OOOM\x00\x00\x00\x02name"+strings.Repeat("\x00", 2000)))
	// A qcow2 overlay in the second half of a file.
	overlay, err := mkimage.Qcow2{VirtualSize: overlaySize, Backing: f.path("raw"), BackingFormat: "raw"}.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	f.put("two", append(make([]byte, 1<<16), overlay...))
	f.put("two-overlays", append(append([]byte(nil), overlay...), overlay...))
	sliced := func(name string, at int) *libvirtxml.DomainDiskSource {
		src := file(f.path(name))
		src.Slices = &libvirtxml.DomainDiskSlices{Slices: []libvirtxml.DomainDiskSlice{{Type: "storage", Offset: uint(at), Size: uint(len(overlay))}}}
		return src
	}
	disk := func(format probe.Format, src *libvirtxml.DomainDiskSource) chain.Stated {
		return chain.Stated{Target: "vda", Layers: []chain.Layer{{Source: src, Format: format, From: chain.XML}}}
	}
	shared := func(s chain.Stated) chain.Stated {
		s.Shareable = true
		return s
	}
	readOnly := func(s chain.Stated) chain.Stated {
		s.ReadOnly = true
		return s
	}
	belowRaw := func(name string) chain.Stated {
		s := disk(probe.Raw, file(f.path("raw")))
		s.Layers, s.Terminated = append(s.Layers, f.layer(name, probe.Raw)), true
		return s
	}
	terminated := func(s chain.Stated) chain.Stated {
		s.Terminated = true
		return s
	}
	f.put("raw.TRANSIENT-web", nil)
	if err := os.Mkdir(f.path("leaf.TRANSIENT-web"), 0o755); err != nil {
		t.Fatal(err)
	}
	transient := func(name string) chain.Stated {
		s := disk(probe.Raw, file(f.path(name)))
		s.Guest, s.Transient, s.ReadOnly = "web", true, true
		return s
	}
	for _, c := range []struct {
		name string
		top  mkimage.Qcow2
		disk *chain.Stated // nil: the top, as qcow2
		want string
	}{
		{name: "guessed with a data file", top: mkimage.Qcow2{Backing: "guessed-with-data"}, want: "5.0 misopens, 6.0 refuses, 6.1 misopens, 12.8 refuses"},
		{name: "two records, the first of 3 bytes", top: mkimage.Qcow2{Backing: "leaf", BackingFormat: "raw",
			Extensions: []mkimage.Extension{{Type: mkimage.ExtBackingFormat, Data: []byte("qcow2")}}}, want: "5.0 misopens"}, // 12.8 reads the last, as QEMU does; see docs/prediction.md
		{name: "record behind an odd extension", top: mkimage.Qcow2{Backing: "leaf",
			Extensions: []mkimage.Extension{{Type: 0x12345678, Data: []byte("odd")}, {Type: mkimage.ExtBackingFormat, Data: []byte("qcow2")}}}, want: "5.0 starts, 5.10 misopens, 6.0 refuses, 6.1 starts"},
		{name: "data file behind a short record, relative", top: mkimage.Qcow2{Backing: "raw", BackingFormat: "raw", DataFile: "data.raw"}, want: "5.0 refuses, 12.8 starts"},
		{name: "data file behind a short record, absolute", top: mkimage.Qcow2{Backing: "raw", BackingFormat: "raw", DataFile: f.path("data.raw")}, want: "5.0 starts"},
		{name: "data file of an unknown protocol", top: mkimage.Qcow2{DataFile: "a:b.raw"}, want: "5.0 refuses"},
		{name: "data file by file:", top: mkimage.Qcow2{DataFile: "file:" + f.path("data.raw")}, want: "5.0 misopens, 9.0 refuses, 9.9 misopens, 10.10 refuses"},
		{name: "data file by nbd:", top: mkimage.Qcow2{DataFile: "nbd:h:10809"}, want: "5.0 misopens, 9.0 refuses, 9.9 misopens"},
		{name: "rbd with a namespace", top: mkimage.Qcow2{Backing: "rbd:pool/ns/img", BackingFormat: "raw"}, want: "5.0 starts, 5.10 misopens, 11.10 starts"},
		{name: "rbd with a namespace and a user", top: mkimage.Qcow2{Backing: "rbd:pool/ns/img:id=u", BackingFormat: "raw"}, want: "5.0 starts, 5.10 misopens, 11.10 starts"},
		{name: "rbd with a namespace in JSON", top: mkimage.Qcow2{Backing: `json:{"driver":"rbd","pool":"p","namespace":"n","image":"i"}`, BackingFormat: "raw"}, want: "5.0 starts, 5.10 misopens"},
		{name: "rbd with a namespace and a user in JSON", top: mkimage.Qcow2{Backing: `json:{"driver":"rbd","pool":"p","namespace":"n","image":"i","user":"u"}`, BackingFormat: "raw"}, want: "5.0 starts, 5.10 misopens"},
		{name: "a key of JSON twice", top: mkimage.Qcow2{Backing: `json:{"driver":"file","filename":"/a","filename":"/b"}`, BackingFormat: "raw"}, want: "5.0 starts, 5.10 refuses, 10.8 misopens"},
		{name: "NaN in JSON", top: mkimage.Qcow2{Backing: `json:{"driver":"file","filename":"/a","x":NaN}`, BackingFormat: "raw"}, want: "5.0 starts, 5.10 refuses, 10.8 misopens"},
		{name: "a key of JSON twice after flattening", top: mkimage.Qcow2{Backing: `json:{"file.driver":"file","file":{"driver":"file"}}`, BackingFormat: "raw"}, want: "5.0 starts, 5.10 refuses"},
		{name: "a file as a device in JSON", top: mkimage.Qcow2{Backing: `json:{"driver":"host_device","filename":"` + f.path("raw") + `"}`, BackingFormat: "raw"}, want: "5.0 starts, 5.10 refuses"},
		{name: "gluster", top: mkimage.Qcow2{Backing: "gluster://h/vol/img", BackingFormat: "raw"}, want: "5.0 starts, 12.8 refuses"},
		{name: "tftp", top: mkimage.Qcow2{Backing: "tftp://h/img", BackingFormat: "raw"}, want: "5.0 starts, 5.10 refuses"},
		{name: "unrecorded cow", top: mkimage.Qcow2{Backing: "cow"}, want: "5.0 starts, 6.0 refuses"},
		{name: "unrecorded parallels", top: mkimage.Qcow2{Backing: "parallels"}, want: "5.0 refuses, 5.10 misopens, 6.0 refuses, 9.0 starts"},
		{name: "recorded /dev/zero", top: mkimage.Qcow2{Backing: "/dev/zero", BackingFormat: "raw"}, want: "5.0 starts, 9.0 refuses"},
		{name: "gluster stated", disk: new(disk(probe.Raw, namedSource("gluster", "vol/img"))), want: "5.0 starts, 12.8 refuses"},
		{name: "sheepdog stated", disk: new(disk(probe.Raw, namedSource("sheepdog", "img"))), want: "5.0 starts, 9.0 refuses"},
		{name: "vxhs stated", disk: new(disk(probe.Raw, namedSource("vxhs", "img"))), want: "5.0 starts, 7.0 refuses"},
		{name: "rbd with a namespace stated", disk: new(disk(probe.Raw, namedSource("rbd", "p/n/i"))), want: "5.0 misopens, 11.10 starts"},
		{name: "slice with a chain", disk: new(disk(probe.Qcow2, sliced("two", 1<<16))), want: "5.0 misopens"},
		{name: "slice with a chain behind another", disk: new(disk(probe.Qcow2, sliced("two-overlays", len(overlay)))), want: "5.0 misopens"},
		{name: "slice at the start", disk: new(disk(probe.Qcow2, sliced("two-overlays", 0))), want: "5.0 misopens, 6.1 starts"},
		{name: "shared qcow2", disk: new(shared(disk(probe.Qcow2, file(f.path("leaf"))))), want: "5.0 refuses"},
		{name: "shared qcow2, read-only", disk: new(readOnly(shared(disk(probe.Qcow2, file(f.path("leaf")))))), want: "5.0 starts"},
		{name: "shared raw", disk: new(shared(disk(probe.Raw, file(f.path("raw"))))), want: "5.0 starts"},
		{name: "left-over overlay", disk: new(transient("raw")), want: "5.0 starts, 9.0 refuses, 11.3 starts"},
		{name: "folder with the name of an overlay", disk: new(transient("leaf")), want: "5.0 starts, 9.0 refuses"},
		{name: "missing image below raw", disk: new(belowRaw("gone")), want: "5.0 starts, 5.10 refuses"},
		{name: "image below raw", disk: new(belowRaw("data.raw")), want: "5.0 starts, 5.10 refuses, 11.3 starts"},
		{name: "cut chain", disk: new(terminated(disk(probe.Qcow2, file(f.path("guessed-with-data"))))), want: "5.0 starts"},
	} {
		var stated chain.Stated
		if c.disk != nil {
			stated = *c.disk
		} else {
			c.top.VirtualSize = overlaySize
			f.write("top", c.top)
			stated = f.top("top")
		}
		f.checkVersions(t, c.name, stated, c.want)
	}
}

// bytesImage is an image with exactly these bytes.
type bytesImage string

func (b bytesImage) Bytes() ([]byte, error) { return []byte(b), nil }

// TestPredictionSaysWhatIsUnknown: only if it makes a difference.
func TestPredictionSaysWhatIsUnknown(t *testing.T) {
	f := newFiles(t)
	f.raw("data.raw", 1<<20)
	f.qcow2("guessed", img{dataFile: f.path("data.raw")})
	f.qcow2("top", img{backing: "guessed"})
	for version, want := range map[string]bool{"11.3": false, "11.3.1": true, "12.0": true, "12.8": false} {
		got := f.predict(t, f.top("top"), version)
		if says := strings.Contains(got.Reason, "it is unknown whether libvirt "); says != want {
			t.Errorf("libvirt %s: %s", version, got.Reason)
		}
	}
	f.qcow2("top", img{backing: "data.raw", backingFormat: "raw"})
	if got := f.predict(t, f.top("top"), "12.0"); got != (predict.Prediction{Layer: -1}) {
		t.Errorf("%+v", got)
	}
}

// TestPredictedWordsByVersion: what refuses a chain for two reasons says the first
// that libvirt comes to.
func TestPredictedWordsByVersion(t *testing.T) {
	f := newFiles(t)
	f.raw("raw", 1<<20)
	for i := range 201 {
		f.qcow2(fmt.Sprint("l", i), img{backing: fmt.Sprint("l", i+1), backingFormat: "qcow2"})
	}
	f.qcow2("l201", img{})
	f.qcow2("loop", img{backing: "loop", backingFormat: "qcow2"})
	f.write("luks", mkimage.LUKS1{VirtualSize: 1 << 20})
	f.qcow2("over-luks", img{backing: "luks", backingFormat: "raw"})
	optional := func(s chain.Stated) chain.Stated {
		s.Layers[0].Source.StartupPolicy = "optional"
		return s
	}
	for _, c := range []struct {
		stated  chain.Stated
		version string
		words   string
	}{
		{f.top("l0"), "7.0", "backing chains more than 200 layers deep are not supported"},
		{f.top("l0"), "9.0", "is self-referential or too deeply nested"},
		{f.top("l0"), "11.3", "is self-referential or too deeply nested"},
		{f.top("l171"), "11.3", "more than about 25 layers"},
		{optional(f.top("l0")), "11.3", "libvirt starts the guest without the disk"},
		{optional(f.top("l171")), "11.3", "more than about 25 layers"},
		{f.top("over-luks"), "7.0", "missing secret info for 'luks' driver"},
		{f.top("over-luks"), "9.0", "Unexpected enum value 0 for virStorageEncryptionEngine"},
		{f.top("loop"), "9.0", "is self-referential or too deeply nested"},
	} {
		if got := f.predict(t, c.stated, c.version); !strings.Contains(got.Reason, c.words) {
			t.Errorf("libvirt %s: %+v, want %s", c.version, got, c.words)
		}
	}
	if got := f.predict(t, f.top("loop"), "7.0"); !strings.HasSuffix(got.Reason, "is self-referential") {
		t.Errorf("%+v", got)
	}
}

// TestPredictionByQEMU: a pair's QEMU decides, too.
func TestPredictionByQEMU(t *testing.T) {
	f := newFiles(t)
	f.raw("data.raw", 1<<20)
	f.qcow2("data", img{dataFile: `json:{"driver":"file","filename":"` + f.path("data.raw") + `"}`})
	gluster := chain.Stated{Layers: []chain.Layer{{Format: probe.Raw, From: chain.XML, Source: namedSource("gluster", "vol/img")}}}
	for _, c := range []struct {
		stated chain.Stated
		pair   string
		want   predict.Outcome
	}{
		{f.top("data"), "9.0+7.2.12", predict.Misopens},
		{f.top("data"), "9.0+7.2.13", predict.Refuses},
		{f.top("data"), "9.0+9.0", predict.Misopens},
		{f.top("data"), "9.0+9.1", predict.Refuses},
		{gluster, "12.9+10.0", predict.Starts},
		{gluster, "12.9+10.2", predict.Refuses}, // it is not known
		{gluster, "12.9+11.1", predict.Refuses},
		{f.top("data.raw"), "12.4+7.1", predict.Refuses},
	} {
		if got := f.predict(t, c.stated, c.pair); got.Outcome != c.want {
			t.Errorf("%s: %+v, want %s", c.pair, got, c.want)
		}
	}
}
