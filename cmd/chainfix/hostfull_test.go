package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/chainfix/chainfix/testdata/peers"
)

// TestNoSpace: the system has no room, from one call on.
func TestNoSpace(t *testing.T) {
	t.Parallel()
	peers.Require(t, "strace")
	h := newFixableHost(t, 3)
	installProgram(t, h.Libvirt)
	failed := 0
	for i, m := range h.moments(t) {
		if !slices.Contains([]string{"fsync", "pwrite64", "renameat", "mkdirat"}, m.call) {
			continue
		}
		stateDir := filepath.Join(h.Dir, fmt.Sprintf("full%d", i))
		cmd := h.Command("strace", append([]string{"-f", "-o", "/dev/null", "-e", "trace=" + m.call,
			"-e", fmt.Sprintf("inject=%s:error=ENOSPC:when=%d+", m.call, m.n)}, h.program(stateDir)...)...)
		var complaints bytes.Buffer
		cmd.Stderr = &complaints
		if err := cmd.Run(); err == nil {
			_, run := lastSteps(t, stateDir)
			h.rollback(t, run)
			continue
		}
		failed++
		if status := cmd.ProcessState.ExitCode(); status != exitInput {
			t.Errorf("%v: status %d", m, status)
		}
		lastLine(t, complaints.String(), "no space left on device")
		h.interrupted(t, stateDir)
		h.rollback(t, h.apply(t, stateDir))
	}
	if failed < 10 {
		t.Errorf("only %d calls have failed", failed)
	}
}

// TestFullDisk keeps the runs on a file system that has room for one page more
// each time, until it is enough.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	h := newFixableHost(t, 3)
	installProgram(t, h.Libvirt)
	disk := filepath.Join(h.Dir, "disk")
	if err := os.Mkdir(disk, 0o755); err != nil {
		t.Fatal(err)
	}
	for pages := 1; ; pages++ {
		err := unix.Mount("none", disk, "tmpfs", 0, fmt.Sprintf("size=%d", pages*os.Getpagesize()))
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
			peers.Lacking(t, "no file system can be mounted here")
		}
		if err != nil {
			t.Fatal(err)
		}
		enough := func() bool {
			defer func() {
				// A process that another test is just starting may have a file open there.
				if err := unix.Unmount(disk, unix.MNT_DETACH); err != nil {
					t.Fatal(err)
				}
			}()
			h.Share(disk)
			stateDir := filepath.Join(disk, "state")
			cmd := h.Command(h.program(stateDir)[0], h.program(stateDir)[1:]...)
			var complaints bytes.Buffer
			cmd.Stderr = &complaints
			full := cmd.Run()
			if full != nil {
				if status := cmd.ProcessState.ExitCode(); status != exitInput {
					t.Errorf("%d pages: status %d", pages, status)
				}
				lastLine(t, complaints.String(), "no space left on device")
				h.interrupted(t, stateDir)
			}
			if err := unix.Mount("none", disk, "tmpfs", unix.MS_REMOUNT, "size=1048576"); err != nil {
				t.Fatal(err)
			}
			_, run := lastSteps(t, stateDir)
			if full != nil {
				run = h.apply(t, stateDir)
			}
			h.rollback(t, run)
			return full == nil
		}()
		if enough {
			if pages < 5 {
				t.Errorf("%d pages are enough", pages)
			}
			return
		}
	}
}

func edited(definition string) string {
	return strings.Replace(definition, "</uuid>", "</uuid>\n  <description>edited</description>", 1)
}

func (h *fixableHost) define(t *testing.T, definition string) {
	t.Helper()
	if err := h.d.Define(t.Context(), []byte(definition)); err != nil {
		t.Fatal(err)
	}
}
