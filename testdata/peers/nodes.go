package peers

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// These tests do not support names with a single quote, which the shell
// quoting would split.
var blockdev = regexp.MustCompile(`-blockdev '(\{[^']*\})'`)

// blockdevs returns the values of the -blockdev options on a command line as
// libvirt prints it.
func blockdevs(commandLine string) []string {
	var all []string
	for _, m := range blockdev.FindAllStringSubmatch(commandLine, -1) {
		all = append(all, m[1])
	}
	return all
}

// Filenames returns the files that -blockdev options name.
func Filenames(options []string) ([]string, error) {
	var all []string
	for _, option := range options {
		var node map[string]any
		if err := json.Unmarshal([]byte(option), &node); err != nil {
			return nil, fmt.Errorf("-blockdev %s: %w", option, err)
		}
		if name, ok := node["filename"].(string); ok {
			all = append(all, name)
		}
	}
	return all, nil
}

// GuestSees opens a graph of -blockdev options in a real QEMU block layer
// (qemu-storage-daemon) and returns the bytes of its last node, the top of the
// disk: libvirt lists the lower nodes first.
func GuestSees(t testing.TB, options []string) ([]byte, error) {
	Require(t, "qemu-storage-daemon", "qemu-img")
	if len(options) == 0 {
		return nil, errors.New("no nodes")
	}
	var top struct {
		Name string `json:"node-name"`
	}
	if err := json.Unmarshal([]byte(options[len(options)-1]), &top); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "nodes-") // the path of a socket has little room
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	socket, content := filepath.Join(dir, "socket"), filepath.Join(dir, "content")

	var args []string
	for _, option := range options {
		args = append(args, "--blockdev", option)
	}
	daemon := exec.Command("qemu-storage-daemon", append(args,
		"--nbd-server", "addr.type=unix,addr.path="+socket,
		"--export", "type=nbd,id=top,name=top,node-name="+top.Name,
		"--chardev", "stdio,id=stdio", "--monitor", "chardev=stdio")...)
	var complaint bytes.Buffer
	daemon.Stderr = &complaint
	in, inErr := daemon.StdinPipe()
	out, outErr := daemon.StdoutPipe()
	if err := errors.Join(inErr, outErr, daemon.Start()); err != nil {
		return nil, err
	}
	// The monitor sends its greeting after everything before it was opened.
	_, greeting := bufio.NewReader(out).ReadString('\n')
	var convert error
	if greeting == nil {
		if report, err := exec.Command("qemu-img", "convert", "-f", "raw", "-O", "raw", "nbd+unix:///top?socket="+socket, content).CombinedOutput(); err != nil {
			convert = fmt.Errorf("qemu-img convert: %w: %s", err, report)
		}
		// It has to close the images properly: some formats mark images that were
		// not closed.
		io.WriteString(in, `{"execute": "qmp_capabilities"} {"execute": "quit"}`)
	}
	in.Close()
	go io.Copy(io.Discard, out)
	if err := daemon.Wait(); err != nil || greeting != nil {
		return nil, fmt.Errorf("qemu-storage-daemon: %w: %s", errors.Join(greeting, err), complaint.String())
	}
	if convert != nil {
		return nil, convert
	}
	return os.ReadFile(content)
}
