package host_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
)

// words are the bytes of 32-bit numbers, as XDR has them.
func words(numbers ...uint32) []byte {
	var b []byte
	for _, n := range numbers {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	return b
}

func text(s string) []byte {
	b := append(words(uint32(len(s))), s...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func join(parts ...[]byte) (all []byte) {
	for _, part := range parts {
		all = append(all, part...)
	}
	return all
}

// guestG is a guest as the protocol has it.
func guestG() []byte { return join(text("g"), make([]byte, 16), words(0xFFFFFFFF)) }

// answers are the payloads of an honest daemon with one guest.
func answers(procedure uint32) []byte {
	switch procedure {
	case 1: // CONNECT_OPEN
		return nil
	case 66: // AUTH_LIST
		return words(0)
	case 4: // CONNECT_GET_VERSION
		return words(0, 7_002_022)
	case 157: // CONNECT_GET_LIB_VERSION
		return words(0, 9_001_002)
	case 273: // CONNECT_LIST_ALL_DOMAINS
		return join(words(1), guestG(), words(1))
	case 24: // DOMAIN_LOOKUP_BY_UUID
		return guestG()
	case 14: // DOMAIN_GET_XML_DESC
		return text("<domain/>")
	case 183: // DOMAIN_HAS_MANAGED_SAVE_IMAGE
		return words(0)
	}
	panic("a procedure that the test does not expect")
}

// reply is the packet that answers a call.
func reply(call, payload []byte) []byte {
	packet := join(words(uint32(28+len(payload))), call[4:28], payload)
	copy(packet[16:], words(1))
	return packet
}

// fakeDaemon answers each call with what answer returns, and hangs up after
// what is shorter than a header. It returns a URI.
func fakeDaemon(t *testing.T, answer func(procedure uint32, call []byte) []byte) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "fake-") // the path of a socket has little room
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { listener.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			for {
				call := make([]byte, 28)
				if _, err := io.ReadFull(conn, call); err != nil {
					break
				}
				if _, err := io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint32(call))-28); err != nil {
					break
				}
				packet := answer(binary.BigEndian.Uint32(call[12:]), call)
				if _, err := conn.Write(packet); err != nil || len(packet) < 28 {
					break
				}
			}
			conn.Close()
		}
	}()
	return "qemu:///session?socket=" + path
}

// uuidG is the UUID of guestG.
const uuidG = "00000000-0000-0000-0000-000000000000"

// read connects and reads all guests, and if there is one, that again by itself.
func read(ctx context.Context, uri string) (names []string, err error) {
	d, err := host.Connect(ctx, uri)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	for guest, err := range d.Guests(ctx) {
		if err != nil {
			return names, err
		}
		names = append(names, guest.Name)
	}
	if len(names) > 0 {
		_, err = d.Inspect(ctx, uuidG)
	}
	return names, err
}

// TestHostileDaemon: whatever a peer sends instead of a reply, to any call,
// the connection ends at once, and the data is not used.
func TestHostileDaemon(t *testing.T) {
	honest := func(procedure uint32, call []byte) []byte { return reply(call, answers(procedure)) }
	if names, err := read(t.Context(), fakeDaemon(t, honest)); err != nil || len(names) != 1 || names[0] != "g" {
		t.Fatalf("an honest daemon: %q, %v", names, err)
	}

	// field changes one number of a packet's header.
	field := func(i int, value uint32) func([]byte) []byte {
		return func(packet []byte) []byte { copy(packet[4*i:], words(value)); return packet }
	}
	instead := func(payload ...[]byte) func([]byte) []byte {
		return func(packet []byte) []byte {
			packet = append(packet[:28], join(payload...)...)
			copy(packet, words(uint32(len(packet))))
			return packet
		}
	}
	attacks := map[string]func(packet []byte) []byte{
		"hangs up":                func([]byte) []byte { return nil },
		"hangs up in the header":  func(packet []byte) []byte { return packet[:10] },
		"no length":               field(0, 0),
		"less than a header":      field(0, 27),
		"a header alone, cut off": field(0, 24),
		"more than a message":     field(0, 32<<20+5),
		"four gigabytes":          field(0, 0xFFFFFFFF),
		"another program":         field(1, 0x20008087),
		"another version":         field(2, 2),
		"another procedure":       field(3, 2),
		"a call":                  field(4, 0),
		"an event":                field(4, 2),
		"a stream":                field(4, 3),
		"with files":              field(4, 5),
		"another serial number":   field(5, 77),
		"an unknown status":       field(6, 2),
		"an error without words":  func(p []byte) []byte { return field(6, 1)(instead()(p)) },
		"an error without a code or message": func(p []byte) []byte {
			return field(6, 1)(instead(words(0, 0, 1), text("no error"), words(2))(p))
		},
		"an error with a long message": func(p []byte) []byte {
			return field(6, 1)(instead(words(1, 0, 1, 0x7FFFFFF0), words(2))(p))
		},
		"garbage":          func([]byte) []byte { return []byte(strings.Repeat("GET / HTTP/1.1\r\n", 1000)) },
		"a long count":     instead(words(0x7FFFFFFF, 0, 0)),
		"a longer count":   instead(words(0xFFFFFFFF, 0, 0)),
		"trailing bytes":   func(p []byte) []byte { return instead(p[28:], words(0))(p) },
		"the answer twice": func(p []byte) []byte { return join(p, p) },
	}
	for name, attack := range attacks {
		t.Run(name, func(t *testing.T) {
			for _, target := range []uint32{66, 1, 157, 273, 24, 14, 183} {
				if name == "the answer twice" && target == 183 {
					continue // after the last call nobody reads
				}
				uri := fakeDaemon(t, func(procedure uint32, call []byte) []byte {
					packet := honest(procedure, call)
					if procedure != target {
						return packet
					}
					return attack(packet)
				})
				if names, err := read(t.Context(), uri); !errors.Is(err, host.ErrGone) {
					t.Errorf("procedure %d: %q, %v", target, names, err)
				}
			}
		})
	}
	for name, payload := range map[string][]byte{
		"a long name":           join(words(1), words(0x7FFFFFF0), words(0, 0, 0, 0, 0, 0)),
		"a name over the end":   join(words(1), words(0xFFFFFFFF), words(0, 0, 0, 0, 0, 0)),
		"more guests than come": join(words(2), guestG(), words(2)),
	} {
		t.Run(name, func(t *testing.T) {
			uri := fakeDaemon(t, func(procedure uint32, call []byte) []byte {
				if procedure == 273 {
					return reply(call, payload)
				}
				return honest(procedure, call)
			})
			if names, err := read(t.Context(), uri); !errors.Is(err, host.ErrGone) {
				t.Errorf("%q, %v", names, err)
			}
		})
	}
}

