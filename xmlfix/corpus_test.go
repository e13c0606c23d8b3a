package xmlfix_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/testdata/corpus"
	"github.com/chainfix/chainfix/testdata/peers"
	"github.com/chainfix/chainfix/xmlfix"
)

// corpora are where the documents come from. A corpus with fewer of them has
// not been read as a whole.
var corpora = []struct {
	source           string
	documents, disks int
	// unreadable are the files with disks that are refused as a whole. libvirt
	// refuses them too, for QEMU: see TestUnreadableDisks.
	unreadable []string
}{
	{source: "libvirt", documents: 3000, disks: 1000, unreadable: []string{"disk-fmt-cow.xml", "disk-fmt-dir.xml", "disk-fmt-iso.xml"}},
	{source: "virt-manager", documents: 200, disks: 100},
}

// TestCorpus takes every XML file that libvirt and virt-manager test
// themselves with, and those in the folder that CHAINFIX_CORPUS names, if any.
// None of them may make Parse fail in a way that it does not know, or come
// back changed; every disk in them is given a chain.
func TestCorpus(t *testing.T) {
	for _, tt := range corpora {
		t.Run(tt.source, func(t *testing.T) {
			peers.Require(t, "xmllint", "virt-xml-validate", "virsh")
			c := checkCorpus(t, documentsOf(t, tt.source))
			if c.documents < tt.documents || c.edited < tt.disks {
				t.Errorf("fewer than %d documents or %d edited disks: that is not all", tt.documents, tt.disks)
			}
		})
	}
	if dir := os.Getenv("CHAINFIX_CORPUS"); dir != "" {
		t.Run("CHAINFIX_CORPUS", func(t *testing.T) {
			peers.Require(t, "xmllint", "virt-xml-validate", "virsh")
			documents, err := corpus.Folder(dir)
			if err != nil {
				t.Fatal(err)
			}
			checkCorpus(t, documents)
		})
	}
}

func documentsOf(t *testing.T, source string) []corpus.Document {
	t.Helper()
	peers.Require(t, "apt-get", "xz")
	documents, err := corpus.Package(source)
	if err != nil {
		peers.Lacking(t, err)
	}
	return documents
}

// TestUnreadableDisks: the disks of the corpora that are refused as a whole are
// those on the list, and a libvirt with QEMU refuses each of them too.
func TestUnreadableDisks(t *testing.T) {
	for _, tt := range corpora {
		t.Run(tt.source, func(t *testing.T) {
			var names []string
			var disks []string
			for _, d := range documentsOf(t, tt.source) {
				doc, err := xmlfix.Parse(d.Name, d.Data)
				if err != nil {
					continue
				}
				for i, disk := range doc.Disks() {
					if _, err := disk.Stated(); err != nil {
						names = append(names, filepath.Base(d.Name))
						disks = append(disks, outlineOf(d.Data).disks[i].in(d.Data))
					}
				}
			}
			if diff := cmp.Diff(tt.unreadable, names); diff != "" {
				t.Errorf("unreadable (-want +got):\n%s", diff)
			}
			if len(disks) == 0 {
				return
			}
			l := peers.StartLibvirt(t)
			define := func(disk string) (string, error) {
				file := filepath.Join(l.Dir, "domain.xml")
				guest := "<domain type='qemu'><name>vm</name><memory>16384</memory><os><type arch='x86_64' machine='pc'>hvm</type></os><devices>" + disk + "</devices></domain>"
				if err := os.WriteFile(file, []byte(guest), 0o644); err != nil {
					t.Fatal(err)
				}
				return l.Try("define", file)
			}
			for i, disk := range disks {
				if report, err := define(disk); err == nil {
					t.Errorf("%s: libvirt takes the disk: %s\n%s", names[i], report, disk)
				}
			}
			if report, err := define(plainDisk); err != nil {
				t.Errorf("a plain disk: %s", report)
			}
		})
	}
}

// counts says how much a run has seen.
type counts struct {
	documents, domains, disks int

	edited            int // disks that were given a chain
	extended, onLines int // of these, the ones that had one before, and the ones that got whole lines

	judged int // documents that came of it
	took   accepted
}

