// Package peers finds the real programs that tests compare chainfix with.
//
// A machine without them skips those tests and says so. Where the environment
// has CHAINFIX_REQUIRE_PEERS=1, as in .ci/run, a missing peer is a failure.
package peers

import (
	"os"
	"os/exec"
	"testing"
)

// Require skips the test if one of the programs is not to be found, or fails
// it where peers are required.
func Require(t testing.TB, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if _, err := exec.LookPath(program); err == nil {
			continue
		}
		if Required() {
			t.Fatalf("peer %q is missing, and CHAINFIX_REQUIRE_PEERS is set", program)
		}
		t.Skipf("peer %q is missing", program)
	}
}

// Required reports whether this run may do without no peer.
func Required() bool { return os.Getenv("CHAINFIX_REQUIRE_PEERS") == "1" }
