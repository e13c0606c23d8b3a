package xmlfix_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/xmlfix"
)

// head and tail make a document of disks in libvirt's own layout.
const (
	head = `<domain type='test'>
  <name>vm</name>
  <memory>1024</memory>
  <os><type>hvm</type></os>
  <devices>
`
	tail = `  </devices>
</domain>
`
)

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

func tabs(s string) string { return strings.ReplaceAll(s, "  ", "\t") }

func double(s string) string { return strings.ReplaceAll(s, "'", `"`) }

// two and three are the chains that most tests ask for.
var (
	two   = []chain.Layer{layer(file("/a"), probe.Qcow2), {Source: file("/b"), Format: probe.Raw, From: chain.Header}}
	three = []chain.Layer{two[0], {Source: file("/b"), Format: probe.Qcow2, From: chain.Header}, {Source: block("/dev/c"), Format: probe.VHDX, From: chain.Trust}}
)

const (
	libvirtStyle = head + `    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='/a'/>
      <target dev='vda' bus='virtio'/>
    </disk>
` + tail
	libvirtStyleThree = head + `    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='/a'/>
      <backingStore type='file'>
        <format type='qcow2'/>
        <source file='/b'/>
        <backingStore type='block'>
          <format type='vhd'/>
          <source dev='/dev/c'/>
          <backingStore/>
        </backingStore>
      </backingStore>
      <target dev='vda' bus='virtio'/>
    </disk>
` + tail
)

