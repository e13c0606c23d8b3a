package strictxml_test

import (
	"encoding/xml"
	"errors"
	"io"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/chainfix/chainfix/chain/strictxml"
)

// TestTokens: the tokens are encoding/xml's, with their places, up to where
// something is refused; and what encoding/xml refuses is refused there.
func TestTokens(t *testing.T) {
	piece := rapid.SampledFrom([]string{
		"<a>", "</a>", "<a/>", "<a b='1' c=\"&lt;\"/>", "x", " ", "\n", "\r\n", "\r", "ä", "&amp;", "&#13;", "&", "&x;", "]]>", "]", "]]", ">", "-", "--",
		"<!--", "-->", "<!---->", "<!-- x -->", "<!-- \r -->", "<!--->", "<!-- --->", "<![CDATA[", "<![CDATA[]]>", "<![CDATA[x]]>", "<![CDATA[\r\n]]>", "<![CDATA[&]>]]>",
		"<?p?>", "<?p - ?>", "<!",
	})
	rapid.Check(t, func(t *rapid.T) {
		bom := rapid.SampledFrom([]string{"", "\uFEFF"}).Draw(t, "mark")
		text := "<a>" + strings.Join(rapid.SliceOfN(piece, 0, 12).Draw(t, "pieces"), "") + "</a>\n"
		reader := strictxml.NewReader([]byte(bom+text), strictxml.Limits{Depth: 20, Attrs: 2})
		decoder := xml.NewDecoder(strings.NewReader(text))
		for {
			got, err := reader.Token()
			want, wantErr := decoder.RawToken()
			var e *strictxml.Error
			switch {
			case errors.As(err, &e) && !e.Decoder:
				return // not encoding/xml's business
			case err == io.EOF && wantErr == io.EOF:
				return
			case (err == nil) != (wantErr == nil) || !reflect.DeepEqual(got, want):
				t.Fatalf("%q: %#v, %v; encoding/xml: %#v, %v", text, got, err, want, wantErr)
			case err != nil && e.Offset != len(bom)+int(decoder.InputOffset()):
				t.Fatalf("%q: %v at %d; encoding/xml: %v at %d", text, err, e.Offset, wantErr, decoder.InputOffset())
			case err != nil:
				return
			case reader.End() != len(bom)+int(decoder.InputOffset()):
				t.Fatalf("%q: %#v ends at %d; for encoding/xml at %d", text, got, reader.End(), decoder.InputOffset())
			}
		}
	})
}

// TestLongTokens: what stands for itself is not copied, however long it is.
func TestLongTokens(t *testing.T) {
	long := strings.Repeat("x", 8<<20)
	for _, text := range []string{"<a>" + long + "</a>", "<a><!--" + long + "--></a>", "<a><![CDATA[" + long + "]]></a>"} {
		data := []byte(text)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := readAll(strictxml.NewReader(data, limits))
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; err != nil || took > 1<<20 {
			t.Errorf("%.20q: %d bytes were taken to read %d, %v", text, took, len(text), err)
		}
	}
}
