package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"sync"

	"github.com/chainfix/chainfix/chain/storage"
)

const (
	// blockSize is the unit in which an image is fetched: a header with its names
	// nearly always fits into one block.
	blockSize = 64 << 10
	// maxRead bounds one ReadAt.
	maxRead = 4 << 20
	// maxFetch bounds the bytes that are fetched of an image, and so its memory.
	maxFetch = 8 << 20
)

// remoteImage is an open image on the network. Its blocks are fetched once.
type remoteImage struct {
	name   string
	id     storage.FileID
	size   int64
	ctx    context.Context // ends when the image is closed or its time limit is reached
	cancel context.CancelFunc

	mu      sync.Mutex
	peer    peer
	blocks  map[int64][]byte // by their number; the last one may be shorter
	fetched int              // bytes
	failed  error
}

func (i *remoteImage) Size() int64        { return i.size }
func (i *remoteImage) ID() storage.FileID { return i.id }

func (i *remoteImage) Close() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if errors.Is(i.failed, fs.ErrClosed) {
		return i.failed
	}
	i.failed = &fs.PathError{Op: "read", Path: i.name, Err: fs.ErrClosed}
	err := i.peer.close()
	i.cancel()
	return err
}

// ReadAt implements [io.ReaderAt], for at most 4 MiB at once.
func (i *remoteImage) ReadAt(p []byte, off int64) (int, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case off < 0:
		return 0, &fs.PathError{Op: "read", Path: i.name, Err: fs.ErrInvalid}
	case len(p) == 0:
		return 0, nil
	case off >= i.size:
		return 0, io.EOF
	}
	end := off + min(int64(len(p)), i.size-off)
	if err := i.load(off, end); err != nil {
		return 0, err
	}
	n := 0
	for at := off; at < end; at = off + int64(n) {
		n += copy(p[n:], i.blocks[at/blockSize][at%blockSize:])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// load fetches the missing blocks of the bytes from off to end, which are
// within the image. Neighbouring blocks share one request.
func (i *remoteImage) load(off, end int64) error {
	if end-off > maxRead {
		return &fs.PathError{Op: "read", Path: i.name, Err: fmt.Errorf("%d bytes at once: %w", end-off, ErrTooMuch)}
	}
	last := (end - 1) / blockSize
	for first := off / blockSize; first <= last; first++ {
		if i.blocks[first] != nil {
			continue
		}
		next := first + 1
		for next <= last && i.blocks[next] == nil {
			next++
		}
		from := first * blockSize
		if err := i.fetch(from, min((next-first)*blockSize, i.size-from)); err != nil {
			return err
		}
	}
	return nil
}

// fetch fetches blocks: n bytes, bounded by the callers.
func (i *remoteImage) fetch(from, n int64) error {
	if i.failed != nil {
		return i.failed
	}
	if n > maxFetch-int64(i.fetched) {
		i.failed = &fs.PathError{Op: "read", Path: i.name, Err: ErrTooMuch}
		return i.failed
	}
	p := make([]byte, n)
	if err := i.peer.fetch(p, from); err != nil {
		i.failed = i.because("read", err)
		return i.failed
	}
	i.fetched += len(p)
	for number := from / blockSize; len(p) > 0; number++ {
		block := p[:min(len(p), blockSize)]
		i.blocks[number] = block[:len(block):len(block)]
		p = p[len(block):]
	}
	return nil
}

// because returns the cause of an ended context, rather than the error that
// resulted from it.
func (i *remoteImage) because(op string, err error) error {
	if cause := context.Cause(i.ctx); cause != nil {
		err = cause
	}
	return &fs.PathError{Op: op, Path: i.name, Err: harmless{err}}
}

// harmless is an error with a text that is safe to print on a terminal:
// net/http and crypto/x509 print parts of a server's response unquoted.
type harmless struct{ err error }

func (h harmless) Unwrap() error { return h.err }

func (h harmless) Error() string {
	const most = 600
	var b strings.Builder
	for _, r := range h.err.Error() {
		if b.Len() >= most {
			return b.String() + "..."
		}
		if strconv.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}