// editTests set a chain on the first disk of a document.
var editTests = []struct {
	name   string
	in     string
	layers []chain.Layer
	want   string
}{
	{"libvirt's layout", libvirtStyle, three, libvirtStyleThree},
	{"tabs", tabs(libvirtStyle), three, tabs(libvirtStyleThree)},
	{"CRLF", crlf(libvirtStyle), three, crlf(libvirtStyleThree)},
	{"double quotes", double(libvirtStyle), three, double(libvirtStyleThree)},
	{"explicit already", libvirtStyleThree, three, libvirtStyleThree},
	{"slice of an image", libvirtStyle, []chain.Layer{two[0], {Source: sliceOf(file("/b")), Format: probe.Raw, From: chain.Header}},
		strings.Replace(libvirtStyle, "      <target", `      <backingStore type='file'>
        <format type='raw'/>
        <source file='/b'>
          <slices>
            <slice type='storage' offset='0' size='512'/>
          </slices>
        </source>
        <backingStore/>
      </backingStore>
      <target`, 1)},
	{"image alone", libvirtStyle, two[:1], strings.Replace(libvirtStyle, "<source file='/a'/>\n", "<source file='/a'/>\n      <backingStore/>\n", 1)},

	{"one line", domain(fileDisk("")), three,
		domain(fileDisk("<backingStore type='file'><format type='qcow2'/><source file='/b'/><backingStore type='block'>" +
			"<format type='vhd'/><source dev='/dev/c'/><backingStore/></backingStore></backingStore>"))},
	{"comment behind the source", strings.Replace(libvirtStyle, "'/a'/>", "'/a'/> <!-- top -->\t", 1), three,
		strings.Replace(libvirtStyleThree, "'/a'/>", "'/a'/> <!-- top -->\t", 1)},
	{"comment between", strings.Replace(libvirtStyle, "      <target", "      <!-- the\n  guest's -->\n      <target", 1), three,
		strings.Replace(libvirtStyleThree, "      <target", "      <!-- the\n  guest's -->\n      <target", 1)},
	{"long comment behind the source", strings.Replace(libvirtStyle, "'/a'/>", "'/a'/> <!--\n-->", 1), two,
		strings.Replace(libvirtStyle, "'/a'/>", "'/a'/><backingStore type='file'><format type='raw'/><source file='/b'/><backingStore/></backingStore> <!--\n-->", 1)},
	{"comment that looks ended", strings.Replace(libvirtStyle, "'/a'/>", "'/a'/><!-->\n-->", 1), two[:1],
		strings.Replace(libvirtStyle, "'/a'/>", "'/a'/><backingStore/><!-->\n-->", 1)},
	{"long form of the source", strings.Replace(libvirtStyle, "'/a'/>", "'/a'></source >", 1), three,
		strings.Replace(libvirtStyleThree, "'/a'/>", "'/a'></source >", 1)},
	{"source with children", strings.Replace(libvirtStyle, "'/a'/>", "'/a'>\n        <seclabel relabel='no'/>\n      </source>", 1), three,
		strings.Replace(libvirtStyleThree, "'/a'/>", "'/a'>\n        <seclabel relabel='no'/>\n      </source>", 1)},
	{"attributes on lines of their own", strings.Replace(libvirtStyle, " file='/a'/>", "\n        file='/a'\n      />", 1), three,
		strings.Replace(libvirtStyleThree, " file='/a'/>", "\n        file='/a'\n      />", 1)},
	{"source behind the start tag", strings.Replace(libvirtStyle, "\n      <driver name='qemu' type='qcow2'/>\n      <source file='/a'/>", "<driver type='qcow2'/><source file='/a'/>", 1), three,
		strings.Replace(libvirtStyleThree, "\n      <driver name='qemu' type='qcow2'/>\n      <source file='/a'/>", "<driver type='qcow2'/><source file='/a'/>", 1)},
	{"target behind the source", strings.Replace(libvirtStyle, "'/a'/>\n      ", "'/a'/>", 1), two[:1],
		strings.Replace(libvirtStyle, "'/a'/>\n      ", "'/a'/><backingStore/>", 1)},
	{"source last", head + "    <disk type='file'>\n      <driver type='qcow2'/>\n" + "      " + vda + "\n      <source file='/a'/></disk>\n" + tail, two[:1],
		head + "    <disk type='file'>\n      <driver type='qcow2'/>\n" + "      " + vda + "\n      <source file='/a'/><backingStore/></disk>\n" + tail},
	{"no indent", strings.ReplaceAll(libvirtStyle, "  ", ""), three, strings.ReplaceAll(libvirtStyleThree, "  ", "")},
	{"mixed indent", head + " \t<disk type='file'>\n \t \t<driver type='qcow2'/>\n \t \t<source file='/a'/>\n \t \t" + vda + "</disk>\n" + tail, two,
		head + " \t<disk type='file'>\n \t \t<driver type='qcow2'/>\n \t \t<source file='/a'/>\n" +
			" \t \t<backingStore type='file'>\n \t \t \t<format type='raw'/>\n \t \t \t<source file='/b'/>\n \t \t \t<backingStore/>\n \t \t</backingStore>\n" +
			" \t \t" + vda + "</disk>\n" + tail},
	{"disk deeper than what is in it", head + "      <disk type='file'>\n  <driver type='qcow2'/>\n  <source file='/a'/>\n  " + vda + "\n</disk>\n" + tail, two,
		head + "      <disk type='file'>\n  <driver type='qcow2'/>\n  <source file='/a'/>\n" +
			"  <backingStore type='file'>\n    <format type='raw'/>\n    <source file='/b'/>\n    <backingStore/>\n  </backingStore>\n" +
			"  " + vda + "\n</disk>\n" + tail},

	// A chain that is there already.
	{"unterminated", strings.Replace(libvirtStyleThree, "          <backingStore/>\n", "", 1), three, libvirtStyleThree},
	{"unterminated on one line", domain(fileDisk(store("raw", "/b", ""))), two, domain(fileDisk(store("raw", "/b", "<backingStore/>")))},
	{"partial", strings.Replace(libvirtStyleThree, `        <backingStore type='block'>
          <format type='vhd'/>
          <source dev='/dev/c'/>
          <backingStore/>
        </backingStore>
`, "", 1), three, libvirtStyleThree},
	{"an end too early", strings.Replace(libvirtStyle, "      <target", "      <backingStore/>\n      <target", 1), three, libvirtStyleThree},
	{"an end with content", strings.Replace(libvirtStyle, "      <target", "      <backingStore>\n <source file='/z'/></backingStore>\n      <target", 1), three, libvirtStyleThree},
	{"refresh in the middle", strings.Replace(strings.Replace(libvirtStyleThree,
		"<source file='/b'/>", "<source file='/b'></source><!-- kept -->", 1),
		"<format type='vhd'/>\n          <source dev='/dev/c'/>", "<format type='raw'/><!-- gone -->\n          <source dev='/dev/c'/>", 1), three,
		strings.Replace(libvirtStyleThree, "<source file='/b'/>", "<source file='/b'></source><!-- kept -->", 1)},
	{"refresh of a longer chain", libvirtStyleThree, two[:1], strings.Replace(libvirtStyle, "      <target", "      <backingStore/>\n      <target", 1)},
	{"chain in front of the source", domain("<disk type='file'>" + store("raw", "/z", "") + qcow2Top + vda + "</disk>"), two,
		domain("<disk type='file'>" + store("raw", "/b", "<backingStore/>") + qcow2Top + vda + "</disk>")},

	// The <driver type>.
	{"driver type missing", strings.Replace(libvirtStyle, " type='qcow2'", " cache='none'", 1), rawTop,
		strings.Replace(libvirtStyle, " type='qcow2'", " type='raw' cache='none'", 1)},
	{"driver without name", strings.Replace(double(libvirtStyle), `<driver name="qemu" type="qcow2"`, `<driver cache="none"`, 1), rawTop,
		strings.Replace(double(libvirtStyle), `<driver name="qemu" type="qcow2"`, `<driver type="raw" cache="none"`, 1)},
	{"driver without attributes", strings.Replace(libvirtStyle, `<driver name='qemu' type='qcow2'/>`, `<driver></driver>`, 1), rawTop,
		strings.Replace(libvirtStyle, `<driver name='qemu' type='qcow2'/>`, `<driver type='raw'></driver>`, 1)},
	{"no driver", strings.Replace(libvirtStyle, "      <driver name='qemu' type='qcow2'/>\n", "", 1), rawTop,
		strings.Replace(libvirtStyle, "'qcow2'", "'raw'", 1)},
	{"no driver, CRLF and tabs", tabs(crlf(strings.Replace(libvirtStyle, "      <driver name='qemu' type='qcow2'/>\n", "", 1))), rawTop,
		tabs(crlf(strings.Replace(libvirtStyle, "'qcow2'", "'raw'", 1)))},
	{"no driver on one line", domain("<disk><source file='/a'/>" + vda + "</disk>"), rawTop,
		domain("<disk><driver name='qemu' type='raw'/><source file='/a'/>" + vda + "</disk>")},
	{"no driver and a chain", strings.Replace(libvirtStyle, "      <driver name='qemu' type='qcow2'/>\n", "", 1),
		[]chain.Layer{{Source: file("/a"), Format: probe.Qcow2, From: chain.Trust}, three[1], three[2]}, libvirtStyleThree},
	{"driver behind the source", domain("<disk><source file='/a'/><driver name='qemu'/>" + vda + "</disk>"),
		[]chain.Layer{{Source: file("/a"), Format: probe.Qcow2, From: chain.Trust}},
		domain("<disk><source file='/a'/><backingStore/><driver name='qemu' type='qcow2'/>" + vda + "</disk>")},

	// What is written.
	{"names with markup", libvirtStyle, []chain.Layer{two[0], {Source: file(`/'b'"c"&<>`), Format: probe.Raw, From: chain.Header}},
		strings.Replace(libvirtStyle, "      <target", `      <backingStore type='file'>
        <format type='raw'/>
        <source file='/&apos;b&apos;&quot;c&quot;&amp;&lt;>'/>
        <backingStore/>
      </backingStore>
      <target`, 1)},
	{"names with markup, double quotes", double(libvirtStyle), []chain.Layer{two[0], {Source: file(`/'b'"c"&<>é`), Format: probe.Raw, From: chain.Header}},
		strings.Replace(double(libvirtStyle), "      <target", `      <backingStore type="file">
        <format type="raw"/>
        <source file="/'b'&quot;c&quot;&amp;&lt;>é"/>
        <backingStore/>
      </backingStore>
      <target`, 1)},
	{"encrypted backing image", libvirtStyle, []chain.Layer{two[0], {Source: encrypted(file("/b")), Format: probe.Qcow2, From: chain.Header}},
		strings.Replace(libvirtStyle, "      <target", `      <backingStore type='file'>
        <format type='qcow2'/>
        <source file='/b'>
          <encryption format='luks'>
            <secret type='passphrase' uuid='4c5f8d0a-0000-4000-8000-000000000001'/>
          </encryption>
        </source>
        <backingStore/>
      </backingStore>
      <target`, 1)},
	{"index and startup policy", libvirtStyle, []chain.Layer{two[0], {Source: indexed(file("/b")), Format: probe.Raw, From: chain.Header}},
		strings.Replace(libvirtStyle, "      <target", `      <backingStore type='file'>
        <format type='raw'/>
        <source file='/b'/>
        <backingStore/>
      </backingStore>
      <target`, 1)},
}

