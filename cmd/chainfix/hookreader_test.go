package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chainfix/chainfix/probe/mkimage"
	"github.com/chainfix/chainfix/testdata/peers"
	"github.com/chainfix/chainfix/testdata/slowfs/mount"
)

// hangingHooks are hooks in which something hangs so that the process that asks for it
// cannot be ended.
var hangingHooks = []struct {
	name   string
	flags  string // DIR is the file system that hangs
	disks  []string
	hung   int // how many requests hang
	status int
	says   string // on standard error
	logged string
}{
	{"read", "", []string{"hang-read"}, 1, exitDone, "no answer within", "no answer within"},
	{"open, verified", "--verify", []string{"hang-open"}, 1, exitRefused, "no answer within", "refused: "},
	{"beside a wrong one", "", []string{"hang-getattr", "stale"}, 1, exitRefused, "[chain-stale]", "[chain-stale]"},
	{"policy", "--policy DIR/hang-open.yaml", []string{"stale"}, 1, exitDone, "no answer within", "no answer within"},
	{"log", "--log DIR/hang-lookup.log", []string{"hang-read"}, 2, exitDone, logHangs, ""},
	{"log of a wrong one", "--log DIR/hang-lookup.log", []string{"stale"}, 1, exitRefused, "[chain-stale]", ""},
}

// logHangs is said of a log that hangs, besides what is said otherwise.
const logHangs = "/hang-lookup.log\": no answer within 200ms\n"

// TestHookEndsInTime: a hook ends although its request hangs forever, and so does
// everything that has one of the hook's files open. The guest starts, unless --verify
// is given or something else is wrong.
func TestHookEndsInTime(t *testing.T) {
	t.Parallel()
	var checks []func() // all wait at the same time
	for _, tt := range hangingHooks {
		source, log := t.TempDir(), filepath.Join(t.TempDir(), "log")
		slow := peers.StartSlowFS(t, source, mount.Options{Cache: time.Hour})
		writeFile(t, filepath.Join(source, "hang-open.yaml"), []byte("version: 1\n"))
		var disks []string
		for i, name := range tt.disks {
			writeFile(t, filepath.Join(source, name), bytesOf(mkimage.Qcow2{VirtualSize: demoSize}))
			path := filepath.Join(slow.Dir, name)
			disks = append(disks, fmt.Sprintf("<disk type='file'><driver type='qcow2'/><source file='%s'/>%s<target dev='vd%c'/></disk>", path, rawBelow(path+".base"), 'a'+i))
		}
		words := append([]string{"hook", "--log", log}, strings.Fields(strings.ReplaceAll(tt.flags, "DIR", slow.Dir))...)
		cmd := exec.Command(builtProgram(t), append(words, "g", "prepare", "begin", "-")...)
		cmd.Stdin = strings.NewReader(peers.SmallGuest("g", strings.Join(disks, "")))
		var out, complaints bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &complaints // which are read to their ends
		libvirts, scripts := pipe(t)
		cmd.ExtraFiles = []*os.File{scripts}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		scripts.Close()
		check := func(t *testing.T) {
			err := cmd.Wait()
			lines, said := 1, complaints.String()
			if strings.Contains(said, logHangs) {
				lines++
			}
			if status := cmd.ProcessState.ExitCode(); status != tt.status || out.Len() > 0 || !strings.Contains(said, tt.says) || strings.Count(said, "\n") != lines {
				t.Errorf("status %d, %v\n%s\n%s", status, err, &out, &complaints)
			}
			if left, err := io.ReadAll(libvirts); err != nil || len(left) > 0 {
				t.Errorf("what the script has open is still open: %q, %v", left, err)
			}
			slow.AwaitHung(tt.hung)
			if tt.logged == "" {
				return
			}
			if text, err := os.ReadFile(log); err != nil || !strings.Contains(string(text), tt.logged) {
				t.Errorf("%v, the log:\n%s", err, text)
			}
		}
		checks = append(checks, func() { t.Run(tt.name, check) })
	}
	for _, check := range checks {
		check()
	}
}

// rawBelow is an explicit chain of one raw image.
func rawBelow(path string) string {
	return fmt.Sprintf("<backingStore type='file'><format type='raw'/><source file='%s'/><backingStore/></backingStore>", path)
}
