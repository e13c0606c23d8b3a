package xmlfix_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/xmlfix"
)

// domain wraps disks in a document that libvirt's test driver takes.
func domain(disks string) string {
	return "<domain type='test'><name>vm</name><memory>1024</memory><os><type>hvm</type></os><devices>" + disks + "</devices></domain>"
}

// in puts something into a document that is fine without it.
func in(middle string) string {
	return "<domain type='test'><name>vm</name>" + middle + "</domain>"
}

func nested(depth int) string {
	return in(strings.Repeat("<a>", depth-1) + strings.Repeat("</a>", depth-1))
}

const plainDisk = "<disk type='file'><driver name='qemu' type='qcow2'/><source file='/a'/><target dev='vda' bus='virtio'/></disk>"

// parseTests say which documents Parse takes.
var parseTests = []struct {
	name string
	in   string
	err  error  // nil: it is taken
	at   string // "line:column" of the error
	// stricter marks a document that libxml2 takes: it is well-formed, but
	// libvirt or Go would read something else in it, or it is no domain.
	stricter bool
}{
	{name: "plain", in: domain(plainDisk)},
	{name: "empty document", in: "", err: xmlfix.ErrSyntax, at: "1:1"},
	{name: "white space only", in: " \n", err: xmlfix.ErrSyntax, at: "2:1"},
	{name: "text only", in: "vm", err: xmlfix.ErrSyntax, at: "1:1"},

	// The declaration.
	{name: "declaration", in: `<?xml version="1.0" encoding='utf-8' standalone = "yes" ?>` + in("")},
	{name: "declaration without encoding", in: `<?xml version='1.0'?>` + in("")},
	{name: "declaration without version", in: `<?xml encoding='UTF-8'?>` + in(""), err: xmlfix.ErrSyntax, at: "1:1"},
	{name: "declaration after space", in: ` <?xml version='1.0'?>` + in(""), err: xmlfix.ErrSyntax, at: "1:2"},
	{name: "declaration inside", in: in(`<?xml version='1.0'?>`), err: xmlfix.ErrSyntax, at: "1:36"},
	{name: "declaration in capitals", in: `<?XML version='1.0'?>` + in(""), err: xmlfix.ErrSyntax, at: "1:1"},
	{name: "declaration without space", in: `<?xml version='1.0'encoding='UTF-8'?>` + in(""), err: xmlfix.ErrSyntax, at: "1:1"},
	{name: "declaration with bad standalone", in: `<?xml version='1.0' standalone='maybe'?>` + in(""), err: xmlfix.ErrSyntax, at: "1:1"},
	{name: "declaration alone", in: `<?xml version='1.0'?>`, err: xmlfix.ErrSyntax, at: "1:22"},
	{name: "XML 1.1", in: `<?xml version='1.1'?>` + in(""), err: xmlfix.ErrEncoding, at: "1:1", stricter: true},

	// The encoding.
	{name: "byte order mark", in: "\xEF\xBB\xBF" + in("")},
	{name: "byte order mark and declaration", in: "\xEF\xBB\xBF<?xml version='1.0'?>" + in("")},
	{name: "byte order mark twice", in: "\xEF\xBB\xBF\xEF\xBB\xBF" + in(""), err: xmlfix.ErrSyntax, at: "1:4"},
	{name: "byte order mark inside", in: in("\xEF\xBB\xBF")},
	{name: "UTF-16", in: "\xFF\xFE<\x00d\x00/\x00>\x00", err: xmlfix.ErrEncoding, at: "1:1", stricter: true},
	{name: "UTF-16 without mark", in: "<\x00d\x00/\x00>\x00", err: xmlfix.ErrEncoding, at: "1:1"},
	{name: "latin-1 declared", in: "<?xml version='1.0' encoding='ISO-8859-1'?>" + in("\xE9"), err: xmlfix.ErrEncoding, at: "1:79", stricter: true},
	{name: "latin-1 declared, ASCII used", in: "<?xml version='1.0' encoding='ISO-8859-1'?>" + in(""), err: xmlfix.ErrEncoding, at: "1:1", stricter: true},
	{name: "latin-1 undeclared", in: in("\xE9"), err: xmlfix.ErrEncoding, at: "1:36"},
	{name: "overlong UTF-8", in: in("\xC0\xBC"), err: xmlfix.ErrEncoding, at: "1:36"},
	{name: "trailing NUL", in: in("") + "\x00", err: xmlfix.ErrEncoding, at: "1:45", stricter: true},
	{name: "control character", in: in("\x01"), err: xmlfix.ErrSyntax, at: "1:36"},
	{name: "control character in comment", in: in("<!-- \x1b -->"), err: xmlfix.ErrSyntax, at: "1:41"},
	{name: "U+FFFF", in: in("\uFFFF"), err: xmlfix.ErrSyntax, at: "1:36"},
	{name: "U+FFFF in comment", in: in("<!-- \uFFFF -->"), err: xmlfix.ErrSyntax, at: "1:41"},

	// Character and entity references.
	{name: "references", in: in("<a b='&amp;&lt;&quot;&apos;&#10;&#x2F;'>&gt;&#x1F600;</a>")},
	{name: "undefined entity", in: in("&img;"), err: xmlfix.ErrSyntax, at: "1:41"},
	{name: "undefined entity in attribute", in: in("<a b='&img;'/>"), err: xmlfix.ErrSyntax, at: "1:47"},
	{name: "lone ampersand", in: in("a & b"), err: xmlfix.ErrSyntax, at: "1:39"},
	{name: "reference to NUL", in: in("&#0;"), err: xmlfix.ErrSyntax, at: "1:40"},
	{name: "reference to control character", in: in("<a b='&#1;'/>"), err: xmlfix.ErrSyntax, at: "1:47"},
	{name: "reference to surrogate", in: in("&#xD800;"), err: xmlfix.ErrSyntax, at: "1:36"},
	{name: "reference to surrogate in attribute", in: in("<a b='&#0057343;'/>"), err: xmlfix.ErrSyntax, at: "1:41"},
	{name: "surrogate in CDATA is text", in: in("<![CDATA[&#xD800;]]>")},
	{name: "surrogate in comment is text", in: in("<!--&#xD800;-->")},
	{name: "reference beyond Unicode", in: in("&#x110000;"), err: xmlfix.ErrSyntax, at: "1:46"},

	// Elements.
	{name: "comments and instructions outside", in: "<!-- a --><?b c?>" + in("") + "<?d?>\n<!-- e -->\n"},
	{name: "two roots", in: in("") + in(""), err: xmlfix.ErrSyntax, at: "1:45"},
	{name: "text after root", in: in("") + "x", err: xmlfix.ErrSyntax, at: "1:45"},
	{name: "text before root", in: "\nx" + in(""), err: xmlfix.ErrSyntax, at: "2:1"},
	{name: "reference after root", in: in("") + "&#32;", err: xmlfix.ErrSyntax, at: "1:45"},
	{name: "CDATA after root", in: in("") + "<![CDATA[ ]]>", err: xmlfix.ErrSyntax, at: "1:45"},
	{name: "CDATA inside", in: in("<a><![CDATA[<&]]></a>")},
	{name: "end tag after root", in: in("") + "</a>", err: xmlfix.ErrSyntax, at: "1:45"},
	{name: "no end tag", in: "<domain><name>", err: xmlfix.ErrSyntax, at: "1:15"},
	{name: "end tag of another element", in: in("<a><b></a></b>"), err: xmlfix.ErrSyntax, at: "1:42"},
	{name: "end tag in another case", in: in("<a></A>"), err: xmlfix.ErrSyntax, at: "1:39"},
	{name: "end tag with another prefix", in: in("<a xmlns:x='u' xmlns:y='u'><x:b></y:b></a>"), err: xmlfix.ErrSyntax, at: "1:68"},
	{name: "end tag with attribute", in: in("<a></a b='c'>"), err: xmlfix.ErrSyntax, at: "1:44"},
	{name: "end tag with space", in: in("<a></a \n>")},
	{name: "cut in a tag", in: "<domain", err: xmlfix.ErrSyntax, at: "1:8"},
	{name: "space after <", in: in("< a/>"), err: xmlfix.ErrSyntax, at: "1:37"},
	{name: "slash not at the end", in: in("<a / >"), err: xmlfix.ErrSyntax, at: "1:41"},
	{name: "depth 256", in: nested(256)},
	{name: "depth 257", in: nested(257), err: xmlfix.ErrLimit, at: "1:801", stricter: true},
	{name: "depth 258", in: nested(258), err: xmlfix.ErrLimit, at: "1:801"},

	// Attributes.
	{name: "attributes", in: in("<a b = 'c'\n\td=\"e\" />")},
	{name: "attribute twice", in: in("<a b='c' b='d'/>"), err: xmlfix.ErrSyntax, at: "1:45"},
	{name: "no space between attributes", in: in(`<a b="1"c="2"/>`), err: xmlfix.ErrSyntax, at: "1:44"},
	{name: "attribute without quotes", in: in("<a b=c/>"), err: xmlfix.ErrSyntax, at: "1:42"},
	{name: "attribute without value", in: in("<a b/>"), err: xmlfix.ErrSyntax, at: "1:41"},
	{name: "less-than in attribute", in: in("<a b='<'/>"), err: xmlfix.ErrSyntax, at: "1:43"},
	{name: "greater-than in attribute", in: in("<a b='>'/>")},
	{name: "other quote in attribute", in: in(`<a b='"' c="'"/>`)},
	{name: "CDATA end in attribute", in: in("<a b=']]>'/>")},
	{name: "256 attributes", in: in(attributes(256))},
	{name: "257 attributes", in: in(attributes(257)), err: xmlfix.ErrLimit, at: "1:2233", stricter: true},

	// Everything else that is markup.
	{name: "CDATA end in text", in: in("]]>"), err: xmlfix.ErrSyntax, at: "1:39"},
	{name: "two hyphens in comment", in: in("<!-- a -- b -->"), err: xmlfix.ErrSyntax, at: "1:46"},
	{name: "comment without end", in: in("<!-- a"), err: xmlfix.ErrSyntax, at: "1:51"},
	{name: "three hyphens end a comment", in: in("<!-- a --->"), err: xmlfix.ErrSyntax, at: "1:46"},
	{name: "declaration of markup inside", in: in("<!FOO>"), err: xmlfix.ErrSyntax, at: "1:36"},
	{name: "declaration of markup before", in: "<!FOO>" + in(""), err: xmlfix.ErrSyntax, at: "1:1"},
	{name: "conditional section", in: in("<![INCLUDE[a]]>"), err: xmlfix.ErrSyntax, at: "1:36"},
	{name: "instruction", in: in("<?a b?>")},
	{name: "instruction without space", in: in("<?a+b?>"), err: xmlfix.ErrSyntax, at: "1:36"},
	{name: "instruction without target", in: in("<? a?>"), err: xmlfix.ErrSyntax, at: "1:38"},
	{name: "DOCTYPE", in: "<!DOCTYPE domain>" + in(""), err: xmlfix.ErrAmbiguous, at: "1:1", stricter: true},
	{name: "DOCTYPE in small letters", in: "<!doctype domain>" + in(""), err: xmlfix.ErrSyntax, at: "1:1"},
	{name: "DOCTYPE inside", in: in("<!DOCTYPE a>"), err: xmlfix.ErrAmbiguous, at: "1:36"},

	// Names.
	{name: "name spaces outside disks", in: "<domain type='test' xmlns:q='u'><name>vm</name><q:commandline><q:arg value='a' q:b='c'/></q:commandline><a xmlns='d'/></domain>"},
	{name: "names outside ASCII", in: in("<é ü='1'/>")},
	{name: "name that begins with a digit", in: in("<1/>"), err: xmlfix.ErrSyntax, at: "1:38"},
	{name: "two colons in a name", in: in("<a:b:c/>"), err: xmlfix.ErrSyntax, at: "1:42", stricter: true},
}

