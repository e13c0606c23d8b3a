package probe_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
)

// edit changes an image.
type edit func(b []byte) []byte

func apply(b []byte, edits ...edit) []byte {
	for _, e := range edits {
		b = e(b)
	}
	return b
}

func put(off int, s string) edit {
	return func(b []byte) []byte {
		b = append(b, make([]byte, max(0, off+len(s)-len(b)))...)
		copy(b[off:], s)
		return b
	}
}

func be32(off int, v uint32) edit { return put(off, string(binary.BigEndian.AppendUint32(nil, v))) }
func be64(off int, v uint64) edit { return put(off, string(binary.BigEndian.AppendUint64(nil, v))) }
func le32(off int, v uint32) edit { return put(off, string(binary.LittleEndian.AppendUint32(nil, v))) }
func le64(off int, v uint64) edit { return put(off, string(binary.LittleEndian.AppendUint64(nil, v))) }
func byteAt(off int, v byte) edit { return put(off, string([]byte{v})) }

// end makes the image n bytes long.
func end(n int) edit {
	return func(b []byte) []byte {
		if n <= len(b) {
			return b[:n:n]
		}
		return append(b, make([]byte, n-len(b))...)
	}
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// ext is a header extension of qcow2.
func ext(kind uint32, data string) mkimage.Extension {
	return mkimage.Extension{Type: kind, Data: []byte(data)}
}

const (
	extFeatureNames uint32 = 0x6803F857
	extLUKS         uint32 = 0x0537BE77
	extBitmaps      uint32 = 0x23852875
)

func be(values ...any) string {
	var b bytes.Buffer
	for _, v := range values {
		if err := binary.Write(&b, binary.BigEndian, v); err != nil {
			panic(err)
		}
	}
	return b.String()
}

// countingReader counts, and knows how long the image is said to be.
type countingReader struct {
	t     testing.TB
	r     io.ReaderAt
	size  int64
	reads int
	bytes int64
}

func (c *countingReader) ReadAt(p []byte, off int64) (int, error) {
	c.reads++
	c.bytes += int64(len(p))
	if off < 0 || off > c.size || int64(len(p)) > c.size-off {
		c.t.Errorf("a read of %d bytes at %d of an image of %d", len(p), off, c.size)
	}
	return c.r.ReadAt(p, off)
}

// padded is an image with zeros after its end, without end.
type padded []byte

func (b padded) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	if off < int64(len(b)) {
		copy(p, b[off:])
	}
	return len(p), nil
}

// sentinels returns the Err... variables that err wraps.
func sentinels(err error) []string {
	var all []string
	for name, sentinel := range map[string]error{
		"ErrSignature":   probe.ErrSignature,
		"ErrTruncated":   probe.ErrTruncated,
		"ErrCorrupt":     probe.ErrCorrupt,
		"ErrUnsupported": probe.ErrUnsupported,
		"ErrLimit":       probe.ErrLimit,
		"ErrUnread":      probe.ErrUnread,
	} {
		if errors.Is(err, sentinel) {
			all = append(all, name)
		}
	}
	return all
}

// plausibleCluster: two formats count sectors, the others have powers of two.
func plausibleCluster(h *probe.Header) bool {
	if h.Format == probe.Parallels || h.Format == probe.Cloop {
		return h.ClusterSize%512 == 0
	}
	return h.ClusterSize&(h.ClusterSize-1) == 0
}

// read calls Read and checks what must hold of it whatever the image holds.
func read(t testing.TB, r io.ReaderAt, size int64, f probe.Format) (*probe.Header, error) {
	t.Helper()
	counter := &countingReader{t: t, r: r, size: size}
	h, err := probe.Read(counter, size, f)
	if counter.bytes > 2<<20 || counter.reads > 12 {
		t.Errorf("%d bytes in %d reads", counter.bytes, counter.reads)
	}
	if err != nil {
		var e *probe.Error
		if h != nil || len(sentinels(err)) != 1 || !errors.As(err, &e) || e.Format != f || e.Offset < -1 {
			t.Errorf("Read returns %+v and %#v", h, err)
		}
		return nil, err
	}
	if h.Format != f || h.VirtualSize%512 != 0 || h.VirtualSize > 1<<63-1 || !plausibleCluster(h) {
		t.Errorf("%+v", h)
	}
	if h.DataFileRaw && h.DataFile == nil {
		t.Errorf("a raw data file, but no data file: %+v", h)
	}
	for _, ref := range h.References() {
		// A name that stands nowhere is empty, or was decoded.
		if there := make([]byte, len(ref.Name)); ref.Offset != -1 {
			if _, err := r.ReadAt(there, ref.Offset); err != nil && err != io.EOF || string(there) != ref.Name {
				t.Errorf("%q is not what stands at %d: %q, %v", ref.Name, ref.Offset, there, err)
			}
		} else if !utf8.ValidString(ref.Name) {
			t.Errorf("%q is not UTF-8", ref.Name)
		}
		if len(ref.Name) > 4095 || strings.ContainsRune(ref.Name, 0) || len(ref.Format) > 15 || strings.ContainsRune(ref.Format, 0) {
			t.Errorf("%+v", ref)
		}
		if (ref.Format != "" || ref.FormatCutAtNUL) && !ref.FormatRecorded {
			t.Errorf("a format that is not recorded: %+v", ref)
		}
	}
	return h, nil
}
