//go:build !linux

package limit

// mounts is empty on this system.
type mounts struct{}

func (m *mounts) follow(*request) {}