func attributes(n int) string {
	var b strings.Builder
	b.WriteString("<a")
	for i := range n {
		fmt.Fprintf(&b, " b%d='c'", i)
	}
	return b.String() + "/>"
}

func TestParse(t *testing.T) {
	for _, tt := range parseTests {
		t.Run(tt.name, func(t *testing.T) { wantError(t, tt.in, tt.err, tt.at) })
	}
}

// wantError parses a document and compares the error and its place.
func wantError(t *testing.T, in string, sentinel error, at string) *xmlfix.Error {
	t.Helper()
	_, err := xmlfix.Parse("test.xml", []byte(in))
	if sentinel == nil {
		if err != nil {
			t.Errorf("Parse: %v", err)
		}
		return nil
	}
	var e *xmlfix.Error
	if !errors.Is(err, sentinel) || !errors.As(err, &e) {
		t.Fatalf("Parse: %v, want %v", err, sentinel)
	}
	if got := fmt.Sprintf("%d:%d", e.Pos.Line, e.Pos.Column); got != at {
		t.Errorf("error at %s, want %s: %v", got, at, err)
	}
	if _, ok := finding.Explain(e.Code); !ok {
		t.Errorf("code %q has no explanation", e.Code)
	}
	return e
}

// TestDifferentials has what libvirt and Go's XML read differently, each by
// name, with what becomes of it here.
func TestDifferentials(t *testing.T) {
	disk := func(inside string) string { return domain("<disk type='file'>" + inside + "</disk>") }
	const a, b = "<source file='/a'/>", "<source file='/b'/>"
	tests := []struct {
		name string
		in   string
		err  error
	}{
		{"default attribute in DOCTYPE", `<!DOCTYPE domain [<!ATTLIST driver type CDATA "qcow2">]>` + disk("<driver/>"+a), xmlfix.ErrAmbiguous},
		{"entity in DOCTYPE", `<!DOCTYPE domain [<!ENTITY img "/etc/passwd">]>` + disk("<source file='&img;'/>"), xmlfix.ErrAmbiguous},
		{"prefixed type first", disk("<driver xmlns:y='u' y:type='qcow2' type='raw'/>" + a), xmlfix.ErrAmbiguous},
		{"undeclared prefix on type", disk("<driver y:type='qcow2'/>" + a), xmlfix.ErrAmbiguous},
		{"prefixed disk type", domain("<disk y:type='block' type='file'>" + a + "</disk>"), xmlfix.ErrAmbiguous},
		{"declaration called type", disk("<driver xmlns:type='qcow2'/>" + a), xmlfix.ErrAmbiguous},
		{"prefixed source", disk("<y:source xmlns:y='u' file='/b'/>" + a), xmlfix.ErrAmbiguous},
		{"prefixed driver", disk("<y:driver type='qcow2'/>" + a), xmlfix.ErrAmbiguous},
		{"empty prefix", disk("<:source file='/b'/>" + a), xmlfix.ErrAmbiguous},
		{"two sources", disk(a + b), xmlfix.ErrAmbiguous},
		{"two drivers", disk("<driver type='raw'/><driver type='qcow2'/>" + a), xmlfix.ErrAmbiguous},
		{"two backing stores", disk(a + "<backingStore/><backingStore type='file'><format type='raw'/>" + b + "</backingStore>"), xmlfix.ErrAmbiguous},
		{"two formats below", disk(a + "<backingStore type='file'><format type='raw'/><format type='qcow2'/>" + b + "</backingStore>"), xmlfix.ErrAmbiguous},
		{"two targets", disk(a + "<target dev='vda'/><target dev='vdb'/>"), xmlfix.ErrAmbiguous},
		{"two encryptions of a source", disk("<source file='/a'><encryption format='luks'/><encryption format='qcow'/></source>"), xmlfix.ErrAmbiguous},
		{"several hosts and labels", domain("<disk type='network'><source protocol='nbd'><host name='a'/><host name='b'/></source></disk>" +
			"<disk type='file'><source file='/a'><seclabel model='dac' relabel='no'/><seclabel model='selinux' relabel='no'/></source></disk>"), nil},
		{"default name space on root", "<domain xmlns='urn:x'><devices>" + plainDisk + "</devices></domain>", xmlfix.ErrAmbiguous},
		{"default name space on devices", "<domain><devices xmlns='urn:x'>" + plainDisk + "</devices></domain>", xmlfix.ErrAmbiguous},
		{"default name space on disk", domain("<disk xmlns='urn:x' type='file'>" + a + "</disk>"), xmlfix.ErrAmbiguous},
		{"default name space on source", disk("<source xmlns='urn:x' file='/a'/>"), xmlfix.ErrAmbiguous},
		{"prefixed root", "<y:domain xmlns:y='u'><devices>" + plainDisk + "</devices></y:domain>", xmlfix.ErrAmbiguous},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := xmlfix.Parse("test.xml", []byte(tt.in))
			if !errors.Is(err, tt.err) {
				t.Errorf("Parse: %v, want %v", err, tt.err)
			}
		})
	}
}

