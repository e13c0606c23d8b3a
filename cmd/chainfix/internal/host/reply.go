package host

import (
	"encoding/binary"
	"fmt"
)

// replies are the layouts of the replies of every procedure that [Daemon]
// calls (remote_protocol.x): "i" for four bytes, "s" for a string, and the
// part between "[" and "]" for each element of an array. A domain is "siiiii":
// its name, its UUID, its number.
var replies = map[uint32]string{
	1:   "",                     // CONNECT_OPEN
	4:   "ii",                   // CONNECT_GET_VERSION
	14:  "s",                    // DOMAIN_GET_XML_DESC
	24:  "siiiii",               // DOMAIN_LOOKUP_BY_UUID
	66:  "[i]",                  // AUTH_LIST
	70:  "i",                    // AUTH_POLKIT
	84:  "siiii",                // STORAGE_POOL_LOOKUP_BY_NAME
	88:  "s",                    // STORAGE_POOL_GET_XML_DESC
	95:  "sss",                  // STORAGE_VOL_LOOKUP_BY_NAME
	100: "s",                    // STORAGE_VOL_GET_PATH
	151: "i",                    // DOMAIN_IS_PERSISTENT
	157: "ii",                   // CONNECT_GET_LIB_VERSION
	183: "i",                    // DOMAIN_HAS_MANAGED_SAVE_IMAGE
	185: "s" + "siiiii",         // DOMAIN_SNAPSHOT_CREATE_XML
	186: "s",                    // DOMAIN_SNAPSHOT_GET_XML_DESC
	238: "iiiiiiii",             // DOMAIN_GET_BLOCK_JOB_INFO
	273: "[siiiii]i",            // CONNECT_LIST_ALL_DOMAINS
	274: "[s" + "siiiii" + "]i", // DOMAIN_LIST_ALL_SNAPSHOTS
	281: "[siiii]i",             // CONNECT_LIST_ALL_STORAGE_POOLS
	350: "siiiii",               // DOMAIN_DEFINE_XML_FLAGS
	388: "s",                    // DOMAIN_MANAGED_SAVE_GET_XML_DESC
	389: "",                     // DOMAIN_MANAGED_SAVE_DEFINE_XML
	411: "s" + "siiiii",         // DOMAIN_CHECKPOINT_CREATE_XML
	412: "s",                    // DOMAIN_CHECKPOINT_GET_XML_DESC
	413: "[s" + "siiiii" + "]i", // DOMAIN_LIST_ALL_CHECKPOINTS
}

// refusal is the start of the layout of an error reply: code, domain, whether
// a message follows, the message, level. go-libvirt does not read the rest
// (the objects that it is about).
const refusal = "iiisi"

// checkReply checks that the payload after a header has the right layout, to
// the last byte, so every count in it matches its elements.
func checkReply(h header, payload []byte) error {
	layout, known := replies[h.procedure]
	if !known || h.program != remoteProgram || h.version != remoteVersion {
		return fmt.Errorf("%w: procedure %d was never called", errReply, h.procedure)
	}
	switch h.status {
	case statusOK:
		if rest, ok := skip(layout, payload); !ok || len(rest) > 0 {
			return fmt.Errorf("%w: it does not have the layout of procedure %d", errReply, h.procedure)
		}
	case statusError:
		// go-libvirt treats the code 0 as success, and requires a message.
		if _, ok := skip(refusal, payload); !ok || word(payload, 0) == 0 || word(payload, 2) != 1 {
			return fmt.Errorf("%w: an error without a code or message", errReply)
		}
	default:
		return fmt.Errorf("%w: its status is %d", errReply, h.status)
	}
	return nil
}

func word(b []byte, i int) uint32 { return binary.BigEndian.Uint32(b[4*i:]) }

// skip returns the bytes after a layout, and whether b is long enough.
func skip(layout string, b []byte) (rest []byte, ok bool) {
	for i := 0; i < len(layout); i++ {
		if len(b) < 4 {
			return nil, false
		}
		n := uint64(word(b, 0))
		b = b[4:]
		switch layout[i] {
		case 's':
			padded := (n + 3) &^ 3
			if padded > uint64(len(b)) {
				return nil, false
			}
			b = b[padded:]
		case '[':
			end := i
			for layout[end] != ']' {
				end++
			}
			for ; n > 0; n-- {
				if b, ok = skip(layout[i+1:end], b); !ok {
					return nil, false
				}
			}
			i = end
		}
	}
	return b, true
}
