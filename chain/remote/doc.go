// Package remote opens images on the network, for operators who ask for it. An
// [Opener] stands where [chain.FileOpener] stands otherwise: local images go on
// to that, images on the network it reads itself.
//
//   - http and https by requests for ranges of bytes. A server without ranges
//     is refused, as QEMU refuses it (block/curl.c).
//   - nbd over TCP and Unix sockets, without TLS.
//   - ssh, ftp, ftps, iscsi, rbd, gluster and nfs through qemu-img, if the
//     operator names that program. It is told what to open as raw, so that it
//     recognises no format and follows no name.
//
// # What is contacted
//
// Only [Opener.Open] contacts anything, and only the hosts that the source
// names: no proxy from the environment, no redirect, no retry. Nothing that
// identifies the operator is sent, except what the source itself says
// (cookies); a source that wants a secret is refused without contact. An image
// keeps its one connection until it is closed. ssh and rbd are programs of
// their own inside qemu-img, which look for keys and settings where they always
// do.
//
// # Bounds
//
// An image is read within a time limit, which runs from its opening to its
// closing. It is fetched in blocks of 64 KiB, each at most once, 8 MiB in all.
// Each answer of the server is held against what was asked. The first error is
// the last word: whatever is read after it returns the same one.
package remote