// TestDisksByPath: a disk is what libvirt finds at ./devices/disk, in every
// <devices>, and nowhere else.
func TestDisksByPath(t *testing.T) {
	doc := parse(t, `<domain id='3'><name>first<!-- --> &amp; <![CDATA[only]]></name><name>second</name>
<metadata><devices><disk><source file='/metadata'/></disk></devices></metadata>
<disk><source file='/domain'/></disk>
<devices><disk type='file'><source file='/1'/><disk><source file='/inner'/></disk></disk><x><disk/></x><y:disk/></devices>
<y:devices><disk/></y:devices>
<devices><emulator/><disk type='file'><source file='/2'/></disk></devices></domain>`)
	var found []string
	for _, disk := range doc.Disks() {
		s, err := disk.Stated()
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, fmt.Sprint(storage.Describe(s.Layers[0].Source), " ", disk.Pos().Line, ":", disk.Pos().Column))
	}
	if got, want := strings.Join(found, ", "), `"/1" 4:28, "/2" 6:39`; got != want {
		t.Errorf("disks are %s, want %s", got, want)
	}
	if got, want := doc.DomainName(), "first & only"; got != want {
		t.Errorf("domain name %q, want %q", got, want)
	}
	if !doc.Live() || parse(t, in("")).Live() {
		t.Error("a domain is live if and only if it has an id")
	}
}

