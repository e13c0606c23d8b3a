package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/testdata/peers"
)

// everywhere are the tests that run with every libvirt: they compare with what a
// guest sees, and go through what people do on a host.
var everywhere = []string{
	"TestWhatTheGuestSees", "TestPredictionIsOutcome", "TestOptionalDiskIsPredicted", "TestLeftoverOfTransientDiskIsPredicted",
	"TestUnreadableDiskIsRefused", "TestFirmwareChainIsLost",
	"TestGuestStartsOnceItIsFixed", "TestPipelineKeepsPasswords", "TestRefusalLeavesTheDefinition",
	"TestGuestStartsFromAServer", "TestServerWithoutRanges", "TestGuestStartsFromAVolume",
	"TestHost", "TestGuestsMigrate", "TestGuestsAreRestored", "TestGuestsStart",
	"TestBeforeAnUpgrade", "TestAfterFormatOfBackingImage", "TestDuringAMigration",
}

// TestEveryLibvirt runs tests of this package again in each root with another
// libvirt, and has their results as its own. A libvirt newer than the known
// ones is tested by the behaviour of the newest known one.
func TestEveryLibvirt(t *testing.T) {
	for _, root := range peers.Roots(t) {
		t.Run(root.Name, func(t *testing.T) {
			root.Require(t)
			if !root.Known {
				t.Logf("libvirt %s is not known yet", root.Name)
			}
			for _, name := range everywhere {
				t.Run(name, func(t *testing.T) { runInRoot(t, root, name) })
			}
		})
	}
}

// runInRoot runs one test in a root.
func runInRoot(t *testing.T, root peers.Root, name string) {
	tests, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	tmp, module := t.TempDir(), filepath.Join("..", "..")
	copyProgram(t, tests, filepath.Join(tmp, "tests"))
	copyProgram(t, builtProgram(t), filepath.Join(tmp, "chainfix"))
	if err := os.Chmod(tmp, 0o1777); err != nil {
		t.Fatal(err)
	}
	if module, err = filepath.Abs(module); err != nil {
		t.Fatal(err)
	}
	// What is built in the root has all the peers.
	cmd := root.Command(t.Context(), tmp, module, "env", "--chdir=/mnt/cmd/chainfix", "TMPDIR=/tmp", builtElsewhere+"=/tmp", "CHAINFIX_REQUIRE_PEERS=1",
		"/tmp/tests", "-test.run=^"+name+"$", "-test.v", "-test.timeout=10m")
	out, err := cmd.CombinedOutput()
	results := readResults(string(out))
	if len(results) == 0 {
		t.Fatalf("%s has not been run: %v\n%s", name, err, out)
	}
	for _, r := range results {
		if r.name == name {
			r.report(t)
			continue
		}
		t.Run(strings.TrimPrefix(r.name, name+"/"), r.report)
	}
	if err != nil && !t.Failed() {
		t.Errorf("%v\n%s", err, out)
	}
}

func copyProgram(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(out, in)
	if err := errors.Join(err, out.Close()); err != nil {
		t.Fatal(err)
	}
}

// result is the result of a test, and its output.
type result struct{ name, verdict, said string }

// report makes it the result of a test here.
func (r result) report(t *testing.T) {
	switch r.verdict {
	case "PASS":
		if r.said != "" {
			t.Logf("\n%s", r.said)
		}
	case "SKIP":
		peers.Lacking(t, r.said)
	default:
		t.Errorf("%s\n%s", r.verdict, r.said)
	}
}

var (
	speaks = regexp.MustCompile(`^=== (?:RUN|PAUSE|CONT|NAME) +(\S+)$`)
	ends   = regexp.MustCompile(`^ *--- (PASS|FAIL|SKIP): (\S+) \(`)
)

// readResults reads what a test binary prints with -test.v, in the order in
// which the tests began.
func readResults(printed string) []result {
	var all []result
	find := func(name string) *result {
		i := slices.IndexFunc(all, func(r result) bool { return r.name == name })
		if i < 0 {
			i, all = len(all), append(all, result{name: name, verdict: "does not end"})
		}
		return &all[i]
	}
	speaker := ""
	for line := range strings.Lines(printed) {
		if m := speaks.FindStringSubmatch(strings.TrimSuffix(line, "\n")); m != nil {
			speaker = m[1]
			find(speaker)
		} else if m := ends.FindStringSubmatch(line); m != nil {
			find(m[2]).verdict = m[1]
		} else if speaker != "" && line != "PASS\n" && line != "FAIL\n" {
			find(speaker).said += line
		}
	}
	return all
}

// TestReadResults: output belongs to the test that printed it, and a test that
// does not end is noticed.
func TestReadResults(t *testing.T) {
	got := readResults(`=== RUN   TestA
=== RUN   TestA/one
=== PAUSE TestA/one
=== RUN   TestA/two
=== PAUSE TestA/two
=== CONT  TestA/one
    a_test.go:1: one is wrong
        in two lines
=== CONT  TestA/two
    a_test.go:2: two lacks something
=== NAME  TestA/one
    a_test.go:3: twice
=== RUN   TestA/three
panic: no more
--- FAIL: TestA (0.00s)
    --- FAIL: TestA/one (0.00s)
    --- SKIP: TestA/two (0.00s)
`)
	want := []result{
		{"TestA", "FAIL", ""},
		{"TestA/one", "FAIL", "    a_test.go:1: one is wrong\n        in two lines\n    a_test.go:3: twice\n"},
		{"TestA/two", "SKIP", "    a_test.go:2: two lacks something\n"},
		{"TestA/three", "does not end", "panic: no more\n"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
