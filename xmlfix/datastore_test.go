package xmlfix_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/testdata/corpus"
	"github.com/chainfix/chainfix/testdata/peers"
	"github.com/chainfix/chainfix/xmlfix"
)

// stores returns layers with data stores: the i-th gets the i-th path, "" none.
func stores(layers []chain.Layer, paths ...string) []chain.Layer {
	layers = append([]chain.Layer(nil), layers...)
	for i, path := range paths {
		if path != "" {
			layers[i].Source = withDataStore(layers[i].Source, dataStore(path))
		}
	}
	return layers
}

const (
	// The first image of libvirtStyle, and what becomes of it.
	plainSource = "      <source file='/a'/>\n"
	dataSource  = `      <source file='/a'>
        <dataStore type='file'>
          <format type='raw'/>
          <source file='/d'/>
        </dataStore>
      </source>
`
	inlineData = "<dataStore type='file'><format type='raw'/><source file='/d'/></dataStore>"
)

// dataStoreTests set chains with data stores on the first disk of a document.
var dataStoreTests = []struct {
	name   string
	in     string
	layers []chain.Layer
	want   string
}{
	{"top", terminated(libvirtStyle), stores(two[:1], "/d"), terminated(withSource(libvirtStyle, dataSource))},
	{"top, CRLF and tabs", crlf(tabs(terminated(libvirtStyle))), stores(two[:1], "/d"), crlf(tabs(terminated(withSource(libvirtStyle, dataSource))))},
	{"top, double quotes", double(terminated(libvirtStyle)), stores(two[:1], "/d"), double(terminated(withSource(libvirtStyle, dataSource)))},
	{"top of one line", domain(fileDisk("<backingStore/>")), stores(two[:1], "/d"),
		domain(strings.Replace(fileDisk("<backingStore/>"), "'/a'/>", "'/a'>"+inlineData+"</source>", 1))},
	{"space in the tag", terminated(withSource(libvirtStyle, "      <source file='/a' />\n")), stores(two[:1], "/d"),
		terminated(withSource(libvirtStyle, strings.Replace(dataSource, "'/a'>", "'/a' >", 1)))},
	{"long form", terminated(withSource(libvirtStyle, "      <source file='/a'></source >\n")), stores(two[:1], "/d"),
		terminated(withSource(libvirtStyle, strings.Replace(dataSource, "</source>", "</source >", 1)))},
	{"long form of two lines", terminated(withSource(libvirtStyle, "      <source file='/a'>\n      </source>\n")), stores(two[:1], "/d"),
		terminated(withSource(libvirtStyle, dataSource))},
	{"comment inside", terminated(withSource(libvirtStyle, "      <source file='/a'><!-- top --></source>\n")), stores(two[:1], "/d"),
		terminated(withSource(libvirtStyle, "      <source file='/a'>"+inlineData+"<!-- top --></source>\n"))},
	{"something inside", terminated(withSource(libvirtStyle, "      <source file='/a'>\n        <seclabel relabel='no'/>\n      </source>\n")), stores(two[:1], "/d"),
		terminated(withSource(libvirtStyle, strings.Replace(dataSource, "'/a'>\n", "'/a'>\n        <seclabel relabel='no'/>\n", 1)))},
	{"behind another element", terminated(withSource(libvirtStyle, "      <!-- --><source file='/a'/>\n")), stores(two[:1], "/d"),
		terminated(withSource(libvirtStyle, "      <!-- --><source file='/a'>"+inlineData+"</source>\n"))},

	{"top and end", libvirtStyle, stores(two[:1], "/d"), terminated(withSource(libvirtStyle, dataSource))},
	{"top and chain on one line", domain(fileDisk("")), stores(two, "/d"),
		domain(strings.Replace(fileDisk(store("raw", "/b", "<backingStore/>")), "'/a'/>", "'/a'>"+inlineData+"</source>", 1))},
	{"written below", libvirtStyle, stores(three, "", "/e"), strings.Replace(libvirtStyleThree, "        <source file='/b'/>\n", below, 1)},
	{"added below", libvirtStyleThree, stores(three, "/d", "/e"),
		withSource(strings.Replace(libvirtStyleThree, "        <source file='/b'/>\n", below, 1), dataSource)},
	{"added below a rewritten end", strings.Replace(libvirtStyleThree, "'vhd'", "'raw'", 1), stores(three, "", "/e"),
		strings.Replace(libvirtStyleThree, "        <source file='/b'/>\n", below, 1)},
	{"added to a copied source", strings.Replace(libvirtStyleThree, "        <format type='qcow2'/>\n        <source file='/b'/>\n",
		"        <format type='raw'/>\n        <source file='/b' unknown='yes'/>\n", 1), stores(three, "", "/e"),
		strings.Replace(libvirtStyleThree, "        <source file='/b'/>\n", strings.Replace(below, "'/b'", "'/b' unknown='yes'", 1), 1)},
	{"another one in a copied source", strings.Replace(libvirtStyleThree, "        <format type='qcow2'/>\n        <source file='/b'/>\n",
		"        <format type='qed'/>\n"+strings.Replace(below, "/e", "/z", 1), 1), stores(three, "", "/e"),
		strings.Replace(libvirtStyleThree, "        <source file='/b'/>\n", below, 1)},

	{"there already", terminated(withSource(libvirtStyle, dataSource)), stores(two[:1], "/d"), terminated(withSource(libvirtStyle, dataSource))},
	{"another one", terminated(withSource(libvirtStyle, strings.Replace(dataSource, "'/d'", "'/z' index='3'", 1))), stores(two[:1], "/d"),
		terminated(withSource(libvirtStyle, dataSource))},
	{"another one on one line", domain(strings.Replace(fileDisk("<backingStore/>"), "'/a'/>", "'/a'>"+strings.Replace(inlineData, "/d", "/z", 1)+"</source>", 1)), stores(two[:1], "/d"),
		domain(strings.Replace(fileDisk("<backingStore/>"), "'/a'/>", "'/a'>"+inlineData+"</source>", 1))},
	{"one too many", terminated(withSource(libvirtStyle, dataSource)), two[:1],
		terminated(withSource(libvirtStyle, "      <source file='/a'>\n      </source>\n"))},
	{"block device", libvirtStyle, []chain.Layer{two[0], {Source: withDataStore(block("/dev/b"), &libvirtxml.DomainDiskDataStore{
		Format: &libvirtxml.DomainDiskFormat{Type: "raw"}, Source: block("/dev/d")}), Format: probe.Qcow2, From: chain.Header}},
		strings.Replace(libvirtStyle, "      <target", `      <backingStore type='block'>
        <format type='qcow2'/>
        <source dev='/dev/b'>
          <dataStore type='block'>
            <format type='raw'/>
            <source dev='/dev/d'/>
          </dataStore>
        </source>
        <backingStore/>
      </backingStore>
      <target`, 1)},
}

