package image

import (
	"errors"
	"io"

	"github.com/chainfix/chainfix/probe"
)

// paddedReader reads an image as QEMU's block layer does: with zeros after its
// end.
type paddedReader struct {
	r    io.ReaderAt
	size int64
}

// padding is the number of zeros, enough for every header: probe reads no more
// of one.
const padding = 2 << 20

// ReadAt implements [io.ReaderAt].
func (z paddedReader) ReadAt(p []byte, off int64) (int, error) {
	n := int(max(min(int64(len(p)), z.size-off), 0))
	if n > 0 {
		if got, err := z.r.ReadAt(p[:n], off); got < n {
			return got, err
		}
	}
	clear(p[n:])
	return len(p), nil
}

// opensCutShort reports whether QEMU opens an image as f although [probe.Read]
// says that it is truncated. For vmdk QEMU checks that too.
func opensCutShort(r io.ReaderAt, size int64, f probe.Format, err error) bool {
	if !errors.Is(err, probe.ErrTruncated) || f == probe.VMDK {
		return false
	}
	_, err = probe.Read(paddedReader{r, size}, size+padding, f)
	return err == nil
}
