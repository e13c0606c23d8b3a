package host

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// FuzzCheckReply: what passes is there to the last byte: any cut, and any
// addition, does not pass.
func FuzzCheckReply(f *testing.F) {
	word := func(numbers ...uint32) (b []byte) {
		for _, n := range numbers {
			b = binary.BigEndian.AppendUint32(b, n)
		}
		return b
	}
	domain := append(append(word(1), "g\x00\x00\x00"...), word(1, 2, 3, 4, 5)...)
	f.Add(uint32(273), uint32(0), append(append(word(1), domain...), word(1)...))
	f.Add(uint32(273), uint32(0), word(0xFFFFFFFF, 0))
	f.Add(uint32(274), uint32(0), append(append(append(word(1), word(0)...), domain...), word(1)...))
	f.Add(uint32(14), uint32(0), word(0))
	f.Add(uint32(14), uint32(0), word(0xFFFFFFFD, 0))
	f.Add(uint32(66), uint32(0), word(2, 0, 2))
	f.Add(uint32(1), uint32(0), []byte{})
	f.Add(uint32(14), uint32(1), append(append(word(42, 10, 1, 2), "no\x00\x00"...), word(2)...))
	f.Fuzz(func(t *testing.T, procedure, status uint32, payload []byte) {
		h := header{program: remoteProgram, version: remoteVersion, procedure: procedure, status: status}
		if checkReply(h, payload) != nil {
			return
		}
		if status == statusError {
			if len(payload) < 20 {
				t.Errorf("%d bytes are an error", len(payload))
			}
			return
		}
		if checkReply(h, append(bytes.Clone(payload), 0, 0, 0, 0)) == nil {
			t.Error("more passes too")
		}
		if len(payload) > 0 && checkReply(h, payload[:len(payload)-1]) == nil {
			t.Error("less passes too")
		}
	})
}

// FuzzIdentify: what passes for a name is one of a file in a folder, and the
// record of a running guest has a domain in it, whatever the text.
func FuzzIdentify(f *testing.F) {
	for _, seed := range []string{
		"<domain><name>a</name><uuid>1</uuid></domain>",
		"<domain><name>a/b</name></domain>",
		"<!-- x --><domain id='1'><uuid/><name>a<b/>c</name>",
		"<domstatus><blockjobs active='yes'/><domain id='1'><name>a</name></domain></domstatus>",
		"<domstatus><domain/></domstatus>", "<domstatus>", "<a", "",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if name, _, err := identify(text); err == nil && (name == "" || bytes.ContainsAny([]byte(name), "/\x00")) {
			t.Errorf("the name is %q", name)
		}
		live, _, err := readStatus(text)
		if err != nil {
			return
		}
		if !bytes.HasPrefix(live, []byte("<")) || !bytes.HasSuffix(live, []byte(">")) || !bytes.Contains(text, live) {
			t.Errorf("running: %q", live)
		}
	})
}
