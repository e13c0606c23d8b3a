package xmlfix_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/xmlfix"
)

// seeds are the documents of the tables; long ones say nothing that short ones
// do not.
func seeds() []string {
	var all []string
	for _, tt := range parseTests {
		all = append(all, tt.in)
	}
	for _, tt := range statedTests {
		all = append(all, domain(tt.disk))
	}
	for _, tt := range editTests {
		all = append(all, tt.in)
	}
	for _, tt := range dataStoreTests {
		all = append(all, tt.in, tt.want)
	}
	all = append(all, plainDisk, strings.ReplaceAll(lossyDisk, "?", " unknown='yes'"))
	return slices.DeleteFunc(all, func(s string) bool { return len(s) > 2048 })
}

// FuzzParse: what Parse takes comes back as it was and is well-formed to
// encoding/xml too, which finds the same in it. What it does not take it
// rejects at a place of the document, in one line.
func FuzzParse(f *testing.F) {
	for _, s := range seeds() {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := xmlfix.Parse("fuzz.xml", data)
		if err != nil {
			checkError(t, data, err, xmlfix.ErrSyntax, xmlfix.ErrEncoding, xmlfix.ErrAmbiguous, xmlfix.ErrNotDomain, xmlfix.ErrLimit)
			return
		}
		if got, err := doc.Bytes(); err != nil || doc.Changed() || &got[0] != &data[0] || len(got) != len(data) {
			t.Errorf("without an edit: changed %v, %v", doc.Changed(), err)
		}
		if err := decode(data); err != nil {
			t.Errorf("encoding/xml rejects it: %v", err)
		}
		want := outlineOf(data)
		if doc.DomainName() != want.name || len(doc.Disks()) != len(want.disks) || doc.Live() != want.live {
			t.Errorf("domain %q, %d disks, live %v; want %+v", doc.DomainName(), len(doc.Disks()), doc.Live(), want)
		}
		last := -1
		for i, disk := range doc.Disks() {
			pos := disk.Pos()
			if pos.Offset <= last || data[pos.Offset] != '<' || pos.Line != 1+bytes.Count(data[:pos.Offset], []byte("\n")) {
				t.Errorf("disk %d is at %+v", i, pos)
			}
			last = pos.Offset
			s, err := disk.Stated()
			if err != nil {
				checkError(t, data, err, xmlfix.ErrDisk)
			} else if len(s.Layers) == 0 || s.Layers[0].Source == nil || want.live && !s.Live {
				t.Errorf("disk %d states %+v", i, s)
			}
		}
	})
}

// checkError demands that err wraps one of the sentinels, has a place in the
// document and a code that is explained, and shows no control character.
func checkError(t *testing.T, data []byte, err error, sentinels ...error) {
	t.Helper()
	var e *xmlfix.Error
	if !errors.As(err, &e) || !slices.ContainsFunc(sentinels, func(s error) bool { return errors.Is(err, s) }) {
		t.Fatalf("error is %v, which is none of %v", err, sentinels)
	}
	if e.Pos.Offset > len(data) || e.Pos.Line < 1 || e.Pos.Column < 1 {
		t.Errorf("%v: at %+v of %d bytes", err, e.Pos, len(data))
	}
	if _, ok := finding.Explain(e.Code); !ok {
		t.Errorf("%v: code %q has no explanation", err, e.Code)
	}
	if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r >= 0x7F && r < 0xA0 }) {
		t.Errorf("%q shows a control character", err)
	}
}

