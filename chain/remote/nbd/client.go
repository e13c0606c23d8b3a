// Package nbd reads an export of a server that speaks the Network Block Device
// protocol: the fixed newstyle handshake with NBD_OPT_GO, then reads with
// simple replies. It does not write, sends no other requests, and does not
// support TLS.
//
// The server is not trusted. No allocation depends on a length that it sends,
// the number of replies to an option is bounded, and errors quote and shorten
// its messages. The caller limits the time: close the connection to end a read
// that takes too long.
//
// The protocol is doc/proto.md of github.com/NetworkBlockDevice/nbd, whose
// names the constants have.
package nbd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const (
	requestMagic     = 0x25609513
	simpleReplyMagic = 0x67446698
	cmdRead          = 0
	cmdDisc          = 2
	simpleReply      = 16 // bytes
)

// Client reads one export. It is not safe for concurrent use.
type Client struct {
	conn    io.ReadWriteCloser
	size    int64
	minimum uint32 // every request is a multiple of these bytes
	payload uint32 // maximum bytes of a request
	cookie  uint64
	broken  error // the first error
}

// Open makes the handshake for an export; "" is the server's default one. The
// Client takes over the connection: Close closes it, and so does an Open that
// fails. Errors wrap [fs.ErrNotExist], [fs.ErrPermission], [ErrProtocol],
// [ErrUnsupported], [ErrServer], or what the connection returned.
func Open(conn io.ReadWriteCloser, export string) (*Client, error) {
	c := &Client{conn: conn, minimum: 1, payload: defaultPayload}
	if err := c.handshake(export); err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

// Size returns the length of the export, in bytes.
func (c *Client) Size() int64 { return c.size }

// BlockSize returns the block size in bytes, a power of two, at most 65536.
// The offset and the length of every read, and the size of the export, are
// multiples of it.
func (c *Client) BlockSize() int { return int(c.minimum) }

// ReadAt reads whole blocks within the export. After an error every further
// read returns the same error.
func (c *Client) ReadAt(p []byte, off int64) (int, error) {
	minimum := int64(c.minimum)
	if off < 0 || off > c.size || int64(len(p)) > c.size-off || off%minimum != 0 || int64(len(p))%minimum != 0 {
		return 0, fmt.Errorf("%d bytes at %d are not blocks of the export", len(p), off)
	}
	most := int(min(c.payload, defaultPayload) / c.minimum * c.minimum)
	done := 0
	for done < len(p) {
		piece := p[done:min(len(p), done+most)]
		if c.broken == nil {
			c.broken = c.read(piece, uint64(off)+uint64(done))
		}
		if c.broken != nil {
			return done, c.broken
		}
		done += len(piece)
	}
	return done, nil
}

func (c *Client) read(p []byte, off uint64) error {
	c.cookie++
	if err := c.request(cmdRead, off, uint32(len(p))); err != nil {
		return err
	}
	var reply [simpleReply]byte
	if err := c.readFull(reply[:]); err != nil {
		return err
	}
	if binary.BigEndian.Uint32(reply[:]) != simpleReplyMagic || binary.BigEndian.Uint64(reply[8:]) != c.cookie {
		return fmt.Errorf("%w: it replies to a read with %s", ErrProtocol, quote(reply[:]))
	}
	if value := binary.BigEndian.Uint32(reply[4:]); value != 0 {
		return readError(value)
	}
	return c.readFull(p)
}

func (c *Client) request(command uint16, off uint64, length uint32) error {
	b := binary.BigEndian.AppendUint32(nil, requestMagic)
	b = binary.BigEndian.AppendUint16(b, 0) // flags
	b = binary.BigEndian.AppendUint16(b, command)
	b = binary.BigEndian.AppendUint64(b, c.cookie)
	b = binary.BigEndian.AppendUint64(b, off)
	return c.write(binary.BigEndian.AppendUint32(b, length))
}

// readFull reads len(b) bytes from the server. It never returns [io.EOF] for a
// closed connection, because that would mean the end of the export.
func (c *Client) readFull(b []byte) error {
	n, err := io.ReadFull(c.conn, b)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("the server sent %d bytes of %d: %w", n, len(b), err)
	}
	return nil
}

func (c *Client) write(b []byte) error {
	if _, err := c.conn.Write(b); err != nil {
		return fmt.Errorf("sending a request to the server: %w", err)
	}
	return nil
}

// Close sends NBD_CMD_DISC, unless an error occurred, and closes the
// connection.
func (c *Client) Close() error {
	if c.broken == nil {
		// The server may be gone; nothing depends on this request.
		_ = c.request(cmdDisc, 0, 0)
		c.broken = io.ErrClosedPipe
	}
	return c.conn.Close()
}
