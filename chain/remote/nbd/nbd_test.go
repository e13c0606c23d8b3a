package nbd_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/chain/remote/nbd"
	"github.com/chainfix/chainfix/testdata/peers"
)

// A real server, by both kinds of socket, with and without names.
func TestQemuNBD(t *testing.T) {
	content := make([]byte, 300*512)
	rng := rand.NewChaCha8([32]byte{1})
	rng.Read(content)
	path := filepath.Join(t.TempDir(), "image.raw")
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, network := range []string{"tcp", "unix"} {
		for _, name := range []string{"", "disk", "/a b", strings.Repeat("x", 255)} {
			t.Run(network+" "+name[:min(len(name), 10)], func(t *testing.T) {
				address := peers.QemuNBD(t, network, "--format=raw", "--read-only", "--export-name="+name, path)
				dial := func() net.Conn {
					conn, err := net.Dial(network, address)
					if err != nil {
						t.Fatal(err)
					}
					return conn
				}
				c, err := nbd.Open(dial(), name)
				if err != nil {
					t.Fatal(err)
				}
				if c.Size() != int64(len(content)) {
					t.Errorf("size %d", c.Size())
				}
				got := make([]byte, c.Size())
				if n, err := c.ReadAt(got, 0); err != nil || n != len(got) || !bytes.Equal(got, content) {
					t.Errorf("read %d bytes: %v; equal: %v", n, err, bytes.Equal(got, content))
				}
				for range 20 {
					off := rand.IntN(len(content)/512) * 512
					part := make([]byte, rand.IntN((len(content)-off)/512+1)*512)
					if _, err := c.ReadAt(part, int64(off)); err != nil || !bytes.Equal(part, content[off:off+len(part)]) {
						t.Errorf("%d bytes at %d: %v", len(part), off, err)
					}
				}
				if _, err := c.ReadAt(make([]byte, 512), c.Size()); err == nil {
					t.Error("read past the end")
				}
				if err := c.Close(); err != nil {
					t.Error(err)
				}
				if _, err := c.ReadAt(got[:512], 0); err == nil {
					t.Error("read after Close")
				}
				if _, err := nbd.Open(dial(), "another"); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("unknown export: %v", err)
				}
			})
		}
	}
}

// served is a server that sends these bytes, whatever it reads.
type served struct {
	io.Reader
	received bytes.Buffer
	closed   bool
}

func (s *served) Write(p []byte) (int, error) { return s.received.Write(p) }
func (s *served) Close() error                { s.closed = true; return nil }

func u16(n uint16) string { return string(binary.BigEndian.AppendUint16(nil, n)) }
func u32(n uint32) string { return string(binary.BigEndian.AppendUint32(nil, n)) }
func u64(n uint64) string { return string(binary.BigEndian.AppendUint64(nil, n)) }

const greeting = "NBDMAGICIHAVEOPT\x00\x03"

func optReply(kind uint32, payload string) string {
	return u64(0x3e889045565a9) + u32(7) + u32(kind) + u32(uint32(len(payload))) + payload
}

func export(size uint64) string { return optReply(3, u16(0)+u64(size)+u16(3)) }

func blocks(minimum, preferred, maximum uint32) string {
	return optReply(3, u16(3)+u32(minimum)+u32(preferred)+u32(maximum))
}

func read(value uint32, cookie uint64, data string) string {
	return u32(0x67446698) + u32(value) + u64(cookie) + data
}

var (
	ack    = optReply(1, "")
	sector = strings.Repeat("s", 512)
)

