package peers

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// QemuNBD starts qemu-nbd, which serves until the test ends, and returns its
// address: HOST:PORT for the network "tcp", the path of a socket that every
// user may open for "unix". The arguments are options such as --format,
// --read-only and --export-name, followed by an image.
func QemuNBD(t testing.TB, network string, args ...string) (address string) {
	t.Helper()
	Require(t, "qemu-nbd", "sh")
	address = "127.0.0.1:0"
	if network == "unix" {
		dir, err := os.MkdirTemp("", "nbd-") // the path of a socket has little room
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		address = filepath.Join(dir, "socket")
	}
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	address = listener.Addr().String()
	if l, ok := listener.(*net.UnixListener); ok {
		l.SetUnlinkOnClose(false)
		if err := os.Chmod(address, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	file, err := listener.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()

	// The socket is passed as by systemd: connections are accepted from now on,
	// without waiting.
	script := `LISTEN_PID=$$ LISTEN_FDS=1 exec qemu-nbd --persistent --shared=64 "$@"`
	cmd := exec.Command("sh", append([]string{"-c", script, "sh"}, args...)...)
	cmd.ExtraFiles = []*os.File{file}
	serve(t, cmd)
	return address
}

// serve starts a server that ends with the test. It is an error if the server
// ends before.
func serve(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	var complaint bytes.Buffer
	if cmd.Stderr == nil {
		cmd.Stderr = &complaint
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The kill is what must end it.
		if err := cmd.Process.Kill(); err != nil {
			t.Errorf("%s: %v", cmd.Path, err)
		}
		if err := cmd.Wait(); cmd.ProcessState.Exited() {
			t.Errorf("%q ended by itself: %v\n%s", cmd.Args, err, complaint.String())
		}
	})
}

// HTTP serves the files of a folder with ranges until the test ends, and
// returns HOST:PORT.
func HTTP(t testing.TB, dir string) (address string) {
	t.Helper()
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

var (
	httpReady = regexp.MustCompile(`^Serving HTTP on \S+ port (\d+) `)
	ftpReady  = regexp.MustCompile(`starting FTP server on 127\.0\.0\.1:(\d+)`)
)

// HTTPWithoutRanges is [HTTP] with a server without ranges: Python's.
func HTTPWithoutRanges(t testing.TB, dir string) (address string) {
	t.Helper()
	Require(t, "/usr/bin/python3")
	cmd := exec.Command("/usr/bin/python3", "-u", "-m", "http.server", "--bind", "127.0.0.1", "--directory", dir, "0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	serve(t, cmd)
	return "127.0.0.1:" + ready(t, bufio.NewScanner(out), httpReady)[1]
}

// FTP serves the files of a folder to anybody until the test ends, with
// Debian's pyftpdlib, and returns HOST:PORT. QEMU's driver, which is a module
// of its own, must be there too.
func FTP(t testing.TB, dir string) (address string) {
	t.Helper()
	Require(t, "/usr/bin/python3", "qemu-img")
	require(t, "python3-pyftpdlib", exec.Command("/usr/bin/python3", "-c", "import pyftpdlib"))
	requireDriver(t, "ftp")
	cmd := exec.Command("/usr/bin/python3", "-u", "-m", "pyftpdlib", "-i", "127.0.0.1", "-p", "0", "-d", dir)
	return "127.0.0.1:" + serveUntil(t, cmd, ftpReady)[1]
}

// ready reads a server's output up to the line that says that it is ready.
func ready(t testing.TB, lines *bufio.Scanner, line *regexp.Regexp) (matched []string) {
	t.Helper()
	var printed []string
	for lines.Scan() {
		if m := line.FindStringSubmatch(lines.Text()); m != nil {
			return m
		}
		printed = append(printed, lines.Text())
	}
	t.Fatalf("the server does not say that it is ready: %q", printed)
	return nil
}

var iscsiReady = regexp.MustCompile(`bs_init`)

// ISCSI serves an image file as unit 1 of a target to anybody until the test
// ends, with tgtd, which only root can start. It returns HOST:PORT and the name
// of the target. QEMU's driver, which is a module of its own, must be there
// too.
func ISCSI(t testing.TB, image string) (address, target string) {
	t.Helper()
	Require(t, "tgtd", "tgtadm", "qemu-img")
	requireDriver(t, "iscsi")
	if os.Getuid() != 0 {
		Lacking(t, "tgtd wants root")
	}
	// It cannot be passed a socket, and does not report its port.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = listener.Addr().String()
	listener.Close()
	dir, err := os.MkdirTemp("", "tgt-") // the path of a socket has little room
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	environment := append(os.Environ(), "TGT_IPC_SOCKET="+filepath.Join(dir, "socket"))

	cmd := exec.Command("tgtd", "-f", "--iscsi", "portal="+address)
	cmd.Env = environment
	serveUntil(t, cmd, iscsiReady)
	const name = "iqn.2026-11.test.chainfix:disk"
	for _, args := range [][]string{
		{"--op", "new", "--mode", "target", "--tid", "1", "-T", name},
		{"--op", "new", "--mode", "logicalunit", "--tid", "1", "--lun", "1", "-b", image},
		{"--op", "bind", "--mode", "target", "--tid", "1", "-I", "ALL"},
	} {
		admin := exec.Command("tgtadm", append([]string{"--lld", "iscsi"}, args...)...)
		admin.Env = environment
		if out, err := admin.CombinedOutput(); err != nil {
			t.Fatalf("tgtadm %q: %v\n%s", args, err, out)
		}
	}
	return address, name
}

// requireDriver is [Require] for one of QEMU's block drivers.
func requireDriver(t testing.TB, driver string) {
	t.Helper()
	if !HasDriver(driver) {
		Lacking(t, fmt.Sprintf("QEMU's driver %q is missing", driver))
	}
}

var help = sync.OnceValue(func() []byte {
	out, err := exec.Command("qemu-img", "--help").Output()
	if err != nil {
		return nil
	}
	return out
})

// HasDriver reports whether the installed QEMU has this block driver;
// distributions leave out some.
func HasDriver(name string) bool {
	// Some versions print the list on one line.
	return regexp.MustCompile(`(?s)\nSupported [a-z ]*formats:.*\s` + regexp.QuoteMeta(name) + `\s`).Match(help())
}

// require is [Require] with a command as the check.
func require(t testing.TB, what string, test *exec.Cmd) {
	t.Helper()
	if err := test.Run(); err == nil {
		return
	}
	Lacking(t, fmt.Sprintf("peer %q is missing", what))
}

// serveUntil is serve for a server that logs to its standard error. It returns
// what matched in the first line that matches.
func serveUntil(t testing.TB, cmd *exec.Cmd, line *regexp.Regexp) (matched []string) {
	t.Helper()
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	cmd.Stderr = in
	serve(t, cmd)
	in.Close()
	matched = ready(t, bufio.NewScanner(out), line)
	go io.Copy(io.Discard, out) // it goes on to log
	return matched
}
