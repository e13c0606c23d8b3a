package main

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/chainfix/chainfix/testdata/peers"
)

// link is a line to the daemon with something in it: calls are counted, and may
// be kept from the daemon, or their answers from the program.
type link struct {
	call func(n int, procedure uint32, packet []byte) (forward, reply bool)
	// answer may replace the daemon's answer; nil passes it on.
	answer func(procedure uint32, packet []byte) []byte
	uri    string
}

func newLink(t *testing.T, l *peers.Libvirt, call func(n int, procedure uint32, packet []byte) (forward, reply bool)) *link {
	t.Helper()
	dir, err := os.MkdirTemp("", "link-") // the path of a socket has little room
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	listener, err := net.Listen("unix", filepath.Join(dir, "sock"))
	if err != nil {
		t.Fatal(err)
	}
	listenAsOwner(t, listener.(*net.UnixListener), l.Socket())
	k := &link{call: call, uri: "qemu+unix:///session?socket=" + filepath.Join(dir, "sock")}
	done := make(chan struct{})
	t.Cleanup(func() { listener.Close(); <-done })
	go func() {
		defer close(done)
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			if far, err := net.Dial("unix", l.Socket()); err == nil {
				k.serve(near, far)
				far.Close()
			}
			near.Close()
		}
	}()
	return k
}

// listenAsOwner makes the owner of a file, the daemon's socket, the one who listens: by
// that user a run is known.
func listenAsOwner(t *testing.T, listener *net.UnixListener, file string) {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := listener.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	become := func(user uint32) error { // this thread alone
		const same = ^uintptr(0)
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, same, uintptr(user), same); errno != 0 {
			return errno
		}
		return nil
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	listenErr := become(info.Sys().(*syscall.Stat_t).Uid)
	if listenErr == nil {
		if err := raw.Control(func(fd uintptr) { listenErr = unix.Listen(int(fd), 16) }); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(listenErr, become(uint32(os.Getuid()))); err != nil {
		t.Fatal(err)
	}
}

// serve passes calls and answers on, one after the other, until a call is kept.
func (k *link) serve(near, far net.Conn) {
	for n := 1; ; n++ {
		packet, err := readPacket(near)
		if err != nil {
			return
		}
		forward, reply := k.call(n, binary.BigEndian.Uint32(packet[12:]), packet)
		if !forward {
			return
		}
		if _, err := far.Write(packet); err != nil {
			return
		}
		answer, err := readPacket(far)
		if err != nil || !reply {
			return
		}
		if k.answer != nil {
			answer = k.answer(binary.BigEndian.Uint32(packet[12:]), answer)
		}
		if _, err := near.Write(answer); err != nil {
			return
		}
	}
}

func readPacket(r io.Reader) ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	packet := make([]byte, binary.BigEndian.Uint32(length[:]))
	copy(packet, length[:])
	_, err := io.ReadFull(r, packet[4:])
	return packet, err
}