// below is the second image of libvirtStyleThree with a data store.
const below = `        <source file='/b'>
          <dataStore type='file'>
            <format type='raw'/>
            <source file='/e'/>
          </dataStore>
        </source>
`

func withSource(document, source string) string {
	return strings.Replace(document, plainSource, source, 1)
}

func terminated(document string) string {
	return strings.Replace(document, "      <target", "      <backingStore/>\n      <target", 1)
}

func TestDataStore(t *testing.T) {
	for _, tt := range dataStoreTests {
		t.Run(tt.name, func(t *testing.T) {
			doc := parse(t, tt.in)
			disk := doc.Disks()[0]
			c := fixable(t, disk, tt.layers)
			c.Layers[0].Source = withDataStore(c.Layers[0].Source, tt.layers[0].Source.DataStore)
			if err := disk.SetChain(c); err != nil {
				t.Fatal(err)
			}
			got, err := doc.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Errorf("document (-want +got):\n%s", diff)
			}

			dom := &libvirtxml.Domain{}
			if err := dom.Unmarshal(tt.in); err != nil {
				t.Fatal(err)
			}
			applied := &dom.Devices.Disks[0]
			if err := xmlfix.Apply(applied, c); err != nil {
				t.Fatal(err)
			}
			s, err := xmlfix.StatedBy(applied)
			if diff := cmp.Diff(stated(t, tt.want).Layers, s.Layers); err != nil || diff != "" || !s.Terminated {
				t.Errorf("Apply (-document +libvirtxml), ended %v, %v:\n%s", s.Terminated, err, diff)
			}
		})
	}
}

