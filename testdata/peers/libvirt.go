package peers

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Libvirt is a private libvirt daemon that runs real QEMU: a session daemon
// with separate folders. It runs as the user of the test, or, where that is
// root, as nobody, because a session daemon of root's would be the system's.
//
// Daemons appear to each other as separate hosts, so guests can migrate
// between them: each has a UUID, and an address of the loopback network that
// libvirt does not recognise as the machine itself.
type Libvirt struct {
	// Dir is the daemon's folder. Images must be made in Images, which the
	// daemon and its guests can read.
	Dir, Images string

	t          testing.TB
	system     bool                // it is that of a [System]
	credential *syscall.Credential // nil: the user of the test
	process    int                 // the daemon's; 0 for that of a [System]
	killed     bool                // the test has killed it
	calls      connection
}

const qemuConf = `stdio_handler = "file"
security_driver = "none"
namespaces = [ ]
cgroup_controllers = [ ]
migration_host = "127.0.0.2"
`

// displayPorts gives each daemon separate ports for its guests' consoles: two
// daemons that look for a free port at the same moment would find the same.
func displayPorts() string {
	const first, each, last = 5900, 64, 60000
	from := first + each*rand.IntN((last-first)/each)
	return fmt.Sprintf("remote_display_port_min = %d\nremote_display_port_max = %d\n", from, from+each-1)
}

