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
	"testing"
)

// QemuNBD starts qemu-nbd, which serves until the test ends, and returns where:
// HOST:PORT for the network "tcp", the path of a socket, which everybody may
// use, for "unix". The arguments are an image, in front of it options such as
// --format, --read-only and --export-name.
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

	// The socket is handed over as systemd does it: whoever connects from
	// now on is served, there is nothing to wait for.
	script := `LISTEN_PID=$$ LISTEN_FDS=1 exec qemu-nbd --persistent --shared=0 "$@"`
	cmd := exec.Command("sh", append([]string{"-c", script, "sh"}, args...)...)
	cmd.ExtraFiles = []*os.File{file}
	serve(t, cmd)
	return address
}

// serve starts a server that ends with the test. One that has ended before is
// an error.
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

// HTTPWithoutRanges is like [HTTP] with a server that has none: Python's.
func HTTPWithoutRanges(t testing.TB, dir string) (address string) {
	t.Helper()
	Require(t, "/usr/bin/python3")
	cmd := exec.Command("/usr/bin/python3", "-u", "-m", "http.server", "--bind", "127.0.0.1", "--directory", dir, "0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	serve(t, cmd)
	return ready(t, bufio.NewScanner(out), httpReady)
}

// FTP serves the files of a folder to anybody until the test ends, with
// Debian's pyftpdlib, and returns HOST:PORT. QEMU's driver, which is a module
// of its own, must be there too.
func FTP(t testing.TB, dir string) (address string) {
	t.Helper()
	Require(t, "/usr/bin/python3", "qemu-img")
	for what, test := range map[string]*exec.Cmd{
		"python3-pyftpdlib":        exec.Command("/usr/bin/python3", "-c", "import pyftpdlib"),
		"QEMU's ftp driver (curl)": exec.Command("sh", "-c", `qemu-img --help | grep -q '^Supported formats:.* ftp '`),
	} {
		if err := test.Run(); err == nil {
			continue
		}
		if Required() {
			t.Fatalf("peer %q is missing, and CHAINFIX_REQUIRE_PEERS is set", what)
		}
		t.Skipf("peer %q is missing", what)
	}
	cmd := exec.Command("/usr/bin/python3", "-u", "-m", "pyftpdlib", "-i", "127.0.0.1", "-p", "0", "-d", dir)
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	cmd.Stderr = in
	serve(t, cmd)
	in.Close()
	address = ready(t, bufio.NewScanner(out), ftpReady)
	go io.Copy(io.Discard, out) // it goes on to log
	return address
}

// ready reads what a server prints up to the line that has its port.
func ready(t testing.TB, lines *bufio.Scanner, line *regexp.Regexp) (address string) {
	t.Helper()
	var printed []string
	for lines.Scan() {
		if m := line.FindStringSubmatch(lines.Text()); m != nil {
			return fmt.Sprintf("127.0.0.1:%s", m[1])
		}
		printed = append(printed, lines.Text())
	}
	t.Fatalf("the server does not say where it listens: %q", printed)
	return ""
}
