package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chainfix/chainfix/testdata/peers"
	"github.com/chainfix/chainfix/testdata/slowfs/mount"
)

// TestSlowImagesAreAskedForOnceAndTogether: of images on storage that remembers names
// and attributes, as NFS does, a scan asks for four things each: the name, the file, its
// head and its end. It says the same however many it asks for at the same time.
func TestSlowImagesAreAskedForOnceAndTogether(t *testing.T) {
	t.Parallel()
	const guests = 30
	source := t.TempDir()
	original := manyHost(t, source, guests)
	scan := func(jobs string) (out string, most int) {
		slow := peers.StartSlowFS(t, source, mount.Options{Delay: time.Millisecond, Cache: time.Hour})
		definitions := t.TempDir()
		entries, err := os.ReadDir(original)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			text, err := os.ReadFile(filepath.Join(original, entry.Name()))
			if err != nil {
				t.Fatal(err)
			}
			writeFile(t, filepath.Join(definitions, entry.Name()), []byte(strings.ReplaceAll(string(text), source, slow.Dir)))
		}
		slow.Counts()
		report, err := exec.Command(builtProgram(t), "host", "scan", "--jobs", jobs, "--output", "json", "--predict", "9.0.0", "--from", definitions).Output()
		if len(report) == 0 {
			t.Fatal(err)
		}
		valid(t, string(report))
		counts := slow.Counts()
		requests := 0
		for _, n := range counts.Requests {
			requests += n
		}
		// The folders of the images are asked for, too.
		if images := guests * manyLayers; requests > 4*images+2*guests+10 {
			t.Errorf("%d requests for %d images: %v", requests, images, counts.Requests)
		}
		// Each mount has a number of its own, each folder a name.
		ofRun := regexp.MustCompile(`"(device|time|source)":"[^"]*"`)
		return ofRun.ReplaceAllString(strings.ReplaceAll(string(report), slow.Dir, source), ""), counts.Most
	}
	one, most := scan("1")
	if most != 1 {
		t.Errorf("with one worker %d requests are in flight", most)
	}
	many, most := scan("16")
	if diff := cmp.Diff(one, many); diff != "" {
		t.Errorf("with 16 workers (-one):\n%s", diff)
	}
	if most < 4 || most > 16 {
		t.Errorf("with 16 workers %d requests are in flight", most)
	}
}

// TestStorageFailureHint: a storage failure is reported with its own hint.
func TestStorageFailureHint(t *testing.T) {
	t.Parallel()
	source := t.TempDir()
	slow := peers.StartSlowFS(t, source, mount.Options{Cache: time.Hour})
	for fault, want := range map[string][]string{
		"EIO": {"input/output error", "find out why the file system or the device cannot read it"}, "ESTALE": {"stale", "mount it again"},
		"ETIMEDOUT": {"timed out", "find out why the server of its file system does not answer"}, "EACCES": {"permission denied", "as a user who may read the image"},
	} {
		for _, operation := range []string{"open", "read"} {
			if operation == "read" && fault == "EACCES" {
				continue // that is said when a file is opened
			}
			name := "err-" + operation + "-" + fault + ".img"
			writeFile(t, filepath.Join(source, name), rawDisk)
			writeFile(t, filepath.Join(source, fault+operation+".qcow2"), bytesOf(named(name, "")))
			cmd := exec.Command(builtProgram(t), "check")
			cmd.Stdin = strings.NewReader(guestWithDisk("web", "qcow2", filepath.Join(slow.Dir, fault+operation+".qcow2")))
			out, _ := cmd.CombinedOutput()
			for _, words := range append(want, "[image-unreadable]", name) {
				if !strings.Contains(string(out), words) {
					t.Errorf("%s in %s: no %q in\n%s", fault, operation, words, out)
				}
			}
		}
	}
}
