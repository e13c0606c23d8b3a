package host_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
)

// TestManyGuestsInAManifest: reading a manifest takes time in proportion to its
// lines, however many guests they are of, and there are no more than a host can
// have.
func TestManyGuestsInAManifest(t *testing.T) {
	const most = 100_000
	for guests, want := range map[int]error{most: host.ErrOtherHost, most + 1: host.ErrManifest} {
		dir := filepath.Join(t.TempDir(), "run")
		var manifest bytes.Buffer
		manifest.WriteString(`{"schema":"chainfix/run/v1","connect":"qemu:///other"}` + "\n")
		for i := range guests {
			fmt.Fprintf(&manifest, `{"uuid":"%d"}`+"\n", i)
		}
		if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, "manifest.jsonl"), manifest.Bytes(), 0o600)); err != nil {
			t.Fatal(err)
		}
		// The run is read before the host is asked for anything.
		if err := (&host.Rollback{Connect: "qemu:///system"}).Run(t.Context(), dir); !errors.Is(err, want) {
			t.Errorf("%d guests: %v, want %v", guests, err, want)
		}
	}
}
