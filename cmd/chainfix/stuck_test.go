package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/chainfix/chainfix/testdata/peers"
	"github.com/chainfix/chainfix/testdata/slowfs/mount"
)

// stuck is a run of the program that waits for something that does not come.
type stuck struct {
	args  []string
	stdin *os.File          // nil for none
	await func(process int) // returns once the program waits
	// release, which may be nil, lets go of threads that the kernel does not let go:
	// until then the process of the program is not gone.
	release func()
	// stateDir is where a run of apply has begun; "" for none.
	stateDir string
}

// stuckRuns are ways to wait, by what it is for.
var stuckRuns = map[string]func(t *testing.T) stuck{
	"fix, standard input":    func(t *testing.T) stuck { return stuckOnInput(t, "fix") },
	"strip, standard input":  func(t *testing.T) stuck { return stuckOnInput(t, "strip") },
	"check, standard input":  func(t *testing.T) stuck { return stuckOnInput(t, "check") },
	"hook, standard input":   func(t *testing.T) stuck { return stuckOnInput(t, "hook", "g", "migrate", "begin", "-") },
	"verify, standard input": func(t *testing.T) stuck { return stuckOnInput(t, "hook", "--verify", "g", "prepare", "begin", "-") },
	"fix, FIFO":              func(t *testing.T) stuck { return stuckOnFIFO(t, "fix") },
	"strip, FIFO":            func(t *testing.T) stuck { return stuckOnFIFO(t, "strip") },
	"check, FIFO":            func(t *testing.T) stuck { return stuckOnFIFO(t, "check", "--output", "json") },
	"host scan, libvirt":     func(t *testing.T) stuck { return stuckOnLibvirt(t, "scan") },
	"host apply, libvirt":    func(t *testing.T) stuck { return stuckOnLibvirt(t, "apply", "--state-dir", "state") },
	"dry run, libvirt":       func(t *testing.T) stuck { return stuckOnLibvirt(t, "apply", "--dry-run") },
	"host rollback, libvirt": func(t *testing.T) stuck { return stuckOnLibvirt(t, "rollback", "state/run") },
	"check, names": func(t *testing.T) stuck {
		s := newHangingStorage(t, "hang-lookup", 64)
		return s.stuck("check", s.documents...)
	},
	"check, images": func(t *testing.T) stuck {
		s := newHangingStorage(t, "hang-read", 64)
		return s.stuck("check", s.documents...)
	},
	"check, images on NFS": func(t *testing.T) stuck {
		s := newHangingStorage(t, "hang-read-intr", 64)
		return s.stuck("check", s.documents...)
	},
	"check, documents": func(t *testing.T) stuck {
		s := newHangingStorage(t, "hang-open", 64)
		return s.stuck("check", s.images...)
	},
	"fix, image": func(t *testing.T) stuck {
		s := newHangingStorage(t, "hang-open", 1)
		return s.stuck("fix", s.documents...)
	},
	"fix -w, image": func(t *testing.T) stuck {
		s := newHangingStorage(t, "hang-getattr-intr", 1)
		return s.stuck("fix", "-w", s.documents[0])
	},
	"probe, image": func(t *testing.T) stuck {
		s := newHangingStorage(t, "hang-read", 1)
		return s.stuck("probe", s.images...)
	},
	"hook, image": stuckHook,
	"host scan, images": func(t *testing.T) stuck {
		s := newHangingStorage(t, "hang-getattr", 64)
		return s.stuck("host scan", "--from", s.definitions)
	},
	"host scan of libvirt, images": func(t *testing.T) stuck {
		s := newHangingStorage(t, "hang-lookup-intr", 4)
		return s.stuck("host scan", "--connect", s.defined(t).URI())
	},
	"host apply, images": func(t *testing.T) stuck {
		s := newHangingStorage(t, "hang-open-intr", 4)
		return begun(t, s.stuck("host apply", "--connect", s.defined(t).URI()))
	},
	"check, stopped server": func(t *testing.T) stuck { s := newStoppedStorage(t); return s.stuckInKernel("check", s.documents...) },
	"host scan, stopped server": func(t *testing.T) stuck {
		s := newStoppedStorage(t)
		return s.stuckInKernel("host scan", "--from", s.definitions)
	},
	"host scan of libvirt, stopped server": func(t *testing.T) stuck {
		s := newStoppedStorage(t)
		return s.stuckInKernel("host scan", "--connect", s.defined(t).URI())
	},
	"host apply, stopped server": func(t *testing.T) stuck {
		s := newStoppedStorage(t)
		return begun(t, s.stuckInKernel("host apply", "--connect", s.defined(t).URI()))
	},
	"hook, stopped server": func(t *testing.T) stuck {
		s := newStoppedStorage(t)
		run := s.stuckInKernel("hook", "guest0", "restore", "begin", "-")
		run.stdin = s.document(t)
		return run
	},
}

