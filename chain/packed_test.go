package chain

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"testing"

	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
)

// fill sets everything in v to something that is not zero. An error is left to
// the caller.
func fill(t *testing.T, v reflect.Value, n *int) {
	t.Helper()
	*n++
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprint("s", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(*n))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(t, v.Index(i), n)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), n)
		}
	case reflect.Interface:
	default:
		t.Fatalf("%s: what to fill it with?", v.Type())
	}
}

func filled[T any](t *testing.T) T {
	var v T
	n := 0
	fill(t, reflect.ValueOf(&v).Elem(), &n)
	return v
}

// packedExamples has a key with a sight for each way to be odd.
func packedExamples(t *testing.T) map[packedKey]*sight {
	header := filled[probe.Header](t)
	bare := probe.Header{Format: probe.Qcow2, Backing: &probe.Reference{}}
	broken := filled[probe.Error](t)
	broken.Err = probe.ErrCorrupt
	examples := map[packedKey]*sight{}
	add := func(sliceSize uint64, how string, s sight) {
		s.id.file.Inode = uint64(len(examples))
		s.sampled, s.foreseen = true, true
		raw := reading{claim: probe.Raw}
		raw.header, raw.err = probe.Read(zeros{}, s.size, probe.Raw)
		s.readings = append(s.readings, raw)
		examples[packedKey{s.id, sliceSize > 0, sliceSize, how}] = &s
	}
	add(0, "", sight{})
	add(0, "", sight{size: 1, changed: 1})
	add(0, "", sight{size: 1<<63 - 1, changed: -1 << 63, id: imageID{file: FileID{Device: 1<<64 - 1, Block: true}, offset: 1<<64 - 1}})
	add(1<<64-1, "<source/>", sight{id: imageID{file: FileID{Remote: "nbd://host/\xff\x00"}}})
	add(0, "", sight{signatures: filled[[]probe.Signature](t), contents: filled[[]probe.Content](t)})
	add(0, "", sight{readings: []reading{{claim: "all", header: &header, short: true, sees: sees{true, "record\xff", true}}}})
	add(0, "", sight{readings: []reading{{claim: "bare", header: &bare}, {claim: "none"}, {claim: "another name", header: &header}}})
	add(0, "", sight{readings: []reading{{claim: "another name", header: &header}, {claim: "bare", header: &bare}}})
	add(0, "", sight{size: 700, readings: []reading{{claim: probe.VMDK, err: &broken, short: true}}})
	return examples
}

// What is packed comes back as it was, whatever there is of it.
func TestPackedSights(t *testing.T) {
	var p packedSights
	if s := p.get(packedKey{}); s != nil {
		t.Errorf("there is %+v in nothing", s)
	}
	examples := packedExamples(t)
	for range 2 {
		for key, s := range examples {
			p.add(key, s)
		}
		for key, want := range examples {
			if got := p.get(key); !reflect.DeepEqual(got, want) {
				t.Errorf("%+v: %+v is now %+v", key, want, got)
			}
		}
	}
	if len(p.sights) != len(examples) {
		t.Errorf("%d sights are %d", len(examples), len(p.sights))
	}
	for key := range examples {
		for _, other := range []packedKey{
			{id: key.id, part: key.part, sliceSize: key.sliceSize + 1, how: key.how},
			{id: key.id, part: key.part, sliceSize: key.sliceSize, how: key.how + "x"},
			{id: key.id, part: !key.part, sliceSize: key.sliceSize, how: key.how},
			{id: imageID{FileID{Device: 7, Inode: key.id.file.Inode}, 0}},
		} {
			if s := p.get(other); s != nil {
				t.Errorf("%+v is taken for %+v", other, s)
			}
		}
	}
}

// The key is compared, not its hash alone.
func TestPackedSightOfAnotherKey(t *testing.T) {
	var p packedSights
	for key, s := range packedExamples(t) {
		p.add(key, s)
	}
	for hash := range p.sights {
		for other := range p.sights {
			p.sights[other] = p.sights[hash]
		}
		break
	}
	found := 0
	for key := range packedExamples(t) {
		if s := p.get(key); s != nil {
			found++
		}
	}
	if found != 1 {
		t.Errorf("one sight is that of %d keys", found)
	}
}

