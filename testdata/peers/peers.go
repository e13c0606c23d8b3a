// Package peers finds the real programs that tests compare chainfix with.
//
// A machine without them skips those tests and says so. Where the environment
// has CHAINFIX_REQUIRE_PEERS=1, as in .ci/run, a missing peer is a failure.
package peers

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// Require skips the test if one of the programs is not to be found, or fails
// it where peers are required.
func Require(t testing.TB, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			Lacking(t, fmt.Sprintf("peer %q is missing", program))
		}
	}
}

// Lacking ends a test for which this machine lacks something: it is skipped, or
// fails where peers are required.
func Lacking(t testing.TB, what any) {
	t.Helper()
	if Required() {
		t.Fatalf("%v, and CHAINFIX_REQUIRE_PEERS is set", what)
	}
	t.Skip(what)
}

// Required reports whether this run may do without no peer.
func Required() bool { return os.Getenv("CHAINFIX_REQUIRE_PEERS") == "1" }
