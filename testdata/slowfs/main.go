// Slowfs mounts a folder as a slow, faulty network file system with FUSE:
// every request is answered late, with an error, or never. Tests use it
// through testdata/slowfs/mount. It needs root to mount.
//
//	slowfs [-delay D] [-cache D] SOURCE MOUNTPOINT
//
// The mount is read-only and shows the content of SOURCE. File names choose
// faults, anywhere in the last component of a path:
//
//	hang-OPERATION        never answered; with "intr" in the name answered with
//	                      EINTR when the waiting process is interrupted or killed,
//	                      as on a hard NFS mount
//	err-OPERATION-ERRNO   answered with that error: EIO, ESTALE, EACCES ...
//
// OPERATION is lookup, getattr, access, readlink, open, read, lseek, opendir,
// readdir or statfs. Closing does not wait, and other requests are not
// expected.
//
// A line on standard input is a command; the answer is a line of JSON on
// standard output (mount.Counts):
//
//	counts    what was asked for since the last time
//	hung N    the same, as soon as N requests hang, and without counting anew
//
// The end of standard input ends the mount, even with pending requests.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("slowfs: ")
	delay := flag.Duration("delay", 0, "how long every request takes")
	cache := flag.Duration("cache", 0, "how long the kernel may remember names, attributes and symlinks")
	flag.Parse()
	if flag.NArg() != 2 {
		log.Fatal("usage: slowfs [-delay D] [-cache D] SOURCE MOUNTPOINT")
	}
	if err := serve(flag.Arg(0), flag.Arg(1), *delay, *cache); err != nil {
		log.Fatal(err)
	}
}

// background is the number of the kernel's background requests, such as
// readahead, that may be in flight. It must not limit a program that reads
// many images at once.
const background = 1024

// serve mounts source at dir until standard input or the mount ends, or a signal
// comes.
func serve(source, dir string, delay, cache time.Duration) error {
	root, err := fs.NewLoopbackRoot(source)
	if err != nil {
		return err
	}
	counter := newCounter()
	files := &slowFS{
		RawFileSystem: fs.NewNodeFS(root, &fs.Options{AttrTimeout: &cache, EntryTimeout: &cache, NegativeTimeout: &cache}),
		delay:         delay, counter: counter,
	}
	server, err := fuse.NewServer(files, dir, &fuse.MountOptions{
		FsName: "slowfs", Name: "slowfs", AllowOther: true, MaxBackground: background,
		DirectMountStrict: true, DirectMountFlags: syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_RDONLY,
		// Requests that the kernel handles itself are neither delayed nor counted.
		DisabledCapabilities: fuse.CAP_PASSTHROUGH,
		DisableXAttrs:        true, DisableReadDirPlus: true,
		EnableSymlinkCaching: cache > 0,
	})
	if err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	// A stopped server gets SIGHUP when its parent ends.
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() { server.Serve(); cancel() }()
	go func() { answer(os.Stdin, os.Stdout, counter); cancel() }()
	<-ctx.Done()
	return unmount(dir)
}

// unmount removes the mount, even if it is in use, and fails pending requests.
// It is not an error if the mount is already gone.
func unmount(dir string) error {
	if err := syscall.Unmount(dir, syscall.MNT_DETACH|syscall.MNT_FORCE); err != nil && !errors.Is(err, syscall.EINVAL) {
		return fmt.Errorf("unmount: %w", err)
	}
	return nil
}

// answer answers commands until the end of input.
func answer(questions io.Reader, answers io.Writer, c *counter) {
	lines := bufio.NewScanner(questions)
	for lines.Scan() {
		var n int
		if _, err := fmt.Sscanf(lines.Text(), "hung %d", &n); err == nil {
			// The end of input must be noticed meanwhile.
			go func() { json.NewEncoder(answers).Encode(c.awaitHung(n)) }()
			continue
		}
		json.NewEncoder(answers).Encode(c.take())
	}
}
