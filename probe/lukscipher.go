package probe

import (
	"bytes"
	"slices"
	"strings"
)

// Names that QEMU knows (qapi/crypto.json and crypto/block-luks.c of 7.2;
// later versions may also support the cipher sm4). Which of them a QEMU
// supports depends on its libraries.
var (
	luksModes  = []string{"ecb", "cbc", "xts", "ctr"}
	luksIVs    = []string{"plain", "plain64", "essiv"}
	luksHashes = map[string]uint32{ // bytes of digest
		"md5": 16, "sha1": 20, "sha224": 28, "sha256": 32, "sha384": 48, "sha512": 64, "ripemd160": 20,
	}
	luksKeys = map[string][]uint32{ // bytes of key, by cipher
		"aes": {16, 24, 32}, "cast5": {16}, "serpent": {16, 24, 32}, "twofish": {16, 24, 32},
	}
)

// luksCipher checks the three names in the header; the second has several
// parts: mode-iv or mode-iv:hash.
func (m *image) luksCipher(b []byte, keyBytes uint32) error {
	cipher, err := m.luksName(b, "cipher-name", 8)
	if err != nil {
		return err
	}
	spec, err := m.luksName(b, "cipher-mode", 40)
	if err != nil {
		return err
	}
	hash, err := m.luksName(b, "hash-spec", 72)
	if err != nil {
		return err
	}
	mode, iv, ok := strings.Cut(spec, "-")
	if !ok || !slices.Contains(luksModes, mode) {
		return m.unsupported("cipher-mode", 40, "%+q", spec)
	}
	iv, ivHash, hasHash := strings.Cut(iv, ":")
	digest, known := luksHashes[ivHash]
	if !slices.Contains(luksIVs, iv) || hasHash && !known {
		return m.unsupported("cipher-mode", 40, "%+q", spec)
	}
	if mode == "xts" {
		keyBytes /= 2 // there are two keys
	}
	if !slices.Contains(luksKeys[cipher], keyBytes) {
		return m.unsupported("key-bytes", 108, "%d for %+q in mode %s", keyBytes, cipher, mode)
	}
	if _, ok := luksHashes[hash]; !ok {
		return m.unsupported("hash-spec", 72, "%+q", hash)
	}
	// The digest is the key of the cipher that makes the IVs; cast5 has
	// keys of one length only.
	if iv == "essiv" && !slices.Contains(luksKeys[cipher], digest) {
		return m.unsupported("cipher-mode", 40, "%+q for %+q", spec, cipher)
	}
	return nil
}

// luksName returns the name at off, up to the NUL that must end it.
func (m *image) luksName(b []byte, field string, off int) (string, error) {
	const size = 32
	name, _, ok := bytes.Cut(b[off:off+size], []byte{0})
	if !ok {
		return "", m.corrupt(field, int64(off), "no NUL ends it")
	}
	return string(name), nil
}