var rawTop = []chain.Layer{{Source: file("/a"), Format: probe.Raw, From: chain.XML}}

func indexed(src *libvirtxml.DomainDiskSource) *libvirtxml.DomainDiskSource {
	src.Index, src.StartupPolicy = 7, "optional"
	return src
}

func sliceOf(src *libvirtxml.DomainDiskSource) *libvirtxml.DomainDiskSource {
	src.Slices = &libvirtxml.DomainDiskSlices{Slices: []libvirtxml.DomainDiskSlice{{Type: "storage", Size: 512}}}
	return src
}

// fixable returns the chain of a document's first disk with other layers below
// its own image.
func fixable(t testing.TB, disk *xmlfix.Disk, layers []chain.Layer) *chain.Chain {
	t.Helper()
	s, err := disk.Stated()
	if err != nil {
		t.Fatal(err)
	}
	c := &chain.Chain{Verdict: chain.Fixable, Layers: append([]chain.Layer(nil), layers...)}
	c.Layers[0].Source = s.Layers[0].Source
	return c
}

func TestSetChain(t *testing.T) {
	for _, tt := range editTests {
		t.Run(tt.name, func(t *testing.T) {
			doc := parse(t, tt.in)
			disk := doc.Disks()[0]
			if err := disk.SetChain(fixable(t, disk, tt.layers)); err != nil {
				t.Fatal(err)
			}
			if changes := tt.in != tt.want; doc.Changed() != changes {
				t.Errorf("Changed is %v", doc.Changed())
			}
			got, err := doc.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Errorf("document (-want +got):\n%s", diff)
			}
		})
	}
}

