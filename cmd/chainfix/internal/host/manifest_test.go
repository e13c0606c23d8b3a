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
	for guests, want := range map[int]error{most: nil, most + 1: host.ErrManifest} {
		stateDir := t.TempDir()
		dir := filepath.Join(stateDir, "run")
		var manifest bytes.Buffer
		manifest.WriteString(`{"schema":"chainfix/run/v1"}` + "\n")
		for i := range guests {
			fmt.Fprintf(&manifest, `{"uuid":"%d"}`+"\n", i)
		}
		if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, "manifest.jsonl"), manifest.Bytes(), 0o600)); err != nil {
			t.Fatal(err)
		}
		for run, err := range host.Runs(stateDir) {
			if run.Dir != dir || !errors.Is(err, want) || err == nil && len(run.Guests()) != guests {
				t.Errorf("%d guests: %v, want %v", guests, err, want)
			}
		}
	}
}
