package main

import (
	"log"
	"sync"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// slowFS wraps a file system at the level of the kernel's requests: it counts
// what a network server would get.
type slowFS struct {
	fuse.RawFileSystem
	delay   time.Duration
	counter *counter
	faults  sync.Map // of files that have any, map[string]fault by their numbers
}

// request answers a request for a file with these faults; without a fault the
// file system answers.
func (s *slowFS) request(cancel <-chan struct{}, operation string, faults map[string]fault, do func() fuse.Status) fuse.Status {
	s.counter.begin(operation)
	defer s.counter.end()
	time.Sleep(s.delay)
	f, faulty := faults[operation]
	switch {
	case !faulty:
		return do()
	case !f.hang:
		return fuse.Status(f.errno)
	}
	defer s.counter.hang()()
	if !f.interruptible {
		select {}
	}
	<-cancel
	return fuse.EINTR
}

// on is request for a file that was looked up before.
func (s *slowFS) on(node uint64, cancel <-chan struct{}, operation string, do func() fuse.Status) fuse.Status {
	return s.request(cancel, operation, s.faultsOf(node), do)
}

func (s *slowFS) faultsOf(node uint64) map[string]fault {
	found, _ := s.faults.Load(node)
	faults, _ := found.(map[string]fault)
	return faults
}

// Lookup sees a file's name, and so its faults.
func (s *slowFS) Lookup(cancel <-chan struct{}, in *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	faults, err := faultsOf(name)
	if err != nil {
		log.Fatal(err) // the test must not go on
	}
	return s.request(cancel, "lookup", faults, func() fuse.Status {
		status := s.RawFileSystem.Lookup(cancel, in, name, out)
		if status == fuse.OK && faults != nil {
			s.faults.Store(out.NodeId, faults)
			if _, faulty := faults["getattr"]; faulty {
				out.SetAttrTimeout(0) // or the kernel would have no need to ask
			}
		}
		return status
	})
}

// GetAttr is a stat, by path or by descriptor.
func (s *slowFS) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	return s.on(in.NodeId, cancel, "getattr", func() fuse.Status { return s.RawFileSystem.GetAttr(cancel, in, out) })
}

// Statx is statx(2).
func (s *slowFS) Statx(cancel <-chan struct{}, in *fuse.StatxIn, out *fuse.StatxOut) fuse.Status {
	return s.on(in.NodeId, cancel, "getattr", func() fuse.Status { return s.RawFileSystem.Statx(cancel, in, out) })
}

// Access is access(2).
func (s *slowFS) Access(cancel <-chan struct{}, in *fuse.AccessIn) fuse.Status {
	return s.on(in.NodeId, cancel, "access", func() fuse.Status { return s.RawFileSystem.Access(cancel, in) })
}

// Readlink reads a symlink.
func (s *slowFS) Readlink(cancel <-chan struct{}, in *fuse.InHeader) (target []byte, status fuse.Status) {
	status = s.on(in.NodeId, cancel, "readlink", func() (status fuse.Status) {
		target, status = s.RawFileSystem.Readlink(cancel, in)
		return status
	})
	return target, status
}

// Open opens a file. Closing does not wait, as on NFS.
func (s *slowFS) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	faults := s.faultsOf(in.NodeId)
	return s.request(cancel, "open", faults, func() fuse.Status {
		status := s.RawFileSystem.Open(cancel, in, out)
		out.OpenFlags |= fuse.FOPEN_NOFLUSH
		if _, faulty := faults["read"]; faulty {
			// A read into the kernel's cache cannot be interrupted, and blocks opening
			// the file until the page arrives.
			out.OpenFlags |= fuse.FOPEN_DIRECT_IO
		}
		return status
	})
}

// Read reads as much as the kernel requests, which may include readahead.
func (s *slowFS) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (result fuse.ReadResult, status fuse.Status) {
	status = s.on(in.NodeId, cancel, "read", func() (status fuse.Status) {
		result, status = s.RawFileSystem.Read(cancel, in, buf)
		return status
	})
	return result, status
}

// Lseek looks for data and holes.
func (s *slowFS) Lseek(cancel <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) fuse.Status {
	return s.on(in.NodeId, cancel, "lseek", func() fuse.Status { return s.RawFileSystem.Lseek(cancel, in, out) })
}

// OpenDir opens a folder.
func (s *slowFS) OpenDir(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	return s.on(in.NodeId, cancel, "opendir", func() fuse.Status { return s.RawFileSystem.OpenDir(cancel, in, out) })
}

// ReadDir reads some of a folder's names.
func (s *slowFS) ReadDir(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return s.on(in.NodeId, cancel, "readdir", func() fuse.Status { return s.RawFileSystem.ReadDir(cancel, in, out) })
}

// StatFs is about the whole file system, whichever file is asked.
func (s *slowFS) StatFs(cancel <-chan struct{}, in *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	return s.on(in.NodeId, cancel, "statfs", func() fuse.Status { return s.RawFileSystem.StatFs(cancel, in, out) })
}
