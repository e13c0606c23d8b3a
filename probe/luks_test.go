package probe_test

import (
	"strings"

	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
)

const luksPayload = 1 << 20 / 512 // sectors: of the payload, as mkimage has it, less 8

// luks is a LUKS image of 512 bytes.
func luks(edits ...edit) []byte {
	return apply(must(mkimage.LUKS1{VirtualSize: 512}.Bytes()), edits...)
}

// luksCipher gives it another cipher, with a key that fits.
func luksCipher(name, mode, hash string, keyBytes uint32) []byte {
	text := func(s string) string { return s + strings.Repeat("\x00", 32-len(s)) }
	return luks(put(8, text(name)), put(40, text(mode)), put(72, text(hash)), be32(108, keyBytes))
}

// slot is where key slot n stands, from 1 on.
func slot(n int) int { return 208 + (n-1)*48 }

func luksHeader(change func(h *probe.Header)) *probe.Header {
	h := &probe.Header{Format: probe.LUKS, Version: 1, VirtualSize: 512, Encryption: probe.LUKSEnc}
	if change != nil {
		change(h)
	}
	return h
}

var luksCases = []readCase{
	{name: "plain", image: luks(), want: luksHeader(nil)},
	{name: "magic", image: luks(byteAt(5, 0xbf)), err: probe.ErrSignature, field: "magic"},
	{name: "magic only", image: luks(end(6)), err: probe.ErrTruncated, field: "version"},
	{name: "version 0", image: luks(byteAt(7, 0)), err: probe.ErrUnsupported, field: "version"},
	{name: "version 2", image: luks(byteAt(7, 2)), err: probe.ErrUnsupported, field: "version"},
	{name: "version 257", image: luks(byteAt(6, 1)), err: probe.ErrUnsupported, field: "version"},
	{name: "truncated header", image: luks(end(591)), err: probe.ErrTruncated, field: "header"},

	{name: "cipher without NUL", image: luks(put(8, strings.Repeat("a", 32))), err: probe.ErrCorrupt, field: "cipher-name"},
	{name: "mode without NUL", image: luks(put(40, strings.Repeat("a", 32))), err: probe.ErrCorrupt, field: "cipher-mode"},
	{name: "hash without NUL", image: luks(put(72, strings.Repeat("a", 32))), err: probe.ErrCorrupt, field: "hash-spec"},
	{name: "no cipher", image: luks(byteAt(8, 0)), err: probe.ErrUnsupported, field: "key-bytes"},
	{name: "unknown cipher", image: luks(put(8, "des\x00")), err: probe.ErrUnsupported, field: "key-bytes"},
	{name: "cipher in upper case", image: luks(put(8, "AES\x00")), err: probe.ErrUnsupported, field: "key-bytes"},
	{name: "cipher with more behind its NUL", image: luks(put(8, "aes\x00des")), want: luksHeader(nil)},
	{name: "no mode", image: luks(byteAt(40, 0)), err: probe.ErrUnsupported, field: "cipher-mode"},
	{name: "mode without IVs", image: luks(put(40, "xts\x00")), err: probe.ErrUnsupported, field: "cipher-mode"},
	{name: "unknown mode", image: luks(put(40, "gcm-plain64\x00")), err: probe.ErrUnsupported, field: "cipher-mode"},
	{name: "unknown IVs", image: luks(put(40, "xts-benbi\x00")), err: probe.ErrUnsupported, field: "cipher-mode"},
	{name: "IVs in two words", image: luks(put(40, "xts-plain-64\x00")), err: probe.ErrUnsupported, field: "cipher-mode"},
	{name: "unused hash of IVs", image: luks(put(40, "xts-plain64:sha256\x00")), want: luksHeader(nil)},
	{name: "unused and unknown hash of IVs", image: luks(put(40, "xts-plain64:sha3\x00")), err: probe.ErrUnsupported, field: "cipher-mode"},
	{name: "unused and empty hash of IVs", image: luks(put(40, "xts-plain64:\x00")), err: probe.ErrUnsupported, field: "cipher-mode"},
	{name: "unknown hash", image: luks(put(72, "sha3\x00")), err: probe.ErrUnsupported, field: "hash-spec"},
	{name: "no hash", image: luks(byteAt(72, 0)), err: probe.ErrUnsupported, field: "hash-spec"},
	{name: "aes-128 in cbc mode", image: luksCipher("aes", "cbc-essiv:sha256", "sha1", 16), want: luksHeader(nil)},
	{name: "aes-192 in xts mode", image: luks(be32(108, 48)), err: probe.ErrCorrupt, field: "key-slot-2 key-material-offset"},
	{name: "aes with a key of 20 bytes", image: luksCipher("aes", "cbc-plain", "sha1", 20), err: probe.ErrUnsupported, field: "key-bytes"},
	{name: "aes in xts mode with a key of 16 bytes", image: luks(be32(108, 16)), err: probe.ErrUnsupported, field: "key-bytes"},
	{name: "aes in xts mode with a key of 33 bytes", image: luks(be32(108, 33)), err: probe.ErrCorrupt, field: "key-slot-2 key-material-offset"},
	{name: "key of 2^32-1 bytes", image: luks(be32(108, 1<<32-1)), err: probe.ErrUnsupported, field: "key-bytes"},
	{name: "key of 2^31+32 bytes", image: luks(be32(108, 1<<31+32)), err: probe.ErrUnsupported, field: "key-bytes"},
	{name: "essiv without a hash", image: luksCipher("aes", "cbc-essiv", "sha1", 16), err: probe.ErrUnsupported, field: "cipher-mode"},
	{name: "essiv with a hash that makes no key", image: luksCipher("aes", "cbc-essiv:sha1", "sha1", 16), err: probe.ErrUnsupported, field: "cipher-mode"},
	{name: "essiv of cast5", image: luksCipher("cast5", "cbc-essiv:md5", "sha1", 16), want: luksHeader(nil)},
	{name: "essiv of cast5, with a longer digest", image: luksCipher("cast5", "cbc-essiv:sha256", "sha1", 16), err: probe.ErrUnsupported, field: "cipher-mode"},
	{name: "twofish", image: luksCipher("twofish", "ctr-plain64", "ripemd160", 32), want: luksHeader(nil)},
	{name: "serpent", image: luksCipher("serpent", "ecb-plain", "sha512", 24), want: luksHeader(nil)},

	{name: "payload in the header", image: luks(be32(104, 7)), err: probe.ErrCorrupt, field: "payload-offset"},
	{name: "payload in the key material", image: luks(be32(104, luksPayload)), err: probe.ErrCorrupt, field: "key-slot-8 key-material-offset"},
	{name: "payload at the image's end", image: luks(end(luksPayload*512 + 4096)), want: luksHeader(func(h *probe.Header) { h.VirtualSize = 0 })},
	{name: "payload of one byte", image: luks(end(luksPayload*512 + 4096 + 1)), want: luksHeader(nil)},
	{name: "payload behind the image's end", image: luks(end(luksPayload*512 + 4096 - 512)), err: probe.ErrTruncated, field: "payload-offset"},
	{name: "payload at 2^32-1 sectors", image: luks(be32(104, 1<<32-1)), err: probe.ErrTruncated, field: "payload-offset"},
	{name: "no iterations", image: luks(be32(164, 0)), err: probe.ErrCorrupt, field: "mk-digest-iter"},
	{name: "2^32-1 iterations, which nobody counts", image: luks(be32(164, 1<<32-1)), want: luksHeader(nil)},

	{name: "slot in use", image: luks(be32(slot(1), 0x00AC71F3), be32(slot(1)+4, 1)), want: luksHeader(nil)},
	{name: "slot in use, no iterations", image: luks(be32(slot(8), 0x00AC71F3)), err: probe.ErrCorrupt, field: "key-slot-8 iterations"},
	{name: "slot neither in use nor not", image: luks(be32(slot(3), 0)), err: probe.ErrCorrupt, field: "key-slot-3 active"},
	{name: "stripes", image: luks(be32(slot(2)+44, 4001)), err: probe.ErrCorrupt, field: "key-slot-2 stripes"},
	{name: "no stripes", image: luks(be32(slot(2)+44, 0)), err: probe.ErrCorrupt, field: "key-slot-2 stripes"},
	{name: "key material in the header", image: luks(be32(slot(1)+40, 7)), err: probe.ErrCorrupt, field: "key-slot-1 key-material-offset"},
	{name: "key material in the payload", image: luks(be32(slot(8)+40, 8+7*256+1)), err: probe.ErrCorrupt, field: "key-slot-8 key-material-offset"},
	{name: "key material in another's", image: luks(be32(slot(2)+40, 8+255)), err: probe.ErrCorrupt, field: "key-slot-2 key-material-offset"},
	{name: "the same key material twice", image: luks(be32(slot(7)+40, 8)), err: probe.ErrCorrupt, field: "key-slot-7 key-material-offset"},
	{name: "key material at 2^32-256 sectors", image: luks(be32(slot(8)+40, 1<<32-256)), err: probe.ErrCorrupt, field: "key-slot-8 key-material-offset", differs: "luks key material that wraps around"},
}