func TestDataStoreRefused(t *testing.T) {
	nested, sliced, converted := dataStore("/d"), dataStore("/d"), dataStore("/d")
	nested.Source.DataStore = dataStore("/e")
	sliced.Source.Slices = &libvirtxml.DomainDiskSlices{Slices: []libvirtxml.DomainDiskSlice{{Type: "storage", Size: 1}}}
	converted.Format.Type = "qcow2"
	tests := []struct {
		name   string
		store  *libvirtxml.DomainDiskDataStore
		format probe.Format
	}{
		{"of a raw image", dataStore("/d"), probe.Raw},
		{"without a format", &libvirtxml.DomainDiskDataStore{Source: file("/d")}, probe.Qcow2},
		{"in qcow2", converted, probe.Qcow2},
		{"without a source", &libvirtxml.DomainDiskDataStore{Format: &libvirtxml.DomainDiskFormat{Type: "raw"}}, probe.Qcow2},
		{"without a name", dataStore(""), probe.Qcow2},
		{"with a data store", nested, probe.Qcow2},
		{"with slices", sliced, probe.Qcow2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			doc := parse(t, libvirtStyle)
			c := &chain.Chain{Verdict: chain.Fixable, Layers: []chain.Layer{two[0], {Source: withDataStore(file("/b"), tt.store), Format: tt.format, From: chain.Header}}}
			if err := doc.Disks()[0].SetChain(c); !errors.Is(err, xmlfix.ErrChain) || doc.Changed() {
				t.Errorf("SetChain: %v", err)
			}
		})
	}
	empty := parse(t, domain("<disk type='file' device='cdrom'><driver name='qemu' type='qcow2'/>"+vda+"</disk>")).Disks()[0]
	c := &chain.Chain{Verdict: chain.Fixable, Layers: []chain.Layer{layer(withDataStore(file(""), dataStore("/d")), probe.Qcow2)}}
	if err := empty.SetChain(c); !errors.Is(err, xmlfix.ErrChain) {
		t.Errorf("an empty drive: %v", err)
	}
}

// TestRemoveChainKeepsDataStore: the file with an image's data is a part of the
// image.
func TestRemoveChainKeepsDataStore(t *testing.T) {
	doc := parse(t, terminated(withSource(libvirtStyle, dataSource)))
	doc.Disks()[0].RemoveChain()
	if got, err := doc.Bytes(); err != nil || string(got) != withSource(libvirtStyle, dataSource) {
		t.Errorf("%s, %v", got, err)
	}
}

// TestDataStoreSchema validates what is written with the schema of libvirt
// 11.3, and lets libvirt's parser have it.
func TestDataStoreSchema(t *testing.T) {
	schema := newSchema(t)
	var pairs []pair
	for _, tt := range dataStoreTests {
		pairs = append(pairs, pair{tt.name, []byte(tt.in), []byte(tt.want)})
	}
	took := wantAcceptedBy(t, schema, pairs)
	if took.defined != len(pairs) || took.valid < len(pairs)-1 {
		t.Errorf("of %d documents the schema takes %d, and libvirt %d", len(pairs), took.valid, took.defined)
	}
	for name, wrong := range map[string]string{
		"next to the source": strings.Replace(terminated(libvirtStyle), plainSource, plainSource+"      "+inlineData+"\n", 1),
		"without a format":   terminated(withSource(libvirtStyle, strings.Replace(dataSource, "          <format type='raw'/>\n", "", 1))),
	} {
		if peers.Valid(t, schema, [][]byte{[]byte(wrong)})[0] {
			t.Errorf("a data store %s is valid", name)
		}
	}
}

// newSchema returns libvirt 11.3's schema of a domain.
func newSchema(t *testing.T) string {
	peers.Require(t, "apt-get", "dpkg-deb", "xmllint")
	dir := t.TempDir()
	if err := corpus.Schemas(dir); err != nil {
		peers.Lacking(t, err)
	}
	return filepath.Join(dir, "domain.rng")
}