func TestOtherDocuments(t *testing.T) {
	for _, root := range []string{"domainsnapshot", "domaincheckpoint", "domainbackup", "domstatus", "inactiveDomain",
		"pool", "volume", "network", "devices", "html"} {
		e := wantError(t, "<"+root+"><disk/></"+root+">", xmlfix.ErrNotDomain, "1:1")
		if !strings.Contains(e.Detail, "<"+root+">") || e.Remedy.IsZero() {
			t.Errorf("%s: %q, hint %q", root, e.Detail, e.Remedy)
		}
	}
}

func TestErrorText(t *testing.T) {
	for name, want := range map[string]string{
		"vm.xml":     "vm.xml:2:1: not well-formed XML: <domain> ends with </b>",
		"a: b\x1b[m": `"a: b\x1b[m":2:1: not well-formed XML: <domain> ends with </b>`,
	} {
		if _, err := xmlfix.Parse(name, []byte("<domain>\n</b>")); err == nil || err.Error() != want {
			t.Errorf("error is %v, want %s", err, want)
		}
	}
	// A terminal's control sequences may begin with U+009B, which XML allows.
	for _, in := range []string{"<domain>&\u009b31m;</domain>", "<domain><disk \u009b31m/></domain>", "\u009b31m", "<a\u009b31m/>",
		"<?xml version='1.0' encoding='\u009b31m'?><a/>"} {
		if _, err := xmlfix.Parse("vm.xml", []byte(in)); err == nil || strings.Contains(err.Error(), "\u009b") {
			t.Errorf("%q: error is %q", in, err)
		}
	}
}