// What a server may say instead of the handshake.
func TestHandshakeOfHostileServers(t *testing.T) {
	const escape = "\x1b[2J\n"
	for _, test := range []struct {
		name, sends string
		want        error
	}{
		{"nothing", "", io.ErrUnexpectedEOF},
		{"half a greeting", greeting[:17], io.ErrUnexpectedEOF},
		{"another protocol", "SSH-2.0-OpenSSH_9.2" + escape, nbd.ErrProtocol},
		{"oldstyle", "NBDMAGIC" + u64(0x00420281861253) + strings.Repeat("\x00", 136), nbd.ErrUnsupported},
		{"newstyle that is not fixed", "NBDMAGICIHAVEOPT\x00\x02", nbd.ErrUnsupported},
		{"no reply", greeting, io.ErrUnexpectedEOF},
		{"half a reply", greeting + export(512)[:25], io.ErrUnexpectedEOF},
		{"another magic", greeting + u64(0x3e889045565a8) + u32(7) + u32(1) + u32(0), nbd.ErrProtocol},
		{"a reply to another option", greeting + u64(0x3e889045565a9) + u32(6) + u32(1) + u32(0), nbd.ErrProtocol},
		{"a payload of 4 GiB", greeting + u64(0x3e889045565a9) + u32(7) + u32(3) + u32(math.MaxUint32), nbd.ErrProtocol},
		{"a message of 4 GiB", greeting + u64(0x3e889045565a9) + u32(7) + u32(1<<31+6) + u32(math.MaxUint32), nbd.ErrProtocol},
		{"no size", greeting + ack, nbd.ErrProtocol},
		{"an empty information", greeting + optReply(3, "") + ack, nbd.ErrProtocol},
		{"a short export", greeting + optReply(3, u16(0)+u64(512)) + ack, nbd.ErrProtocol},
		{"a long export", greeting + optReply(3, u16(0)+u64(512)+u32(3)) + ack, nbd.ErrProtocol},
		{"a negative size", greeting + export(1<<63) + ack, nbd.ErrProtocol},
		{"blocks of 0", greeting + export(512) + blocks(0, 512, 512) + ack, nbd.ErrProtocol},
		{"blocks of 3", greeting + export(512) + blocks(3, 512, 512) + ack, nbd.ErrProtocol},
		{"blocks of 128 KiB", greeting + export(1<<20) + blocks(1<<17, 1<<17, 1<<17) + ack, nbd.ErrProtocol},
		{"payload below the block", greeting + export(4096) + blocks(512, 4096, 512) + ack, nbd.ErrProtocol},
		{"an end that no block has", greeting + blocks(512, 512, 512) + export(513) + ack, nbd.ErrProtocol},
		{"endless information", greeting + strings.Repeat(export(512), 1000) + ack, nbd.ErrProtocol},
		{"a list of exports", greeting + optReply(2, u32(1)+"x") + ack, nbd.ErrProtocol},
		{"unknown export", greeting + optReply(1<<31+6, "no "+escape), fs.ErrNotExist},
		{"forbidden export", greeting + optReply(1<<31+2, ""), fs.ErrPermission},
		{"TLS", greeting + optReply(1<<31+5, ""), nbd.ErrUnsupported},
		{"a server without NBD_OPT_GO", greeting + optReply(1<<31+1, ""), nbd.ErrUnsupported},
		{"a server that ends", greeting + optReply(1<<31+7, escape), nbd.ErrServer},
		{"a long message", greeting + optReply(1<<31+3, strings.Repeat(escape, 4096/len(escape))), nbd.ErrServer},
		{"another error", greeting + optReply(math.MaxUint32, escape), nbd.ErrServer},
	} {
		s := &served{Reader: strings.NewReader(test.sends)}
		c, err := nbd.Open(s, "x")
		if c != nil || !errors.Is(err, test.want) || errors.Is(err, io.EOF) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
		if err != nil && (strings.ContainsAny(err.Error(), escape[:1]+"\n") || len(err.Error()) > 1200) {
			t.Errorf("%s: the error can drive a terminal: %q", test.name, err)
		}
		if !s.closed {
			t.Errorf("%s: the connection is open", test.name)
		}
	}
}

// Names that no server can have do not reach one.
func TestImpossibleNames(t *testing.T) {
	for _, name := range []string{strings.Repeat("x", 4097), "a\x00b"} {
		s := &served{Reader: strings.NewReader(greeting + export(512) + ack)}
		if _, err := nbd.Open(s, name); err == nil || s.received.Len() > 0 {
			t.Errorf("%.10q: %v, sent %q", name, err, s.received.String())
		}
	}
}