// begun gives a run of apply a folder.
func begun(t *testing.T, run stuck) stuck {
	run.stateDir = filepath.Join(t.TempDir(), "state")
	run.args = append(run.args, "--state-dir", run.stateDir)
	return run
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

// stuckOnInput is given a part of its standard input.
func stuckOnInput(t *testing.T, args ...string) stuck {
	r, w := pipe(t)
	return stuck{args: args, stdin: r, await: func(int) {
		// More than the pipe holds: some of it has been read.
		if _, err := w.Write(make([]byte, 1<<17)); err != nil {
			t.Fatal(err)
		}
	}}
}

func fifo(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// stuckOnFIFO has a FIFO for its last argument, which is opened and never written to.
func stuckOnFIFO(t *testing.T, args ...string) stuck {
	path := fifo(t)
	return stuck{args: append(args, path), await: func(int) {
		w, err := os.OpenFile(path, os.O_WRONLY, 0) // waits for the program
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { w.Close() })
	}}
}

// stuckOnLibvirt calls a libvirt that takes its first call and does not answer.
func stuckOnLibvirt(t *testing.T, command string, args ...string) stuck {
	dir, err := os.MkdirTemp("", "silent-") // the path of a socket has little room
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	listener, err := net.Listen("unix", filepath.Join(dir, "sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	uri := "qemu+unix:///session?socket=" + listener.Addr().String()
	return stuck{args: append([]string{"host", command, "--connect", uri}, args...), await: func(int) {
		conn, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if _, err := readPacket(conn); err != nil {
			t.Fatal(err)
		}
	}}
}

// hangingStorage is a file system on which every image hangs, one per guest.
type hangingStorage struct {
	*peers.SlowFS
	fault       string
	images      []string
	definitions string   // the folder of the guests' definitions
	documents   []string // the paths of these
}

func newHangingStorage(t *testing.T, fault string, images int) *hangingStorage {
	t.Helper()
	source := t.TempDir()
	s := &hangingStorage{SlowFS: peers.StartSlowFS(t, source, mount.Options{}), fault: fault, definitions: t.TempDir()}
	for n := range images {
		image, guest := fmt.Sprintf("%s-%d", fault, n), fmt.Sprintf("guest%d", n)
		writeFile(t, filepath.Join(source, image), qcow2Disk)
		s.images = append(s.images, filepath.Join(s.Dir, image))
		s.documents = append(s.documents, filepath.Join(s.definitions, guest+".xml"))
		writeFile(t, s.documents[n], []byte(guestWithDisk(guest, "qcow2", s.images[n])))
	}
	return s
}

// stuck is a command that waits for all of them.
func (s *hangingStorage) stuck(command string, args ...string) stuck {
	run := stuck{args: slices.Concat(strings.Fields(command), []string{"--timeout=1h"}, args), await: func(int) { s.AwaitHung(len(s.images)) }}
	if !strings.Contains(s.fault, "intr") {
		run.release = s.Close
	}
	return run
}

// stuckHook is given the definition of a guest whose image hangs.
func stuckHook(t *testing.T) stuck {
	s := newHangingStorage(t, "hang-read", 1)
	run := s.stuck("hook", "guest0", "restore", "begin", "-")
	run.stdin = s.document(t)
	return run
}

// document is the definition of the first guest, as standard input.
func (s *hangingStorage) document(t *testing.T) *os.File {
	document, err := os.Open(s.documents[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { document.Close() })
	return document
}

// defined is a libvirt that has the guests.
func (s *hangingStorage) defined(t *testing.T) *peers.Libvirt {
	l := peers.StartLibvirt(t)
	for _, path := range s.documents {
		document, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		l.Define(string(document))
	}
	return l
}

// newStoppedStorage is a file system whose server does not even take a request. A
// process that waits for it can be killed.
func newStoppedStorage(t *testing.T) *hangingStorage {
	s := newHangingStorage(t, "plain", 4)
	s.Stop()
	return s
}

// stuckInKernel is a command that waits for requests that no server has taken.
func (s *hangingStorage) stuckInKernel(command string, args ...string) stuck {
	run := s.stuck(command, args...)
	run.release = nil
	run.await = func(process int) {
		for {
			waits, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/wchan", process))
			if err != nil || len(waits) == 0 {
				return // it has ended, as its test will notice
			}
			for _, reader := range childrenOf(process) {
				those, _ := filepath.Glob("/proc/" + reader + "/task/*/wchan")
				waits = append(waits, those...)
			}
			for _, path := range waits {
				if wait, err := os.ReadFile(path); err == nil && strings.Contains(string(wait), "request_wait_answer") {
					return
				}
			}
		}
	}
	return run
}

// childrenOf returns the processes that a process has started, such as the reader of a
// hook.
func childrenOf(process int) (children []string) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", process))
	for _, list := range lists {
		text, _ := os.ReadFile(list)
		children = append(children, strings.Fields(string(text))...)
	}
	return children
}
