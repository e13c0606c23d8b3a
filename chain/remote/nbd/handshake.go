package nbd

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"strings"
)

const (
	initPasswd     = 0x4e42444d41474943 // "NBDMAGIC"
	optMagic       = 0x49484156454F5054 // "IHAVEOPT"
	oldstyleMagic  = 0x00420281861253
	optReplyMagic  = 0x3e889045565a9
	fixedNewstyle  = 1 << 0 // NBD_FLAG_FIXED_NEWSTYLE, the client's flag has the same value
	optAbort       = 2
	optGo          = 7
	repAck         = 1
	repInfo        = 3
	infoExport     = 0
	infoBlockSize  = 3
	maxString      = 4096
	optReplyHeader = 20 // bytes

	// maxReplies bounds the replies to one option. NBD_OPT_GO has one for each of
	// the four kinds of information.
	maxReplies = 32
	// maxReply bounds the length of a reply: the longest string, and two bytes
	// for the kind of information.
	maxReply = 2 + maxString
	// maxMinimum is the largest minimum block size of the protocol, in bytes.
	maxMinimum = 1 << 16
	// defaultPayload is the maximum request, in bytes, if the server states none.
	defaultPayload = 1 << 25
)

// handshake brings the connection to the transmission phase.
func (c *Client) handshake(export string) error {
	if len(export) > maxString || strings.Contains(export, "\x00") {
		return fmt.Errorf("an export cannot have this name: it is longer than %d bytes, or contains a NUL", maxString)
	}
	if err := c.greet(); err != nil {
		return err
	}
	data := binary.BigEndian.AppendUint32(nil, uint32(len(export)))
	data = append(data, export...)
	data = binary.BigEndian.AppendUint16(data, 1) // one request for information
	data = binary.BigEndian.AppendUint16(data, infoBlockSize)
	if err := c.option(optGo, data); err != nil {
		return err
	}

	var buffer [maxReply]byte
	exported := false
	for range maxReplies {
		kind, payload, err := c.optionReply(optGo, buffer[:])
		switch {
		case err != nil:
			return err
		case kind == repAck && !exported:
			return fmt.Errorf("%w: it sent no size", ErrProtocol)
		case kind == repAck:
			return c.checkSizes()
		case kind&(1<<31) != 0:
			// Return the error whether or not the abort arrives.
			_ = c.option(optAbort, nil)
			return optionError(kind, payload)
		case kind != repInfo || len(payload) < 2:
			return fmt.Errorf("%w: reply %#x of %d bytes to NBD_OPT_GO", ErrProtocol, kind, len(payload))
		}
		switch information := binary.BigEndian.Uint16(payload); {
		case information == infoExport && len(payload) == 12:
			exported = true
			size := binary.BigEndian.Uint64(payload[2:])
			if size > math.MaxInt64 {
				return fmt.Errorf("%w: an export of %d bytes", ErrProtocol, size)
			}
			c.size = int64(size)
		case information == infoBlockSize && len(payload) == 14:
			c.minimum = binary.BigEndian.Uint32(payload[2:])
			preferred := binary.BigEndian.Uint32(payload[6:])
			c.payload = binary.BigEndian.Uint32(payload[10:])
			if bits.OnesCount32(c.minimum) != 1 || c.minimum > maxMinimum || bits.OnesCount32(preferred) != 1 || preferred < c.minimum || c.payload < preferred {
				return fmt.Errorf("%w: block sizes %d, %d and %d", ErrProtocol, c.minimum, preferred, c.payload)
			}
		case information == infoExport, information == infoBlockSize:
			return fmt.Errorf("%w: information %d of %d bytes", ErrProtocol, information, len(payload))
		}
	}
	return fmt.Errorf("%w: more than %d replies to NBD_OPT_GO", ErrProtocol, maxReplies)
}

// greet reads the server's greeting and answers it.
func (c *Client) greet() error {
	var greeting [18]byte
	if err := c.readFull(greeting[:16]); err != nil {
		return err
	}
	passwd, magic := binary.BigEndian.Uint64(greeting[:]), binary.BigEndian.Uint64(greeting[8:])
	switch {
	case passwd != initPasswd || magic != optMagic && magic != oldstyleMagic:
		return fmt.Errorf("%w: its greeting is %s", ErrProtocol, quote(greeting[:16]))
	case magic == oldstyleMagic:
		return fmt.Errorf("%w: it uses the oldstyle handshake", ErrUnsupported)
	}
	if err := c.readFull(greeting[16:]); err != nil {
		return err
	}
	if binary.BigEndian.Uint16(greeting[16:])&fixedNewstyle == 0 {
		return fmt.Errorf("%w: it uses the newstyle handshake without the fixed flag", ErrUnsupported)
	}
	return c.write(binary.BigEndian.AppendUint32(nil, fixedNewstyle))
}

func (c *Client) option(option uint32, data []byte) error {
	b := binary.BigEndian.AppendUint64(nil, optMagic)
	b = binary.BigEndian.AppendUint32(b, option)
	b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
	return c.write(append(b, data...))
}

// optionReply reads one reply to an option. The payload is in buffer.
func (c *Client) optionReply(option uint32, buffer []byte) (kind uint32, payload []byte, err error) {
	var header [optReplyHeader]byte
	if err := c.readFull(header[:]); err != nil {
		return 0, nil, err
	}
	if binary.BigEndian.Uint64(header[:]) != optReplyMagic || binary.BigEndian.Uint32(header[8:]) != option {
		return 0, nil, fmt.Errorf("%w: it replies to an option with %s", ErrProtocol, quote(header[:]))
	}
	kind = binary.BigEndian.Uint32(header[12:])
	length := binary.BigEndian.Uint32(header[16:])
	if length > uint32(len(buffer)) {
		return 0, nil, fmt.Errorf("%w: reply %#x of %d bytes", ErrProtocol, kind, length)
	}
	if err := c.readFull(buffer[:length]); err != nil {
		return 0, nil, err
	}
	return kind, buffer[:length], nil
}

// checkSizes refuses an export with a size that is not a multiple of its block
// size, as QEMU does (nbd/client.c, 7.2): requests could not reach the last
// bytes.
func (c *Client) checkSizes() error {
	if c.size%int64(c.minimum) != 0 {
		return fmt.Errorf("%w: an export of %d bytes is not a multiple of its blocks of %d", ErrProtocol, c.size, c.minimum)
	}
	return nil
}