func TestReadsOfHostileServers(t *testing.T) {
	handshake := greeting + export(2048) + blocks(512, 512, 1024) + ack
	for _, test := range []struct {
		name, sends string
		want        error
	}{
		{"in order", read(0, 1, sector), nil},
		{"nothing", "", io.ErrUnexpectedEOF},
		{"short data", read(0, 1, sector[1:]), io.ErrUnexpectedEOF},
		{"no data", read(0, 1, ""), io.ErrUnexpectedEOF},
		{"another magic", u32(0x67446699) + u32(0) + u64(1) + sector, nbd.ErrProtocol},
		{"a structured reply, which nobody asked for", u32(0x668e33ef) + u16(1) + u16(1) + u64(1) + u32(520) + u64(0) + sector, nbd.ErrProtocol},
		{"a reply to another read", read(0, 2, sector), nbd.ErrProtocol},
		{"EIO", read(5, 1, ""), nbd.ErrServer},
		{"EPERM", read(1, 1, ""), fs.ErrPermission},
		{"an unknown error", read(math.MaxUint32, 1, ""), nbd.ErrServer},
	} {
		s := &served{Reader: strings.NewReader(handshake + test.sends)}
		c, err := nbd.Open(s, "")
		if err != nil {
			t.Fatal(err)
		}
		p := make([]byte, 512)
		n, err := c.ReadAt(p, 0)
		if !errors.Is(err, test.want) || errors.Is(err, io.EOF) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
		if err == nil {
			if n != 512 || string(p) != sector {
				t.Errorf("%s: %d bytes: %q", test.name, n, p)
			}
			continue
		}
		received := s.received.Len()
		if _, again := c.ReadAt(p, 512); again != err || s.received.Len() != received {
			t.Errorf("%s: a second read is tried: %v", test.name, again)
		}
	}
}

// A server's bounds are kept: whole blocks, and no request that is too long.
func TestBoundsOfRequests(t *testing.T) {
	answers := read(0, 1, sector+sector) + read(0, 2, sector)
	s := &served{Reader: strings.NewReader(greeting + export(2048) + blocks(512, 512, 1535) + ack + answers)}
	c, err := nbd.Open(s, "")
	if err != nil {
		t.Fatal(err)
	}
	if c.BlockSize() != 512 || c.Size() != 2048 {
		t.Errorf("blocks of %d, %d bytes", c.BlockSize(), c.Size())
	}
	s.received.Reset()
	for _, bad := range []struct{ off, n int64 }{{1, 512}, {0, 511}, {-512, 512}, {2048, 512}, {1536, 1024}, {math.MinInt64, 512}, {math.MaxInt64 - 511, 512}} {
		if _, err := c.ReadAt(make([]byte, bad.n), bad.off); err == nil || s.received.Len() > 0 {
			t.Errorf("%d bytes at %d: %v, sent %q", bad.n, bad.off, err, s.received.String())
		}
	}
	if n, err := c.ReadAt(make([]byte, 1536), 512); n != 1536 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	request := func(cookie, off uint64, n uint32) string {
		return u32(0x25609513) + u16(0) + u16(0) + u64(cookie) + u64(off) + u32(n)
	}
	if want := request(1, 512, 1024) + request(2, 1536, 512); s.received.String() != want {
		t.Errorf("asked %q, want %q", s.received.String(), want)
	}
}

// Whatever a server sends, it is an export that can be read as far as it goes,
// or an error.
func FuzzServer(f *testing.F) {
	f.Add([]byte(greeting+export(1024)+ack+read(0, 1, sector+sector)), uint16(1024))
	f.Add([]byte(greeting+blocks(512, 4096, math.MaxUint32)+export(1024)+ack+read(0, 1, sector)), uint16(512))
	f.Add([]byte(greeting+optReply(1<<31+6, "no")), uint16(1))
	f.Add([]byte(greeting+optReply(3, u16(1)+"name")+export(0)+ack), uint16(0))
	f.Fuzz(func(t *testing.T, sends []byte, n uint16) {
		s := &served{Reader: bytes.NewReader(sends)}
		c, err := nbd.Open(s, "x")
		if err != nil {
			if c != nil || !s.closed || strings.ContainsAny(err.Error(), "\x1b\n\x00") {
				t.Errorf("%q: %v", err, c)
			}
			return
		}
		if c.Size() < 0 || c.BlockSize() < 1 || c.BlockSize() > 65536 || c.Size()%int64(c.BlockSize()) != 0 {
			t.Errorf("%d bytes in blocks of %d", c.Size(), c.BlockSize())
		}
		got, err := c.ReadAt(make([]byte, n), 0)
		if (err == nil) != (got == int(n)) || err == nil && int64(n) > c.Size() {
			t.Errorf("read %d bytes of %d: %v", got, n, err)
		}
	})
}
