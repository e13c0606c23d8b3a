package libvirt_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/testdata/golden"
)

// TestHolds: a fact holds from Since on, up to but not including Until.
func TestHolds(t *testing.T) {
	version := func(s string) libvirt.Version {
		v, err := libvirt.ParseVersion(s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, c := range []struct {
		fact    libvirt.Fact
		version string
		want    bool
	}{
		{libvirt.ExplicitChains, "5.9", false},
		{libvirt.ExplicitChains, "5.10", true},
		{libvirt.ExplicitChains, "12.9", true},
		{libvirt.UnrecordedIsRaw, "1.0", true},
		{libvirt.UnrecordedIsRaw, "5.10.9", true},
		{libvirt.UnrecordedIsRaw, "6.0", false},
		{libvirt.NestingIsBounded, "10.7", false},
		{libvirt.NestingIsBounded, "11.10.9", true},
		{libvirt.NestingIsBounded, "12.0", false},
		{libvirt.PadsExtensions, "11.3", false},
		{libvirt.PadsExtensions, "12.0", false},
		{libvirt.PadsExtensions, "12.8", true},
		{libvirt.PlainDataFiles, "7.2.12", false},
		{libvirt.PlainDataFiles, "7.2.13", true},
		{libvirt.PlainDataFiles, "8.0", false},
		{libvirt.PlainDataFiles, "9.1", true},
	} {
		if got := c.fact.Holds(version(c.version)); got != c.want {
			t.Errorf("libvirt %s %s: %v", c.version, c.fact.What, got)
		}
	}
}

// TestNewestIsTheLastThatIsRun: the roots are sorted by their libvirts.
func TestNewestIsTheLastThatIsRun(t *testing.T) {
	roots, err := os.ReadFile("../../testdata/peers/libvirts/roots")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(roots)), "\n")
	last, _, _ := strings.Cut(lines[len(lines)-1], "\t")
	if got, err := libvirt.ParseVersion(last); err != nil || got != libvirt.Newest {
		t.Errorf("the newest libvirt that is run is %q (%v), and %s is called the newest known", last, err, libvirt.Newest)
	}
}

// TestUndecided: versions between NotYet and Since are undecided.
func TestUndecided(t *testing.T) {
	fact := libvirt.Fact{NotYet: libvirt.Version{Major: 9}, Since: libvirt.Version{Major: 11}, Stable: libvirt.Version{Major: 10, Minor: 2, Release: 5}}
	for text, want := range map[string]bool{"8.0": false, "9.0": false, "9.0.1": true, "10.2.4": true, "10.2.5": false, "10.3": true, "11.0": false, "12.0": false} {
		v, err := libvirt.ParseVersion(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, known := (libvirt.Pair{Libvirt: v}).Does(fact); known == want {
			t.Errorf("%s: known %v", text, known)
		}
	}
}

// TestParsePair: a libvirt alone has the QEMU that a distribution pairs with it.
func TestParsePair(t *testing.T) {
	for text, want := range map[string][2]string{
		"9.0": {"9.0.0", "9.0.0+7.2.22"}, "12.9+11.1": {"12.9.0+11.1.0", "12.9.0+11.1.0"}, "12.9": {"12.9.0", "12.9.0+11.1.0"},
		"1.0": {"1.0.0", "1.0.0+3.1.0"}, "11.2": {"11.2.0", "11.2.0+9.1.0"}, "": {}, "9": {}, "9.0+": {}, "+7.2": {}, "9.0+7.2+1.0": {}, "9.0 + 7.2": {}, "9.0+x": {},
	} {
		p, err := libvirt.ParsePair(text)
		switch {
		case want[0] == "" && err == nil:
			t.Errorf("ParsePair(%q) = %v, want an error", text, p)
		case want[0] != "" && (err != nil || p.String() != want[0] || p.Complete().String() != want[1]):
			t.Errorf("ParsePair(%q) = %v, %v, complete %v", text, p, err, p.Complete())
		}
	}
}

// TestReleasesAreOrdered, as [libvirt.Pair.Complete] wants them.
func TestReleasesAreOrdered(t *testing.T) {
	all := libvirt.Releases()
	for i := 1; i < len(all); i++ {
		if !all[i-1].Libvirt.Before(all[i].Libvirt) || all[i].QEMU.Before(all[i-1].QEMU) {
			t.Errorf("%v stands before %v", all[i-1], all[i])
		}
	}
}

// TestDetectors: derived from the facts, each once, the oldest first.
func TestDetectors(t *testing.T) {
	var got []string
	for _, v := range libvirt.Detectors() {
		got = append(got, v.String())
	}
	if diff := cmp.Diff([]string{"6.1.0", "9.0.1", "9.10.0", "10.8.0", "10.10.0", "11.3.0", "11.3.1", "11.6.0", "12.8.0"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestEveryFactIsListed: a fact that facts.go declares and does not list would
// be missing in the documents and in Detectors.
func TestEveryFactIsListed(t *testing.T) {
	for file, listed := range map[string][]libvirt.Fact{"facts.go": factsOf(false), "qemu.go": factsOf(true)} {
		source, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		declared := 0
		ast.Inspect(source, func(n ast.Node) bool {
			if lit, ok := n.(*ast.CompositeLit); ok {
				if name, ok := lit.Type.(*ast.Ident); ok && name.Name == "Fact" {
					declared++
				}
			}
			return true
		})
		if declared != len(listed) {
			t.Errorf("%s declares %d facts and lists %d", file, declared, len(listed))
		}
		for _, f := range listed {
			if f.What == "" || f.Known == "" || f.NotYet.Known() && !f.NotYet.Before(f.Since) {
				t.Errorf("%s: %+v", file, f)
			}
		}
	}
}

// TestFactsAreDocumented: docs/prediction.md has the table of all of them.
func TestFactsAreDocumented(t *testing.T) {
	const path, begin, end = "../../docs/prediction.md",
		"<!-- Generated: CHAINFIX_UPDATE=1 go test ./chain/libvirt -run TestFactsAreDocumented -->\n",
		"<!-- End of what is generated. -->\n"
	var text strings.Builder
	table := func(program string, facts []libvirt.Fact) {
		text.WriteString("\n| " + program + " | not yet | since | until | known by |\n| --- | --- | --- | --- | --- |\n")
		for _, f := range facts {
			since := "ever"
			if f.Since.Known() {
				since = f.Since.String()
			}
			if f.Stable.Known() {
				since = fmt.Sprintf("%s, and %s of %d.%d", since, f.Stable, f.Stable.Major, f.Stable.Minor)
			}
			what := strings.NewReplacer("<", "\\<").Replace(f.What)
			fmt.Fprintf(&text, "| %s | %s | %s | %s | %s |\n", what, known(f.NotYet), since, known(f.Until), f.Known)
		}
	}
	table("libvirt", factsOf(false))
	table("QEMU", factsOf(true))
	text.WriteString("\n| from libvirt | QEMU | as in |\n| --- | --- | --- |\n")
	for _, r := range libvirt.Releases() {
		fmt.Fprintf(&text, "| %s | %s | %s |\n", r.Libvirt, r.QEMU, r.Where)
	}
	text.WriteString("\n")
	golden.Part(t, path, begin, text.String(), end)
}

// factsOf returns the facts about libvirt or QEMU.
func factsOf(qemu bool) []libvirt.Fact {
	return slices.DeleteFunc(libvirt.Facts(), func(f libvirt.Fact) bool { return f.OfQEMU != qemu })
}

func known(v libvirt.Version) string {
	if !v.Known() {
		return ""
	}
	return v.String()
}