func decode(data []byte) error {
	dec := xml.NewDecoder(bytes.NewReader(data))
	for {
		if _, err := dec.Token(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// outline is what the paths of a document's elements alone tell.
type outline struct {
	name  string
	live  bool
	disks []span
}

// span is where an element stands.
type span struct{ start, end int }

func (s span) in(data []byte) string { return string(data[s.start:s.end]) }

func outlineOf(data []byte) outline {
	dec := xml.NewDecoder(bytes.NewReader(data))
	var found outline
	var path []string
	names := 0
	for {
		start := int(dec.InputOffset())
		token, err := dec.RawToken()
		if err != nil {
			return found
		}
		switch t := token.(type) {
		case xml.StartElement:
			path = append(path, t.Name.Space+":"+t.Name.Local)
			switch strings.Join(path, "/") {
			case ":domain":
				found.live = slices.ContainsFunc(t.Attr, func(a xml.Attr) bool { return a.Name == xml.Name{Local: "id"} })
			case ":domain/:name":
				names++
			case ":domain/:devices/:disk", ":disk":
				found.disks = append(found.disks, span{start: start})
			}
		case xml.EndElement:
			if at := strings.Join(path, "/"); at == ":domain/:devices/:disk" || at == ":disk" {
				found.disks[len(found.disks)-1].end = int(dec.InputOffset())
			}
			path = path[:len(path)-1]
		case xml.CharData:
			if strings.Join(path, "/") == ":domain/:name" && names == 1 {
				found.name += string(t)
			}
		}
	}
}

// FuzzSetChain gives every disk that can be read a chain: some of the layers
// that it states, and two more below them, or a new one above those that it
// states, and one of them a data store. Either that is refused by name, or the document says so, says the
// same in a second run, and is the old one again when the chain is removed.
func FuzzSetChain(f *testing.F) {
	for i, s := range seeds() {
		f.Add([]byte(s), "/b", `/'c' "d" & <é>`, uint8(i), uint8(i/3), uint8(i/5), uint8(0xFF))
		f.Add([]byte(s), "/b", "/c", uint8(i), uint8(i/3), uint8(i*3), uint8(i%3))
		f.Add([]byte(s), "/b", "", uint8(above), uint8(i/3), uint8(1), uint8(0xFF))
	}
	f.Fuzz(func(t *testing.T, data []byte, first, second string, keep, kinds, formats, stores uint8) {
		below := []chain.Layer{fuzzLayer(first, kinds, formats), fuzzLayer(second, kinds>>4, formats>>4)}
		doc, err := xmlfix.Parse("fuzz.xml", data)
		if err != nil {
			return
		}
		chains := make([]*chain.Chain, len(doc.Disks()))
		same := true // RemoveChain will give the document back
		for i, disk := range doc.Disks() {
			s, err := disk.Stated()
			if err != nil {
				continue
			}
			layers := slices.Concat(s.Layers[:1+int(keep)%len(s.Layers)], below[:(keep>>4)%3])
			if keep == above {
				layers = slices.Concat(s.Layers[:1], below[:1], s.Layers[1:])
			}
			if s.Layers[0].From == chain.Unstated {
				layers[0].Format = probe.Qcow2
			}
			added := -1
			if stores < 0x80 && layers[0].Format == probe.Qcow2 {
				added = int(stores) % len(layers)
				layers[added].Source = withDataStore(layers[added].Source, dataStore(first))
			}
			c := &chain.Chain{Verdict: chain.Fixable, Layers: layers}
			if err := disk.SetChain(c); err != nil {
				checkError(t, data, err, xmlfix.ErrChain)
				continue
			}
			chains[i] = c
			same = same && s.Layers[0].From == chain.XML && len(s.Layers) == 1 && !s.Terminated && added != 0
		}
		out, err := doc.Bytes()
		if err != nil {
			// The chain may be what no document can hold, or one more
			// than this one can.
			if !errors.Is(err, xmlfix.ErrProof) || carries(first) && carries(second) && !errors.Is(err, xmlfix.ErrLimit) {
				t.Fatalf("Bytes: %v", err)
			}
			return
		}
		checkAgain(t, out, chains)
		if got := removed(t, out, chains); same && !bytes.Equal(got, data) {
			t.Errorf("RemoveChain does not restore it (-want +got):\n%s", cmp.Diff(string(data), string(got)))
		}
	})
}

// above asks FuzzSetChain for a layer between a disk's own and those below it.
const above = 0xFF

// fuzzLayer makes a layer of a name.
func fuzzLayer(name string, kind, format uint8) chain.Layer {
	l := plainFuzzLayer(name, kind, format)
	if format >= 0x80 {
		l.Format, l.Source.DataStore = probe.Qcow2, dataStore(name)
	}
	return l
}

func plainFuzzLayer(name string, kind, format uint8) chain.Layer {
	all := probe.Formats()
	src := file(name)
	switch kind % 4 {
	case 1:
		src = block(name)
	case 2:
		src = &libvirtxml.DomainDiskSource{Volume: &libvirtxml.DomainDiskSourceVolume{Pool: name, Volume: name}}
	case 3:
		src = &libvirtxml.DomainDiskSource{Network: &libvirtxml.DomainDiskSourceNetwork{Protocol: "nbd", Name: name,
			Hosts: []libvirtxml.DomainDiskSourceHost{{Name: name, Port: "10809"}}}}
	}
	return chain.Layer{Source: src, Format: all[int(format)%len(all)], From: chain.Header}
}

// carries reports whether XML 1.0 has all the characters of s.
func carries(s string) bool {
	return strings.ToValidUTF8(s, "\uFFFF") == s && !strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == '\uFFFE' || r == '\uFFFF'
	})
}

// checkAgain demands that a document states the chains of its disks, and that
// asking for them again changes nothing. A nil chain was not set.
func checkAgain(t *testing.T, data []byte, chains []*chain.Chain) {
	t.Helper()
	doc := parse(t, string(data))
	for i, disk := range doc.Disks() {
		c := chains[i]
		if c == nil {
			continue
		}
		s, err := disk.Stated()
		if err != nil {
			t.Fatalf("disk %d: %v", i, err)
		}
		if len(s.Layers) != len(c.Layers) || !s.Terminated && (len(s.Layers) > 1 || s.Layers[0].Format.CanHaveBacking()) {
			t.Fatalf("disk %d states %d layers of %d, ended %v", i, len(s.Layers), len(c.Layers), s.Terminated)
		}
		for j, want := range c.Layers {
			got := s.Layers[j]
			if diff := cmp.Diff(asLayer(j, want.Source), asLayer(j, got.Source)); got.Format != want.Format || diff != "" {
				t.Errorf("disk %d, layer %d: %s of %s (-want +got):\n%s", i, j, got.Format, want.Format, diff)
			}
		}
		if err := disk.SetChain(c); err != nil {
			t.Fatalf("disk %d: %v", i, err)
		}
	}
	if doc.Changed() {
		t.Error("a second run would change it again")
	}
}

// asLayer returns a source as it is written in layer j: what belongs to a
// running guest, or to a disk's own image, is not written below it.
func asLayer(j int, src *libvirtxml.DomainDiskSource) *libvirtxml.DomainDiskSource {
	if j > 0 {
		plain := *src
		plain.Index, plain.StartupPolicy = 0, ""
		return &plain
	}
	return src
}

func dataStore(path string) *libvirtxml.DomainDiskDataStore {
	return &libvirtxml.DomainDiskDataStore{Format: &libvirtxml.DomainDiskFormat{Type: "raw"}, Source: file(path)}
}

// withDataStore returns a source with another data store, or none.
func withDataStore(src *libvirtxml.DomainDiskSource, store *libvirtxml.DomainDiskDataStore) *libvirtxml.DomainDiskSource {
	other := *src
	other.DataStore = store
	return &other
}

// removed takes the chains of the disks that got one out again.
func removed(t *testing.T, data []byte, chains []*chain.Chain) []byte {
	t.Helper()
	doc := parse(t, string(data))
	for i, disk := range doc.Disks() {
		if chains[i] != nil {
			disk.RemoveChain()
		}
	}
	out, err := doc.Bytes()
	if err != nil {
		t.Fatalf("RemoveChain: %v", err)
	}
	return out
}
