package xmlfix_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/xmlfix"
)

// lossyDisk has places, marked '?', for what libvirtxml does not know.
const lossyDisk = `<disk type='file'?>
      <driver name='qemu' type='qcow2'/>
      <source file='/a'?/>
      <backingStore type='file'>
        <format type='qcow2'/>
        <source file='/b'/>
        <backingStore type='file'>
          <format type="qcow2"?><metadata_cache?><max_size unit='bytes'>4096</max_size></metadata_cache></format>
          <source   file="/c"?><!-- kept --><unknown?/></source>
          <backingStore/>
        </backingStore>
      </backingStore>
      <target dev='vda' bus='virtio'/>
    </disk>`

func qcow2(path string) chain.Layer { return layer(file(path), probe.Qcow2) }

type copyTest struct {
	name   string
	in     string
	layers []chain.Layer
	want   string
}

// copyTests change what is above an image, or its format.
func copyTests() []copyTest {
	in := head + "    " + strings.ReplaceAll(lossyDisk, "?", " unknown='yes'") + "\n" + tail
	const format = `<format type="qcow2" unknown='yes'><metadata_cache unknown='yes'><max_size unit='bytes'>4096</max_size></metadata_cache></format>`
	known := strings.Replace(in, format, strings.ReplaceAll(format, " unknown='yes'", ""), 1)
	lower := in[strings.Index(in, "        <backingStore type='file'>\n          <format type=\""):strings.Index(in, "      </backingStore>\n      <target")]
	return []copyTest{
		{"another image above", in, []chain.Layer{qcow2("/a"), qcow2("/z"), qcow2("/c")}, strings.Replace(in, "'/b'", "'/z'", 1)},
		{"another format above", in, []chain.Layer{qcow2("/a"), layer(file("/b"), probe.QED), qcow2("/c")},
			strings.Replace(in, "<format type='qcow2'/>", "<format type='qed'/>", 1)},
		{"another format", known, []chain.Layer{qcow2("/a"), qcow2("/b"), layer(file("/c"), probe.Raw)},
			strings.Replace(in, format, "<format type='raw'/>", 1)},
		{"no image above", in, []chain.Layer{qcow2("/a"), qcow2("/c")},
			in[:strings.Index(in, "      <backingStore")] +
				// The bytes are the document's; the lines around them have their new place.
				strings.ReplaceAll("\n"+strings.TrimSuffix(lower, "\n"), "\n  ", "\n")[1:] + "\n" + in[strings.Index(in, "      <target"):]},
		{"the disk's own image below", in, []chain.Layer{qcow2("/a"), qcow2("/a")},
			in[:strings.Index(in, "      <backingStore")] + `      <backingStore type='file'>
        <format type='qcow2'/>
        <source file='/a' unknown='yes'/>
        <backingStore/>
      </backingStore>
` + in[strings.Index(in, "      <target"):]},
		{"startup policy and index", strings.Replace(in, `"/c" unknown='yes'`, `"/c" startupPolicy='optional' unknown='yes' index='7'`, 1), []chain.Layer{qcow2("/a"), qcow2("/z"), qcow2("/c")},
			strings.Replace(in, "'/b'", "'/z'", 1)},
		{"descriptor without a name", strings.Replace(in, `file="/c"`, "fdgroup='g'", 1), []chain.Layer{qcow2("/a"), qcow2("/z"), layer(passed("", "g"), probe.Qcow2)},
			strings.Replace(strings.Replace(in, `file="/c"`, "fdgroup='g'", 1), "'/b'", "'/z'", 1)},
		{"looks like a stand-in", strings.Replace(in, "<unknown unknown='yes'/>", "<copy-0/><copy-1/>", 1), []chain.Layer{qcow2("/a"), qcow2("/z"), qcow2("/c")},
			strings.Replace(strings.Replace(in, "<unknown unknown='yes'/>", "<copy-0/><copy-1/>", 1), "'/b'", "'/z'", 1)},
	}
}

// TestSourcesAreCopied: what libvirtxml does not know of an image survives.
func TestSourcesAreCopied(t *testing.T) {
	for _, tt := range copyTests() {
		t.Run(tt.name, func(t *testing.T) {
			doc := parse(t, tt.in)
			disk := doc.Disks()[0]
			if err := disk.SetChain(&chain.Chain{Verdict: chain.Fixable, Layers: tt.layers}); err != nil {
				t.Fatal(err)
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

// TestLossIsRefused: what cannot be copied is not dropped in silence.
func TestLossIsRefused(t *testing.T) {
	tests := []struct {
		name, old, new string
		layers         []chain.Layer
		want           string
	}{
		{"attribute of a backing store", "<backingStore type='file'>\n          ", "<backingStore type='file' unknown='yes'>\n          ",
			[]chain.Layer{qcow2("/a"), qcow2("/z"), qcow2("/c")}, "the attribute unknown of its <backingStore>"},
		{"element of a backing store", "          <source   ", "          <unknown/><source   ",
			[]chain.Layer{qcow2("/a"), qcow2("/z"), qcow2("/c")}, "the <unknown> in its <backingStore>"},
		{"attribute of another format", `type="qcow2"`, `type="qcow2" unknown='yes'`,
			[]chain.Layer{qcow2("/a"), qcow2("/b"), layer(file("/c"), probe.Raw)}, "the attribute unknown of its <format>"},
		{"element of another format", "<metadata_cache>", "<unknown/><metadata_cache>",
			[]chain.Layer{qcow2("/a"), qcow2("/b"), layer(file("/c"), probe.Raw)}, "the <unknown> in its <format>"},
		{"secret of the disk's own image", "<target", "<auth username='a'/><target",
			[]chain.Layer{qcow2("/a"), qcow2("/b"), qcow2("/a")}, "the <auth> of the disk"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := head + "    " + strings.Replace(strings.ReplaceAll(lossyDisk, "?", ""), tt.old, tt.new, 1) + "\n" + tail
			if !strings.Contains(in, tt.new) {
				t.Fatal("the document has no such place")
			}
			doc := parse(t, in)
			err := doc.Disks()[0].SetChain(&chain.Chain{Verdict: chain.Fixable, Layers: tt.layers})
			if !errors.Is(err, xmlfix.ErrChain) || !strings.Contains(err.Error(), tt.want) || doc.Changed() {
				t.Errorf("SetChain: %v, want %q", err, tt.want)
			}
		})
	}
}