// TestApply: a disk of libvirtxml's gets the same chain as one in a document.
func TestApply(t *testing.T) {
	for _, tt := range editTests {
		t.Run(tt.name, func(t *testing.T) {
			dom := &libvirtxml.Domain{}
			if err := dom.Unmarshal(tt.in); err != nil {
				t.Fatal(err)
			}
			disk := &dom.Devices.Disks[0]
			if strings.Contains(tt.name, "with content") {
				disk.BackingStore = &libvirtxml.DomainDiskBackingStore{} // which libvirtxml misreads
			}
			before, err := xmlfix.StatedBy(disk)
			if err != nil {
				t.Fatal(err)
			}
			c := &chain.Chain{Verdict: chain.Fixable, Layers: append([]chain.Layer(nil), tt.layers...)}
			c.Layers[0].Source = before.Layers[0].Source
			if err := xmlfix.Apply(disk, c); err != nil {
				t.Fatal(err)
			}
			got, err := xmlfix.StatedBy(disk)
			if err != nil {
				t.Fatal(err)
			}
			want := stated(t, tt.want)
			if diff := cmp.Diff(want.Layers, got.Layers); diff != "" || want.Terminated != got.Terminated {
				t.Errorf("states (-document +libvirtxml), ended %v:\n%s", got.Terminated, diff)
			}
		})
	}
}

func TestRemoveChain(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"libvirt's layout", libvirtStyleThree, libvirtStyle},
		{"CRLF", crlf(libvirtStyleThree), crlf(libvirtStyle)},
		{"one line", domain(fileDisk(store("raw", "/b", "<backingStore/>"))), domain(fileDisk(""))},
		{"end alone", strings.Replace(libvirtStyle, "      <target", "      <backingStore/>  \n      <target", 1), libvirtStyle},
		{"typeless", strings.Replace(libvirtStyle, "      <target", "      <backingStore><source file='/z'/></backingStore>\n      <target", 1), libvirtStyle},
		{"comment on its line", strings.Replace(libvirtStyle, "      <target", "      <backingStore/><!-- end -->\n      <target", 1),
			strings.Replace(libvirtStyle, "      <target", "      <!-- end -->\n      <target", 1)},
		{"disk that cannot be read", domain(fileDisk("<backingStore type='tape'/>")), domain(fileDisk(""))},
		{"nvme", domain(fileDisk(nvme("raw", "<backingStore/>"))), domain(fileDisk(""))},
		{"nothing to remove", libvirtStyle, libvirtStyle},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			doc := parse(t, tt.in)
			doc.Disks()[0].RemoveChain()
			got, err := doc.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Errorf("document (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSeveralDisks: edits of several disks, in two <devices>, do not disturb
// each other, and the disk between them stays as it is.
func TestSeveralDisks(t *testing.T) {
	disk := func(dev, chain string) string {
		return "    <disk type='file'>\n      <driver name='qemu' type='qcow2'/>\n      <source file='/a'/>\n" + chain + "      <target dev='" + dev + "'/>\n    </disk>\n"
	}
	const end = "      <backingStore/>\n"
	in := head + disk("vda", "") + disk("vdb", "") + "  </devices>\n  <devices>\n" + disk("vdc", end) + disk("vdd", "") + tail
	want := head + disk("vda", end) + disk("vdb", "") + "  </devices>\n  <devices>\n" + disk("vdc", "") + disk("vdd", end) + tail
	doc := parse(t, in)
	disks := doc.Disks()
	for _, i := range []int{3, 0} {
		if err := disks[i].SetChain(fixable(t, disks[i], two[:1])); err != nil {
			t.Fatal(err)
		}
	}
	disks[2].RemoveChain()
	got, err := doc.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("document (-want +got):\n%s", diff)
	}
}

