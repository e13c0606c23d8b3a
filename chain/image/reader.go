package image

import "io"

// rememberingReader keeps what has been read of an image in small pieces: its
// first bytes, which every reader of a header asks for again, and the marks
// elsewhere, which are looked at twice.
type rememberingReader struct {
	r    io.ReaderAt
	size int64
	head []byte // room for the first bytes

	loaded bool // head was read
	filled int  // bytes of head that are there
	err    error
	pieces []piece // of what is not in head
}

type piece struct {
	off  int64
	data []byte
}

// maxPiece is the longest piece that is kept: the last sector.
const maxPiece = 512

// ReadAt implements [io.ReaderAt].
func (m *rememberingReader) ReadAt(p []byte, off int64) (int, error) {
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

func (m *rememberingReader) fromHead(p []byte, off int64) (int, error) {
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
func (m *rememberingReader) loadedHead() []byte { return m.head[:m.filled] }
