package pools_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/chain/pools"
	"github.com/chainfix/chainfix/chain/storage"
)

// FuzzAdd: whatever a definition and a volume's name are, they are refused, or
// the volume is directly in the place where the pool has its volumes, and the
// pool cannot be added again.
func FuzzAdd(f *testing.F) {
	for _, tt := range definitionTests {
		f.Add([]byte(tt.xml), "p", "v")
	}
	for name, definition := range samples {
		f.Add([]byte(definition), name, "unit:0:0:1")
		f.Add([]byte(definition), name, "../v")
	}
	f.Fuzz(func(t *testing.T, definition []byte, pool, name string) {
		var p pools.Pools
		if err := p.Add(definition); err != nil {
			if !errors.Is(err, pools.ErrDefinition) {
				t.Fatalf("Add: %v", err)
			}
			return
		}
		if err := p.Add(definition); !errors.Is(err, pools.ErrDuplicate) {
			t.Fatalf("second Add: %v", err)
		}
		for _, mode := range []string{"", "direct"} {
			located, err := p.Locate(t.Context(), volume(pool, name, mode))
			if err != nil {
				if !errors.Is(err, storage.ErrNoVolume) {
					t.Fatalf("Locate: %v", err)
				}
				continue
			}
			path, local := storage.LocalPath(located)
			switch {
			case local:
				if !strings.HasPrefix(path, "/") || strings.ContainsAny(filepath.Base(path), "\x00\n") {
					t.Errorf("path %q", path)
				}
				if base := filepath.Base(path); base != name && !strings.HasPrefix(path, "/dev/") {
					t.Errorf("the volume %q is at %q", name, path)
				}
			case located.Network != nil:
				if located.Network.Protocol != "iscsi" || len(located.Network.Hosts) != 1 {
					t.Errorf("the volume %q is %s", name, storage.Describe(located))
				}
			case located.Dir == nil:
				t.Errorf("the volume %q is %s", name, storage.Describe(located))
			}
		}
	})
}