// TestLastSetChainCounts: a later call takes the place of an earlier one.
func TestLastSetChainCounts(t *testing.T) {
	doc := parse(t, libvirtStyle)
	disk := doc.Disks()[0]
	for _, layers := range [][]chain.Layer{two, three} {
		if err := disk.SetChain(fixable(t, disk, layers)); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := doc.Bytes(); err != nil || string(got) != libvirtStyleThree {
		t.Errorf("Bytes: %s, %v", got, err)
	}
	disk.RemoveChain()
	if got, err := doc.Bytes(); err != nil || string(got) != libvirtStyle {
		t.Errorf("Bytes: %s, %v", got, err)
	}
}

// TestBytesUnchanged: a document without edits comes back as the same bytes.
func TestBytesUnchanged(t *testing.T) {
	data := []byte(libvirtStyleThree)
	doc, err := xmlfix.Parse("vm.xml", data)
	if err != nil {
		t.Fatal(err)
	}
	disk := doc.Disks()[0]
	for _, v := range []chain.Verdict{chain.Explicit, chain.Skipped} {
		if err := disk.SetChain(&chain.Chain{Verdict: v}); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := doc.Bytes(); err != nil || &got[0] != &data[0] || doc.Changed() {
		t.Errorf("other bytes came back (error %v)", err)
	}
}

func TestSetChainRefuses(t *testing.T) {
	top := layer(file("/a"), probe.Qcow2)
	tests := []struct {
		name  string
		chain chain.Chain
		want  error
	}{
		{"refused", chain.Chain{Verdict: chain.Refused, Layers: two}, xmlfix.ErrRefused},
		{"no layers", chain.Chain{Verdict: chain.Fixable}, xmlfix.ErrChain},
		{"another disk's", chain.Chain{Verdict: chain.Fixable, Layers: []chain.Layer{layer(file("/z"), probe.Qcow2)}}, xmlfix.ErrChain},
		{"another format", chain.Chain{Verdict: chain.Fixable, Layers: []chain.Layer{layer(file("/a"), probe.QED)}}, xmlfix.ErrChain},
		{"layer without format", chain.Chain{Verdict: chain.Fixable, Layers: []chain.Layer{top, {Source: file("/b")}}}, xmlfix.ErrChain},
		{"layer of luks", chain.Chain{Verdict: chain.Fixable, Layers: []chain.Layer{top, layer(file("/b"), probe.LUKS)}}, xmlfix.ErrChain},
		{"layer without source", chain.Chain{Verdict: chain.Fixable, Layers: []chain.Layer{top, {Format: probe.Raw}}}, xmlfix.ErrChain},
		{"layer of a descriptor", chain.Chain{Verdict: chain.Fixable, Layers: []chain.Layer{top, layer(passed("", "g"), probe.Raw)}}, xmlfix.ErrChain},
		{"layer with a slice of nothing", chain.Chain{Verdict: chain.Fixable, Layers: []chain.Layer{top, layer(sliceOf(file("")), probe.Raw)}}, xmlfix.ErrChain},
		{"layer without protocol", chain.Chain{Verdict: chain.Fixable, Layers: []chain.Layer{top,
			layer(&libvirtxml.DomainDiskSource{Network: &libvirtxml.DomainDiskSourceNetwork{}}, probe.Raw)}}, xmlfix.ErrChain},
		{"layer without name", chain.Chain{Verdict: chain.Fixable, Layers: []chain.Layer{top, layer(file(""), probe.Raw)}}, xmlfix.ErrChain},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			doc := parse(t, libvirtStyle)
			err := doc.Disks()[0].SetChain(&tt.chain)
			var e *xmlfix.Error
			if !errors.Is(err, tt.want) || !errors.As(err, &e) || e.Pos.Line != 8 || doc.Changed() {
				t.Errorf("SetChain: %v, want %v", err, tt.want)
			}
			disk := &libvirtxml.DomainDisk{Source: file("/a"), Driver: &libvirtxml.DomainDiskDriver{Type: "qcow2"}}
			if err := xmlfix.Apply(disk, &tt.chain); !errors.Is(err, tt.want) || disk.BackingStore != nil {
				t.Errorf("Apply: %v, want %v", err, tt.want)
			}
		})
	}
	directory := parse(t, domain("<disk type='dir'><driver type='fat'/><source dir='/a'/>"+vda+"</disk>")).Disks()[0]
	err := directory.SetChain(fixable(t, directory, []chain.Layer{{Format: probe.Raw, From: chain.Trust}}))
	if want := "test.xml:1:128: chain cannot be written: its top is a directory"; err == nil || err.Error() != want {
		t.Errorf("a directory: %v, want %s", err, want)
	}
	const socket = "<disk type='vhostuser'><driver name='qemu' type='raw'/><source type='unix' path='/s'/>" + vda + "</disk>"
	user := parse(t, domain(socket)).Disks()[0]
	if err := user.SetChain(fixable(t, user, []chain.Layer{layer(nil, probe.Raw)})); !errors.Is(err, xmlfix.ErrChain) {
		t.Errorf("a vhost-user device: %v", err)
	}
	beyond := parse(t, domain(fileDisk(nvme("raw", "<backingStore/>")))).Disks()[0]
	if err := beyond.SetChain(fixable(t, beyond, two)); !errors.Is(err, xmlfix.ErrChain) || !strings.Contains(err.Error(), "of type nvme") {
		t.Errorf("a chain above nvme: %v", err)
	}
	unreadable := parse(t, domain(fileDisk("<backingStore type='tape'/>"))).Disks()[0]
	if err := unreadable.SetChain(&chain.Chain{Verdict: chain.Fixable, Layers: two}); !errors.Is(err, xmlfix.ErrDisk) {
		t.Errorf("a disk that cannot be read: %v", err)
	}
}

