package completion

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/chainfix/chainfix/testdata/peers"
)

// usual are the word breaks of bash.
const usual = " \t\n\"'@><=;|&(:"

// TestReadLine: a line is split as bash does it, and nothing is expanded.
func TestReadLine(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		line  string
		words []string
		now   string
		kept  string // of it
	}{
		{"", nil, "", ""},
		{"chainfix", nil, "chainfix", ""},
		{"chainfix ", []string{"chainfix"}, "", ""},
		{"chainfix  host\tap", []string{"chainfix", "host"}, "ap", ""},
		{`c a\ b`, []string{"c"}, "a b", ""},
		{`c "a b`, []string{"c"}, "a b", ""},
		{`c 'a "b`, []string{"c"}, `a "b`, ""},
		{`c 'a'\''b`, []string{"c"}, "a'b", "a'"},
		{`c x"a b`, []string{"c"}, "xa b", "x"},
		{`c "a b"c`, []string{"c"}, "a bc", ""},
		{`c "a\"\$\x" ''`, []string{"c", `a"$\x`}, "", ""},
		{`c '' x`, []string{"c", ""}, "x", ""},
		{`c --rule=le`, []string{"c"}, "--rule=le", "--rule="},
		{`c --trust=/a=ra`, []string{"c"}, "--trust=/a=ra", "--trust=/a="},
		{`c a:b:`, []string{"c"}, "a:b:", "a:b:"},
		{`c a\:b`, []string{"c"}, "a:b", ""},
		{`c "a:b`, []string{"c"}, "a:b", ""},
		{`c $(x) $HOME`, []string{"c", "$(x)"}, "$HOME", ""},
		{`c 2>/dev/null <in b`, []string{"c"}, "b", ""},
		{`c a>out >> out b`, []string{"c", "a"}, "b", ""},
		{`c a\`, []string{"c"}, "a", ""},
	} {
		l := ReadLine(tt.line, usual)
		if !slices.Equal(l.Words, tt.words) || l.Current != tt.now || l.kept != tt.kept || l.Redirects {
			t.Errorf("%s: %+v", tt.line, l)
		}
	}
	for _, line := range []string{"c >", "c > fi", "c 2>fi", `c < "fi`} {
		if !ReadLine(line, usual).Redirects {
			t.Errorf("%s does not redirect", line)
		}
	}
}

// TestInsertionsRoundTrip: whatever the value, the quotes and the part already typed,
// bash reads exactly the value in the completed line.
func TestInsertionsRoundTrip(t *testing.T) {
	t.Parallel()
	peers.Require(t, "bash")
	anything := rapid.StringOfN(rapid.SampledFrom([]rune("ab ~!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}é")), 1, 12, -1)
	rapid.Check(t, func(t *rapid.T) {
		var script strings.Builder
		var want []string
		for range 100 {
			value, quote := anything.Draw(t, "value"), rapid.SampledFrom([]string{"", "'", `"`}).Draw(t, "quote")
			typed := "chainfix " + quote
			line := ReadLine(typed, usual)
			text, ok := line.insertion(value)
			if !ok && !(quote == `"` && strings.Contains(value, "!")) {
				t.Fatalf("%q is not put in", value)
			}
			if !ok {
				continue
			}
			// As far as it goes it is read as bash reads it.
			if back := ReadLine(typed+text, usual); back.Current != value || len(back.Words) != 1 {
				t.Fatalf("%s is read as %+v", typed+text, back)
			}
			script.WriteString("printf '%s\\0' " + quote + text + quote + "\n")
			want = append(want, value)
		}
		out, err := exec.Command("bash", "--norc", "-c", script.String()).CombinedOutput()
		if got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00"); err != nil || !slices.Equal(got, want) {
			t.Fatalf("%v\n%q\n%q", err, got, want)
		}
	})
}

// FuzzReadLine: any line can be read, and its words are those of the line.
func FuzzReadLine(f *testing.F) {
	f.Add(`chainfix "a\`, usual)
	f.Add("chainfix a>b'c", "=")
	f.Fuzz(func(t *testing.T, line, breaks string) {
		l := ReadLine(line, breaks)
		if !strings.HasPrefix(l.Current, l.kept) || len(l.Current) > len(line) {
			t.Errorf("%+v", l)
		}
		if text, ok := l.insertion(l.Current + "x"); ok && !strings.HasSuffix(text, "x") {
			t.Errorf("%q", text)
		}
	})
}
