package xmlfix_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/testdata/peers"
	"github.com/chainfix/chainfix/xmlfix"
)

// pair is a document before and after.
type pair struct {
	name    string
	in, out []byte
}

// accepted counts the documents that libvirt accepted, before and after.
type accepted struct{ valid, defined int }

// wantAccepted checks that libvirt's schema and parser accept each document
// after its edit if they did before. Some test documents are invalid by
// design. The parser is that of the test driver, which knows only guests of
// its own kind: it is given the disks of the document in such a guest.
func wantAccepted(t *testing.T, pairs []pair) (took accepted) {
	t.Helper()
	return wantAcceptedBy(t, peers.DomainSchema, pairs)
}

func wantAcceptedBy(t *testing.T, schema string, pairs []pair) (took accepted) {
	t.Helper()
	var whole, disks [][]byte // before, after, before, after, ...
	for _, p := range pairs {
		for _, data := range [][]byte{p.in, p.out} {
			guest := guestOf(data)
			disks = append(disks, guest)
			if isLoneDisk(data) {
				data = guest // the schema has no such document
			}
			whole = append(whole, data)
		}
	}
	valid, defined := peers.Valid(t, schema, whole), peers.Defined(t, disks)
	for i, p := range pairs {
		before, after := 2*i, 2*i+1
		if valid[before] && !valid[after] {
			t.Errorf("%s: the edit makes it invalid:\n%s", p.name, p.out)
		}
		if defined[before] && !defined[after] {
			t.Errorf("%s: libvirt takes it no more:\n%s", p.name, disks[after])
		}
		if valid[before] {
			took.valid++
		}
		if defined[before] {
			took.defined++
		}
	}
	return took
}

// guestOf puts the disks of a document into a guest of the test driver's.
func guestOf(data []byte) []byte {
	var text strings.Builder
	for _, s := range outlineOf(data).disks {
		text.WriteString(s.in(data) + "\n")
	}
	return []byte(domain(text.String()))
}

func isLoneDisk(data []byte) bool {
	disks := outlineOf(data).disks
	return len(disks) == 1 && !bytes.Contains(data[:disks[0].start], []byte("<domain"))
}

// TestEditsAreAccepted: every document that a table of edits has.
func TestEditsAreAccepted(t *testing.T) {
	peers.Require(t, "xmllint", "virsh")
	var pairs []pair
	for _, tt := range editTests {
		pairs = append(pairs, pair{tt.name, []byte(tt.in), []byte(tt.want)})
	}
	for _, tt := range loneTests {
		pairs = append(pairs, pair{tt.name, []byte(tt.in), []byte(tt.want)})
	}
	for _, tt := range copyTests() {
		pairs = append(pairs, pair{tt.name, []byte(tt.in), []byte(tt.want)})
	}
	took := wantAccepted(t, pairs)
	t.Logf("%d documents, %d valid before the edit, %d defined", len(pairs), took.valid, took.defined)
	if took.defined < len(pairs)-2 || took.valid < len(editTests)/2 {
		t.Errorf("of %d documents libvirt's schema takes only %d before the edit, and its parser %d", len(pairs), took.valid, took.defined)
	}
	for _, p := range pairs[:4] {
		doc, err := xmlfix.Parse(p.name, p.out)
		if err != nil || len(doc.Disks()) != 1 {
			t.Errorf("%s: %v", p.name, err)
		}
		if ok, report := peers.ValidByScript(t, p.out); !ok {
			t.Errorf("%s: virt-xml-validate: %s", p.name, report)
		}
	}
}
