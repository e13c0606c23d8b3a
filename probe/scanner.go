package probe

import "math"

// scanner parses a text by the rules of C's sscanf, which QEMU uses for VMDK
// descriptors.
type scanner struct {
	text []byte
	at   int // at most len(text)
}

func notSpace(c byte) bool { return c != ' ' && (c < '\t' || c > '\r') }

// space skips white space, newlines included.
func (s *scanner) space() {
	for s.at < len(s.text) && !notSpace(s.text[s.at]) {
		s.at++
	}
}

// literal skips c if it is next.
func (s *scanner) literal(c byte) bool {
	if s.at == len(s.text) || s.text[s.at] != c {
		return false
	}
	s.at++
	return true
}

// run takes up to n bytes that are in a set, or nil.
func (s *scanner) run(n int, in func(byte) bool) []byte {
	start := s.at
	for s.at < len(s.text) && s.at-start < n && in(s.text[s.at]) {
		s.at++
	}
	if s.at == start {
		return nil
	}
	return s.text[start:s.at]
}

// sign skips a sign and reports whether it was a minus.
func (s *scanner) sign() (minus bool) {
	minus = s.literal('-')
	if !minus {
		s.literal('+')
	}
	return minus
}

// number takes a decimal number with or without a sign. One that is too large
// becomes the largest number.
func (s *scanner) number() (v int64, ok bool) {
	minus := s.sign()
	for ; s.at < len(s.text) && '0' <= s.text[s.at] && s.text[s.at] <= '9'; s.at++ {
		ok = true
		if d := int64(s.text[s.at] - '0'); v <= (math.MaxInt64-d)/10 {
			v = v*10 + d
		} else {
			v = math.MaxInt64
		}
	}
	if minus {
		v = -v
	}
	return v, ok
}
