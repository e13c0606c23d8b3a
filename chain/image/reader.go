package image

import "io"

// cachingReader caches small reads of an image: its first bytes, which
// every header reader reads again, and signatures elsewhere, which are read
// twice.
type cachingReader struct {
	r    io.ReaderAt
	size int64
	head []byte // buffer for the first bytes

	loaded bool // head was read
	filled int  // valid bytes of head
	err    error
	pieces []piece // cached reads outside of head
}

type piece struct {
	off  int64
	data []byte
}

// maxPiece is the longest cached read outside of head, in bytes: the last
// sector.
const maxPiece = 512

// ReadAt implements [io.ReaderAt].
func (m *cachingReader) ReadAt(p []byte, off int64) (int, error) {
	if off >= 0 && off+int64(len(p)) <= int64(len(m.head)) {
		return m.fromHead(p, off)
	}
	for _, known := range m.pieces {
		if known.off == off && len(known.data) == len(p) {
			return copy(p, known.data), nil
		}
	}
	n, err := m.r.ReadAt(p, off)
	if n == len(p) && n <= maxPiece {
		m.pieces = append(m.pieces, piece{off, append([]byte(nil), p...)})
	}
	return n, err
}

func (m *cachingReader) fromHead(p []byte, off int64) (int, error) {
	if !m.loaded {
		want := min(int64(len(m.head)), m.size)
		m.filled, m.err = m.r.ReadAt(m.head[:want], 0)
		m.loaded = true
	}
	n := 0
	if off < int64(m.filled) {
		n = copy(p, m.head[off:m.filled])
	}
	switch {
	case n == len(p):
		return n, nil
	case m.err != nil:
		return n, m.err
	}
	return n, io.EOF
}

// loadedHead returns the first bytes of the image, as far as they were read. It
// is valid until the next image is opened.
func (m *cachingReader) loadedHead() []byte { return m.head[:m.filled] }
