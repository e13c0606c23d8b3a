// Slowfs shows a folder as a slow, faulty network file system would: through
// FUSE, every request answered late, with an error, or never. It is for tests,
// which use it through testdata/slowfs/mount, and mounts by itself, as root.
//
//	slowfs [-delay D] [-cache D] SOURCE MOUNTPOINT
//
// The mount is read-only; what is put into SOURCE is there. Names choose faults,
// each for its own file, wherever they stand in the last component of a path:
//
//	hang-OPERATION        never answered; with "intr" in the name answered with
//	                      EINTR when the waiting process is interrupted or killed,
//	                      as on a hard NFS mount
//	err-OPERATION-ERRNO   answered with that error: EIO, ESTALE, EACCES ...
//
// OPERATION is lookup, getattr, access, readlink, open, read, lseek, opendir,
// readdir or statfs. Nobody waits for a close, and no other request is expected.
//
// A line on standard input is a question, the answer a line of JSON on standard
// output (mount.Counts):
//
//	counts    what was asked for since the last time
//	hung N    the same, as soon as N requests hang, and without counting anew
//
// The end of standard input ends the mount, whoever still waits for something.
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

// background is how many requests for which no process waits, such as those that
// read ahead, the kernel may have sent at the same time. They must not be what
// limits a program that reads many images at once.
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
		// What the kernel does by itself is neither slow nor counted.
		DisabledCapabilities: fuse.CAP_PASSTHROUGH,
		DisableXAttrs:        true, DisableReadDirPlus: true,
		EnableSymlinkCaching: cache > 0,
	})
	if err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	// A stopped server whose parent ends is hung up on.
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() { server.Serve(); cancel() }()
	go func() { answer(os.Stdin, os.Stdout, counter); cancel() }()
	<-ctx.Done()
	return unmount(dir)
}

// unmount takes the mount away from whoever uses it, and answers all who wait.
// One that somebody else has taken away is no error.
func unmount(dir string) error {
	if err := syscall.Unmount(dir, syscall.MNT_DETACH|syscall.MNT_FORCE); err != nil && !errors.Is(err, syscall.EINVAL) {
		return fmt.Errorf("unmount: %w", err)
	}
	return nil
}

// answer answers questions until there are no more.
func answer(questions io.Reader, answers io.Writer, c *counter) {
	lines := bufio.NewScanner(questions)
	for lines.Scan() {
		var n int
		if _, err := fmt.Sscanf(lines.Text(), "hung %d", &n); err == nil {
			// The end of the questions must be seen meanwhile.
			go func() { json.NewEncoder(answers).Encode(c.awaitHung(n)) }()
			continue
		}
		json.NewEncoder(answers).Encode(c.take())
	}
}
