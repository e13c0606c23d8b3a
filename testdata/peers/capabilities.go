package peers

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
)

// capabilities is what libvirt has found out about QEMU, as the files of its
// cache by name. It takes each daemon more than a second to find that out, so the
// first one of a process does it for all. Libvirt itself sees whether a file is
// still true.
type capabilities struct {
	mu    sync.Mutex
	files map[string][]byte
}

// What QEMU can do depends on who asks: the daemons of sessions and those of
// systems run as different users.
var ofSessions, ofSystems capabilities

// share starts a daemon that has its capabilities in a folder, below its own.
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
