package peers

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// System is a libvirt daemon that runs as the system's daemon, including hook
// scripts (their folder, /etc/libvirt/hooks, is compiled in). It runs in
// separate namespaces (mounts, processes, host name) with libvirt's folders in
// Dir, so several can run at once. They share the rest of the file system, and
// migrate guests to each other through a socket in it. Daemon and guests run
// as root.
type System struct {
	*Libvirt

	commands io.Writer      // to the first process of the namespace
	answers  *bufio.Scanner // from it
}

var namespaces = []string{"--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc", "--uts", "--ipc"}

// systemInit is the first process of the namespaces; when it ends, all their
// processes end. It mounts private folders over libvirt's, hides the control
// groups, which must not be touched, and starts the daemon, again for each
// line that it reads. It also has to reap the orphaned processes of daemons,
// or libvirt waits long for their end: a shell does that while it waits for a
// child, but not while it reads.
const systemInit = `set -e
hostname "$1"
umount --recursive /sys/fs/cgroup 2>/dev/null || :
cd "$2"
mount --bind config/libvirt /etc/libvirt
mount --bind lib /var/lib
mount --bind cache /var/cache
mount --bind log /var/log
mount --bind run /run
while
	libvirtd --daemon --pid-file /run/libvirtd.pid || exit
	echo ready
	head -n 1 >/run/again
	[ -s /run/again ]
do
	daemon=$(cat /run/libvirtd.pid)
	kill "$daemon"
	tail -s 0.1 --pid="$daemon" -f /dev/null
done`

// StartSystem starts a daemon on a host of that name, with a hook script that
// does nothing. It ends with the test. It needs root, and a kernel that allows
// new namespaces.
func StartSystem(t testing.TB, hostname string) *System {
	t.Helper()
	Require(t, "libvirtd", "virsh", "qemu-system-x86_64", "unshare")
	require(t, "namespaces for root", exec.Command("unshare", append(namespaces, "true")...))
	// Not t.TempDir: the path of a socket has little room. A folder for
	// temporary files below one of those in systemInit would not do.
	dir, err := os.MkdirTemp("", hostname+"-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &System{Libvirt: &Libvirt{Dir: dir, Images: filepath.Join(dir, "images"), t: t, system: true}}
	for path, content := range map[string]string{
		"images/none": "", "run/none": "", "cache/none": "", "lib/none": "", "log/none": "", "config/libvirt/hooks/none": "",
		"config/libvirt/qemu.conf":     qemuConf + displayPorts() + "user = \"root\"\ngroup = \"root\"\ndynamic_ownership = 0\n",
		"config/libvirt/libvirtd.conf": s.daemonConf() + "auth_unix_rw = \"none\"\n",
	} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(s.path(path)), 0o755), os.WriteFile(s.path(path), []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	s.SetHook("#!/bin/sh\n") // libvirt looks whether there is one when it starts

	ofSystems.share(s.Libvirt, "cache/libvirt/qemu/capabilities", func() {
		init := s.Command("unshare", append(namespaces, "sh", "-c", systemInit, "sh", hostname, dir)...)
		init.Stderr = os.Stderr
		commands, inErr := init.StdinPipe()
		answers, outErr := init.StdoutPipe()
		if err := errors.Join(inErr, outErr, init.Start()); err != nil {
			t.Fatal(err)
		}
		s.commands, s.answers = commands, bufio.NewScanner(answers)
		t.Cleanup(func() {
			// End of file ends the shell, and so all processes of the namespace, which
			// are gone when its first process has been waited for.
			commands.Close()
			if err := init.Wait(); err != nil {
				t.Errorf("end of the namespaces: %v", err)
			}
		})
		s.await()
	})
	return s
}

func (s *System) await() {
	s.t.Helper()
	if !s.answers.Scan() || s.answers.Text() != "ready" {
		s.t.Fatalf("the daemon does not start: %q, %v", s.answers.Text(), s.answers.Err())
	}
}

// SetHook replaces libvirt's hook for QEMU by a script.
func (s *System) SetHook(script string) {
	s.t.Helper()
	path := s.path("config/libvirt/hooks/qemu")
	if err := errors.Join(os.WriteFile(path+".new", []byte(script), 0o755), os.Rename(path+".new", path)); err != nil {
		s.t.Fatal(err)
	}
}

// Restart restarts the daemon. Guests keep running, if the hook allows it.
func (s *System) Restart() {
	s.t.Helper()
	if _, err := io.WriteString(s.commands, "again\n"); err != nil {
		s.t.Fatal(err)
	}
	s.await()
}
