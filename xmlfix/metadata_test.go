package xmlfix_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/xmlfix"
)

// A snapshot's metadata has the disks of the guest as it was, and of its stored
// definition where the guest was running.
func TestMetadata(t *testing.T) {
	const disk = "<devices><disk type='file'><driver type='raw'/><source file='%'/><target dev='vda'/></disk></devices>"
	disks := func(path string) string { return strings.ReplaceAll(disk, "%", path) }
	for _, c := range []struct {
		document string
		want     []string
		err      error
	}{
		{"<domainsnapshot><name>s</name><disks><disk name='vda'/></disks><domain id='1'><name>g</name>" + disks("/a") + "</domain><inactiveDomain>" + disks("/b") +
			"</inactiveDomain></domainsnapshot>", []string{"/a", "/b"}, nil},
		{"<domaincheckpoint><domain>" + disks("/a") + "</domain></domaincheckpoint>", []string{"/a"}, nil},
		{"<domainsnapshot><x><domain>" + disks("/a") + "</domain></x></domainsnapshot>", nil, nil},
		{"<domainsnapshot>" + disks("/a") + "</domainsnapshot>", nil, nil},
		{"<domain>" + disks("/a") + "</domain>", []string{"/a"}, nil},
		{"<domainsnapshot><domain xmlns='urn:x'>" + disks("/a") + "</domain></domainsnapshot>", nil, xmlfix.ErrAmbiguous},
		{"<domainsnapshot><domain><devices><disk><source file='/a'/><source file='/b'/></disk></devices></domain></domainsnapshot>", nil, xmlfix.ErrAmbiguous},
		{"<domstatus><domain>" + disks("/a") + "</domain></domstatus>", nil, xmlfix.ErrNotDomain},
		{"<disk><source file='/a'/></disk>", nil, xmlfix.ErrNotDomain},
	} {
		found, err := xmlfix.ParseMetadata("metadata.xml", []byte(c.document))
		if !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", c.document, err, c.err)
		}
		if err != nil {
			continue
		}
		var paths []string
		for _, d := range found.Disks() {
			stated, err := d.Stated()
			if err != nil {
				t.Fatal(err)
			}
			path, _ := storage.LocalPath(stated.Layers[0].Source)
			paths = append(paths, path)
		}
		if !slices.Equal(paths, c.want) {
			t.Errorf("%s: disks %q, want %q", c.document, paths, c.want)
		}
	}
}

// Edits change the chains in both copies of a definition, and nothing around them.
func TestMetadataEdits(t *testing.T) {
	indented := func(text string) string { return strings.ReplaceAll(text, "\n", "\n  ") }
	before, after := indented("\n"+loneStyle), indented("\n"+loneStyleTwo)
	around := "<domainsnapshot>\n  <!-- kept -->\n  <name>s</name>\n  <domain type='qemu'>\n  <name>g</name>\n  <devices>%  </devices></domain>\n" +
		"  <inactiveDomain>\n  <devices>%  </devices></inactiveDomain>\n  <cookie a=\"b\"/>\n</domainsnapshot>\n"
	in := strings.ReplaceAll(around, "%", before)
	doc, err := xmlfix.ParseMetadata("metadata.xml", []byte(in))
	if err != nil || len(doc.Disks()) != 2 || doc.DomainName() != "g" {
		t.Fatalf("%d disks of %q, %v", len(doc.Disks()), doc.DomainName(), err)
	}
	for i, want := range []string{strings.Replace(strings.Replace(around, "%", after, 1), "%", before, 1), strings.ReplaceAll(around, "%", after)} {
		if err := doc.Disks()[i].SetChain(&chain.Chain{Verdict: chain.Fixable, Layers: two}); err != nil {
			t.Fatal(err)
		}
		got, err := doc.Bytes()
		if diff := cmp.Diff(want, string(got)); diff != "" || err != nil {
			t.Errorf("%d copies changed: %v (-want +got):\n%s", i+1, err, diff)
		}
	}
}