// TestProof: a name that XML cannot express is detected before it is written.
func TestProof(t *testing.T) {
	for _, name := range []string{"/\x01", "/\xff", "/\uFFFF"} {
		doc := parse(t, libvirtStyle)
		disk := doc.Disks()[0]
		if err := disk.SetChain(fixable(t, disk, []chain.Layer{two[0], layer(file(name), probe.Raw)})); err != nil {
			t.Fatal(err)
		}
		if got, err := doc.Bytes(); !errors.Is(err, xmlfix.ErrProof) || got != nil {
			t.Errorf("%q: %s, %v", name, got, err)
		}
	}
}

// TestControlCharacters: tabs and line ends in a name are written as
// references, in either kind of quotes, and are read back.
func TestControlCharacters(t *testing.T) {
	for _, in := range []string{libvirtStyle, double(libvirtStyle)} {
		doc := parse(t, in)
		disk := doc.Disks()[0]
		if err := disk.SetChain(fixable(t, disk, []chain.Layer{two[0], layer(file("/\t\n\r"), probe.Raw)})); err != nil {
			t.Fatal(err)
		}
		got, err := doc.Bytes()
		if err != nil || !strings.Contains(string(got), "/&#x9;&#xA;&#xD;") {
			t.Errorf("%s, %v", got, err)
		}
	}
}

// TestLongestChain: two hundred layers, which is what libvirt allows, fit into
// the depth that its parser allows.
func TestLongestChain(t *testing.T) {
	layers := []chain.Layer{two[0]}
	for len(layers) < chain.MaxLayers {
		layers = append(layers, layer(file("/b"+strings.Repeat("b", len(layers))), probe.Qcow2))
	}
	doc := parse(t, libvirtStyle)
	disk := doc.Disks()[0]
	if err := disk.SetChain(fixable(t, disk, layers)); err != nil {
		t.Fatal(err)
	}
	got, err := doc.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if n := len(stated(t, string(got)).Layers); n != chain.MaxLayers {
		t.Errorf("%d layers", n)
	}
}
