package mkimage

import (
	"encoding/binary"
	"io"
)

// LUKS1 describes the header of a LUKS image, version 1, for AES-128 in XTS
// mode. No key slot is in use: every program recognises the image, but no
// passphrase opens it.
type LUKS1 struct {
	VirtualSize uint64 // bytes of payload, all zeros, a multiple of 512
}

// WriteTo writes the image to w. It fails if the description exceeds a limit
// of the format, or with w's error.
func (k LUKS1) WriteTo(w io.Writer) (int64, error) {
	b, err := k.Bytes()
	return writeTo(w, b, err)
}

// Bytes returns the image. See [LUKS1.WriteTo] for errors.
func (k LUKS1) Bytes() ([]byte, error) {
	const (
		slots    = 8
		stripes  = 4000
		keyBytes = 32 // XTS has two keys
		disabled = 0x0000DEAD
	)
	l, err := newLayout("luks", 12, 12, 12)
	if err != nil {
		return nil, err
	}
	if k.VirtualSize%512 != 0 {
		return nil, l.errorf("virtual size %d is not a multiple of 512", k.VirtualSize)
	}
	if k.VirtualSize > maxImage {
		return nil, l.errorf("the payload would take %d bytes, more than %d", k.VirtualSize, maxImage)
	}
	l.take(l.cluster) // the header's
	var material [slots]uint64
	for i := range material {
		material[i] = l.take(keyBytes * stripes)
	}
	payload := l.size
	l.size += k.VirtualSize
	if err := l.alloc(); err != nil {
		return nil, err
	}

	be := binary.BigEndian
	text := func(s string, size int) []byte { return append([]byte(s), make([]byte, size-len(s))...) }
	h := []byte("LUKS\xba\xbe\x00\x01")
	h = append(h, text("aes", 32)...)
	h = append(h, text("xts-plain64", 32)...)
	h = append(h, text("sha256", 32)...)
	h = be.AppendUint32(h, uint32(payload/512))
	h = be.AppendUint32(h, keyBytes)
	h = append(h, make([]byte, 20+32)...) // digest and salt of the master key
	h = be.AppendUint32(h, 1000)          // its iterations
	h = append(h, text("c4a10000-0000-4000-8000-000000000001", 40)...)
	for _, at := range material {
		h = be.AppendUint32(h, disabled)
		h = append(h, make([]byte, 4+32)...) // iterations and salt
		h = be.AppendUint32(h, uint32(at/512))
		h = be.AppendUint32(h, stripes)
	}
	l.put(0, h)
	return l.b, nil
}