// Two sights are alike only if nothing in them differs but what is each one's
// own.
func TestLikenessesTellEverythingApart(t *testing.T) {
	whole := func() likeness {
		header, broken := filled[probe.Header](t), filled[probe.Error](t)
		header.Backing.Name = nameElsewhere
		return likeness{packedKey{id: imageID{file: filled[FileID](t)}}, sight{
			signatures: filled[[]probe.Signature](t), contents: filled[[]probe.Content](t),
			readings: []reading{{claim: probe.VMDK, header: &header, err: &broken, sees: sees{record: "qcow2"}}}}}
	}
	texts := map[string]string{string(func() []byte { l := whole(); return l.text() }()): "nothing"}
	differs := func(what string, l likeness) {
		t.Helper()
		text := string(l.text())
		if other, ok := texts[text]; ok {
			t.Errorf("without %s it is as without %s", what, other)
		}
		texts[text] = what
	}
	var eachZero func(path string, of func(*likeness) reflect.Value)
	eachZero = func(path string, of func(*likeness) reflect.Value) {
		l := whole()
		switch v := of(&l); v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				eachZero(path+"."+v.Type().Field(i).Name, func(l *likeness) reflect.Value { return of(l).Field(i) })
			}
			return
		case reflect.Pointer:
			eachZero(path, func(l *likeness) reflect.Value { return of(l).Elem() })
			v.SetZero()
		case reflect.Slice:
			for i := range v.Len() {
				eachZero(fmt.Sprint(path, i), func(l *likeness) reflect.Value { return of(l).Index(i) })
			}
			v.SetZero()
		case reflect.Interface:
			v.Set(reflect.ValueOf(probe.ErrCorrupt))
		default:
			v.SetZero()
		}
		differs(path, l)
	}
	eachZero("file", func(l *likeness) reflect.Value { return reflect.ValueOf(&l.key.id.file).Elem() })
	eachZero("signatures", func(l *likeness) reflect.Value { return reflect.ValueOf(&l.signatures).Elem() })
	eachZero("contents", func(l *likeness) reflect.Value { return reflect.ValueOf(&l.contents).Elem() })
	eachZero("header", func(l *likeness) reflect.Value { return reflect.ValueOf(&l.readings[0].header).Elem() })
	eachZero("error", func(l *likeness) reflect.Value { return reflect.ValueOf(l.readings[0].err.(*probe.Error)).Elem() })
	for what, change := range map[string]func(*likeness){
		"offset": func(l *likeness) { l.key.id.offset++ }, "slice": func(l *likeness) { l.key.sliceSize++ }, "part": func(l *likeness) { l.key.part = true }, "how": func(l *likeness) { l.key.how = "x" },
		"claim": func(l *likeness) { l.readings[0].claim = probe.QED }, "short": func(l *likeness) { l.readings[0].short = true },
		"backing": func(l *likeness) { l.readings[0].sees.backing = true }, "recorded": func(l *likeness) { l.readings[0].sees.recorded = true },
		"record": func(l *likeness) { l.readings[0].sees.record = "" }, "all readings": func(l *likeness) { l.readings = nil },
		"error": func(l *likeness) { l.readings[0].err = nil },
	} {
		l := whole()
		change(&l)
		differs(what, l)
	}
}

