//go:build !unix

package storage

import (
	"context"
	"errors"
	"fmt"

	"libvirt.org/go/libvirtxml"
)

// FileOpener opens local files and block devices. It is not supported on this
// system: every error wraps [errors.ErrUnsupported].
type FileOpener struct{}

func unsupported(src *libvirtxml.DomainDiskSource) error {
	return fmt.Errorf("open %s: %w", Describe(src), errors.ErrUnsupported)
}

// Open opens nothing. See [Opener].
func (FileOpener) Open(_ context.Context, src *libvirtxml.DomainDiskSource) (Image, error) {
	return nil, unsupported(src)
}

// Identify identifies nothing. See [Opener].
func (FileOpener) Identify(_ context.Context, src *libvirtxml.DomainDiskSource) (FileID, error) {
	return FileID{}, unsupported(src)
}
