package chain_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/testdata/peers"
	"github.com/chainfix/chainfix/testdata/slowfs/mount"
)

// TestOneFileThroughTwoMounts: a file in two mounts looks like two files, but nothing
// shows that they differ. Its copy does differ.
func TestOneFileThroughTwoMounts(t *testing.T) {
	f := newFiles(t)
	mounted := peers.StartSlowFS(t, f.dir, mount.Options{Cache: time.Hour})
	f.raw("base", 1<<20)
	f.raw("copy", 1<<20)
	f.qcow2("top", img{backing: "base", backingFormat: "raw"})
	f.qcow2("external", img{dataFile: f.path("base")})
	for name, misopens := range map[string]bool{"base": false, "copy": true} {
		stated := f.explicit("top", f.layer(filepath.Join(mounted.Dir, name), probe.Raw))
		got, err := (&chain.Walker{}).Walk(t.Context(), stated)
		if err != nil {
			t.Fatal(err)
		}
		if reported := wantRefused(t, got, finding.ChainConflict); reported.Misopens != misopens {
			t.Errorf("%s: %+v", name, reported)
		}
		stated = f.explicit("external")
		stated.Layers[0].Source.DataStore = store(filepath.Join(mounted.Dir, name))
		if got, err = (&chain.Walker{}).Walk(t.Context(), stated); err != nil {
			t.Fatal(err)
		}
		if reported := wantRefused(t, got, finding.DataFileConflict); reported.Misopens != misopens {
			t.Errorf("%s as a data file: %+v", name, reported)
		}
	}
}
