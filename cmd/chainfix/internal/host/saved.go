package host

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/chainfix/chainfix/xmlfix"
)

// A save image of libvirt's QEMU driver begins with a header of savedHeader
// bytes, in the byte order of the host that wrote it: a magic of 16 bytes, the
// version, the length of what follows, and fields that are not used here. Then
// come the XML, a NUL, and from version 3 on a cookie, and then the state of
// the guest, which is not read (struct _virQEMUSaveHeader, libvirt 9.0).
const (
	savedHeader  = 92
	savedMagic   = "LibvirtQemudSave"
	partialMagic = "LibvirtQemudPart" // while it is being written
	savedVersion = 3
)

// readSaved returns the XML in a save image.
func readSaved(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, quotePath(err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%q: %w: it is no regular file", path, ErrDefinition)
	}
	definition, err := savedXML(f)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", path, err)
	}
	return definition, nil
}

func savedXML(r io.Reader) ([]byte, error) {
	header := make([]byte, savedHeader)
	_, err := io.ReadFull(r, header)
	switch magic := string(header[:len(savedMagic)]); {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), err == nil && magic != savedMagic && magic != partialMagic:
		return nil, fmt.Errorf("%w: it is not a save image", ErrDefinition)
	case err != nil:
		return nil, quotePath(err)
	}
	order := binary.ByteOrder(binary.LittleEndian)
	version := order.Uint32(header[len(savedMagic):])
	if version > 0xFFFF {
		order = binary.BigEndian
		version = order.Uint32(header[len(savedMagic):])
	}
	if version == 0 || version > savedVersion {
		return nil, fmt.Errorf("%w: a save image of version %d", ErrDefinition, version)
	}
	// The length is only a bound: no more is read than the file has, or than a
	// definition may have.
	length := min(int64(order.Uint32(header[len(savedMagic)+4:])), xmlfix.MaxInput+1)
	text, err := io.ReadAll(io.LimitReader(r, length))
	if err != nil {
		return nil, quotePath(err)
	}
	definition, _, ended := bytes.Cut(text, []byte{0})
	if !ended {
		return nil, fmt.Errorf("%w: the XML of the save image has no end", ErrDefinition)
	}
	return definition, nil
}
