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

// errReply is returned where what has come is no answer to the call.
var errReply = errors.New("what came is no answer of libvirt's")

// guard is the connection that go-libvirt has, which trusts a daemon: a
// packet's length makes it allocate as much, up to 4 GiB, or panic in a
// goroutine of its own; so does a count within the packet; a second answer to
// one call locks it up. The guard lets a packet pass only if it is the whole
// answer to the one call that waits, and everything that it counts is in it.
// Anything else is the end of the connection.
type guard struct {
	net.Conn

	// Of Read alone.
	checked []byte // what is left of the packet that may pass
	// Of Write alone.
	unsent int // bytes of the current packet that are still to come

	mu      sync.Mutex
	change  sync.Cond // of waiting and closed; its lock is mu
	waiting *header   // of the call that has no answer yet
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

// end closes the connection, for a reason of which only the first counts, and
// returns that. No error of package net's is handed on: go-libvirt would try
// again after some of them, for ever.
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

// await returns when there is something to be read for somebody. go-libvirt
// reads all the time, and a connection that ends before it has taken note of
// its beginning is a race within it; so between calls nothing ends.
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
		return n, g.end(errors.New("it takes no more calls"))
	}
	return n, nil
}

// expect lets the answer to a call pass.
func (g *guard) expect(call *header) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended == nil {
		g.waiting = call
		g.change.Broadcast()
	}
	return g.ended
}

// Read hands out packets that have been checked.
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
			g.Close() // whoever tries again gets the same
			return 0, err
		}
		g.checked = packet
	}
	n := copy(p, g.checked)
	g.checked = g.checked[n:]
	return n, nil
}

// receive reads a packet. Memory grows with what comes, not with the length
// that was announced.
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

// check says whether a packet is the answer that somebody waits for.
func (g *guard) check(packet []byte) error {
	h := readHeader(packet)
	g.mu.Lock()
	call := g.waiting
	g.waiting = nil
	g.mu.Unlock()
	if h.program != call.program || h.version != call.version || h.procedure != call.procedure ||
		h.serial != call.serial || h.kind != typeReply {
		return fmt.Errorf("%w: it is the answer to something else", errReply)
	}
	return checkReply(h, packet[headerLength:])
}

// Dial returns the guard itself: it is go-libvirt's dialer too, for one
// connection that is there already.
func (g *guard) Dial() (net.Conn, error) { return g, nil }