// StartLibvirt starts a daemon that ends with the test.
func StartLibvirt(t testing.TB) *Libvirt {
	t.Helper()
	Require(t, "libvirtd", "virsh", "qemu-system-x86_64")
	// Not t.TempDir: the path of a socket has little room.
	dir, err := os.MkdirTemp("", "libvirt-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l := &Libvirt{Dir: dir, Images: filepath.Join(dir, "images"), t: t}
	for path, content := range map[string]string{
		"images/none": "", "run/none": "", "cache/none": "",
		"config/libvirt/qemu.conf":     qemuConf + displayPorts(),
		"config/libvirt/libvirtd.conf": l.daemonConf(),
	} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(l.path(path)), 0o755), os.WriteFile(l.path(path), []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if os.Getuid() == 0 {
		l.credential = nobody(t)
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	l.Share(dir)

	ofSessions.share(l, "cache/libvirt/qemu/cache/capabilities", func() {
		// The parent process exits when the daemon is ready.
		pidFile := l.path("pid")
		if out, err := l.Command("libvirtd", "--daemon", "--pid-file", pidFile).CombinedOutput(); err != nil {
			t.Fatalf("libvirtd: %v\n%s", err, out)
		}
		if l.process, err = readProcess(pidFile); err != nil {
			t.Fatalf("the daemon's process is not known: %v", err)
		}
		t.Cleanup(l.stop)
	})
	return l
}

// daemonConf makes the daemon a separate host to all others.
func (l *Libvirt) daemonConf() string {
	l.t.Helper()
	identity, err := os.ReadFile("/proc/sys/kernel/random/uuid")
	if err != nil {
		l.t.Fatal(err)
	}
	return fmt.Sprintf("host_uuid = %q\nlog_filters = \"1:storage\"\nlog_outputs = \"1:file:%s\"\n",
		strings.TrimSpace(string(identity)), l.path("debug.log"))
}

func (l *Libvirt) path(name string) string { return filepath.Join(l.Dir, name) }

// Socket is where the daemon listens.
func (l *Libvirt) Socket() string { return l.path("run/libvirt/libvirt-sock") }

// URI is the URI for every user with access to the socket.
func (l *Libvirt) URI() string {
	if l.system {
		return "qemu+unix:///system?socket=" + l.Socket()
	}
	return "qemu+unix:///session?socket=" + l.Socket()
}

// ConfigDir is where the daemon keeps the guests' definitions. The metadata of
// snapshots and the managed save images are in folders of it, storage pools in
// the folder "storage" beside it.
func (l *Libvirt) ConfigDir() string { return l.path("config/libvirt/qemu") }

// StatusDir is where the daemon keeps the XML of the guests that run.
func (l *Libvirt) StatusDir() string {
	if l.system {
		return l.path("run/libvirt/qemu")
	}
	return l.path("run/libvirt/qemu/run")
}

// logDir is where the daemon keeps the logs of its guests.
func (l *Libvirt) logDir() string {
	if l.system {
		return l.path("log/libvirt/qemu")
	}
	return l.path("cache/libvirt/qemu/log")
}

// SystemConfigDir is ConfigDir in a tree that is laid out as that of the system's
// daemon, with all else that the daemon keeps around it.
func (l *Libvirt) SystemConfigDir() string {
	l.t.Helper()
	root := l.path("root")
	for name, target := range map[string]string{
		"etc/libvirt": filepath.Dir(l.ConfigDir()), "var/lib/libvirt/qemu": l.ConfigDir(), "run/libvirt/qemu": l.StatusDir(),
	} {
		path := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.Symlink(target, path)); err != nil {
			l.t.Fatal(err)
		}
	}
	return filepath.Join(root, "etc/libvirt/qemu")
}

// Signal sends a signal to the daemon: SIGSTOP (it no longer answers),
// SIGCONT, SIGKILL. Guests outlive the daemon, and end with the test.
func (l *Libvirt) Signal(signal syscall.Signal) {
	l.t.Helper()
	if l.process == 0 {
		l.t.Fatal("the daemon has a namespace of its own, and takes no signals")
	}
	if err := syscall.Kill(l.process, signal); err != nil {
		l.t.Fatalf("signal %v to the daemon: %v", signal, err)
	}
	l.killed = l.killed || signal == syscall.SIGKILL
}

func readProcess(pidFile string) (int, error) {
	text, err := os.ReadFile(pidFile)
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err == nil && pid <= 1 {
		err = fmt.Errorf("process %d", pid)
	}
	return pid, err
}

func nobody(t testing.TB) *syscall.Credential {
	u, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(uidErr, gidErr); err != nil {
		t.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// stop ends the guests and the daemon.
func (l *Libvirt) stop() {
	if !l.killed {
		l.Signal(syscall.SIGKILL)
	}
	l.endGuests()
}

// endGuests kills the guests after their daemon has ended. A running daemon
// would take more than a second for each.
func (l *Libvirt) endGuests() {
	pidFiles, err := filepath.Glob(filepath.Join(l.StatusDir(), "*.pid"))
	if err != nil {
		l.t.Error(err)
	}
	for _, pidFile := range pidFiles {
		pid, err := readProcess(pidFile)
		if err != nil {
			l.t.Errorf("end of %q: %v", pidFile, err)
			continue
		}
		// The daemon's file is among them, and a process ID may have been reused.
		commandLine, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil || !strings.Contains(string(commandLine), l.Dir) || !strings.Contains(string(commandLine), "qemu-system") {
			continue
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			l.t.Errorf("end of %q: %v", pidFile, err)
		}
	}
}

// Command returns a command that runs as the daemon's user, with the daemon as
// its default libvirt and Dir at the start of PATH.
func (l *Libvirt) Command(name string, args ...string) *exec.Cmd {
	uri := "qemu:///session"
	if l.system {
		uri = l.URI()
	}
	cmd := exec.Command(name, args...)
	cmd.Dir = l.Dir
	cmd.Env = append(os.Environ(),
		"HOME="+l.Dir,
		"XDG_RUNTIME_DIR="+l.path("run"), "XDG_CONFIG_HOME="+l.path("config"), "XDG_CACHE_HOME="+l.path("cache"),
		"LIBVIRT_DEFAULT_URI="+uri, "LIBVIRT_AUTOSTART=0",
		"PATH="+l.Dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
	if l.credential != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: l.credential}
	}
	return cmd
}

// Share changes the owner of a folder and its content to the daemon's user.
func (l *Libvirt) Share(dir string) {
	l.t.Helper()
	if l.credential == nil {
		return
	}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, int(l.credential.Uid), int(l.credential.Gid)))
	})
	if err != nil {
		l.t.Fatal(err)
	}
}