func checkCorpus(t *testing.T, documents []corpus.Document) counts {
	var c counts
	var pairs []pair
	for _, d := range documents {
		c.documents++
		for _, out := range checkDocument(t, d, &c) {
			pairs = append(pairs, pair{d.Name, d.Data, out})
		}
	}
	c.judged = len(pairs)
	c.took = wantAccepted(t, pairs)
	// xmllint was asked what virt-xml-validate asks it. Here is the proof.
	for i := 0; i < len(pairs); i += 1 + len(pairs)/40 {
		valid := peers.Valid(t, peers.DomainSchema, [][]byte{pairs[i].out})[0]
		if ok, report := peers.ValidByScript(t, pairs[i].out); ok != valid {
			t.Errorf("%s: valid %v, but virt-xml-validate says %s", pairs[i].name, valid, report)
		}
	}
	t.Logf("%d documents, %d domains with %d disks", c.documents, c.domains, c.disks)
	t.Logf("%d disks edited: %d had a chain, %d got whole lines, %d stand on one line", c.edited, c.extended, c.onLines, c.edited-c.extended-c.onLines)
	t.Logf("%d documents judged: %d valid, the disks of %d defined, before and after", c.judged, c.took.valid, c.took.defined)
	return c
}

// checkDocument returns what the document becomes: with a longer chain for each
// of its disks, and with another one.
func checkDocument(t *testing.T, d corpus.Document, c *counts) (outs [][]byte) {
	doc, err := xmlfix.Parse(d.Name, d.Data)
	if err != nil {
		checkError(t, d.Data, err, xmlfix.ErrSyntax, xmlfix.ErrEncoding, xmlfix.ErrAmbiguous, xmlfix.ErrNotDomain, xmlfix.ErrLimit)
		return nil
	}
	if got, err := doc.Bytes(); err != nil || !bytes.Equal(got, d.Data) {
		t.Errorf("%s: comes back changed, %v", d.Name, err)
	}
	c.domains++
	c.disks += len(doc.Disks())
	if out, chains := edit(t, d, rewritten); out != nil {
		checkAround(t, d, out)
		checkAgain(t, out, chains)
		outs = append(outs, out)
	}
	if out, chains := edit(t, d, extended); out != nil {
		checkAround(t, d, out)
		checkAgain(t, out, chains)
		checkDisks(t, doc, d.Data, out, chains, c)
		checkLineEnds(t, d, out)
		outs = append(outs, out)
	}
	return outs
}

// The chains: extended has two more layers, and so keeps all that is stated;
// in rewritten the disk's own image and all below it is stated once more,
// below another one.
func extended(s chain.Stated) []chain.Layer {
	return slices.Concat(s.Layers, awkward)
}

func rewritten(s chain.Stated) []chain.Layer {
	layers := slices.Concat(s.Layers[:1], awkward[:1], s.Layers)
	for i := range layers[1:] {
		if layers[1+i].From == chain.Unstated {
			layers[1+i].Format = probe.Qcow2
		}
	}
	return layers
}

// awkward are layers whose names have to be escaped in all ways there are.
var awkward = []chain.Layer{
	{Source: file(`/images/it's a "base" & <more> — größer.qcow2`), Format: probe.Qcow2, From: chain.Header},
	{Source: file("/images/ b '&amp;' ]]> \u65e5\u672c.img"), Format: probe.Raw, From: chain.Trust},
}

// edit gives a chain to every disk that has an image, raw ones too: what an
// edit looks like does not depend on whether QEMU would take it. A disk that
// gets none has a nil chain, and a document without any is nil.
func edit(t *testing.T, d corpus.Document, layersFor func(chain.Stated) []chain.Layer) ([]byte, []*chain.Chain) {
	doc, err := xmlfix.Parse(d.Name, d.Data)
	if err != nil {
		t.Errorf("%s: %v", d.Name, err)
		return nil, nil
	}
	chains := make([]*chain.Chain, len(doc.Disks()))
	for i, disk := range doc.Disks() {
		s, err := disk.Stated()
		if err != nil {
			checkError(t, d.Data, err, xmlfix.ErrDisk)
			continue
		}
		c := &chain.Chain{Verdict: chain.Fixable, Layers: layersFor(s)}
		if c.Layers[0].From == chain.Unstated {
			c.Layers[0].Format = probe.Qcow2
			if s.Device == "lun" {
				c.Layers[0].Format = probe.Raw // libvirt takes no other
			}
		}
		if err := disk.SetChain(c); err != nil {
			checkError(t, d.Data, err, xmlfix.ErrChain)
			continue
		}
		chains[i] = c
	}
	if !doc.Changed() {
		return nil, nil
	}
	out, err := doc.Bytes()
	if err != nil {
		t.Errorf("%s: %v", d.Name, err)
		return nil, nil
	}
	return out, chains
}