// What failed, or did not show everything, is looked at again.
func TestNotPacked(t *testing.T) {
	whole := func() *sight { return &sight{sampled: true, foreseen: true} }
	for name, spoil := range map[string]func(*sight){
		"not everything":       func(s *sight) { s.foreseen = false },
		"no signatures":        func(s *sight) { s.signaturesErr = io.ErrUnexpectedEOF },
		"a header is not read": func(s *sight) { s.readings = []reading{{claim: probe.Qcow2, err: ErrChanged}} },
		"raw is not read":      func(s *sight) { s.readings = []reading{{claim: probe.Raw, err: io.ErrUnexpectedEOF}} },
	} {
		var p packedSights
		s := whole()
		spoil(s)
		p.add(packedKey{}, s)
		if got := p.get(packedKey{}); got != nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
	var p packedSights
	if p.add(packedKey{}, whole()); p.get(packedKey{}) == nil {
		t.Error("nothing is packed")
	}
}

// Images that look alike take a few bytes each, and all together never more
// than the bound.
func TestPackedSightsAreSmall(t *testing.T) {
	var p packedSights
	overlay := func(n int) (packedKey, *sight) {
		id := imageID{file: FileID{Device: 2049, Inode: uint64(n)}}
		header := &probe.Header{Format: probe.Qcow2, Version: 3, VirtualSize: 1 << 30, ClusterSize: 1 << 16,
			Backing: &probe.Reference{Name: fmt.Sprint("base", n), Offset: 500, FormatRecorded: true, Format: "qcow2"}}
		return packedKey{id: id}, &sight{id: id, size: int64(200000 + n), sampled: true, foreseen: true,
			signatures: []probe.Signature{{Format: probe.Qcow2, QEMU: true, Libvirt: true}},
			readings:   []reading{{claim: probe.Qcow2, header: header, sees: sees{true, "qcow2", true}}}}
	}
	const images = 1000
	for n := range images {
		p.add(overlay(n))
	}
	if len(p.likenesses) != 1 || p.size > 100*images {
		t.Errorf("%d likenesses, %d bytes", len(p.likenesses), p.size)
	}
	for range 3 {
		before := p.size
		if p.add(overlay(1)); p.size != before {
			t.Errorf("packed again, one takes %d bytes more", p.size-before)
		}
	}
	p.size = maxPacked + 1
	key, s := overlay(images)
	if p.add(key, s); len(p.sights) != 1 || len(p.likenesses) != 1 || p.size > 2000 {
		t.Errorf("%d sights, %d likenesses, %d bytes", len(p.sights), len(p.likenesses), p.size)
	}
	if got := p.get(key); got == nil || got.read(probe.Qcow2).header.Backing.Name != "base1000" {
		t.Errorf("%+v", got)
	}
	if old, _ := overlay(1); p.get(old) != nil {
		t.Error("nothing was forgotten")
	}
}

// The bound is one of memory, so what counts is no less than what is taken.
func TestPackedSightsAreCountedWell(t *testing.T) {
	name := append([]byte("d\x00"), bytes.Repeat([]byte("x"), 4000)...)
	dataFile, err := mkimage.Qcow2{VirtualSize: 1 << 20, DataFile: "/"}.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(dataFile, []byte("DATA"))
	binary.BigEndian.PutUint32(dataFile[at+4:], uint32(len(name)))
	copy(dataFile[at+8:], name)
	for what, read := range map[string]func(n int) reading{
		"alike": func(n int) reading {
			return reading{claim: probe.Qcow2, header: &probe.Header{Backing: &probe.Reference{Name: fmt.Sprint(n)}}}
		},
		"unlike": func(n int) reading {
			return reading{claim: probe.Qcow2, header: &probe.Header{VirtualSize: uint64(n)}}
		},
		"broken": func(n int) reading {
			return reading{claim: probe.Qcow2, err: &probe.Error{Offset: int64(n), Err: probe.ErrCorrupt}}
		},
		"data file with a NUL": func(n int) reading {
			h, err := probe.Read(bytes.NewReader(dataFile), int64(len(dataFile)), probe.Qcow2)
			if err != nil || h.DataFile == nil || h.DataFile.Name != "d" {
				t.Fatalf("%+v, %v", h, err)
			}
			h.VirtualSize = uint64(n)
			return reading{claim: probe.Qcow2, header: h}
		},
	} {
		var p packedSights
		before := heapInUse()
		for n := range 5000 {
			id := imageID{file: FileID{Inode: uint64(n)}}
			p.add(packedKey{id: id}, &sight{id: id, sampled: true, foreseen: true, readings: []reading{read(n)}})
		}
		took := heapInUse() - before
		if len(p.sights) != 5000 || took > p.size {
			t.Errorf("%s: %d sights take %d bytes of memory, %d are counted", what, len(p.sights), took, p.size)
		}
	}
}

func heapInUse() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what a pool had is only gone now
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