func TestInputLimits(t *testing.T) {
	big := make([]byte, xmlfix.MaxInput+1)
	if _, err := xmlfix.Parse("big.xml", big); !errors.Is(err, xmlfix.ErrLimit) {
		t.Errorf("one byte too many: %v", err)
	}
	many := domain("<disk>" + strings.Repeat("<a/>", xmlfix.MaxDiskElements) + "</disk>")
	if _, err := xmlfix.Parse("many.xml", []byte(many)); !errors.Is(err, xmlfix.ErrLimit) {
		t.Errorf("one element too many: %v", err)
	}
	var attrs strings.Builder
	for i := range xmlfix.MaxAttrs {
		fmt.Fprintf(&attrs, " a%d=''", i)
	}
	for _, c := range []struct {
		name string
		in   func(n int) string // a document with n of them, or one of n bytes
		most int
	}{
		{"disks", func(n int) string { return domain(strings.Repeat("<disk/>", n)) }, xmlfix.MaxDisks},
		{"attributes", func(n int) string {
			return domain("<disk>" + strings.Repeat("<a"+attrs.String()+"/>", n/xmlfix.MaxAttrs) + "<a" + strings.Repeat(" b=''", n%xmlfix.MaxAttrs) + "/></disk>")
		}, xmlfix.MaxDiskAttrs},
		{"value", func(n int) string { return domain("<disk><source file='" + strings.Repeat("x", n) + "'/></disk>") }, xmlfix.MaxText},
		{"text", func(n int) string { return domain("<disk><serial>" + strings.Repeat("x", n) + "</serial></disk>") }, xmlfix.MaxText},
		{"text in pieces", func(n int) string { return domain("<disk>" + strings.Repeat("<![CDATA[]]>x<!---->", n) + "</disk>") }, xmlfix.MaxText},
		{"name", func(n int) string { return "<domain><name>" + strings.Repeat("x", n) + "</name></domain>" }, xmlfix.MaxText},
	} {
		if _, err := xmlfix.Parse("most.xml", []byte(c.in(c.most))); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if _, err := xmlfix.Parse("more.xml", []byte(c.in(c.most+1))); !errors.Is(err, xmlfix.ErrLimit) {
			t.Errorf("%s: one too many: %v", c.name, err)
		}
	}
}

