package probe_test

import (
	"os"
	"runtime/debug"
	"testing"
)

// TestMain keeps the tests in little memory. The images of the tables take half a
// gigabyte, nearly all of it zeros that no memory stands for. The collector
// counts them all the same, and would let as much garbage pile up, which is real.
func TestMain(m *testing.M) {
	debug.SetGCPercent(20)
	os.Exit(m.Run())
}