// checkLineEnds gives the same chains to the document with the other kind of
// line end: nothing else may differ.
func checkLineEnds(t *testing.T, d corpus.Document, out []byte) {
	if bytes.ContainsRune(d.Data, '\r') {
		return
	}
	got, _ := edit(t, corpus.Document{Name: d.Name, Data: []byte(crlf(string(d.Data)))}, extended)
	if diff := cmp.Diff(crlf(string(out)), string(got)); diff != "" {
		t.Errorf("%s: with CRLF (-want +got):\n%s", d.Name, diff)
	}
}

// checkAround: nothing differs but disks.
func checkAround(t *testing.T, d corpus.Document, out []byte) {
	if between(d.Data, outlineOf(d.Data).disks) != between(out, outlineOf(out).disks) {
		t.Errorf("%s: bytes outside the disks differ", d.Name)
	}
}

// checkDisks: in a disk nothing differs but its edit.
func checkDisks(t *testing.T, doc *xmlfix.Document, in, out []byte, chains []*chain.Chain, c *counts) {
	plain := removed(t, out, chains)
	before, bare, after := outlineOf(in).disks, outlineOf(plain).disks, outlineOf(out).disks
	for i, disk := range doc.Disks() {
		old, now := before[i].in(in), after[i].in(out)
		s, err := disk.Stated()
		switch {
		case err != nil || chains[i] == nil:
			if old != now {
				t.Errorf("%s: a disk without an edit changed (-before +after):\n%s", doc.Name(), cmp.Diff(old, now))
			}
			continue
		case len(s.Layers) > 1 || s.Terminated:
			c.extended++
			checkExtended(t, doc.Name(), s, old, now)
		default:
			checkDriver(t, doc.Name(), s, old, bare[i].in(plain))
			if checkInserted(t, doc.Name(), bare[i].in(plain), now) {
				c.onLines++
			}
		}
		c.edited++
	}
}

// checkExtended: of a disk that had a chain, what the chain ended in is all
// that is gone.
func checkExtended(t *testing.T, name string, s chain.Stated, old, now string) {
	if s.Typeless || s.Layers[0].From != chain.XML {
		return // there is more to it than an end, or there are two edits
	}
	end := 0
	if s.Terminated {
		end = 1
	}
	if lost(strings.SplitAfter(old, "\n"), strings.SplitAfter(now, "\n")) > end {
		t.Errorf("%s: more than the chain's end is gone (-before +after):\n%s", name, cmp.Diff(old, now))
	}
}

// checkDriver: the disk without its new chain is the old one, but for the type
// of its <driver> where that was missing.
func checkDriver(t *testing.T, name string, s chain.Stated, old, bare string) {
	if s.Layers[0].From == chain.XML && bare != old {
		t.Errorf("%s: RemoveChain does not restore the disk (-want +got):\n%s", name, cmp.Diff(old, bare))
	}
	if lost(strings.Split(old, ""), strings.Split(bare, "")) > 0 {
		t.Errorf("%s: more than a <driver type> was added (-before +after):\n%s", name, cmp.Diff(old, bare))
	}
}

// checkInserted: the new chain is all that was added, as whole lines unless
// something stands after the source on its line. It reports whether it is
// whole lines.
func checkInserted(t *testing.T, name, bare, now string) (lines bool) {
	if lost(strings.SplitAfter(bare, "\n"), strings.SplitAfter(now, "\n")) == 0 {
		return true
	}
	at := strings.Index(now, "<backingStore")
	behind, _, _ := strings.Cut(bare[at:], "\n")
	if lost(strings.Split(bare, ""), strings.Split(now, "")) > 0 || strings.TrimSpace(behind) == "" {
		t.Errorf("%s: lines were changed (-before +after):\n%s", name, cmp.Diff(bare, now))
	}
	return false
}

// between returns all of a document that is in no disk.
func between(data []byte, disks []span) string {
	var text strings.Builder
	last := 0
	for _, s := range disks {
		text.Write(data[last:s.start])
		text.WriteString("\x00")
		last = s.end
	}
	text.Write(data[last:])
	return text.String()
}

// lost returns how many elements of a are gone if b has something else in one
// place of it; 0 if b has something more there, and nothing less.
func lost(a, b []string) int {
	head := 0
	for head < min(len(a), len(b)) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < min(len(a), len(b))-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	return len(a) - head - tail
}
