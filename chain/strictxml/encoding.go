package strictxml

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"unicode/utf8"
)

var byteOrderMark = []byte("\xEF\xBB\xBF")

// wideMarks are the first bytes of documents in UTF-16, UTF-32 or EBCDIC (XML
// 1.0, appendix F). libxml2 reads them all; this package requires UTF-8, in
// which offsets are counted.
var wideMarks = [][]byte{
	[]byte("\xFE\xFF"), []byte("\xFF\xFE"), []byte("<\x00"), []byte("\x00<"), []byte("\x00\x00\x00<"), []byte("\x4C\x6F\xA7\x94"),
}

// checkCharacters requires UTF-8 and only characters that XML 1.0 allows.
// encoding/xml checks that in text, but not in comments.
func checkCharacters(data []byte) (offset int, detail string, err error) {
	for _, mark := range wideMarks {
		if bytes.HasPrefix(data, mark) {
			return 0, "re-encode the document as UTF-8", ErrEncoding
		}
	}
	for i := 0; i < len(data); {
		if b := data[i]; b < utf8.RuneSelf {
			if b < 0x20 && b != '\t' && b != '\n' && b != '\r' {
				if b == 0 {
					return i, "NUL byte, where libvirt stops reading", ErrEncoding
				}
				return i, fmt.Sprintf("control character %#02x", b), ErrSyntax
			}
			i++
			continue
		}
		r, size := utf8.DecodeRune(data[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			return i, fmt.Sprintf("byte %#02x is not UTF-8; re-encode the document as UTF-8", data[i]), ErrEncoding
		case r == 0xFFFE || r == 0xFFFF:
			return i, fmt.Sprintf("character %U", r), ErrSyntax
		}
		i += size
	}
	return 0, "", nil
}

// declarationPattern is the XML declaration of XML 1.0, production 23, with
// any version that libxml2 accepts.
const declarationPattern = `^<\?xml` +
	`[ \t\r\n]+version[ \t\r\n]*=[ \t\r\n]*(?:'([0-9]\.[0-9]+)'|"([0-9]\.[0-9]+)")` +
	`(?:[ \t\r\n]+encoding[ \t\r\n]*=[ \t\r\n]*(?:'([A-Za-z][-A-Za-z0-9._]*)'|"([A-Za-z][-A-Za-z0-9._]*)"))?` +
	`(?:[ \t\r\n]+standalone[ \t\r\n]*=[ \t\r\n]*(?:'(?:yes|no)'|"(?:yes|no)"))?` +
	`[ \t\r\n]*\?>`

// declaration is compiled when first needed: libvirt's own documents have no
// declaration.
var declaration = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(declarationPattern) })

// checkDeclaration requires that an XML declaration, if present, states XML
// 1.0 and UTF-8.
func checkDeclaration(text []byte) (detail string, err error) {
	if !bytes.HasPrefix(text, []byte("<?xml")) || len(text) > 5 && !isSpace(text[5]) {
		return "", nil
	}
	// The longest sensible declaration is under a hundred bytes: the limit
	// protects the expression from a document full of spaces.
	m := declaration().FindSubmatch(text[:min(len(text), 1024)])
	if m == nil {
		return "malformed XML declaration", ErrSyntax
	}
	if version := string(m[1]) + string(m[2]); version != "1.0" {
		return "the document declares XML " + version + "; re-encode it as UTF-8 XML 1.0", ErrEncoding
	}
	if encoding := string(m[3]) + string(m[4]); encoding != "" && !strings.EqualFold(encoding, "utf-8") {
		return fmt.Sprintf("the document declares the encoding %q; re-encode it as UTF-8", encoding), ErrEncoding
	}
	return "", nil
}

func isSpace(b byte) bool { return b == ' ' || b == '\t' || b == '\n' || b == '\r' }
