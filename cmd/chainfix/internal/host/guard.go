package host

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// Numbers of libvirt's protocol (virnetprotocol.x, remote_protocol.x), the
// same ever since.
const (
	headerLength = 28         // length, program, version, procedure, type, serial, status
	maxPacket    = 32<<20 + 4 // VIR_NET_MESSAGE_MAX, and the length itself
	maxString    = 4 << 20    // REMOTE_STRING_MAX

	remoteProgram = 0x20008086
	remoteVersion = 1

	typeReply   = 1
	statusOK    = 0
	statusError = 1
)

// errReply is returned for a packet that is not the reply to the call.
var errReply = errors.New("invalid reply of libvirt")

// guard is go-libvirt's connection. go-libvirt trusts a daemon: a packet's
// length, or a count in it, makes it allocate up to 4 GiB, or panic in its own
// goroutine; a second reply to one call makes it deadlock. The guard passes a
// packet on only if it is the complete reply to the pending call, with all
// elements that it counts. Anything else ends the connection.
type guard struct {
	net.Conn

	// Used only by Read.
	checked []byte // rest of the checked packet
	// Used only by Write.
	unsent int // bytes of the current packet that are still to come

	mu      sync.Mutex
	change  sync.Cond // of waiting and closed; its lock is mu
	waiting *header   // header of the pending call
	ended   error     // why the connection is over
	closed  bool      // by go-libvirt or its user
}

func newGuard(conn net.Conn) *guard {
	g := &guard{Conn: conn}
	g.change.L = &g.mu
	return g
}

type header struct{ length, program, version, procedure, kind, serial, status uint32 }

func readHeader(b []byte) header {
	word := func(i int) uint32 { return binary.BigEndian.Uint32(b[4*i:]) }
	return header{word(0), word(1), word(2), word(3), word(4), word(5), word(6)}
}

// end closes the connection and returns the reason of the first call of end.
// It hides errors of package net: go-libvirt would retry forever after some of
// them.
func (g *guard) end(reason error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended == nil {
		g.ended = reason
		g.Conn.Close()
	}
	return g.ended
}

// Close ends the connection.
func (g *guard) Close() error {
	g.end(errors.New("it was closed"))
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	g.change.Broadcast()
	return nil
}

// await returns when a call is pending. go-libvirt reads all the time and has
// a race if the connection ends before it has recorded its start, so nothing
// ends between calls.
func (g *guard) await() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.waiting == nil && !g.closed {
		g.change.Wait()
	}
	return g.ended
}

// Write sends a part of a packet. go-libvirt flushes after each packet, and
// its buffer has room for a header, so one call never brings parts of two, and
// the first one brings the whole header.
func (g *guard) Write(p []byte) (int, error) {
	if g.unsent == 0 {
		if len(p) < headerLength {
			return 0, g.end(errors.New("a call without a header"))
		}
		h := readHeader(p)
		if err := g.expect(&h); err != nil {
			return 0, err
		}
		g.unsent = int(h.length)
	}
	n, err := g.Conn.Write(p)
	g.unsent -= n
	if err != nil {
		return n, g.end(errors.New("it accepts no more calls"))
	}
	return n, nil
}

// expect allows the reply to a call.
func (g *guard) expect(call *header) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended == nil {
		g.waiting = call
		g.change.Broadcast()
	}
	return g.ended
}

// Read returns checked packets.
func (g *guard) Read(p []byte) (int, error) {
	if len(g.checked) == 0 {
		if err := g.await(); err != nil {
			return 0, err
		}
		packet, err := g.receive()
		if err == nil {
			err = g.check(packet)
		}
		if err != nil {
			err = g.end(err)
			g.Close() // a retry gets the same error
			return 0, err
		}
		g.checked = packet
	}
	n := copy(p, g.checked)
	g.checked = g.checked[n:]
	return n, nil
}

// receive reads a packet. Memory grows with the received bytes, not with the
// announced length.
func (g *guard) receive() ([]byte, error) {
	var packet bytes.Buffer
	closed := errors.New("the daemon has closed it")
	if _, err := io.CopyN(&packet, g.Conn, 4); err != nil {
		return nil, closed
	}
	length := binary.BigEndian.Uint32(packet.Bytes())
	if length < headerLength || length > maxPacket {
		return nil, fmt.Errorf("%w: a packet of %d bytes", errReply, length)
	}
	if _, err := io.CopyN(&packet, g.Conn, int64(length)-4); err != nil {
		return nil, closed
	}
	return packet.Bytes(), nil
}

// check reports whether a packet is the reply to the pending call.
func (g *guard) check(packet []byte) error {
	h := readHeader(packet)
	g.mu.Lock()
	call := g.waiting
	g.waiting = nil
	g.mu.Unlock()
	if h.program != call.program || h.version != call.version || h.procedure != call.procedure ||
		h.serial != call.serial || h.kind != typeReply {
		return fmt.Errorf("%w: it is the reply to another call", errReply)
	}
	return checkReply(h, packet[headerLength:])
}

// Dial returns the guard itself: it is go-libvirt's dialer too, for one
// existing connection.
func (g *guard) Dial() (net.Conn, error) { return g, nil }
