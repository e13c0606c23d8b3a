// Package peers finds the real programs that tests compare chainfix with.
//
// Tests are skipped, with a message, if a peer is missing. With
// CHAINFIX_REQUIRE_PEERS=1 in the environment, as in .ci/run, they fail
// instead.
package peers

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// Require skips the test if one of the programs is missing, or fails it if
// peers are required.
func Require(t testing.TB, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			Lacking(t, fmt.Sprintf("peer %q is missing", program))
		}
	}
}

// Lacking ends a test because this machine lacks something: it skips the test,
// or fails it if peers are required.
func Lacking(t testing.TB, what any) {
	t.Helper()
	if Required() {
		t.Fatalf("%v, and CHAINFIX_REQUIRE_PEERS is set", what)
	}
	t.Skip(what)
}

// Required reports whether missing peers are failures in this run.
func Required() bool { return os.Getenv("CHAINFIX_REQUIRE_PEERS") == "1" }
