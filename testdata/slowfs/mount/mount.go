// Package mount mounts slowfs (see there) in a separate process: a process
// that waits for its own FUSE server could not end.
//
// A request to a stopped server, or for a hanging file, blocks. So this
// package never touches the mount, and [Mount.Close] ends it by force.
package mount

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNotMounted: the server runs, but could not mount, which needs root and
// /dev/fuse.
var ErrNotMounted = errors.New("slowfs cannot mount")

// patience is how long the server may take to answer, or to end. Usually it
// needs only a moment; the rest is for a busy machine.
const patience = 30 * time.Second

// Options say how slow a file system is.
type Options struct {
	Delay time.Duration // that every request takes
	Cache time.Duration // for which the kernel remembers names, attributes and symlinks; 0 means not at all
}

// Counts are the numbers of requests to a file system.
type Counts struct {
	Requests map[string]int `json:"requests"` // by operation
	Most     int            `json:"most"`     // that were in flight at the same time
	Hung     int            `json:"hung"`     // that hang now
}

// Mount is a mounted slowfs.
type Mount struct {
	Dir string // where it is mounted

	server   *exec.Cmd
	ended    chan error   // of the server
	complain bytes.Buffer // what it wrote to standard error; to be read when it has ended
	close    func() error

	asking    sync.Mutex
	questions *os.File
	answers   *os.File
	lines     *bufio.Reader
}

// program builds the server, and returns its path in the cache of the go command. It
// must be called below the module's folder.
var program = sync.OnceValues(func() (string, error) {
	build := exec.Command("go", "tool", "-n", "slowfs")
	build.Env = append(os.Environ(), "GOOS=", "GOARCH=") // for this machine, whatever is tested
	var complaint strings.Builder
	build.Stderr = &complaint
	path, err := build.Output()
	if err != nil {
		return "", fmt.Errorf("go tool slowfs: %w\n%s", err, complaint.String())
	}
	return strings.TrimSpace(string(path)), nil
})

// Start mounts a folder in a new place. Close must be called; if this process
// ends before, the server unmounts.
func Start(source string, o Options) (*Mount, error) {
	program, err := program()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "slowfs-")
	if err != nil {
		return nil, err
	}
	m := &Mount{Dir: dir, ended: make(chan error, 1)}
	m.close = sync.OnceValue(m.end)
	m.server = exec.Command(program, "-delay", o.Delay.String(), "-cache", o.Cache.String(), source, dir)
	m.server.Stderr = &m.complain
	// The end of its input ends the server, even a stopped one; it survives the
	// signal that kills its process group, so that it can unmount.
	m.server.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGCONT, Setpgid: true}
	if err := m.start(); err != nil {
		return nil, errors.Join(err, os.Remove(dir))
	}
	// It answers as soon as it has mounted.
	if _, err := m.Counts(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotMounted, errors.Join(err, m.Close()))
	}
	return m, nil
}

func (m *Mount) start() error {
	stdin, questions, err := os.Pipe()
	if err != nil {
		return err
	}
	defer stdin.Close()
	answers, stdout, err := os.Pipe()
	if err != nil {
		questions.Close()
		return err
	}
	defer stdout.Close()
	m.server.Stdin, m.server.Stdout = stdin, stdout
	m.questions, m.answers, m.lines = questions, answers, bufio.NewReader(answers)

	started := make(chan error)
	go func() {
		// To the kernel the server's parent is the thread that started it, which
		// must not end before.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := m.server.Start()
		started <- err
		if err == nil {
			m.ended <- m.server.Wait()
		}
	}()
	if err := <-started; err != nil {
		questions.Close()
		answers.Close()
		return err
	}
	return nil
}

// Counts returns the requests since its last call. A stopped server does not
// answer, which is an error.
func (m *Mount) Counts() (Counts, error) { return m.ask("counts") }

// AwaitHung waits until n requests hang.
func (m *Mount) AwaitHung(n int) error {
	_, err := m.ask(fmt.Sprintf("hung %d", n))
	return err
}

func (m *Mount) ask(question string) (Counts, error) {
	m.asking.Lock()
	defer m.asking.Unlock()
	var counts Counts
	err := m.answers.SetReadDeadline(time.Now().Add(patience))
	if err == nil {
		_, err = fmt.Fprintln(m.questions, question)
	}
	var line []byte
	if err == nil {
		line, err = m.lines.ReadBytes('\n')
	}
	if err == nil {
		err = json.Unmarshal(line, &counts)
	}
	if err != nil {
		return Counts{}, fmt.Errorf("ask slowfs for %q: %w", question, err)
	}
	return counts, nil
}

// Stop stops the server and waits until it has stopped answering.
func (m *Mount) Stop() error {
	if err := m.server.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	for {
		err := unix.Waitid(unix.P_PID, m.server.Process.Pid, nil, unix.WSTOPPED, nil)
		if err != unix.EINTR {
			return os.NewSyscallError("waitid", err)
		}
	}
}

// Continue resumes a stopped server, which then answers the pending requests.
func (m *Mount) Continue() error { return m.server.Process.Signal(syscall.SIGCONT) }

// Close ends the file system; pending requests get an error. It always
// returns. It is an error if the server had ended before. Further calls do
// nothing.
func (m *Mount) Close() error { return m.close() }

func (m *Mount) end() error {
	defer m.questions.Close()
	defer m.answers.Close()
	// Killing the server fails its pending requests, and leaves a mount on which
	// everything fails.
	m.server.Process.Kill()
	var problem error
	select {
	case err := <-m.ended:
		if m.server.ProcessState.Exited() {
			problem = fmt.Errorf("slowfs ended by itself: %v: %s", err, strings.TrimSpace(m.complain.String()))
		}
	case <-time.After(patience):
		problem = errors.New("slowfs cannot be killed")
	}
	// By force, like /sys/fs/fuse/connections/N/abort: the connection is dead
	// even if something else keeps it open.
	err := unix.Unmount(m.Dir, unix.MNT_FORCE|unix.MNT_DETACH)
	if err == unix.EINVAL {
		err = nil // it was not mounted
	}
	return errors.Join(problem, os.NewSyscallError("unmount", err), os.Remove(m.Dir))
}