// TestRefusals: libvirt's own errors come with their code and their words, and
// do not end the connection.
func TestRefusals(t *testing.T) {
	refuse := func(call []byte, code uint32, message string) []byte {
		packet := reply(call, join(words(code, 10, 1), text(message), words(2)))
		copy(packet[24:], words(1))
		return packet
	}
	for _, c := range []struct {
		code    uint32
		message string
		want    string
	}{
		{1, "internal error: \x1b[2J\n", `virDomainGetXMLDesc: libvirt says "internal error: \x1b[2J\n" (error 1)`},
		{35, "(domain_definition):1: broken\n<graphics passwd='" + password + "'>\n---^", `virDomainGetXMLDesc: libvirt says "(domain_definition):1: broken" (error 35)`},
		{68, strings.Repeat("x", 5000), `virDomainGetXMLDesc: libvirt says "` + strings.Repeat("x", 2000) + `..." (error 68)`},
	} {
		uri := fakeDaemon(t, func(procedure uint32, call []byte) []byte {
			if procedure == 14 {
				return refuse(call, c.code, c.message)
			}
			return reply(call, answers(procedure))
		})
		d, err := host.Connect(t.Context(), uri)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			for guest, err := range d.Guests(t.Context()) {
				var answer *host.Error
				if guest == nil || guest.Name != "g" || guest.UUID == "" || !errors.As(err, &answer) || answer.Code != int(c.code) || err.Error() != c.want {
					t.Errorf("%+v, %v", guest, err)
				}
			}
		}
		d.Close()
	}

	gone := fakeDaemon(t, func(procedure uint32, call []byte) []byte {
		if procedure == 14 {
			return refuse(call, 42, "Domain not found")
		}
		return reply(call, answers(procedure))
	})
	if names, err := read(t.Context(), gone); err != nil || len(names) != 0 {
		t.Errorf("a guest that is gone: %q, %v", names, err)
	}
}

// TestContextEnds: a call ends with its context, in front of a daemon that
// does not answer, and the connection with it.
func TestContextEnds(t *testing.T) {
	for _, target := range []uint32{66, 1, 157, 273, 24, 14} {
		ctx, cancel := context.WithCancel(t.Context())
		uri := fakeDaemon(t, func(procedure uint32, call []byte) []byte {
			if procedure == target {
				cancel()
				// No answer, but a header's length of nothing: the line stays
				// open.
				return words(100, 0, 0, 0, 0, 0, 0)
			}
			return reply(call, answers(procedure))
		})
		d, err := host.Connect(ctx, uri)
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("procedure %d: %v", target, err)
			}
			continue
		}
		if target == 24 {
			if _, err := d.Inspect(ctx, uuidG); !errors.Is(err, context.Canceled) {
				t.Errorf("procedure %d: %v", target, err)
			}
		}
		for guest, err := range d.Guests(ctx) {
			if guest != nil || !errors.Is(err, context.Canceled) {
				t.Errorf("procedure %d: %v, %v", target, guest, err)
			}
		}
		for _, err := range d.Guests(t.Context()) {
			if !errors.Is(err, host.ErrGone) {
				t.Errorf("procedure %d: the connection is still used: %v", target, err)
			}
		}
	}
}
