package peers

import (
	"fmt"
	"os"
	"path/filepath"
)

// PoolDefinitions is the folder in which the daemon keeps the definitions of
// its storage pools.
func (l *Libvirt) PoolDefinitions() string { return filepath.Join(l.path("config"), "libvirt/storage") }

// StartPool defines a storage pool from its XML and starts it; libvirt then
// finds its volumes.
func (l *Libvirt) StartPool(name, definition string) {
	l.t.Helper()
	file, err := l.document(definition)
	if err != nil {
		l.t.Fatal(err)
	}
	defer os.Remove(file)
	if out, err := l.Try(fmt.Sprintf("pool-define %s; pool-start %s", file, name)); err != nil {
		l.t.Fatalf("virsh pool-define, pool-start: %v\n%s\n%s", err, out, definition)
	}
}

// VolumeGuest returns the definition of a guest with one disk: a volume of a
// storage pool, with a format. The arguments are inserted unchanged and have
// to be XML.
func VolumeGuest(name, pool, volume, format string) string {
	return SmallGuest(name, fmt.Sprintf(`<disk type='volume' device='disk'>
      <driver name='qemu' type='%s'/>
      <source pool='%s' volume='%s'/>
      <target dev='vda' bus='virtio'/>
    </disk>`, format, pool, volume))
}
