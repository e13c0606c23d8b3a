package strictxml_test

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/chain/strictxml"
)

var limits = strictxml.Limits{Depth: 3, Attrs: 2}

// readAll reads a document to its end, or to what is wrong with it.
func readAll(r xml.TokenReader) error {
	for {
		if _, err := r.Token(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// Package xmlfix compares far more documents with libxml2.
func TestReader(t *testing.T) {
	for _, tt := range []struct {
		text   string
		kind   error // nil: the document is well-formed
		offset int
		lax    bool // a bounded reader lets it pass
	}{
		{text: "<a><b c='1' d=\"2\"/><![CDATA[x]]>&amp;<!-- - --></a>\n"},
		{text: "\xEF\xBB\xBF<?xml version='1.0' encoding='UTF-8'?><a/>"},
		{text: "<a><b><c/></b></a>"},
		{text: "<a><b><c><d/></c></b></a>", kind: strictxml.ErrLimit, offset: 9},
		{text: "<a b='' c='' d=''/>", kind: strictxml.ErrLimit, offset: 13, lax: true},
		{text: "<a b='' b=''/>", kind: strictxml.ErrSyntax, offset: 8, lax: true},
		{text: "<a b=''c=''/>", kind: strictxml.ErrSyntax, offset: 7, lax: true},
		{text: "<a>&#xD800;</a>", kind: strictxml.ErrSyntax, offset: 3, lax: true},
		{text: "<a b='&#xD800;'/>", kind: strictxml.ErrSyntax, offset: 5, lax: true},
		{text: "<!DOCTYPE a><a/>", kind: strictxml.ErrAmbiguous, lax: true},
		{text: "<a/><b/>", kind: strictxml.ErrSyntax, offset: 4, lax: true},
		{text: "<a/>x", kind: strictxml.ErrSyntax, offset: 4, lax: true},
		{text: "<a></b>", kind: strictxml.ErrSyntax, offset: 3, lax: true},
		{text: "<a>", kind: strictxml.ErrSyntax, offset: 3, lax: true},
		{text: "</a>", kind: strictxml.ErrSyntax, lax: true},
		{text: "", kind: strictxml.ErrSyntax, lax: true},
		{text: "<a><?xml version='1.0'?></a>", kind: strictxml.ErrSyntax, offset: 3, lax: true},
		{text: "<?xml version='1.0' encoding='UTF-16'?><a/>", kind: strictxml.ErrEncoding},
		{text: "<a>\xFF</a>", kind: strictxml.ErrEncoding, offset: 3},
		{text: "<a><!-- \x01 --></a>", kind: strictxml.ErrSyntax, offset: 8, lax: true},
	} {
		err := readAll(strictxml.NewReader([]byte(tt.text), limits))
		var e *strictxml.Error
		if !errors.Is(err, tt.kind) || errors.As(err, &e) && e.Offset != tt.offset {
			t.Errorf("%q: %v, want %v at %d", tt.text, err, tt.kind, tt.offset)
		}
		if err := readAll(strictxml.NewBoundedReader([]byte(tt.text), limits.Depth)); (err == nil) != (tt.kind == nil || tt.lax) {
			t.Errorf("%q, bounded: %v", tt.text, err)
		}
	}
}

// A bounded reader must not let encoding/xml keep the attributes of a tag without
// an end.
func TestLongTag(t *testing.T) {
	for _, tt := range []struct {
		length int
		ok     bool
	}{{1 << 19, true}, {1 << 21, false}} {
		text := "<a " + strings.Repeat("b='' ", tt.length/5) + "/>"
		if err := readAll(strictxml.NewBoundedReader([]byte(text), 3)); (err == nil) != tt.ok {
			t.Errorf("a tag of %d bytes: %v", len(text), err)
		}
	}
}

// A strict reader takes an attribute value that is as long as libxml2's longest.
func TestLongValue(t *testing.T) {
	for length, want := range map[int]error{10_000_000: nil, 10_000_001: strictxml.ErrLimit} {
		text := "<a b='" + strings.Repeat("x", length) + "'/>"
		if err := readAll(strictxml.NewReader([]byte(text), limits)); !errors.Is(err, want) {
			t.Errorf("a value of %d bytes: %v, want %v", length, err, want)
		}
	}
}

// Where a token is, and how its tag is laid out, is what xmlfix edits by.
func TestPlaces(t *testing.T) {
	text := "<a>\n<b c='1'\td=\"x\ny\"/></a>"
	r := strictxml.NewReader([]byte(text), limits)
	var got []string
	for {
		token, err := r.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, text[r.Start():r.End()])
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == "b" {
			tag, normal := r.Tag(), start
			if normal, err = r.Normal(start); err != nil || normal.Attr[1].Value != "x y" {
				t.Errorf("the normal tag is %v: %v", normal, err)
			}
			if tag.NameEnd != 2 || len(tag.Attrs) != 2 || tag.Attrs[0].End != 8 || tag.Attrs[1].Quote != '"' {
				t.Errorf("the tag is laid out as %v", tag)
			}
			if r.Line() != 3 {
				t.Errorf("it ends on line %d", r.Line())
			}
		}
	}
	want := []string{"<a>", "\n", "<b c='1'\td=\"x\ny\"/>", "", "</a>"}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("tokens %q, want %q", got, want)
	}
}
