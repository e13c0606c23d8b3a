package probe_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// goldenMajor is the first number of the version of the qemu-img whose answers the file
// has: others differ here and there.
const goldenMajor = 7

// goldenOfQEMUImg collects what qemu-img says of every vector, with the reason
// wherever Read says something else, for the file beside the vectors.
type goldenOfQEMUImg struct{ strings.Builder }

func newGolden() *goldenOfQEMUImg {
	g := new(goldenOfQEMUImg)
	g.WriteString("# What \"qemu-img info -f FORMAT\" (7.2) says of each vector that has a format, and why this project says something else.\n" +
		"# go test ./probe -run TestReadTablesAgreeWithQEMUImg -update\n")
	return g
}

func (g *goldenOfQEMUImg) add(format string, c readCase, theirs *info) {
	fmt.Fprintf(g, "%s: %s\n", fileName(format, c.name), theirs)
	for _, d := range differences {
		if d.name == c.differs {
			fmt.Fprintf(g, "\t%s: %s\n", d.name, d.why)
		}
	}
}

// String says in words what qemu-img says; of a nil info that it refuses.
func (i *info) String() string {
	if i == nil {
		return "refused"
	}
	words := []string{fmt.Sprintf("virtual size %d", i.VirtualSize)}
	if i.Backing != nil {
		words = append(words, fmt.Sprintf("backing %+q", *i.Backing))
	}
	if i.BackingFormat != "" {
		words = append(words, fmt.Sprintf("backing format %+q", i.BackingFormat))
	}
	if i.FormatSpecific.Data.DataFile != nil {
		words = append(words, fmt.Sprintf("data file %+q", *i.FormatSpecific.Data.DataFile))
	}
	if i.Encrypted {
		words = append(words, "encrypted")
	}
	return strings.Join(words, ", ")
}

func (g *goldenOfQEMUImg) compare(t *testing.T) {
	t.Helper()
	path := filepath.Join(vectorFolder, "qemu-img.golden")
	if *update {
		if err := os.WriteFile(path, []byte(g.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), g.String()); diff != "" {
		t.Errorf("%s: -file +now\n%s", path, diff)
	}
}
