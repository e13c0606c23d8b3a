// Package nbd reads an export of a server that speaks the Network Block Device
// protocol: the fixed newstyle handshake with NBD_OPT_GO, then reads with
// simple replies. It neither writes nor asks for anything else, and it speaks
// no TLS.
//
// The server is not trusted. Nothing is allocated by a length that it sends,
// the replies to an option are counted, and what it says of itself is quoted
// in errors, and cut. Time is the caller's: close the connection to end a read
// that takes too long.
//
// The protocol is doc/proto.md of github.com/NetworkBlockDevice/nbd, whose
// names the constants have.
package nbd
