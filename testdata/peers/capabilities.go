package peers

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
)

// capabilities is libvirt's cache of QEMU capabilities, files by name. Probing
// QEMU takes each daemon more than a second, so the first one of a process
// does it for all. libvirt itself checks whether a file is still valid.
type capabilities struct {
	mu    sync.Mutex
	files map[string][]byte
}

// The capabilities depend on the user: daemons of sessions and of systems run
// as different users.
var ofSessions, ofSystems capabilities

// share starts a daemon with its capabilities in a subfolder.
func (c *capabilities) share(l *Libvirt, folder string, start func()) {
	l.t.Helper()
	folder = l.path(folder)
	c.mu.Lock()
	if c.files == nil {
		defer c.mu.Unlock()
		start()
		l.Virsh("domcapabilities")
		var err error
		if c.files, err = filesIn(folder); err != nil {
			l.t.Fatalf("the capabilities of QEMU: %v", err)
		}
		return
	}
	c.mu.Unlock()
	err := os.MkdirAll(folder, 0o755)
	for name, content := range c.files {
		err = errors.Join(err, os.WriteFile(filepath.Join(folder, name), content, 0o600))
	}
	if err != nil {
		l.t.Fatal(err)
	}
	l.Share(l.path("cache"))
	start()
}

func filesIn(folder string) (map[string][]byte, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	files := make(map[string][]byte)
	for _, entry := range entries {
		if files[entry.Name()], err = os.ReadFile(filepath.Join(folder, entry.Name())); err != nil {
			return nil, err
		}
	}
	return files, nil
}