// TestTextInPieces: comments and CDATA sections in a text make no other text of
// it.
func TestTextInPieces(t *testing.T) {
	in := domain("<disk type='network'><source protocol='http' name='a'><cookies><cookie name='c'>" +
		"a<!-- x --><![CDATA[b]]><!-- y --><![CDATA[]]>&amp;<?z?>c</cookie></cookies></source></disk>")
	stated, err := parse(t, in).Disks()[0].Stated()
	if err != nil {
		t.Fatal(err)
	}
	if c := stated.Layers[0].Source.Cookies.Cookies[0]; c.Value != "ab&c" {
		t.Errorf("%q", c.Value)
	}
}

// TestErrorsAreShort: what an error quotes is the beginning of a long name.
func TestErrorsAreShort(t *testing.T) {
	long := strings.Repeat("\u0085", 30_000)
	for _, in := range []string{
		"<" + long + "/>", "<domain>&" + long + ";</domain>", "<domain " + long + "='' " + long + "=''/>", "<domain></" + long + ">", "<domain><" + long,
		domain("<disk><" + long + ":a/></disk>"), domain("<disk type='" + long + "'/>"),
		domain("<disk type='file'><driver type='" + long + "'/></disk>"),
		domain("<disk type='file'><iotune><read_iops_sec>" + long + "</read_iops_sec></iotune></disk>"),
		domain("<disk><backingStore type='" + long + "'><format type='raw'/><source file='/a'/></backingStore></disk>"),
		domain("<disk><source><dataStore type='" + long + "'><format type='raw'/><source file='/a'/></dataStore></source></disk>"),
	} {
		doc, err := xmlfix.Parse("test.xml", []byte(in))
		if err == nil {
			_, err = doc.Disks()[0].Stated()
		}
		if err == nil || len(err.Error()) > 20_000 {
			t.Errorf("%.60q: %.100v", in, err)
		}
	}
}

func parse(t testing.TB, in string) *xmlfix.Document {
	t.Helper()
	doc, err := xmlfix.Parse("test.xml", []byte(in))
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	return doc
}