// Install copies a program into Dir under this name.
func (l *Libvirt) Install(program, name string) {
	l.t.Helper()
	from, err := os.Open(program)
	if err != nil {
		l.t.Fatal(err)
	}
	defer from.Close()
	to, err := os.OpenFile(l.path(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		l.t.Fatal(err)
	}
	_, err = io.Copy(to, from)
	if err := errors.Join(err, to.Close()); err != nil {
		l.t.Fatal(err)
	}
}

// Try runs virsh and returns what it printed, on both streams.
func (l *Libvirt) Try(args ...string) (string, error) {
	out, err := l.Command("virsh", append([]string{"-q"}, args...)...).CombinedOutput()
	return string(out), err
}

// Virsh is Try that must not fail.
func (l *Libvirt) Virsh(args ...string) string {
	l.t.Helper()
	out, err := l.Try(args...)
	if err != nil {
		l.t.Errorf("virsh %q: %v\n%s", args, err, out)
	}
	return out
}

// OpenFiles returns the paths of the files that a running guest's QEMU has
// open.
func (l *Libvirt) OpenFiles(guest string) []string {
	l.t.Helper()
	folder := fmt.Sprintf("/proc/%d/fd", l.qemu(guest))
	entries, err := os.ReadDir(folder)
	if err != nil {
		l.t.Fatal(err)
	}
	var paths []string
	for _, entry := range entries {
		if path, err := os.Readlink(filepath.Join(folder, entry.Name())); err == nil {
			paths = append(paths, path)
		}
	}
	return paths
}

// End ends the QEMU of a running guest. When it returns, the guest's images
// are closed. The daemon notices later: it takes more than a second for each
// guest that ends ("virsh destroy" waits for that).
func (l *Libvirt) End(guest string) {
	l.t.Helper()
	process, err := unix.PidfdOpen(l.qemu(guest), 0)
	if err != nil {
		l.t.Fatal(err)
	}
	defer unix.Close(process)
	if err := unix.PidfdSendSignal(process, unix.SIGTERM, nil, 0); err != nil {
		l.t.Fatal(err)
	}
	for {
		if _, err := unix.Poll([]unix.PollFd{{Fd: int32(process), Events: unix.POLLIN}}, -1); err != unix.EINTR {
			return
		}
	}
}

// qemu returns the process of a running guest.
func (l *Libvirt) qemu(guest string) int {
	l.t.Helper()
	if l.system {
		l.t.Fatal("the guest's process has another number outside its namespace")
	}
	pid, err := readProcess(filepath.Join(l.StatusDir(), guest+".pid"))
	if err != nil {
		l.t.Fatal(err)
	}
	return pid
}

// document writes a text into a file that the daemon's user can read.
func (l *Libvirt) document(text string) (path string, err error) {
	file, err := os.CreateTemp(l.Dir, "*.xml")
	if err != nil {
		return "", err
	}
	_, err = file.WriteString(text)
	return file.Name(), errors.Join(err, file.Chmod(0o644), file.Close())
}

// Blockdevs returns the values of QEMU's -blockdev options at a guest's last
// start.
func (l *Libvirt) Blockdevs(guest string) []string {
	l.t.Helper()
	log, err := os.ReadFile(filepath.Join(l.logDir(), guest+".log"))
	if err != nil {
		l.t.Fatal(err)
	}
	starts := strings.Split(string(log), ": starting up")
	return blockdevs(starts[len(starts)-1])
}

// DebugLog returns the daemon's log messages about storage so far.
func (l *Libvirt) DebugLog() string {
	l.t.Helper()
	log, err := os.ReadFile(l.path("debug.log"))
	if err != nil {
		l.t.Fatal(err)
	}
	return string(log)
}
